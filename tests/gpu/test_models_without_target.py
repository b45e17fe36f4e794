"""Clusters, components and nearest neighbours on `device: gpu`, on the stand-ins: the CPU's numbers and the CPU's files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.gpu import device_arrays

from headrace.errors import JobError, MissingLibraryError
from headrace.models import ModelSettings, fit_model, load_model
from headrace.models.search import Search

STANDIN = Path(__file__).parent / "standin"
FEATURES = ("a", "b", "c")
WITH_UMAP = pytest.mark.skipif(find_spec("umap") is None, reason="umap-learn is not installed")
CASES = [
    ("kmeans", {"n_clusters": 3}),
    ("kmeans", {"n_clusters": 5, "n_init": 2, "max_iter": 20, "tol": 1e-3}),
    ("dbscan", {"eps": 0.5, "min_samples": 8}),
    ("hdbscan", {"min_cluster_size": 40, "min_samples": 9}),
    ("hdbscan", {"cluster_selection_method": "leaf", "max_cluster_size": 900}),
    ("pca", {}),
    ("pca", {"n_components": 3, "whiten": True}),
    ("truncated_svd", {}),
    pytest.param("umap", {"n_neighbors": 9, "n_components": 3, "min_dist": 0.2, "n_epochs": 30}, marks=WITH_UMAP),
    ("nearest_neighbors", {"n_neighbors": 4}),
    ("nearest_neighbors", {"weights": "distance", "metric": "manhattan"}),
]


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """cupy and cuml of the stand-in."""
    monkeypatch.syspath_prepend(STANDIN)
    monkeypatch.setitem(sys.modules, "cupy", device_arrays.module())
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "cuml"]:
        del sys.modules[name]


def rows(seed: int = 1) -> np.ndarray:
    """Three heaps, in units far from 1."""
    draw = np.random.default_rng(seed)
    heaps = np.repeat(np.array([[0, 0, 0], [6, 0, 0], [0, 9, 0]], np.float32), (600, 500, 400), axis=0)
    return draw.permutation(heaps + draw.normal(scale=0.4, size=(1_500, 3))).astype(np.float32)


def trained(kind: str, params: dict[str, Any], device: str, where: Any = np.asarray) -> Any:
    matrix = rows()
    target = matrix[:, 1].astype(np.float64)
    blocks = [(where(matrix[part]), where(target[part])) for part in (slice(0, 700), slice(700, 1_500))]
    return fit_model(ModelSettings(kind, params=params, seed=3), FEATURES, blocks, 1, device)


def assert_alike(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    for name in found.dtype.names or (None,):
        one, other = (found, expected) if name is None else (found[name], expected[name])
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "params"), CASES)
@pytest.mark.parametrize("where", [np.asarray, device_arrays.asarray], ids=["host", "device"])
def test_they_have_the_meaning_of_the_cpu(kind: str, params: dict[str, Any], where: Any) -> None:
    on_cpu, on_gpu = trained(kind, params, "cpu"), trained(kind, params, "gpu", where)
    assert_alike(on_gpu.predict(rows(2)), on_cpu.predict(rows(2)))


@pytest.mark.parametrize(("kind", "params"), CASES)
def test_a_model_of_one_device_predicts_the_same_bits_on_the_other(kind: str, params: dict[str, Any], tmp_path: Path) -> None:
    for device in ("cpu", "gpu"):
        model = trained(kind, params, device)
        model.save(tmp_path / device)
        again = load_model(tmp_path / device, threads=1)
        for where in (np.asarray, device_arrays.asarray):
            predicted = again.predict(where(rows(2)))
            assert type(predicted) is np.ndarray
            np.testing.assert_array_equal(predicted, model.predict(rows(2)), strict=True)
        assert "device" not in json.loads((tmp_path / device / "model.json").read_text())["settings"]


@pytest.mark.parametrize("eps", [0.3, 0.1, 0.25])
def test_rows_that_lie_just_beyond_eps_are_no_neighbours(eps: float) -> None:
    """float32's 0.3 is more than 0.3, and rows in steps of it lie so far apart."""
    matrix = np.repeat(np.array([[0, 0, 0], [eps, 0, 0], [2 * eps, 0, 0]], np.float32), 8, axis=0)
    on_cpu, on_gpu = (
        fit_model(ModelSettings("dbscan", params={"eps": eps, "min_samples": 8}), FEATURES, [(matrix, np.zeros(24))], 1, device)
        for device in ("cpu", "gpu")
    )
    assert len(np.unique(on_cpu.predict(matrix)["prediction"])) == (1 if eps == 0.25 else 3)
    assert_alike(on_gpu.predict(matrix), on_cpu.predict(matrix))


@pytest.mark.parametrize("shift", [0, 3_000], ids=["rows near zero", "rows far from zero"])
def test_neighbours_are_exact_although_the_devices_distances_are_not(shift: int) -> None:
    """Far from zero float32's squares tell no rows apart: none of the proposals can be trusted, and none is."""
    known = (np.random.default_rng(4).integers(0, 40, (1_400, 2)) / 8 + shift).astype(np.float32)
    apart = ((known[:60, None].astype(np.float64) - known[None].astype(np.float64)) ** 2).sum(axis=2)
    found, distance = Search(known).nearest(device_arrays.asarray(known[:60]), 3)
    np.testing.assert_array_equal(found, np.argsort(apart, axis=1, kind="stable")[:, :3])
    np.testing.assert_array_equal(distance, np.sort(apart, axis=1)[:, :3])


def test_cuml_refuses_more_neighbours_than_it_can_hold() -> None:
    with pytest.raises(JobError, match=r"cuML refuses: HDBSCAN requires `1 <= min_samples <= 1023`"):
        trained("hdbscan", {"min_samples": 1_100}, "gpu")
    assert trained("hdbscan", {"min_samples": 1_024, "allow_single_cluster": True}, "gpu").min_samples == 1_024


@WITH_UMAP
def test_rows_that_are_equal_are_each_its_own_first_neighbour() -> None:
    matrix = np.vstack([np.zeros((20, 3), np.float32), rows()[:180]])
    blocks = [(device_arrays.asarray(matrix), device_arrays.asarray(np.zeros(200)))]
    on_cpu, on_gpu = (fit_model(ModelSettings("umap", params={"n_epochs": 10}), FEATURES, blocks, 1, device) for device in ("cpu", "gpu"))
    np.testing.assert_array_equal(on_gpu.places, on_cpu.places)


def test_what_cuml_refuses_is_the_jobs_mistake() -> None:
    with pytest.raises(JobError, match=r"cuML refuses: Expected min_dist \(2\) <= spread \(1.0\)"):
        trained("umap", {"min_dist": 2}, "gpu")


@pytest.mark.parametrize(("n_rows", "n_features", "few"), [(50, 1, "1 feature"), (1, 3, "1 sample")])
def test_components_of_fewer_rows_or_features_than_cuml_takes_are_the_jobs_mistake(n_rows: int, n_features: int, few: str) -> None:
    block = (rows()[:n_rows, :n_features], np.zeros(n_rows))
    with pytest.raises(JobError, match=rf"cuML refuses: Found array with {few}"):
        fit_model(ModelSettings("pca", params={"n_components": 1}), FEATURES[:n_features], [block], 1, "gpu")


def test_a_missing_cuml_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuml", None)
    for kind, params, module in (("kmeans", {"n_clusters": 3}, "cluster"), ("hdbscan", {}, "cluster"), ("pca", {}, "decomposition")):
        with pytest.raises(MissingLibraryError, match=rf"needs the library 'cuml.{module}'.*\n  pip install 'headrace\[gpu\]'"):
            trained(kind, params, "gpu")


def test_the_standin_refuses_what_the_real_estimators_lack() -> None:
    from cuml.cluster import DBSCAN, HDBSCAN
    from cuml.decomposition import PCA

    with pytest.raises(TypeError, match="unexpected keyword argument 'n_jobs'"):
        DBSCAN(n_jobs=2)
    with pytest.raises(TypeError, match="unexpected keyword argument 'copy'"):
        HDBSCAN(copy=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'random_state'"):
        PCA(random_state=2)
