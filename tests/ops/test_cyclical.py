"""Cyclical: sine and cosine of what comes round."""

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
from headrace.errors import JobErrors
from headrace.ops.cyclical import Cyclical
from headrace.table import Backend

NAN, INF = math.nan, math.inf


def test_a_quarter_of_the_period_is_a_quarter_of_the_circle(backend: Backend) -> None:
    made = applied(backend, Cyclical({"h": 24}), pa.table({"h": pa.array([0, 6, 12, 18, 24, None, -6], pa.int8())}))
    assert_same_column(made.table["h_sin"], pa.array([0.0, 1.0, 0.0, -1.0, 0.0, None, -1.0], pa.float32()))
    assert_same_column(made.table["h_cos"], pa.array([1.0, 0.0, -1.0, 0.0, 1.0, None, 0.0], pa.float32()))


def test_what_is_a_period_apart_is_one_point(backend: Backend) -> None:
    made = applied(backend, Cyclical({"h": 7}), pa.table({"h": [3, 3 + 7 * 2**20, 3 - 7]}))
    assert len(set(made["h_sin"])) == len(set(made["h_cos"])) == 1


def test_nan_and_infinity_give_nan_and_minus_zero_is_no_crash(backend: Backend) -> None:
    made = applied(backend, Cyclical({"x": 1}), pa.table({"x": [NAN, INF, -INF, -0.0]}))
    assert_same_column(made.table["x_cos"], pa.array([NAN, NAN, NAN, 1.0], pa.float32()))


def test_int64_extremes_lie_on_the_circle(backend: Backend) -> None:
    made = applied(backend, Cyclical({"n": 360}), pa.table({"n": [2**63 - 1, -(2**63)]}))
    assert [round(s * s + c * c, 6) for s, c in zip(made["n_sin"], made["n_cos"], strict=True)] == [1.0, 1.0]


@pytest.mark.parametrize("values", [pa.array([], pa.float32()), pa.nulls(2, pa.int64()), pa.array([Decimal("0.25")], pa.decimal128(5, 2))])
def test_empty_all_null_and_decimal_columns(backend: Backend, values: pa.Array) -> None:
    made = applied(backend, Cyclical({"x": 1}), pa.table({"x": values}))
    assert made["x_sin"] == [1.0 if value is not None else None for value in values.to_pylist()]


def test_several_columns_have_each_its_period(backend: Backend) -> None:
    made = applied(backend, Cyclical.from_settings({"columns": {"hour": 24, "month": 12}}), pa.table({"hour": [6], "month": [6]}))
    assert (made["hour_sin"], made["month_cos"]) == ([1.0], [-1.0])


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"columns": {"h": 0}}, r"columns\.h: input should be greater than 0, not 0"),
        ({"columns": {"h": -24}}, r"columns\.h: input should be greater than 0, not -24"),
        ({"columns": {}}, "columns: at least 1 must be named"),
        ({"columns": {"s": 24}}, r"columns\[0\]: 's' is string, and a number is needed"),
        ({"columns": {"hh": 24}}, r"columns\[0\]: no column 'hh'"),
    ],
)
def test_mistakes_are_refused_with_their_keys(backend: Backend, settings_: dict[str, object], message: str) -> None:
    with pytest.raises(JobErrors, match=message):
        applied(backend, Cyclical.from_settings(settings_), pa.table({"h": [1], "s": ["a"]}))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1), st.floats(0.01, 1e4))
def test_it_is_numpys_sine_and_cosine(values: list[float | None], period: float) -> None:
    made = applied(ArrowBackend(), Cyclical({"x": period}), pa.table({"x": pa.array(values, pa.float64())}))
    for name, function in (("x_sin", np.sin), ("x_cos", np.cos)):
        for value, found in zip(values, made[name], strict=True):
            expected = None if value is None else function(2 * np.pi * math.remainder(value, period) / period)
            assert (found is None) == (value is None)
            assert expected is None or abs(found - expected) < 2e-7
