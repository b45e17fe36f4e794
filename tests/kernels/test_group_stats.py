"""Statistics by group against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from headrace_kernels.column import Column
from headrace_kernels.group_stats import group_deviations, group_stats

RANDOM = np.random.default_rng(0)
SHAPES = {
    "large mean": RANDOM.normal(1.7e9, 1.0, 500),
    "tiny": RANDOM.normal(0.0, 1e-200, 500),
    "wide": RANDOM.normal(0.0, 1e140, 500) * RANDOM.choice([1.0, 1e-300], 500),
    "int64": RANDOM.integers(-(2**63), 2**63 - 1, 500),
    "uint64": RANDOM.integers(0, 2**64 - 1, 500, dtype=np.uint64),
    "lowest": np.full(500, -(2**63)),
    "subnormal": np.full(500, 5e-324),
    "huge": RANDOM.normal(0.0, 1e300, 500),
    "float32": RANDOM.normal(0.0, 1.0, 500).astype(np.float32),
    "int8": RANDOM.integers(-128, 127, 500).astype(np.int8),
    "truth": RANDOM.integers(0, 2, 500).astype(bool),
}


@pytest.mark.parametrize("name", SHAPES)
def test_deviations_are_those_of_fractions(name: str) -> None:
    values, groups = SHAPES[name], np.random.default_rng(1).integers(-1, 9, 500)
    found = group_stats(Column(values), groups, 10)
    deviations = group_deviations(found.sums, found.squares, ddof=1)
    assert np.isnan(deviations[9])
    for group in range(9):
        members = [Fraction(int(x) if isinstance(x, bool) else x) for x in values[groups == group].tolist()]
        n = len(members)
        exact = (n * sum(x * x for x in members) - sum(members) ** 2) / (n * (n - 1))
        ulp = Fraction(np.spacing(deviations[group]).item())
        assert max(0, Fraction(deviations[group].item()) - 2 * ulp) ** 2 <= exact <= (Fraction(deviations[group].item()) + 2 * ulp) ** 2
        assert (Fraction(found.lows[group].item()), Fraction(found.highs[group].item())) == (min(members), max(members))


@pytest.mark.parametrize("name", SHAPES)
def test_squares_that_are_not_asked_for_change_nothing_else(name: str) -> None:
    groups = np.random.default_rng(1).integers(-1, 9, 500)
    found, whole = (group_stats(Column(SHAPES[name]), groups, 10, squared=squared) for squared in (False, True))
    assert not found.squares.limbs.any()
    np.testing.assert_equal((found.sums, found.lows, found.highs), (whole.sums, whole.lows, whole.highs))


def test_a_constant_group_has_deviation_zero_exactly() -> None:
    found = group_stats(Column(np.full(7, 0.1)), np.zeros(7, np.int64), 1)
    assert group_deviations(found.sums, found.squares, ddof=0).tolist() == [0.0]


def test_null_nan_and_infinity_are_left_out() -> None:
    values = Column(np.array([1.0, np.nan, np.inf, 3.0, 100.0]), np.array([0b01111], np.uint8))
    found = group_stats(values, np.zeros(5, np.int64), 1)
    assert (found.sums.counts.tolist(), found.lows.tolist(), found.highs.tolist()) == ([2], [1.0], [3.0])
    assert group_deviations(found.sums, found.squares).tolist() == [2.0**0.5]


def test_the_order_of_the_rows_changes_no_limb() -> None:
    values, groups = SHAPES["wide"], np.random.default_rng(2).integers(0, 5, 500)
    order = np.random.default_rng(3).permutation(500)
    one, other = group_stats(Column(values), groups, 5), group_stats(Column(values[order]), groups[order], 5)
    assert one.squares.base == other.squares.base
    np.testing.assert_array_equal(one.squares.limbs, other.squares.limbs)
