"""Models without a target: clusters and components, their numbers held to definitions, their ids and signs always the same."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.cluster
import sklearn.decomposition
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score

from headrace.errors import BundleError, DataError, JobError, MissingLibraryError
from headrace.models import KINDS, ModelSettings, fit_model, load_model
from headrace.models.measures import measure, outline

FEATURES = ("a", "b", "c")
WITH_UMAP = pytest.mark.skipif(find_spec("umap") is None, reason="umap-learn is not installed")
KINDS_WITHOUT_TARGET = [
    pytest.param(kind, marks=WITH_UMAP) if kind == "umap" else kind for kind, entry in KINDS.items() if not entry.has_target
]
# What makes a kind quick, and a cluster for each heap.
PARAMS: dict[str, dict[str, Any]] = {"kmeans": {"n_clusters": 3}, "umap": {"n_epochs": 20}}
CENTRES = np.array([[0, 0, 0], [6, 0, 0], [0, 9, 0]], np.float32)
SIZES = (300, 200, 100)  # of the heaps, in the order of CENTRES


def heaps(seed: int = 1) -> np.ndarray:
    """Three heaps of rows of unlike size, shuffled."""
    draw = np.random.default_rng(seed)
    rows = np.repeat(CENTRES, SIZES, axis=0) + draw.normal(scale=0.4, size=(sum(SIZES), 3)).astype(np.float32)
    return draw.permutation(rows).astype(np.float32)


def model_of(
    kind: str, matrix: np.ndarray | None = None, cuts: tuple[int, ...] = (), threads: int = 1, seed: int = 0, **params: Any
) -> Any:
    matrix = heaps() if matrix is None else matrix
    params = {**PARAMS.get(kind, {}), **params}
    blocks = [(piece, np.zeros(len(piece))) for piece in np.split(matrix, cuts)]
    names = FEATURES if matrix.shape[1] == 3 else tuple(f"f{index}" for index in range(matrix.shape[1]))
    return fit_model(ModelSettings(kind, params=params, seed=seed), names, blocks, threads)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("kind", KINDS_WITHOUT_TARGET)
class TestEveryKind:
    def test_predictions_fill_the_columns_that_it_names(self, kind: str) -> None:
        model = model_of(kind)
        columns = model.as_columns(model.predict(heaps()))
        assert model.task == ("clustering" if kind in ("kmeans", "dbscan", "hdbscan") else "decomposition")
        assert {name: str(column.dtype) for name, column in columns.items()} == model.columns
        assert {len(column) for column in columns.values()} == {600}
        placed = ["umap_1", "umap_2"] if kind == "umap" else ["pc_1", "pc_2"]
        assert list(columns) == (["prediction", "prediction_distance"] if model.task == "clustering" else placed)

    def test_read_back_it_is_the_same_to_the_bit(self, kind: str, tmp_path: Path) -> None:
        model = model_of(kind)
        model.save(tmp_path / "model")
        again = load_model(tmp_path / "model", threads=1)
        assert (again.settings, again.features) == (model.settings, FEATURES)
        np.testing.assert_array_equal(again.predict(heaps(2)), model.predict(heaps(2)), strict=True)
        again.save(tmp_path / "again")
        assert digests(tmp_path / "again") == digests(tmp_path / "model")

    def test_bytes_depend_neither_on_the_cut_nor_on_threads(self, kind: str, tmp_path: Path) -> None:
        found = set()
        for cuts, threads in (((), 1), ((1, 200, 200, 599), 1), ((333,), 2)):
            model_of(kind, cuts=cuts, threads=threads).save(tmp_path)
            found.add(str(digests(tmp_path)))
        assert len(found) == 1

    def test_a_rows_prediction_does_not_depend_on_its_neighbours(self, kind: str) -> None:
        model, matrix = model_of(kind), heaps(2)
        pieces = [model.predict(piece) for piece in np.split(matrix, [1, 18, 18, 403])]
        np.testing.assert_array_equal(np.concatenate(pieces), model.predict(matrix), strict=True)

    def test_the_target_is_not_looked_at(self, kind: str, tmp_path: Path) -> None:
        for name, target in (("zeros", np.zeros(600)), ("other", np.arange(600.0))):
            fit_model(ModelSettings(kind, params=PARAMS.get(kind, {})), FEATURES, [(heaps(), target)], 1).save(tmp_path / name)
        assert digests(tmp_path / "zeros") == digests(tmp_path / "other")

    def test_missing_and_infinite_values_are_refused_by_name(self, kind: str) -> None:
        for value, message in ((np.nan, "missing"), (np.inf, "infinite")):
            matrix = heaps()
            matrix[4, 1] = value
            with pytest.raises(DataError, match=f"column 'b': {message} in 1 of 600 rows"):
                model_of(kind, matrix)
            with pytest.raises(DataError, match=f"column 'b': {message} in 1 of 600 rows"):
                model_of(kind).predict(matrix)

    def test_no_contributions_and_no_other_task(self, kind: str) -> None:
        with pytest.raises(JobError, match="has no contributions"):
            model_of(kind).contributions(heaps())
        with pytest.raises(JobError, match="cannot do the task 'regression'"):
            ModelSettings(kind, "regression")

    def test_no_rows_are_refused(self, kind: str) -> None:
        with pytest.raises(DataError, match="no rows to train on"):
            model_of(kind, heaps()[:0])

    def test_saved_numbers_that_do_not_fit_are_refused(self, kind: str, tmp_path: Path) -> None:
        model_of(kind).save(tmp_path)
        file = tmp_path / "model.json"
        content = json.loads(file.read_text())
        file.write_text(json.dumps({**content, "features": ["a", "b"]}))
        with pytest.raises(BundleError):
            load_model(tmp_path)
        for name in ("centres", "components", "rows"):
            content.pop(name, None)
        file.write_text(json.dumps(content))
        with pytest.raises(BundleError):
            load_model(tmp_path)


class TestKMeans:
    def test_centres_are_those_of_scikit_learn_and_the_largest_cluster_is_the_first(self) -> None:
        model = model_of("kmeans")
        found = sklearn.cluster.KMeans(3, n_init=5, random_state=1).fit(heaps())
        order = np.argsort(-np.bincount(found.labels_))
        np.testing.assert_allclose(model.centres, found.cluster_centers_[order], atol=1e-5)
        np.testing.assert_allclose(model.centres, CENTRES, atol=0.2)
        predicted = model.predict(heaps())
        assert np.bincount(predicted["prediction"]).tolist() == list(SIZES)
        assert measure(model, predicted, heaps())["inertia"] == pytest.approx(found.inertia_, rel=1e-5)

    def test_numbers_of_clusters_do_not_depend_on_the_seed(self) -> None:
        first, second = (model_of("kmeans", seed=seed, n_init=4).predict(heaps()) for seed in (1, 2))
        np.testing.assert_array_equal(first["prediction"], second["prediction"])

    def test_distance_is_to_the_centre_and_ties_go_to_the_lower_number(self) -> None:
        matrix = np.array([[-1.0], [-1.0], [1.0], [1.0]], np.float32)
        model = fit_model(ModelSettings("kmeans", params={"n_clusters": 2}), ("a",), [(matrix, np.zeros(4))], 1)
        # of clusters of one size the one with the lower centre comes first
        assert model.centres.tolist() == [[-1], [1]]
        assert model.predict(np.array([[0.0], [3.0]], np.float32)).tolist() == [(0, 1.0), (1, 2.0)]

    def test_more_starts_find_no_worse_clusters(self) -> None:
        matrix = np.random.default_rng(5).uniform(size=(400, 3)).astype(np.float32)
        one, many = (
            measure(model, model.predict(matrix), matrix) for model in (model_of("kmeans", matrix, n_clusters=9, n_init=n) for n in (1, 8))
        )
        assert many["inertia"] < one["inertia"]

    def test_too_many_clusters_are_refused_and_empty_ones_told(self) -> None:
        with pytest.raises(JobError, match="3 clusters of 2 training rows"):
            model_of("kmeans", heaps()[:2])
        with pytest.warns(UserWarning, match="1 clusters have no row: fewer rows differ than n_clusters"):
            model = model_of("kmeans", np.repeat(CENTRES[:2], 4, axis=0))
        assert np.bincount(model.predict(CENTRES[:2])["prediction"], minlength=3).tolist() == [1, 1, 0]


class TestDbscan:
    def test_training_rows_get_the_labels_of_scikit_learn_numbered_by_size(self) -> None:
        params = {"eps": 0.5, "min_samples": 8}
        predicted = model_of("dbscan", **params).predict(heaps())["prediction"]
        found = sklearn.cluster.DBSCAN(**params).fit(heaps())
        cores = found.core_sample_indices_
        np.testing.assert_array_equal(predicted == -1, found.labels_ == -1)
        pairs = set(zip(found.labels_[cores].tolist(), predicted[cores].tolist(), strict=True))
        assert len(pairs) == len(set(found.labels_[cores]))  # one number for one label
        sizes = np.bincount(predicted[cores])
        assert (np.diff(sizes) <= 0).all()
        assert 0 < (predicted == -1).sum() < 300

    def test_a_new_row_joins_the_nearest_core_row_within_eps(self) -> None:
        matrix = np.array([[0.0], [1.0], [2.0], [9.0], [10.0], [5.5]], np.float32)
        settings = ModelSettings("dbscan", params={"eps": 1.0, "min_samples": 2})
        model = fit_model(settings, ("a",), [(matrix, np.zeros(6))], 1)
        asked = np.array([[3.0], [3.1], [8.0], [5.5]], np.float32)
        predicted = model.predict(asked)
        assert predicted["prediction"].tolist() == [0, -1, 1, -1]
        np.testing.assert_allclose(predicted["prediction_distance"], [1, 1.1, 1, 3.5], rtol=1e-6)

    def test_a_worker_that_may_start_no_processes_trains_and_predicts_in_silence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Dask's workers are such: scikit-learn would warn, once for each partition."""
        monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
        matrix = np.random.default_rng(2).uniform(size=(3_000, 3)).astype(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = model_of("dbscan", matrix, threads=2)
            assert len(model.cores) > 2_000  # so many that a search tree is asked
            assert (model.predict(matrix)["prediction"] == 0).all()

    def test_nothing_but_noise_is_refused_with_what_to_change(self) -> None:
        with pytest.raises(DataError, match=r"all rows are noise: none has 5 rows within 1e-06 of it\n  raise eps, lower min_samples"):
            model_of("dbscan", eps=1e-6)


class TestHdbscan:
    @pytest.mark.parametrize(
        "params",
        [
            {"min_cluster_size": 15},
            {"min_cluster_size": 5, "min_samples": 3},
            {"min_cluster_size": 8, "cluster_selection_method": "leaf"},
            {"min_cluster_size": 6, "max_cluster_size": 120},
            {"min_cluster_size": 250, "min_samples": 4, "allow_single_cluster": True},
        ],
        ids=str,
    )
    def test_training_rows_get_the_labels_of_scikit_learn_numbered_by_size(self, params: dict[str, Any]) -> None:
        scattered = np.random.default_rng(4).uniform(-4, 13, size=(60, 3)).astype(np.float32)
        matrix = np.vstack([heaps(), scattered])
        predicted = model_of("hdbscan", matrix, **params).predict(matrix)["prediction"]
        found = sklearn.cluster.HDBSCAN(copy=True, **params).fit(matrix).labels_
        np.testing.assert_array_equal(predicted == -1, found == -1)
        assert len(set(zip(found.tolist(), predicted.tolist(), strict=True))) == len(set(found))  # one number for one label
        assert (np.diff(np.bincount(predicted[predicted >= 0])) <= 0).all()
        assert (predicted == -1).any()

    def test_new_rows_join_as_approximate_predict_would_have_them(self) -> None:
        """Of heaps that stand apart nearly all new rows join the heap that they were drawn from, and none another one."""
        model = model_of("hdbscan", min_cluster_size=20)
        fresh = heaps(2)
        predicted = model.predict(fresh)["prediction"]
        drawn_from = ((fresh[:, None] - CENTRES) ** 2).sum(axis=2).argmin(axis=1)
        inside = predicted >= 0
        np.testing.assert_array_equal(predicted[inside], drawn_from[inside])
        assert inside.mean() > 0.9

    def test_a_new_row_joins_where_it_lies_as_densely_as_the_sparsest_row(self) -> None:
        matrix = np.array([[0], [1], [2], [3], [20], [22], [24], [26], [60]], np.float32)
        model = fit_model(ModelSettings("hdbscan", params={"min_cluster_size": 3, "min_samples": 2}), ("a",), [(matrix, np.zeros(9))], 1)
        assert model.cluster.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, -1]
        assert (np.sqrt(model.core).tolist(), np.sqrt(model.sparsest).tolist()) == ([1, 1, 1, 1, 2, 2, 2, 2, 34], [1, 2])
        # 4 is 1 from row 3, but its second nearest row is 2 away; 60 was noise; of 27 both are within 2 (3 is not)
        asked = np.array([[1.5], [4.0], [25.0], [27.0], [60.0], [11.0]], np.float32)
        predicted = model.predict(asked)
        assert predicted["prediction"].tolist() == [0, -1, 1, -1, -1, -1]
        np.testing.assert_allclose(predicted["prediction_distance"], [1, 2, 2, 3, 34, 9], rtol=1e-6)

    def test_many_neighbours_are_looked_for_a_few_rows_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = model_of("hdbscan")
        monkeypatch.setattr("headrace.models.search._MOST_FOUND", 700)
        pieces = model_of("hdbscan")
        np.testing.assert_array_equal(pieces.core, whole.core)
        np.testing.assert_array_equal(pieces.predict(heaps(2)), whole.predict(heaps(2)))

    def test_nothing_but_noise_is_refused_with_what_to_change(self) -> None:
        with pytest.raises(DataError, match=r"all rows are noise: no two groups of 400 rows or more stand apart\n  lower min_cluster_size"):
            model_of("hdbscan", min_cluster_size=400, min_samples=5)

    def test_more_neighbours_than_rows_and_what_the_library_refuses_are_the_jobs_mistakes(self) -> None:
        with pytest.raises(JobError, match="700 neighbours among 600 training rows") as caught:
            model_of("hdbscan", min_cluster_size=700)
        assert caught.value.key == "model.params.min_cluster_size"
        with pytest.raises(JobError, match="601 neighbours among 600 training rows") as caught:
            model_of("hdbscan", min_samples=601)
        assert caught.value.key == "model.params.min_samples"

    def test_saved_rows_without_a_cluster_are_refused(self, tmp_path: Path) -> None:
        from headrace.models.rows import write_rows

        model = model_of("hdbscan")
        model.save(tmp_path)
        content = json.loads((tmp_path / "model.json").read_text())
        for n_rows, cluster in ((600, -1.0), (600, 0.5), (4, 0.0)):
            saved = write_rows(tmp_path, model.rows[:n_rows], cluster=np.full(n_rows, cluster), core=model.core[:n_rows])
            (tmp_path / "model.json").write_text(json.dumps({**content, **saved}))
            with pytest.raises(BundleError, match="training rows"):
                load_model(tmp_path)


class TestDecomposition:
    @pytest.mark.parametrize("whiten", [False, True])
    def test_pca_is_that_of_scikit_learn_with_the_largest_entry_positive(self, whiten: bool) -> None:
        model = model_of("pca", n_components=3, whiten=whiten)
        found = sklearn.decomposition.PCA(3, whiten=whiten, svd_solver="full").fit(heaps())
        assert (model.components[np.arange(3), np.abs(model.components).argmax(axis=1)] > 0).all()
        np.testing.assert_allclose(np.abs(model.components), np.abs(found.components_), atol=1e-6)
        np.testing.assert_allclose(np.abs(model.predict(heaps(2))), np.abs(found.transform(heaps(2))), atol=1e-4)
        np.testing.assert_allclose(model.explained_variance_ratio, found.explained_variance_ratio_, rtol=1e-5)
        assert model.explained(heaps()) == pytest.approx(1, abs=1e-5)

    def test_truncated_svd_is_that_of_scikit_learn(self) -> None:
        model = model_of("truncated_svd")
        found = sklearn.decomposition.TruncatedSVD(2, algorithm="arpack").fit(heaps().astype(np.float64))
        np.testing.assert_allclose(np.abs(model.predict(heaps(2))), np.abs(found.transform(heaps(2))), atol=1e-4)
        np.testing.assert_allclose(model.explained_variance_ratio, found.explained_variance_ratio_, rtol=1e-6)
        assert model.explained(heaps()) == pytest.approx(found.explained_variance_ratio_.sum(), rel=1e-5)

    def test_rows_that_do_not_differ_give_zeros(self) -> None:
        model = model_of("pca", np.ones((5, 3), np.float32), whiten=True)
        assert model.predict(np.ones((2, 3), np.float32)).tolist() == [[0, 0], [0, 0]]
        assert model.explained(np.ones((5, 3), np.float32)) is None

    @pytest.mark.parametrize(("kind", "most"), [("pca", 3), ("truncated_svd", 2)])
    def test_more_components_than_features_are_refused(self, kind: str, most: int) -> None:
        assert len(model_of(kind, n_components=most).columns) == most
        with pytest.raises(JobError, match=f"{most + 1} components of 3 features: {kind} finds at most {most}"):
            model_of(kind, n_components=most + 1)
        with pytest.raises(JobError, match="components of 2 training rows"):
            model_of(kind, heaps(0)[:2, :].repeat(2, axis=1), n_components=most + 1)


@WITH_UMAP
class TestUmap:
    def test_heaps_stay_heaps_and_neighbours_neighbours(self) -> None:
        model = model_of("umap", n_epochs=100)
        heap = ((heaps()[:, None] - CENTRES) ** 2).sum(axis=2).argmin(axis=1)
        assert silhouette_score(model.places, heap) > 0.7
        assert measure(model, model.predict(heaps()), heaps())["trustworthiness"] > 0.93
        assert outline(model, model.predict(heaps())) == {}

    def test_a_training_row_has_its_place_and_a_new_row_lies_within_its_heap(self) -> None:
        model = model_of("umap", n_epochs=100)
        np.testing.assert_array_equal(model.predict(heaps()), model.places.astype(np.float32))
        heap, fresh = (((rows[:, None] - CENTRES) ** 2).sum(axis=2).argmin(axis=1) for rows in (heaps(), heaps(2)))
        middles = np.array([model.places[heap == number].mean(axis=0) for number in range(3)])
        nearest = ((model.predict(heaps(2))[:, None] - middles) ** 2).sum(axis=2).argmin(axis=1)
        np.testing.assert_array_equal(nearest, fresh)

    def test_new_rows_keep_their_neighbours(self) -> None:
        """Of a strip that is rolled up; umap-learn's `transform` keeps 0.99 of them."""
        draw = np.random.default_rng(3)
        turn = draw.uniform(4, 12, 1_500)
        matrix = np.column_stack([turn * np.cos(turn), turn * np.sin(turn), draw.uniform(0, 10, 1_500)]).astype(np.float32)
        model = model_of("umap", matrix[:1_000], n_epochs=200, n_neighbors=12)
        kept = trustworthiness(matrix[1_000:], model.predict(matrix[1_000:]))
        assert kept > max(0.98, trustworthiness(matrix[:1_000], model.places) - 0.01)

    def test_another_seed_gives_other_places(self) -> None:
        first, second = (model_of("umap", seed=seed).places for seed in (1, 2))
        assert not np.array_equal(first, second)

    def test_equal_rows_have_one_place(self) -> None:
        matrix = np.vstack([np.zeros((30, 3), np.float32), heaps()[:100]])
        placed = model_of("umap", matrix).predict(matrix)
        assert len(np.unique(placed[:30], axis=0)) == 1

    def test_more_than_rows_allow_and_what_umap_learn_refuses_are_the_jobs_mistakes(self) -> None:
        with pytest.raises(JobError, match="15 neighbours, the row itself counted, among 15 training rows") as caught:
            model_of("umap", heaps()[:15])
        assert caught.value.key == "model.params.n_neighbors"
        with pytest.raises(JobError, match="29 components of 30 training rows"):
            model_of("umap", heaps()[:30], n_components=29)
        assert model_of("umap", heaps()[:30], n_components=28).places.shape == (30, 28)
        with pytest.raises(JobError, match="umap-learn refuses: min_dist must be less than or equal to spread"):
            model_of("umap", min_dist=3)

    def test_saved_rows_that_do_not_fit_are_refused(self, tmp_path: Path) -> None:
        from headrace.models.rows import write_rows

        model = model_of("umap")
        model.save(tmp_path)
        content = json.loads((tmp_path / "model.json").read_text())
        places = {"place_0": model.places[:10, 0], "place_1": model.places[:10, 1]}
        (tmp_path / "model.json").write_text(json.dumps({**content, **write_rows(tmp_path, model.rows[:10], **places)}))
        with pytest.raises(BundleError, match="do not fit the settings"):
            load_model(tmp_path)

    def test_predicting_needs_no_umap_learn(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = model_of("umap")
        model.save(tmp_path)
        monkeypatch.setitem(sys.modules, "umap", None)
        np.testing.assert_array_equal(load_model(tmp_path, threads=1).predict(heaps(2)), model.predict(heaps(2)))


def test_a_missing_umap_learn_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingLibraryError, match=r"a model of kind 'umap' needs the library 'umap'\n  pip install 'headrace\[umap\]'"):
        model_of("umap")


class TestMeasures:
    def test_silhouette_leaves_noise_out(self) -> None:
        model = model_of("dbscan", eps=0.5, min_samples=8)
        predicted = model.predict(heaps())
        inside = predicted["prediction"] >= 0
        expected = silhouette_score(heaps()[inside].astype(np.float64), predicted["prediction"][inside])
        assert measure(model, predicted, heaps()) == {"noise": pytest.approx(1 - inside.mean()), "silhouette": pytest.approx(expected)}

    def test_one_cluster_has_no_silhouette_and_no_rows_have_no_measure(self) -> None:
        model = model_of("kmeans")
        near = CENTRES[:1].repeat(5, axis=0)
        assert measure(model, model.predict(near), near)["silhouette"] is None
        assert measure(model, model.predict(near[:0]), near[:0]) == {"inertia": None, "silhouette": None}

    @WITH_UMAP
    def test_few_rows_have_no_trustworthiness(self) -> None:
        model = model_of("umap")
        few = heaps(2)[:10]
        assert measure(model, model.predict(few), few) == {"trustworthiness": None}

    def test_an_unknown_metric_is_named_with_its_place(self) -> None:
        model = model_of("kmeans")
        with pytest.raises(JobError, match="no metric 'inertial' of a kmeans model\n  nearest: 'inertia'") as caught:
            measure(model, model.predict(heaps()), heaps(), ["silhouette", "inertial"])
        assert caught.value.key == "evaluate[1]"

    def test_what_is_drawn(self) -> None:
        clusters = model_of("kmeans")
        assert outline(clusters, clusters.predict(heaps())) == {"clusters": {"labels": [0, 1, 2], "rows": list(SIZES)}}
        shares = outline(model_of("pca"), np.zeros((0, 2)))["components"]
        assert shares["labels"] == ["pc_1", "pc_2"]
        assert 0.9 < sum(shares["shares"]) < 1


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("kmeans", {"n_clusters": 1}, "n_clusters: a whole number of 2 or more is needed, not 1"),
        ("kmeans", {"tol": -1}, "tol: a number of 0 or more is needed, not -1"),
        ("kmeans", {"cluster": 3}, "no parameter 'cluster'\n  nearest: 'n_clusters'"),
        ("dbscan", {"eps": 0}, "eps: a number above 0 is needed, not 0"),
        ("dbscan", {"eps": "near"}, "not 'near'"),
        ("pca", {"whiten": 1}, "whiten: true or false is needed, not 1"),
        ("pca", {"n_components": 0.9}, "n_components: a whole number of 1 or more is needed, not 0.9"),
        ("umap", {"n_neighbors": 1}, "n_neighbors: a whole number of 2 or more is needed, not 1"),
        ("hdbscan", {"min_samples": 1}, "min_samples: a whole number of 2 or more is needed, not 1"),
        ("hdbscan", {"cluster_selection_method": "leave"}, "nearest: 'leaf'"),
    ],
)
def test_wrong_settings_are_refused_before_any_data(kind: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError) as caught:
        ModelSettings(kind, params=params)
    assert message in str(caught.value)
