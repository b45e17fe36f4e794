from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels.column import Column
from headrace_kernels.group_sums import exact_group_sums, group_limbs_to_floats, merge_group_limbs
from headrace_kernels.limbs import nearest_float


def plain_sums(values, groups, n_groups):
    totals = [Fraction(0)] * n_groups
    for value, group in zip(values, groups, strict=True):
        if group >= 0 and np.isfinite(value):
            totals[group] += Fraction(value.item())
    return [nearest_float(total.numerator, total.denominator) for total in totals]


def assert_same_sums(left, right):
    assert left.base == right.base
    np.testing.assert_array_equal(left.limbs, right.limbs)
    np.testing.assert_array_equal(left.counts, right.counts)


values_and_groups = st.lists(st.tuples(st.floats(), st.integers(-1, 2)), max_size=40)


@settings(max_examples=150, deadline=None)
@given(values_and_groups)
def test_sums_are_correctly_rounded(rows):
    values, groups = np.array([x for x, _ in rows], np.float64), np.array([g for _, g in rows], np.int64)
    sums = exact_group_sums(Column(values), groups, 3)
    assert group_limbs_to_floats(sums).tolist() == plain_sums(values, groups, 3)
    assert sums.counts.tolist() == [int((np.isfinite(values) & (groups == g)).sum()) for g in range(3)]


@settings(max_examples=100, deadline=None)
@given(values_and_groups, st.integers(0, 40))
def test_any_cut_and_any_order_gives_the_same_limbs(rows, cut):
    values, groups = np.array([x for x, _ in rows], np.float64), np.array([g for _, g in rows], np.int64)
    whole = exact_group_sums(Column(values), groups, 3)
    left = exact_group_sums(Column(values[:cut]), groups[:cut], 3)
    right = exact_group_sums(Column(values[cut:][::-1].copy()), groups[cut:][::-1], 3)
    assert_same_sums(merge_group_limbs(left, right), whole)
    assert_same_sums(merge_group_limbs(right, left), whole)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64, np.float32, np.bool_])
def test_extremes_of_every_type_are_summed_exactly(dtype):
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    values = np.array([0, 1, 1] if info is None else [info.max, info.max, info.min], dtype)
    sums = exact_group_sums(Column(values), np.array([0, 0, 1], np.int32), 2)
    assert group_limbs_to_floats(sums).tolist() == plain_sums(values, [0, 0, 1], 2)
    assert sums.counts.tolist() == [2, 1]


def test_truth_values_and_small_integers_take_one_limb():
    values = np.random.default_rng(0).integers(0, 2, 1000).astype(np.uint8)
    sums = exact_group_sums(Column(values), np.zeros(1000, np.uint16), 1)
    assert sums.limbs.tolist() == [[values.sum()]]


def test_nulls_of_a_sliced_column_are_left_out():
    column = Column(np.array([1.0, 2.0, 4.0]), np.array([0b10100], np.uint8), 2)
    sums = exact_group_sums(column, np.array([0, 0, 0]), 1)
    assert (group_limbs_to_floats(sums).tolist(), sums.counts.tolist()) == ([5.0], [2])


def test_no_rows_and_no_groups_are_fine():
    assert exact_group_sums(Column(np.empty(0)), np.empty(0, np.int64), 2).limbs.tolist() == [[0], [0]]
    assert group_limbs_to_floats(exact_group_sums(Column(np.empty(0)), np.empty(0, np.int64), 0)).tolist() == []


def test_new_groups_of_a_later_part_are_added():
    left = exact_group_sums(Column(np.array([1.5])), np.array([0]), 1)
    right = exact_group_sums(Column(np.array([2.5])), np.array([2]), 3)
    assert group_limbs_to_floats(merge_group_limbs(left, right)).tolist() == [1.5, 0.0, 2.5]
