import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels.column import Column
from headrace_kernels.exact import exact_moments, exact_moments_of_counts, limbs_to_int, mean_and_variance, merge_moments
from headrace_kernels.limbs import SQUARES_UNIT, TOTAL_UNIT, mean_and_std

RNG = np.random.default_rng(11)
ANY_BITS = RNG.integers(0, 2**64, 3000, dtype=np.uint64)


def exact_values(values):
    return [Fraction(x) for x in values.tolist() if math.isfinite(x)]


def assert_moments_are_exact(values, column=None):
    moments = exact_moments(column or Column(values))
    exact = exact_values(values)
    assert Fraction(limbs_to_int(moments.total), 1 << TOTAL_UNIT) == sum(exact)
    assert Fraction(limbs_to_int(moments.squares), 1 << SQUARES_UNIT) == sum(x * x for x in exact)
    assert moments.n == len(exact)
    assert (moments.low, moments.high) == ((min(exact), max(exact)) if exact else (None, None))


def assert_same(left, right):
    assert left[:7] == right[:7]
    np.testing.assert_array_equal(left.total, right.total)
    np.testing.assert_array_equal(left.squares, right.squares)


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=2000),
        RNG.normal(size=2000).astype(np.float32),
        RNG.normal(1.7e9, 1, 1500),
        RNG.lognormal(0, 6, 2000),
        np.round(RNG.gamma(2, 10, 600), 2),
        ANY_BITS.view(np.float64),
        ANY_BITS.view(np.float32),
        ANY_BITS,
        ANY_BITS.view(np.int64),
        ANY_BITS.view(np.int32),
        ANY_BITS.view(np.int16),
        ANY_BITS.view(np.uint8),
        np.array([2**63 - 1, -(2**63), 2**63 - 1]),
        np.array([5e-324, -5e-324, 1.7976931348623157e308, 1.7976931348623157e308]),
        np.full(1025, 2.0**500),
        np.full(1025, 2.0**-400),
        np.array([-0.0]),
        np.array([]),
    ],
    ids=str,
)
def test_sums_and_extremes_are_exact(values):
    assert_moments_are_exact(values)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(), max_size=30))
def test_any_floats_are_exact(values):
    assert_moments_are_exact(np.array(values, np.float64))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(), st.integers(0, 600)), max_size=12))
def test_values_with_counts_are_as_their_rows(counted):
    values, counts = np.array([value for value, _ in counted]), np.array([count for _, count in counted], np.int64)
    assert_equal(exact_moments_of_counts(values, counts), exact_moments(Column(np.repeat(values, counts))))


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32", "float32", "float64"])
def test_counts_near_their_end_are_exact(dtype):
    values, most = np.array([3, 0, 127, 41], dtype), 2**31 - 1
    found = exact_moments_of_counts(values, np.array([most, most, most, 1]), n_null=5)
    assert (found.n, found.n_null, found.low, found.high) == (3 * most + 1, 5, 0, 127)
    assert isinstance(found.high, float if values.dtype.kind == "f" else int)
    assert limbs_to_int(found.total) == (130 * most + 41) << TOTAL_UNIT
    assert limbs_to_int(found.squares) == ((9 + 127**2) * most + 41**2) << SQUARES_UNIT


def assert_equal(found, expected):
    assert [*map(repr, found[:7])] == [*map(repr, expected[:7])]
    assert found.total.tolist() == expected.total.tolist()
    assert found.squares.tolist() == expected.squares.tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3000))
def test_any_order_and_any_cut_gives_the_same_bits(seed, cut):
    values = ANY_BITS.view(np.float64)
    whole = exact_moments(Column(values))
    shuffled = np.random.default_rng(seed).permutation(values)
    parts = [exact_moments(Column(shuffled[rows])) for rows in (slice(cut), slice(cut, None))]
    assert_same(merge_moments(*parts), whole)
    assert_same(merge_moments(*parts[::-1]), whole)


def test_what_is_not_finite_is_counted_by_kind():
    moments = exact_moments(Column(np.array([np.nan, np.inf, -np.inf, np.inf, 2.0, 9.0]), np.array([0b011111], np.uint8)))
    assert (moments.n, moments.n_null, moments.n_nan, moments.n_posinf, moments.n_neginf) == (1, 1, 1, 2, 1)
    assert (moments.low, moments.high) == (2.0, 2.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int8])
def test_nulls_of_a_sliced_column_are_left_out(dtype):
    values = (np.arange(1500) % 100).astype(dtype)
    valid = RNG.random(1503) < 0.7
    column = Column(values, np.packbits(valid, bitorder="little"), 3)
    moments = exact_moments(column)
    assert moments.n_null == int((~valid[3:]).sum())
    assert_moments_are_exact(values[valid[3:]], column)


def test_a_column_of_nulls_has_no_extremes():
    moments = exact_moments(Column(np.zeros(3), np.zeros(1, np.uint8)))
    assert (moments.n, moments.n_null, moments.low, moments.high) == (0, 3, None, None)


def test_truth_values_are_numbers():
    moments = exact_moments(Column(np.array([True, True, False])))
    assert mean_and_variance(moments.n, moments.total, moments.squares) == (2 / 3, 2 / 9)


def test_the_variance_of_large_numbers_close_together_does_not_cancel():
    values = 1.7e9 + RNG.normal(size=100_000)
    moments = exact_moments(Column(values))
    mean, variance = mean_and_variance(moments.n, moments.total, moments.squares, ddof=1)
    assert mean == pytest.approx(values.mean(), rel=1e-15)
    assert variance == pytest.approx(np.var((values - 1.7e9), ddof=1), rel=1e-12)


def test_mean_and_variance_are_the_nearest_floats():
    values = [0.1, 0.7, 1e17, -3.0]
    moments = exact_moments(Column(np.array(values)))
    exact = exact_values(np.array(values))
    mean = sum(exact) / 4
    expected = float(mean), float(sum((x - mean) ** 2 for x in exact) / 3)
    assert mean_and_variance(4, moments.total, moments.squares, ddof=1) == expected


def test_too_few_values_have_no_mean_or_variance():
    one = exact_moments(Column(np.array([5.0])))
    assert math.isnan(mean_and_variance(one.n, one.total, one.squares, ddof=1)[1])
    none = exact_moments(Column(np.array([])))
    assert all(map(math.isnan, mean_and_variance(0, none.total, none.squares)))


def test_a_variance_beyond_float64_is_infinite():
    moments = exact_moments(Column(np.array([1.7e308, -1.7e308])))
    assert mean_and_variance(2, moments.total, moments.squares) == (0.0, math.inf)


@pytest.mark.parametrize("unit", [5e-324, 1e-200, 1.0, 1e200, 1.7e308])
def test_a_deviation_is_right_where_its_square_is_beyond_float64(unit):
    moments = exact_moments(Column(np.array([unit, -unit])))
    assert mean_and_std(2, moments.total, moments.squares) == (0.0, unit)
