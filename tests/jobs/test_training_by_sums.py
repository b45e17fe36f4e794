"""`run.training: all_workers` of kinds that need sums over rows alone: the same bytes for any number of workers, any cut, and after a death."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.writing import write_files

import headrace as hr
from headrace.errors import DataError, JobError
from headrace.jobs import training
from headrace.models.kmeans import Lloyd
from headrace.models.logistic import Slope

ROWS = 6_000
JOB = """\
job: parcels
source: {{path: "{folder}/rows/*.parquet", key: [id]}}
split: {{by: id, test_from: 4800}}
model: {{kind: linear_regression, target: price, features: [weight, km, days]}}
output: {{path: {folder}/out}}
run: {{training: all_workers, partition: 40kB, workers: 2}}
"""
MODELS = {
    "linear_regression": "model={kind: linear_regression, target: price, features: [weight, km, days]}",
    "ridge": "model={kind: linear_regression, target: price, features: [weight, km, days], params: {alpha: 100.0}}",
    "pca": "model={kind: pca, features: [weight, km, days], params: {n_components: 2, whiten: true}}",
    "truncated_svd": "model={kind: truncated_svd, features: [weight, km, days], params: {n_components: 2}}",
    "logistic": "model={kind: logistic_regression, target: dear, features: [weight, km, days], params: {tol: 1e-8, max_iter: 1000}}",
    "multiclass": "model={kind: logistic_regression, target: zone, features: [weight, km, days], params: {tol: 1e-8, max_iter: 1000}}",
    "kmeans": "model={kind: kmeans, features: [weight, km, days], params: {n_clusters: 4, n_init: 2}}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files, the rows that test all in the last: one of its partitions trains nothing."""
    made = tmp_path_factory.mktemp("parcels")
    draw = np.random.default_rng(8)
    weight, km, days = draw.normal(size=(3, ROWS)) * [[1], [300], [4]] + [[2], [0], [9]]
    price = 3 * weight + km / 100 - days + draw.normal(size=ROWS)
    noisy = price + draw.logistic(size=ROWS) * 2
    columns = {"weight": weight, "km": km, "days": days, "price": price, "dear": noisy > 0, "zone": np.digitize(noisy, [-4, 4])}
    table = pa.table({"id": np.arange(ROWS), **columns})
    write_files(made / "rows", table, files=3, row_groups=4)
    return made


def ran(folder: Path, *overrides: str) -> Any:
    return hr.Job.from_text(JOB.format(folder=folder), overrides).run()


def saved(run: Any) -> bytes:
    return (run.directory / "bundle" / "model" / "model.json").read_bytes()


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_model_is_one_workers_whatever_the_cut(model: str, folder: Path) -> None:
    alone = ran(folder, model, "run.training=one_worker")
    runs = [ran(folder, model), ran(folder, model, "run.partition=file", "run.workers=1")]
    assert len({saved(run) for run in runs}) == 1
    assert runs[0].metrics == pytest.approx(alone.metrics, rel=1e-5)
    predicted = [pq.read_table(run.directory / "predictions").drop_columns(["id", "split"]) for run in (runs[0], alone)]
    for ours, theirs in zip(*(table.columns for table in predicted), strict=True):
        np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("model", [MODELS[name] for name in ("linear_regression", "multiclass", "kmeans")])
def test_processes_train_the_same_bytes_each_with_the_rows_it_has(model: str, folder: Path) -> None:
    threads, processes = ran(folder, model), ran(folder, model, "run.cluster=processes")
    assert saved(threads) == saved(processes)
    assert [run.record["model"]["training"] for run in (threads, processes)] == [
        {"on": "all_workers", "workers": 1},
        {"on": "all_workers", "workers": 2},
    ]


def test_more_workers_than_rows_train_too(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2, 3], "weight": [1.0, 2.0, 7.0], "km": [0.0, 4.0, 4.0], "days": [1.0, 0.0, 2.0], "price": [3.0, 1.0, 2.0]})
    write_files(tmp_path / "rows", table, files=3, row_groups=1)
    for model in ("model={kind: kmeans, features: [weight, km], params: {n_clusters: 2}}", MODELS["ridge"]):
        runs = [ran(tmp_path, model, "split=null", f"run.workers={workers}") for workers in (1, 5)]
        assert saved(runs[0]) == saved(runs[1])


ANSWER = training.answer


def dying_answer(question: Any, part: Any) -> Any:
    """Answer as usual, but kill the process at the first answer of the third kind of question: a round's."""
    mark = Path(os.environ["HEADRACE_TEST_MARK"])
    if isinstance(question, (Slope, Lloyd)) and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
    return ANSWER(question, part)


@pytest.mark.parametrize("model", [MODELS[name] for name in ("logistic", "kmeans")])
def test_a_worker_that_is_killed_in_a_round_changes_no_bit(
    model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = saved(ran(folder, model))
    monkeypatch.setenv("HEADRACE_TEST_MARK", str(tmp_path / "killed"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(training, "answer", dying_answer)
    run = ran(folder, model, "run.cluster=processes")
    assert (tmp_path / "killed").exists()
    assert saved(run) == expected


def test_no_task_is_given_the_rows_of_two_partitions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answers for its own partition, and what travels is a sum."""
    seen: list[int] = []

    def note(question: Any, part: Any) -> Any:
        seen.append(len(part[0].matrix))
        return ANSWER(question, part)

    monkeypatch.setattr(training, "answer", note)
    run = ran(folder, MODELS["kmeans"])
    assert max(seen) < ROWS / 4
    assert len(seen) > 3 * run.record["plan"]["partitions"]


def test_mistakes_are_told_as_one_worker_tells_them(folder: Path) -> None:
    for overrides, error, message in (
        (["pipeline=[{derive: {price: 'id * 0'}}]"], DataError, "the target 'price' has one value: all 4800 training rows are 0"),
        (["pipeline=[{derive: {km: 'CASE WHEN id = 7 THEN NULL ELSE km END'}}]"], DataError, "column 'km': missing in 1 of"),
        (["model={kind: pca, features: [km, days], params: {n_components: 3}}"], JobError, "3 components of 2 features"),
        (["model={kind: kmeans, features: [km], params: {n_clusters: 4801}}"], JobError, "4801 clusters of 4800 training rows"),
        (
            [MODELS["logistic"], "pipeline=[{derive: {dear: 'id * 0'}}]"],
            DataError,
            "the target 'dear' has one value: all 4800 training rows are 0",
        ),
        (
            [MODELS["kmeans"], "pipeline=[{derive: {km: 'CASE WHEN id = 7 THEN NULL ELSE km END'}}]"],
            DataError,
            "column 'km': missing in 1 of",
        ),
    ):
        for on in ("one_worker", "all_workers"):
            with pytest.raises(error, match=message):
                ran(folder, f"run.training={on}", *overrides)


def test_sums_travel_by_the_clusters_own_connections(folder: Path) -> None:
    """So TLS covers them, where XGBoost's workers talk to each other besides."""
    job = hr.Job.from_text(JOB.format(folder=folder), ["run.cluster=tls://10.0.0.1:8786"])
    assert not job.settings.run.trusted_network


def test_no_worker_is_given_rows_of_others(folder: Path) -> None:
    alone, together = (hr.Job.from_text(JOB.format(folder=folder), [f"run.training={on}"]).plan() for on in ("one_worker", "all_workers"))
    assert (alone.training, together.training) == ("one_worker", "all_workers")
    assert together.predicted_peak_bytes == alone.predicted_peak_bytes
