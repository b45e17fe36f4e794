"""NormalizeMinMax: the training rows' range becomes 0 to 1."""

from __future__ import annotations

import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import DataError, JobErrors
from headrace.ops.normalize_min_max import NormalizeMinMax
from headrace.table import Backend

NAN, INF = math.nan, math.inf


def column(values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def test_the_range_becomes_0_to_1(backend: Backend) -> None:
    made = applied(backend, NormalizeMinMax(["x"]), column([2.0, 4.0, 10.0]))
    assert_same_column(made.table["x"], pa.array([0.0, 0.25, 1.0], pa.float32()))


def test_unseen_rows_may_lie_outside(backend: Backend) -> None:
    made = applied(backend, NormalizeMinMax(["x"]), column([0.0, 3.0]), learnt_from=column([1.0, 2.0]))
    assert made["x"] == [-1.0, 2.0]


def test_missing_and_infinite_values_stay_and_take_no_part(backend: Backend) -> None:
    made = applied(backend, NormalizeMinMax(["x"], dtype="float64"), column([None, NAN, INF, -INF, 1.0, 3.0]))
    assert_same_column(made.table["x"], pa.array([None, NAN, INF, -INF, 0.0, 1.0]))


def test_a_constant_column_becomes_0(backend: Backend) -> None:
    assert applied(backend, NormalizeMinMax(["x"]), column([7, 7, None]))["x"] == [0.0, 0.0, None]


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (pa.int64(), [-(2**63), 2**63 - 1]),
        (pa.uint64(), [0, 2**64 - 1]),
        (pa.bool_(), [False, True]),
        (pa.decimal128(5, 2), [Decimal("-1.50"), Decimal("2.50")]),
    ],
)
def test_every_kind_of_number(backend: Backend, type_: pa.DataType, values: list[object]) -> None:
    assert applied(backend, NormalizeMinMax(["x"]), column(values, type_))["x"] == [0.0, 1.0]


def test_a_column_without_a_value_or_with_too_wide_a_range_is_refused(backend: Backend) -> None:
    for values in ([], [None], [NAN, INF]):
        with pytest.raises(DataError, match="column 'x': has no finite value in the training rows"):
            applied(backend, NormalizeMinMax(["x"]), column(list(values), pa.float64()))
    with pytest.raises(DataError, match="more than a float64 can hold"):
        applied(backend, NormalizeMinMax(["x"]), column([-1.7e308, 1.7e308]))


def test_strings_are_refused(backend: Backend) -> None:
    with pytest.raises(JobErrors, match=r"columns\[0\]: 'x' is string"):
        applied(backend, NormalizeMinMax(["x"]), column(["a"]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.floats(-1e300, 1e300), min_size=1).filter(lambda xs: any(x is not None for x in xs)))
def test_it_is_the_formula(values: list[float | None]) -> None:
    made = applied(ArrowBackend(), NormalizeMinMax(["x"], dtype="float64"), column(list(values)))
    known = [value for value in values if value is not None]
    low, width = min(known), max(known) - min(known) or 1.0
    assert made["x"] == [None if value is None else (value - low) / width for value in values]
