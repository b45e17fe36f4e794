"""k-means and logistic regression in rounds: one worker's models for any cut of the rows, to the bit, in few questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.errors import JobError
from headrace.models import ModelSettings, fit_by_sums, fit_model, load_model
from headrace.models.rounds import Question, RowsHere

FEATURES = ("a", "b", "c", "d")
ROWS = 3_000
DRAW = np.random.default_rng(12)
MATRIX = DRAW.normal(size=(ROWS, 4)).astype(np.float32)
SCORE = MATRIX @ [2.0, -1.0, 0.5, 0.0] + DRAW.logistic(size=ROWS) + 0.5
CLASSES = np.array([0, 2, 3])[np.digitize(SCORE, [-1, 1])]  # nobody has class 1
# Tight enough for what is left to be rounding: with the default each way ends where slopes are below 1e-4.
EXACTLY = {"tol": 1e-9, "max_iter": 1_000}


class Counted(RowsHere):
    """Rows that count the questions."""

    asked = 0

    def ask(self, question: Question[Any]) -> Any:
        type(self).asked += 1
        return super().ask(question)


def summed(kind: str, params: dict[str, Any], target: np.ndarray, cuts: list[int], matrix: np.ndarray = MATRIX) -> Any:
    settings = ModelSettings(kind, params=params, seed=5).resolved(target)
    Counted.asked = 0
    blocks = list(zip(np.split(matrix, cuts), np.split(target, cuts), strict=True))
    return fit_by_sums(settings, FEATURES[: matrix.shape[1]], Counted(blocks))


@pytest.mark.parametrize(
    "target", [(SCORE > 0).astype(np.float32), CLASSES, CLASSES == 2, CLASSES // 3 * 2], ids=["01", "3", "truth", "0 and 2"]
)
@pytest.mark.parametrize(
    "params", [{}, {"fit_intercept": False}, {"C": 1e-3}, {"class_weight": "balanced"}, {"class_weight": {0: 5.0}, "C": 0.1}], ids=str
)
def test_logistic_regression_is_one_workers(params: dict[str, Any], target: np.ndarray) -> None:
    alone = fit_model(ModelSettings("logistic_regression", params={**params, **EXACTLY}), FEATURES, [(MATRIX, target)], 1)
    found = summed("logistic_regression", {**params, **EXACTLY}, target, [500, 500, 1_200])
    assert (found.settings.task, found.seen) == (alone.settings.task, alone.seen)
    np.testing.assert_allclose(found.coef, alone.coef, atol=1e-5)
    np.testing.assert_allclose(found.predict(MATRIX), alone.predict(MATRIX), atol=1e-5)
    np.testing.assert_allclose(found.contributions(MATRIX[:50]), alone.contributions(MATRIX[:50]), atol=1e-4)


@pytest.mark.parametrize("params", [{}, {"n_clusters": 3, "n_init": 4, "tol": 0.0}, {"max_iter": 1}], ids=str)
def test_kmeans_is_one_workers(params: dict[str, Any]) -> None:
    alone = fit_model(ModelSettings("kmeans", params=params, seed=5), FEATURES, [(MATRIX, SCORE)], 1)
    found = summed("kmeans", params, SCORE, [500, 500, 1_200])
    np.testing.assert_allclose(found.centres, alone.centres, atol=1e-5)
    assert (found.predict(MATRIX)["prediction"] == alone.predict(MATRIX)["prediction"]).mean() > 0.999


@pytest.mark.parametrize(("kind", "target"), [("logistic_regression", CLASSES), ("logistic_regression", SCORE > 0), ("kmeans", SCORE)])
def test_any_cut_gives_the_same_bytes_which_read_back(kind: str, target: np.ndarray, tmp_path: Path) -> None:
    each_row = list(range(1, 60))
    saved = set()
    for name, cuts in enumerate(([], [1], [0, ROWS], [700, 701, 2_999], each_row)):
        model = summed(kind, {}, target, cuts)
        model.save(tmp_path / str(name))
        saved.add((tmp_path / str(name) / "model.json").read_bytes())
    assert len(saved) == 1
    np.testing.assert_array_equal(load_model(tmp_path / "0").predict(MATRIX), model.predict(MATRIX))


def test_units_offsets_and_what_features_share_cost_no_questions() -> None:
    unlike = (MATRIX @ DRAW.normal(size=(4, 4)) * [1e-3, 1.0, 300.0, 1e4] + [0, 50, -9, 1e5]).astype(np.float32)
    summed("logistic_regression", EXACTLY, SCORE > 0, [], unlike)
    assert Counted.asked <= 30
    summed("logistic_regression", {"C": 1e-4, **EXACTLY}, SCORE > 0, [], unlike)
    assert Counted.asked <= 30


def test_features_that_say_nothing_or_are_copies_do_no_harm() -> None:
    copies = MATRIX.copy()
    copies[:, 2], copies[:, 3] = copies[:, 0], 7.0
    alone = fit_model(ModelSettings("logistic_regression", params=EXACTLY), FEATURES, [(copies, SCORE > 0)], 1)
    found = summed("logistic_regression", EXACTLY, SCORE > 0, [100], copies)
    np.testing.assert_allclose(found.predict(copies), alone.predict(copies), atol=1e-5)


def test_what_does_not_converge_says_so() -> None:
    with pytest.warns(UserWarning, match="not converged in 1 iterations: raise max_iter"):
        summed("logistic_regression", {"max_iter": 1}, SCORE > 0, [])


def test_a_weight_of_a_class_that_no_row_has_is_refused() -> None:
    with pytest.raises(JobError, match=r"a weight of class 1, which no training row has\n  classes: 0, 2, 3") as caught:
        summed("logistic_regression", {"class_weight": {1: 5.0}}, CLASSES, [])
    assert caught.value.key == "model.params.class_weight"


def test_separable_classes_end() -> None:
    matrix = np.array([[-1.0], [-1.0], [1.0], [1.0]], np.float32)
    found = summed("logistic_regression", {"C": 1e6}, np.array([0, 0, 1, 1]), [], matrix)
    assert found.predict(matrix).round(3).tolist() == [0.0, 0.0, 1.0, 1.0]


def test_a_centre_without_rows_stays_and_is_told() -> None:
    matrix = np.array([[0.0], [0.0], [4.0]], np.float32)
    with pytest.warns(UserWarning, match="1 clusters have no row: fewer rows differ than n_clusters"):
        found = summed("kmeans", {"n_clusters": 3}, np.zeros(3), [], matrix)
    assert sorted(set(found.centres.ravel())) == [0.0, 4.0]


def test_more_clusters_than_rows_are_refused() -> None:
    with pytest.raises(JobError, match="9 clusters of 3 training rows") as caught:
        summed("kmeans", {"n_clusters": 9}, np.zeros(3), [1], MATRIX[:3])
    assert caught.value.key == "model.params.n_clusters"
