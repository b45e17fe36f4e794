"""A whole job by the command, on `cluster: cuda` with a worker for each of two pretended GPUs: the CPU's rows, and a model as good."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.comparing import assert_same_table
from tests.gpu.parity.courier import JOB_BEGIN, ROWS, write_courier
from tests.gpu.standin.children import ROOT, prepare_children

import headrace as hr

TOLERANCE = 2e-6
JOB = (
    JOB_BEGIN
    + """\
  - target_encoding: {{columns: [courier], target: late, folds: 3, smoothing: 5}}
  - time_since_last: {{order: sent, by: [courier]}}
  - fill_missing: {{columns: [weight, lat, lon, sent_since_last], value: median}}
  - normalize: [weight, lat, lon]
  - categorify: {{columns: [city, courier], min_frequency: 2}}
split: {{by: sent, test_from: 2024-03-01, zone: America/New_York}}
model: {{kind: xgboost, target: late, rounds: 8}}
evaluate: [auc, log_loss]
output: {{path: {out}}}
run: {{seed: 7, partition: 8kB, strict: true}}
"""
)
LINEAR = ("--set", "model={kind: linear_regression, target: days, features: [weight, lat, lon]}", "--set", "evaluate=[rmse]")
RUN = (sys.executable, "-W", "ignore", "-c", "from headrace.__main__ import command; command()", "run")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The job on the CPU, and on two GPUs with either way to train: the folder of each run."""
    folder = tmp_path_factory.mktemp("job")
    data = write_courier(folder)
    done = {}
    with pytest.MonkeyPatch.context() as patch:
        prepare_children(patch, folder, devices=2)
        for name, asked in {
            "cpu": ("--device", "cpu"),
            "one_worker": ("--device", "gpu", "--cluster", "cuda"),
            "all_workers": ("--device", "gpu", "--cluster", "cuda", "--set", "run.training=all_workers"),
            "by sums": ("--device", "gpu", "--cluster", "cuda", "--set", "run.training=all_workers", *LINEAR),
        }.items():
            job = folder / f"{name}.yaml"
            job.write_text(JOB.format(data=data, out=folder / name))
            ran = subprocess.run([*RUN, str(job), *asked], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            done[name] = (folder / name / "latest").resolve()
    return done


def record(run: Path) -> Any:
    return json.loads((run / "run.json").read_text())


@pytest.mark.parametrize("training", ["one_worker", "all_workers"])
def test_features_are_those_of_the_cpu(training: str, runs: dict[str, Path]) -> None:
    found, expected = (pq.read_table(runs[name] / "features") for name in (training, "cpu"))
    assert expected.num_rows > 0.9 * ROWS
    assert_same_table(found, expected, TOLERANCE)
    ledgers = [record(runs[name])["ledger"] for name in (training, "cpu")]
    assert [ledgers[0][name] for name in ("rows", "counts")] == [ledgers[1][name] for name in ("rows", "counts")]


@pytest.mark.parametrize(("training", "trainers"), [("one_worker", 1), ("all_workers", 2)])
def test_two_gpus_work_and_rows_pass_the_host_in_an_exchange_alone(training: str, trainers: int, runs: dict[str, Path]) -> None:
    said = record(runs[training])
    assert {name: said["machine"][name] for name in ("device", "cluster", "workers")} == {"device": "gpu", "cluster": "cuda", "workers": 2}
    assert said["plan"]["partitions"] > 2
    assert said["model"]["training"] == {"on": training, "workers": trainers}
    assert (set(said["ledger"]["transfers"]), said["ledger"]["fallbacks"]) == ({"distinct", "exchange", "state", "output"}, [])


@pytest.mark.parametrize("training", ["one_worker", "all_workers"])
def test_the_model_is_as_good_and_its_bundle_predicts_on_a_cpu(training: str, runs: dict[str, Path]) -> None:
    found, expected = (record(runs[name])["metrics"]["test"] for name in (training, "cpu"))
    assert found == pytest.approx(expected, abs=0.02)
    tested = pq.read_table(runs[training] / "predictions")  # training rows were encoded out of fold
    tested = tested.filter(pc.equal(tested["split"].cast("string"), "test")).drop_columns("split")
    parcels = runs["cpu"].parents[2] / "parcels" / "*.parquet"
    again = hr.load(runs[training] / "bundle").predict(str(parcels), device="cpu")
    again = again.filter(pc.is_in(again["id"], tested["id"]))
    assert 100 < again.num_rows == tested.num_rows
    assert_same_table(again.sort_by("id"), tested.sort_by("id"), 1e-5)


def test_two_gpus_sum_what_one_worker_of_the_cpu_trains(runs: dict[str, Path]) -> None:
    found = runs["by sums"]
    assert record(found)["model"]["training"] == {"on": "all_workers", "workers": 2}
    alone = hr.Job.load(
        found.parents[2] / "by sums.yaml", [*LINEAR[1::2], "run.device=cpu", f"output.path={found.parents[2] / 'alone'}"]
    ).run()
    expected, predicted = (pq.read_table(run / "predictions") for run in (alone.directory, found))
    assert_same_table(predicted, expected, 1e-4)
