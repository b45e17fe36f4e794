"""Nearest rows: against every distance written out, whatever a library proposes; and the model that is made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from headrace.errors import BundleError, DataError, JobError
from headrace.models import ModelSettings, fit_model, load_model
from headrace.models.search import Search
from headrace_kernels.nearest import METRICS, nearest_among, nearest_rows

KNOWN = np.array([[0, 0], [1, 0], [0, 2], [1, 0], [5, 5]], np.float32)
FEATURES = ("a", "b")
# The rows around (0, 0) from near to far; rows 1 and 3 are equal, the first comes first.
SQUARES = {"euclidean": [0, 1, 1, 4, 50], "manhattan": [0, 1, 1, 2, 10], "chebyshev": [0, 1, 1, 2, 5]}


@pytest.mark.parametrize("metric", METRICS)
def test_nearest_come_first_and_equals_by_number(metric: str) -> None:
    found, distance = nearest_rows(KNOWN, np.zeros((1, 2), np.float32), 5, metric)
    assert found.tolist() == [[0, 1, 3, 2, 4]]
    assert distance.tolist() == [SQUARES[metric]]
    assert nearest_rows(KNOWN, np.zeros((1, 2), np.float32), 2, metric)[0].tolist() == [[0, 1]]


def test_only_candidates_are_found_and_the_farthest_is_told() -> None:
    found, distance, farthest = nearest_among(KNOWN, np.zeros((1, 2), np.float32), np.array([[4, 3, 2]]), 2)
    assert (found.tolist(), distance.tolist(), farthest.tolist()) == ([[3, 2]], [[1, 4]], [50])


def brute(known: np.ndarray, rows: np.ndarray, k: int, metric: str) -> np.ndarray:
    apart = np.abs(rows[:, None, :].astype(np.float64) - known[None].astype(np.float64))
    distance = {"euclidean": (apart**2).sum(axis=2), "manhattan": apart.sum(axis=2), "chebyshev": apart.max(axis=2)}[metric]
    return np.argsort(distance, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("metric", METRICS)
def test_a_library_proposes_and_the_result_is_that_of_all_rows(metric: str) -> None:
    """Whole numbers: many rows are equally near, and which a library names is chance."""
    draw = np.random.default_rng(3)
    known, rows = draw.integers(0, 6, (1_500, 3)).astype(np.float32), draw.integers(0, 6, (200, 3)).astype(np.float32)
    np.testing.assert_array_equal(Search(known, metric).nearest(rows, 4)[0], brute(known, rows, 4, metric))
    wide = draw.normal(size=(1_500, 3)).astype(np.float32)
    np.testing.assert_array_equal(Search(wide, metric, threads=2).nearest(rows, 4)[0], brute(wide, rows, 4, metric))


def test_rows_that_a_library_can_decide_are_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def count(known: Any, rows: np.ndarray, *rest: Any) -> Any:
        looked.append(len(rows))
        return nearest_rows(known, rows, *rest)

    monkeypatch.setattr("headrace.models.search.nearest_rows", count)
    matrix = np.random.default_rng(0).normal(size=(3_000, 3)).astype(np.float32)
    Search(matrix).nearest(matrix[:500], 3)
    assert looked == []


def test_a_proposal_that_leaves_out_the_nearest_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distances of float32 by squares of long rows are rounded to whole tens: the library may name any of these."""
    known = (1e4 + np.arange(1_100, dtype=np.float64)[:, None] * 1e-2).astype(np.float32)
    search = Search(known)
    monkeypatch.setattr(Search, "_propose", lambda self, rows, wanted: np.tile(np.arange(wanted) + 20, (len(rows), 1)))
    monkeypatch.setattr(Search, "_error", lambda self, rows, dtype: np.full(len(rows), 10.0))
    assert search.nearest(known[:3], 1)[0][:, 0].tolist() == brute(known, known[:3], 1, "euclidean")[:, 0].tolist()


def rows(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(2)
    matrix = draw.normal(size=(n, 2)).astype(np.float32)
    return matrix, 2 * matrix[:, 0] + draw.normal(size=n)


def model_of(task: str, target: np.ndarray, **params: Any) -> Any:
    matrix, _ = rows(len(target))
    return fit_model(
        ModelSettings("nearest_neighbors", task, params), FEATURES, [(matrix[:150], target[:150]), (matrix[150:], target[150:])], 1
    )


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("metric", METRICS)
def test_it_predicts_as_scikit_learn(weights: str, metric: str) -> None:
    matrix, score = rows()
    asked = np.vstack([matrix[:20], matrix[:50] + np.float32(0.01)])
    params = {"weights": weights, "metric": metric, "n_neighbors": 7}
    regression = KNeighborsRegressor(**params).fit(matrix, score).predict(asked)
    np.testing.assert_allclose(model_of("regression", score, **params).predict(asked), regression, rtol=1e-6)
    label = np.digitize(score, [-1, 1])
    classes = KNeighborsClassifier(**params).fit(matrix, label).predict_proba(asked)
    np.testing.assert_allclose(model_of("multiclass", label, **params).predict(asked), classes, atol=1e-6)
    binary = KNeighborsClassifier(**params).fit(matrix, score > 0).predict_proba(asked)[:, 1]
    np.testing.assert_allclose(model_of("binary", score > 0, **params).predict(asked), binary, atol=1e-6)


def test_rows_at_distance_zero_alone_count() -> None:
    matrix = np.array([[0.0], [0.0], [1.0]], np.float32)
    settings = ModelSettings("nearest_neighbors", "regression", {"n_neighbors": 3, "weights": "distance"})
    model = fit_model(settings, ("a",), [(matrix, np.array([1.0, 2.0, 9.0]))], 1)
    assert model.predict(np.array([[0.0], [2.0]], np.float32)).tolist() == [1.5, np.float32((0.5 + 1 + 9) / 2)]


def test_it_has_no_contributions_and_says_which_kinds_do() -> None:
    with pytest.raises(JobError, match="'nearest_neighbors' has no contributions\n  kinds that have them: xgboost, logistic_regression"):
        model_of("regression", rows()[1]).contributions(rows()[0])


def test_more_neighbours_than_rows_are_refused() -> None:
    with pytest.raises(JobError, match="401 neighbours among 400 training rows"):
        model_of("regression", rows()[1], n_neighbors=401)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_neighbors": 0}, "n_neighbors: a whole number of 1 or more is needed, not 0"),
        ({"n_neighbors": True}, "not True"),
        ({"weights": "near"}, "weights: no weights 'near'"),
        ({"metric": "euclidian"}, "nearest: 'euclidean'"),
        ({"neighbors": 3}, "nearest: 'n_neighbors'"),
    ],
)
def test_wrong_settings_are_refused_before_any_data(params: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError) as caught:
        ModelSettings("nearest_neighbors", params=params)
    assert message in str(caught.value)


def test_missing_values_are_refused_by_name() -> None:
    matrix, score = rows()
    matrix[5, 1] = np.nan
    with pytest.raises(DataError, match="column 'b': missing in 1 of 400 rows"):
        fit_model(ModelSettings("nearest_neighbors"), FEATURES, [(matrix, score)], 1)


@pytest.mark.parametrize("damage", ["shorter", "other features", "too many neighbours", "class"])
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, damage: str) -> None:
    model_of("binary", (rows()[1] > 0).astype(np.int8)).save(tmp_path)
    file = tmp_path / "model.json"
    content = json.loads(file.read_text())
    if damage == "shorter":
        (tmp_path / "rows.arrow").write_bytes((tmp_path / "rows.arrow").read_bytes()[:-8])
    elif damage == "other features":
        content["features"] = ["a", "b", "c"]
    elif damage == "too many neighbours":
        content["settings"]["params"] = {"n_neighbors": 500}
    else:
        from headrace.models.rows import write_rows

        content.update(write_rows(tmp_path, rows()[0], value=rows()[1]))
    file.write_text(json.dumps(content))
    with pytest.raises(BundleError):
        load_model(tmp_path)
