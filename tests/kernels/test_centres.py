"""A round of k-means: the nearest centres that the exact search finds, and sums that no cut changes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from headrace_kernels.centres import nearest_centres, steps_a_unit, sums_by_centre
from headrace_kernels.nearest import nearest_rows


@pytest.mark.parametrize(("n_rows", "n_centres", "n_features"), [(0, 2, 3), (1, 1, 1), (63, 5, 2), (64, 3, 7), (20_001, 9, 4)])
def test_nearest_centres_are_the_nearest_rows(n_rows: int, n_centres: int, n_features: int) -> None:
    draw = np.random.default_rng(n_rows)
    rows = draw.normal(size=(n_rows, n_features)).astype(np.float32) * np.float32(1e3)
    centres = np.vstack([draw.normal(size=(n_centres - 1, n_features)) * 1e3, np.zeros((1, n_features))])
    expected, distances = nearest_rows(centres, rows, 1)
    for threads in (1, 3):
        found, distance = nearest_centres(centres, rows, threads)
        np.testing.assert_array_equal(found, expected[:, 0])
        np.testing.assert_array_equal(distance, distances[:, 0])


def test_of_equally_near_centres_the_first_is_taken() -> None:
    found, distance = nearest_centres(np.array([[5.0], [-1.0], [1.0], [1.0]]), np.array([[0.0], [1.0]], np.float32))
    assert (found.tolist(), distance.tolist()) == ([1, 2], [1.0, 0.0])


def test_sums_are_the_same_for_any_cut_and_near_the_exact_ones() -> None:
    draw = np.random.default_rng(4)
    rows = (draw.normal(size=(5_000, 3)) * [1e-30, 1, 1e30]).astype(np.float32)
    found = draw.integers(0, 4, 5_000)
    largest = np.abs(rows).max(axis=0).astype(np.float64)
    steps = steps_a_unit(largest, len(rows))
    whole = sums_by_centre(rows, found, 4, steps)
    cuts = [17, 17, 3_000]
    parts = [sums_by_centre(r, f, 4, steps) for r, f in zip(np.split(rows, cuts), np.split(found, cuts), strict=True)]
    np.testing.assert_array_equal(np.sum(parts, axis=0), whole)
    for centre in range(4):
        exact = [float(sum(map(Fraction, rows[found == centre, feature].tolist()))) for feature in range(3)]
        assert (np.abs(whole[centre] / steps - exact) <= largest * 2.0**-36).all()


def test_the_largest_values_of_all_rows_add_up_without_overflow() -> None:
    rows = np.full((4_096, 2), [3.4e38, -3.4e38], np.float32)
    steps = steps_a_unit(np.abs(rows[0]).astype(np.float64), len(rows))
    sums = sums_by_centre(rows, np.zeros(len(rows), np.int64), 1, steps)
    np.testing.assert_array_equal(sums / steps, 4_096 * rows[:1].astype(np.float64))
