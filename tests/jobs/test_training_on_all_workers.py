"""`run.training: all_workers`: the same trees for any number of workers and any cut, as one worker finds them, and after a worker's death."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost
from tests.writing import write_files

import headrace as hr
from headrace.errors import DataError, JobError
from headrace.jobs import training

ROWS = 6_000
JOB = """\
job: parcels
source: {{path: "{folder}/rows/*.parquet", key: [id]}}
pipeline:
  - normalize: [weight, km]
split: {{by: id, test_from: 4800}}
model: {{kind: xgboost, target: late, features: [weight, km, days], params: {{max_depth: 4}}, rounds: 12}}
evaluate: [auc]
output: {{path: {folder}/out}}
run: {{training: all_workers, partition: 40kB, workers: 2}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files, the rows that test all in the last: one of its partitions trains nothing."""
    made = tmp_path_factory.mktemp("parcels")
    draw = np.random.default_rng(8)
    weight, km, days = draw.normal(size=(3, ROWS))
    late = weight + km**2 + draw.normal(size=ROWS) > 1
    table = pa.table({"id": np.arange(ROWS), "weight": weight, "km": km, "days": days, "late": late})
    write_files(made / "rows", table, files=3, row_groups=4)
    return made


def ran(folder: Path, *overrides: str) -> Any:
    return hr.Job.from_text(JOB.format(folder=folder), overrides).run()


def trees(run: Any) -> bytes:
    return (run.directory / "bundle" / "model" / "model.ubj").read_bytes()


def test_the_trees_are_one_workers_for_any_number_of_workers_and_any_cut(folder: Path) -> None:
    alone = ran(folder, "run.training=one_worker")
    runs = [
        ran(folder),
        ran(folder, "run.partition=file", "run.workers=1"),
        ran(folder, "run.cluster=processes"),
        ran(folder, "run.cluster=processes", "run.workers=3", "run.partition=file"),
    ]
    assert len({trees(run) for run in runs}) == 1
    dumps = [xgboost.Booster(model_file=bytearray(trees(run))).get_dump() for run in (alone, runs[0])]
    assert dumps[0] == dumps[1]
    assert {run.metrics["auc"] for run in runs} == {alone.metrics["auc"]}
    trained = [run.record["model"]["training"] for run in (alone, *runs)]
    assert [one["on"] for one in trained] == ["one_worker", *["all_workers"] * 4]
    assert [one["workers"] for one in trained] == [1, 1, 1, 2, 3]
    assert runs[2].record["plan"]["training"] == "all_workers"


def test_quantiles_of_a_sample_give_a_model_as_good(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ran(folder)
    monkeypatch.setattr(training, "QUANTILE_ROWS", 1_000)
    sampled = [ran(folder), ran(folder, "run.partition=file")]
    assert trees(sampled[0]) == trees(sampled[1]) != trees(whole)
    assert sampled[0].metrics["auc"] == pytest.approx(whole.metrics["auc"], abs=0.01)


def dying_member(what: Any, rank: int, size: int, *rest: Any) -> Any:
    """Train as usual, but kill the process of the second member at some moment, the first time."""
    mark, moment = Path(os.environ["HEADRACE_TEST_MARK"]), os.environ["HEADRACE_TEST_MOMENT"]
    dies = rank == 1 and not mark.exists()

    def die() -> None:
        mark.touch()
        os.kill(os.getpid(), 9)

    class Kill(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if epoch == 2:
                die()
            return False

    if dies and moment == "before it joins":
        die()
    train = xgboost.train
    if dies and moment == "in a round":
        xgboost.train = lambda *args, **more: train(*args, callbacks=[Kill()], **more)
    try:
        model = TRAIN_MEMBER(what, rank, size, *rest)
    finally:
        xgboost.train = train
    if dies:
        die()
    return model


TRAIN_MEMBER = training.train_member


@pytest.mark.parametrize("moment", ["before it joins", "in a round", "at the end"])
def test_a_worker_that_is_killed_while_all_train_changes_no_bit(
    moment: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = trees(ran(folder))
    monkeypatch.setenv("HEADRACE_TEST_MOMENT", moment)
    monkeypatch.setenv("HEADRACE_TEST_MARK", str(tmp_path / "killed"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(training, "train_member", dying_member)
    run = ran(folder, "run.cluster=processes")
    assert (tmp_path / "killed").exists()
    assert trees(run) == expected


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["model.params.objective=binary:logistic", "model.params.base_score=2"], JobError, "model.params: xgboost refuses: "),
        (
            ["pipeline=[{derive: {late: 'id * 0'}}]", "model.features=[km]"],
            DataError,
            "the target 'late' has one value: all 4800 training rows are 0",
        ),
        (["pipeline=[{derive: {km: 'CASE WHEN id = 7 THEN 1e300 ELSE km END'}}]", "model.features=[km]"], DataError, "infinite in"),
    ],
)
def test_mistakes_are_told_as_one_worker_tells_them(folder: Path, overrides: list[str], error: type[Exception], message: str) -> None:
    told = []
    for kind in ("one_worker", "all_workers"):
        with pytest.raises(error) as caught:
            ran(folder, f"run.training={kind}", *overrides)
        told.append(str(caught.value))
    assert message in told[0]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model={kind: random_forest, target: late}"], "random_forest trains on one worker"),
        (
            ["model.params.objective=reg:quantileerror", "model.params.quantile_alpha=0.9"],
            "the leaves of 'reg:quantileerror' are quantiles of their rows",
        ),
        (["run.cluster=tls://10.0.0.1:8786"], "exchange sums of gradients over plain TCP, which TLS does not cover"),
        (["model=null", "evaluate=null"], "there is no model to train"),
    ],
)
def test_what_cannot_be_trained_so_is_refused_before_any_row_is_read(folder: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(JobError, match=message) as caught:
        hr.Job.from_text(JOB.format(folder=folder), overrides)
    assert caught.value.key == "run.training"


def test_a_network_that_is_trusted_may_be_used(folder: Path) -> None:
    job = hr.Job.from_text(JOB.format(folder=folder), ["run.cluster=tls://10.0.0.1:8786", "run.trusted_network=true"])
    assert job.settings.run.trusted_network


def test_the_plan_counts_the_rows_that_every_worker_gets(folder: Path) -> None:
    alone, together = (
        hr.Job.from_text(JOB.format(folder=folder), [f"run.training={kind}"]).plan() for kind in ("one_worker", "all_workers")
    )
    assert (alone.training, together.training) == ("one_worker", "all_workers")
    assert together.predicted_peak_bytes - alone.predicted_peak_bytes == 2 * 3 * 4 * 3 * ROWS
