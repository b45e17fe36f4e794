"""Clip: values outside of bounds become the bounds, and are counted."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobError
from headrace.ops.clip import Clip
from headrace.schema import Schema
from headrace.table import Backend

NAN, INF = math.nan, math.inf


def column(values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def test_values_outside_become_the_bounds_and_are_counted(backend: Backend) -> None:
    made = applied(backend, Clip(["x"], min=0, max=5), column([-1.0, 0.0, 2.5, 5.0, 6.0]))
    assert_same_column(made.table["x"], pa.array([0.0, 0.0, 2.5, 5.0, 5.0]))
    assert made.counts == {("clipped", "x"): 2}


def test_null_nan_and_minus_zero_stay_and_infinities_are_clipped(backend: Backend) -> None:
    made = applied(backend, Clip(["x"], min=0, max=5), column([None, NAN, -0.0, INF, -INF]))
    assert_same_column(made.table["x"], pa.array([None, NAN, -0.0, 5.0, 0.0]))
    assert made.counts == {("clipped", "x"): 2}


def test_one_bound_is_enough(backend: Backend) -> None:
    assert applied(backend, Clip(["x"], max=1), column([-INF, 2.0]))["x"] == [-INF, 1.0]
    assert applied(backend, Clip(["x"], min=1), column([INF, 0.0]))["x"] == [INF, 1.0]


@pytest.mark.parametrize("type_", [pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64()])
def test_integers_keep_their_type(backend: Backend, type_: pa.DataType) -> None:
    made = applied(backend, Clip(["x"], min=1, max=3), column([0, 1, 3, 100, None], type_))
    assert_same_column(made.table["x"], pa.array([1, 1, 3, 3, None], type_))


def test_the_ends_of_int64_are_exact(backend: Backend) -> None:
    ends = [-(2**63), -(2**63) + 1, 2**63 - 2, 2**63 - 1]
    made = applied(backend, Clip(["x"], min=-(2**63) + 1, max=2**63 - 2), column(ends, pa.int64()))
    assert made["x"] == [-(2**63) + 1, -(2**63) + 1, 2**63 - 2, 2**63 - 2]


def test_a_bound_beyond_the_type_clips_nothing(backend: Backend) -> None:
    made = applied(backend, Clip(["x"], min=-(10**30), max=1000), column([-128, 127], pa.int8()))
    assert_same_column(made.table["x"], pa.array([-128, 127], pa.int8()))
    assert not made.counts


def test_a_float32_bound_is_rounded_before_it_is_compared(backend: Backend) -> None:
    made = applied(backend, Clip(["x"], max=0.1), column([0.1, 0.2], pa.float32()))
    assert_same_column(made.table["x"], pa.array([0.1, 0.1], pa.float32()))
    assert made.counts == {("clipped", "x"): 1}


def test_decimals_stay_exact(backend: Backend) -> None:
    money = pa.decimal128(6, 2)
    made = applied(backend, Clip(["x"], min=-0.5, max=1.25), column([Decimal("-3.00"), Decimal("1.26"), Decimal("1.24"), None], money))
    assert_same_column(made.table["x"], pa.array([Decimal("-0.50"), Decimal("1.25"), Decimal("1.24"), None], money))


def test_empty_one_row_and_all_null(backend: Backend) -> None:
    for values in ([], [7.0], [None, None]):
        made = applied(backend, Clip(["x"], max=9), column(list(values), pa.float64()))
        assert made["x"] == values


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({}, "at least one bound"),
        ({"min": 2, "max": 1}, "min 2 is above max 1"),
        ({"min": "0"}, "a finite number"),
        ({"max": INF}, "a finite"),
    ],
)
def test_bounds_are_checked(settings_: dict[str, object], message: str) -> None:
    with pytest.raises(JobError, match=message):
        Clip(["x"], **settings_)


@pytest.mark.parametrize(("type_", "bound"), [(pa.int64(), 0.5), (pa.decimal128(4, 1), 0.25), (pa.decimal128(4, 1), 1000)])
def test_a_bound_that_the_type_does_not_hold_is_refused(type_: pa.DataType, bound: float) -> None:
    with pytest.raises(JobError, match=r"min: .* is no value of 'x'"):
        Clip(["x"], min=bound).declare(Schema.from_arrow(pa.schema({"x": type_})), {})


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.floats(width=64)), st.floats(-10, 10), st.floats(0, 10))
def test_floats_equal_numpys(values: list[float | None], low: float, width: float) -> None:
    made = applied(ArrowBackend(), Clip(["x"], min=low, max=low + width), column(list(values), pa.float64()))
    expected = [None if value is None else float(np.clip(value, low, low + width)) for value in values]
    assert made.table["x"].to_pylist() == pytest.approx(expected, abs=0, nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)), st.integers(-(2**64), 2**64), st.integers(0, 2**64))
def test_integers_equal_pythons(values: list[int | None], low: int, width: int) -> None:
    made = applied(ArrowBackend(), Clip(["x"], min=low, max=low + width), column(list(values), pa.int64()))
    ends = [min(max(bound, -(2**63)), 2**63 - 1) for bound in (low, low + width)]
    assert made["x"] == [None if value is None else min(max(value, ends[0]), ends[1]) for value in values]
