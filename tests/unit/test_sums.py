"""Models by exact sums: one worker's models for any cut of the rows, to the bit, and the float64 nearest to what is exact."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.errors import JobError
from headrace.models import ModelSettings, fit_by_sums, fit_model
from headrace.models.rounds import RowsHere
from headrace.models.sums import Sums, solved

FEATURES = ("a", "b", "c", "d")
ROWS = 2_000


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Features far from 0 and of unlike units, and a target that they nearly determine."""
    draw = np.random.default_rng(6)
    matrix = (draw.normal(size=(ROWS, 4)) @ draw.normal(size=(4, 4)) * [1e-3, 1, 50, 1e4] + [1, 300, -20, 1e5]).astype(np.float32)
    return matrix, (matrix @ [700.0, 2.0, -0.3, 1e-3] + draw.normal(size=ROWS)).astype(np.float32)


MATRIX, TARGET = rows()
CASES: list[tuple[str, dict[str, Any]]] = [
    ("linear_regression", {}),
    ("linear_regression", {"fit_intercept": False}),
    ("linear_regression", {"alpha": 40.0}),
    ("linear_regression", {"alpha": 0.5, "fit_intercept": False}),
    ("pca", {}),
    ("pca", {"n_components": 4, "whiten": True}),
    ("truncated_svd", {"n_components": 3}),
]


def summed(kind: str, params: dict[str, Any], cuts: list[int], matrix: np.ndarray = MATRIX, target: np.ndarray = TARGET) -> Any:
    settings = ModelSettings(kind, params=params).resolved(target)
    blocks = list(zip(np.split(matrix, cuts), np.split(target, cuts), strict=True))
    return fit_by_sums(settings, tuple("abcdefgh"[: matrix.shape[1]]), RowsHere(blocks))


@pytest.mark.parametrize(("kind", "params"), CASES)
def test_they_are_one_workers_models(kind: str, params: dict[str, Any]) -> None:
    alone = fit_model(ModelSettings(kind, params=params), FEATURES, [(MATRIX, TARGET)], 1)
    found = summed(kind, params, [500, 1_200])
    assert (found.settings, found.features) == (alone.settings, alone.features)
    np.testing.assert_allclose(found.predict(MATRIX), alone.predict(MATRIX), rtol=1e-5, atol=1e-5)
    if kind == "linear_regression":
        np.testing.assert_allclose(found.coef, alone.coef, rtol=1e-7)
        np.testing.assert_allclose(found.contributions(MATRIX[:50]), alone.contributions(MATRIX[:50]), rtol=1e-5, atol=1e-4)
    else:
        np.testing.assert_allclose(found.explained_variance_ratio, alone.explained_variance_ratio, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.scale, alone.scale, rtol=1e-7)


@pytest.mark.parametrize(("kind", "params"), CASES)
def test_bytes_do_not_depend_on_the_cut(kind: str, params: dict[str, Any], tmp_path: Path) -> None:
    found = set()
    for cuts in ([], [1, 7, 7, 1_999], list(range(0, ROWS, 37))):
        summed(kind, params, cuts).save(tmp_path)
        found.add((tmp_path / "model.json").read_bytes())
    assert len(found) == 1


def test_means_and_covariances_are_the_nearest_to_the_exact_ones() -> None:
    """Where 1e8 is added to small numbers, and where sums would cancel."""
    draw = np.random.default_rng(1)
    matrix = np.column_stack([draw.normal(size=50), draw.normal(size=50) * 1e-6 + 1e8, np.tile([1e30, -1e30], 25)]).astype(np.float32)
    sums = Sums.of(matrix)
    exact = [[Fraction(float(value)) for value in column] for column in matrix.T]
    means = [sum(column) / 50 for column in exact]
    assert sums.means().tolist() == [float(mean) for mean in means]
    for i in range(3):
        for j in range(3):
            products = sum(x * y for x, y in zip(exact[i], exact[j], strict=True)) / 50
            assert sums.covariance()[i, j] == float(products - means[i] * means[j])
            assert sums.covariance(centred=False)[i, j] == float(products)


def test_features_that_others_determine_share_their_weight() -> None:
    matrix = np.column_stack([MATRIX[:, 1], MATRIX[:, 1], np.ones(ROWS, np.float32), MATRIX[:, 2]])
    model = summed("linear_regression", {}, [900], matrix)
    assert model.coef[0, 0] == pytest.approx(model.coef[0, 1])
    assert model.coef[0, 2] == 0
    alone = fit_model(ModelSettings("linear_regression"), FEATURES, [(matrix, TARGET)], 1)
    np.testing.assert_allclose(model.predict(matrix), alone.predict(matrix), rtol=1e-5)


def test_nothing_to_learn_from_gives_zeros() -> None:
    assert solved(np.zeros((2, 2)), np.zeros(2)).tolist() == [0, 0]
    model = summed("pca", {"whiten": True}, [2], np.ones((5, 3), np.float32), np.zeros(5))
    assert model.predict(np.ones((2, 3), np.float32)).tolist() == [[0, 0], [0, 0]]
    assert summed("pca", {"n_components": 1}, [], np.ones((1, 3), np.float32), np.zeros(1)).explained(MATRIX[:, :3]) is not None


def test_more_components_than_features_or_rows_are_refused() -> None:
    with pytest.raises(JobError, match="5 components of 4 features: pca finds at most 4"):
        summed("pca", {"n_components": 5}, [])
    with pytest.raises(JobError, match="3 components of 3 training rows"):
        summed("truncated_svd", {"n_components": 3}, [], MATRIX[:3], TARGET[:3])
