"""Log: logarithms, with null for what has none."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import FLOAT64, assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobError, JobErrors
from headrace.ops.log import Log
from headrace.table import Backend

NAN, INF = math.nan, math.inf


def column(values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def test_the_default_is_log1p(backend: Backend) -> None:
    made = applied(backend, Log(["x"]), column([0.0, 1.0, 1e-20, math.e - 1]))
    assert_same_column(made.table["x"], pa.array([0.0, math.log(2), 1e-20, 1.0]), FLOAT64)


def test_what_has_no_logarithm_becomes_null_and_is_counted(backend: Backend) -> None:
    made = applied(backend, Log(["x"]), column([-1.0, -2.0, -INF, None, NAN, INF, -0.5]))
    assert_same_column(made.table["x"], pa.array([None, None, None, None, NAN, INF, math.log(0.5)]), FLOAT64)
    assert made.counts == {("not_positive", "x"): 3}


@pytest.mark.parametrize(("base", "x", "expected"), [("e", math.e, 1.0), (2, 8.0, 3.0), (10, 1000.0, 3.0)])
def test_bases(backend: Backend, base: object, x: float, expected: float) -> None:
    made = applied(backend, Log(["x"], base=base, plus=0.0), column([x, 0.0, -0.0]))
    assert_same_column(made.table["x"], pa.array([expected, None, None]), FLOAT64)
    assert made.counts == {("not_positive", "x"): 2}


def test_float32_stays_float32_and_all_else_becomes_float64(backend: Backend) -> None:
    kinds = [pa.float32(), pa.float64(), pa.int8(), pa.int64(), pa.uint64(), pa.decimal128(5, 2)]
    for kind in kinds:
        one = Decimal(1) if pa.types.is_decimal(kind) else 1
        made = applied(backend, Log(["x"]), column([one, None], kind)).table["x"]
        assert made.type == (pa.float32() if kind == pa.float32() else pa.float64())
        assert made.to_pylist() == [pytest.approx(math.log(2), rel=1e-7), None]


def test_the_ends_of_int64(backend: Backend) -> None:
    made = applied(backend, Log(["x"], base=2), column([-(2**63), -1, 0, 2**63 - 1], pa.int64()))
    assert_same_column(made.table["x"], pa.array([None, None, 0.0, 63.0]), FLOAT64)


def test_a_float32_is_never_minus_infinity(backend: Backend) -> None:
    # 0.1 as a float32 is more than 0.1, so its negative lies at or below the border
    border = np.float32(0.1)
    values = [-border, np.nextafter(-border, np.float32(0)), np.nextafter(-border, np.float32(-1))]
    made = applied(backend, Log(["x"], plus=0.1), column([float(value) for value in values], pa.float32()))
    assert [value is not None and math.isfinite(value) for value in made["x"]] == [False, True, False]
    assert made["x"][0] is None


def test_empty_and_all_null(backend: Backend) -> None:
    assert_same_column(applied(backend, Log(["x"]), column([], pa.int8())).table["x"], pa.array([], pa.float64()))
    assert_same_column(applied(backend, Log(["x"]), column([None], pa.float32())).table["x"], pa.array([None], pa.float32()))


def test_settings_and_columns_are_checked(backend: Backend) -> None:
    with pytest.raises(JobError, match="base: input should be 'e', 2 or 10, not 3"):
        Log(["x"], base=3)  # type: ignore[arg-type]
    with pytest.raises(JobErrors, match=r"columns\[0\]: 'x' is string, and a number is needed"):
        applied(backend, Log(["x"]), column(["a"]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.floats(width=64)), st.sampled_from([0.0, 0.5, 1.0, 100.0]))
def test_it_is_the_formula(values: list[float | None], plus: float) -> None:
    made = applied(ArrowBackend(), Log(["x"], plus=plus), column(list(values), pa.float64()))

    def expected(x: float | None) -> float | None:
        if x is None or x != x:
            return x
        return (math.log1p(x) if plus == 1 else math.log(x + plus)) if x > -plus else None

    assert_same_column(made.table["x"], pa.array([expected(x) for x in values], pa.float64()), 1e-14)
