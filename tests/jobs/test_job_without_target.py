"""Jobs whose model has no target: planned, run, reported, and their bundles asked; and nearest neighbours, which explain nothing."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from headrace.jobs.bundle import Bundle

MODEL = "model: {kind: xgboost, target: late, params: {max_depth: 3}, rounds: 8}\nevaluate: [auc, log_loss]\n"
WITHOUT_LABEL = '  - derive: {late: "CAST(days > 3 AS TINYINT)"}\n'
ENCODING = "  - target_encoding: {columns: [courier], target: late, folds: 3, smoothing: 5}\n"

WITH_UMAP = pytest.mark.skipif(find_spec("umap") is None, reason="umap-learn is not installed")
KMEANS = "model: {kind: kmeans, features: [weight, km], params: {n_clusters: 4}}\n"
CASES = {
    "kmeans": (KMEANS, {"prediction": "int32", "prediction_distance": "float"}, ["inertia", "silhouette"]),
    "dbscan": (
        "model: {kind: dbscan, features: [weight, km], params: {eps: 0.3, min_samples: 10}}\n",
        {"prediction": "int32", "prediction_distance": "float"},
        ["noise", "silhouette"],
    ),
    "hdbscan": (
        "model: {kind: hdbscan, features: [weight, km], params: {min_cluster_size: 12, min_samples: 4}}\n",
        {"prediction": "int32", "prediction_distance": "float"},
        ["noise", "silhouette"],
    ),
    "pca": ("model: {kind: pca, params: {n_components: 2}}\n", {"pc_1": "float", "pc_2": "float"}, ["explained_variance_ratio"]),
    "truncated_svd": (
        "model: {kind: truncated_svd, params: {n_components: 3}}\n",
        {"pc_1": "float", "pc_2": "float", "pc_3": "float"},
        ["explained_variance_ratio"],
    ),
    "umap": (
        "model: {kind: umap, features: [weight, km], params: {n_neighbors: 10, n_epochs: 20}}\n",
        {"umap_1": "float", "umap_2": "float"},
        ["trustworthiness"],
    ),
}
SENTENCES = {
    "kmeans": "fall into 4 groups",
    "dbscan": "fall into",
    "hdbscan": "fall into",
    "pca": "are kept by 2 components",
    "truncated_svd": "kept by 3 components",
    "umap": "neighbours kept 0.9",
}
CHARTS = {"umap": "Neighbours kept"}  # and no chart


def asked(desk: Any, model: str) -> Any:
    """Put another model in the place of the job's, and leave the label out where the model has none."""
    desk.swap(MODEL, model)
    if "target" not in model:
        desk.swap(WITHOUT_LABEL, "")
        desk.swap(ENCODING, "")
    return desk


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=WITH_UMAP) if kind == "umap" else kind for kind in CASES])
def test_a_job_runs_from_rows_to_report_and_its_bundle_repeats_the_predictions(desk: Any, kind: str, tmp_path: Path) -> None:
    model, columns, metrics = CASES[kind]
    asked(desk, model)
    planned = desk("plan", desk.job)
    assert planned.code == 0, planned.stdout + planned.stderr
    outcome = desk("run", desk.job, "--debug")
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    folder = (desk.out / "latest").resolve()
    record = json.loads((folder / "run.json").read_text())
    assert record["model"]["kind"] == kind
    assert record["model"]["target"] is record["model"]["rounds"] is record["importance"] is None
    assert record["split"]["train_rows"] > record["split"]["test_rows"] > 0
    for part in ("train", "test"):
        assert list(record["metrics"][part]) == metrics
        assert all(np.isfinite(value) for value in record["metrics"][part].values())

    written = pq.read_table(folder / "predictions")
    assert {field.name: str(field.type) for field in written.schema if field.name not in ("split", "id")} == columns
    assert written.num_rows == record["ledger"]["rows"]["out"]
    assert "late" not in pq.read_schema(next((folder / "features").iterdir())).names

    page = (folder / "report.html").read_text()
    assert SENTENCES[kind] in page
    assert "What matters most" not in page
    assert CHARTS.get(kind, "How large the groups are" if "prediction" in columns else "What each component keeps") in page

    again = desk("predict", folder / "bundle", desk.data / "parcels", tmp_path / "again.parquet")
    assert again.code == 0, again.stdout + again.stderr
    repeated = pq.read_table(tmp_path / "again.parquet")
    assert repeated.select(written.drop_columns("split").column_names).equals(written.drop_columns("split").replace_schema_metadata(None))

    shown = desk("inspect", folder / "bundle")
    assert shown.code == 0
    assert f"{kind} ({record['model']['task']})" in shown.stdout
    assert "predicts" not in shown.stdout
    assert Bundle.load(folder / "bundle").target is None


def test_the_clusters_of_a_job_are_the_same_for_any_cut_and_number_of_workers(desk: Any) -> None:
    asked(desk, KMEANS)
    found = set()
    for workers, partition in ((1, "file"), (2, "9kB")):
        assert desk("run", desk.job, "--set", f"run.workers={workers}", "--set", f"run.partition={partition}").code == 0
        found.add((desk.out / "latest" / "bundle" / "model" / "model.json").read_bytes())
    assert len(found) == 1


def test_without_a_split_the_figures_are_of_the_rows_that_were_learnt_from(desk: Any) -> None:
    asked(desk, KMEANS).swap("split: {by: sent, test_from: 2024-03-01, zone: America/New_York}\n", "")
    assert desk("run", desk.job).code == 0
    record = json.loads((desk.out / "latest" / "run.json").read_text())
    assert record["split"]["test_rows"] == 0
    assert "test" not in record["metrics"]
    assert sum(record["curves"]["clusters"]["rows"]) == record["ledger"]["rows"]["out"]


def test_nearest_neighbours_are_measured_but_not_explained(desk: Any) -> None:
    asked(desk, "model: {kind: nearest_neighbors, target: late, params: {n_neighbors: 15}}\nevaluate: [auc]\n")
    outcome = desk("run", desk.job, "--debug")
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    record = json.loads((desk.out / "latest" / "run.json").read_text())
    assert 0.5 < record["metrics"]["test"]["auc"] < 1
    assert record["importance"] is None
    assert "What matters most" not in (desk.out / "latest" / "report.html").read_text()


@pytest.mark.parametrize(
    ("model", "key", "message"),
    [
        ("model: {kind: kmeans, target: late}\n", "model.target", "kmeans has no target"),
        ("model: {kind: xgboost}\n", "model.target", "is missing: xgboost learns from a target"),
        ("model: {kind: tsne}\n", "model.kind", "no kind 'tsne'"),
        (
            "model: {kind: kmeans, rounds: 8}\n",
            "model.rounds",
            "kmeans has no rounds nearest: model.params.max_iter. Kinds with rounds: xgboost, ",
        ),
        ("model: {kind: dbscan, rounds: 100}\n", "model.rounds", "dbscan has no rounds leave it out. Kinds with rounds: "),
        ("model: {kind: kmeans}\nevaluate: [auc]\n", "evaluate[0]", "no metric 'auc' of a kmeans model"),
        (
            "model: {kind: pca, features: [weight, km], params: {n_components: 3}}\n",
            "model.params.n_components",
            "3 components of 2 features",
        ),
    ],
)
def test_mistakes_are_found_before_any_row_is_read(desk: Any, model: str, key: str, message: str) -> None:
    desk.swap(MODEL, model)
    outcome = desk("plan", desk.job)
    assert outcome.code == 2
    line = desk.line_of("evaluate:" if key.startswith("evaluate") else "model:")
    assert f"job.yaml:{line}: {key}: {message}" in " ".join(outcome.stderr.split())


def test_a_key_of_a_predictions_name_is_not_written_over(desk: Any) -> None:
    asked(desk, "model: {kind: pca, features: [weight, km], params: {n_components: 2}}\n")
    table = pq.read_table(desk.data / "parcels")
    pq.write_table(table.append_column("pc_2", table["id"]), desk.folder / "named.parquet")
    desk.swap(f"path: {desk.data}/parcels/*.parquet\n  key: [id]", f"path: {desk.folder}/named.parquet\n  key: [id, pc_2]")
    outcome = desk("run", desk.job)
    assert outcome.code == 2
    assert "source.key: the column 'pc_2' stands beside predictions, and a pca model has one of that name" in " ".join(
        outcome.stderr.split()
    )
    assert not (desk.out / "latest").exists()
