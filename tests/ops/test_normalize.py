"""Normalize: (x - mean) / std, from exact sums."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import FLOAT32, assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import DataError, JobErrors
from headrace.ops.normalize import Normalize
from headrace.table import Backend

NAN, INF = math.nan, math.inf


def column(values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def test_the_result_has_mean_0_and_deviation_1(backend: Backend) -> None:
    # mean 3, population variance ((-2)^2 + 0 + 2^2) / 3 = 8 / 3
    made = applied(backend, Normalize(["x"]), column([1.0, 3.0, 5.0]))
    assert_same_column(made.table["x"], pa.array([-math.sqrt(1.5), 0.0, math.sqrt(1.5)], pa.float32()), FLOAT32)


def test_null_and_nan_stay_and_take_no_part(backend: Backend) -> None:
    made = applied(backend, Normalize(["x"], dtype="float64"), column([1.0, None, NAN, 3.0]))
    assert_same_column(made.table["x"], pa.array([-1.0, None, NAN, 1.0]))


def test_infinities_stay_infinite_and_take_no_part(backend: Backend) -> None:
    made = applied(backend, Normalize(["x"], dtype="float64"), column([1.0, INF, -INF, 3.0]))
    assert_same_column(made.table["x"], pa.array([-1.0, INF, -INF, 1.0]))


def test_a_large_mean_leaves_the_deviation_right(backend: Backend) -> None:
    values = np.random.default_rng(0).normal(1.7e9, 1.0, 100_000)
    scale = applied(backend, Normalize(["x"]), column(list(values))).state
    assert abs(scale.stds["x"] - values.std()) < 1e-9
    assert abs(scale.means["x"] - 1.7e9) < 0.02


def test_a_constant_column_becomes_zero(backend: Backend) -> None:
    assert applied(backend, Normalize(["x"]), column([7, 7, None], pa.int64()))["x"] == [0.0, 0.0, None]
    assert applied(backend, Normalize(["x"]), column([0.1] * 10))["x"] == [0.0] * 10


def test_one_row_becomes_zero(backend: Backend) -> None:
    assert applied(backend, Normalize(["x"]), column([42.5]))["x"] == [0.0]


def test_an_empty_table_is_transformed_to_an_empty_one(backend: Backend) -> None:
    made = applied(backend, Normalize(["x"]), column([], pa.float64()), learnt_from=column([1.0, 3.0]))
    assert_same_column(made.table["x"], pa.array([], pa.float32()))


def test_int64_extremes_do_not_wrap(backend: Backend) -> None:
    made = applied(backend, Normalize(["x"], dtype="float64"), column([2**63 - 1, -(2**63), 2**63 - 1, -(2**63)], pa.int64()))
    assert_same_column(made.table["x"], pa.array([1.0, -1.0, 1.0, -1.0]))
    assert made.state.means["x"] == -0.5


def test_uint64_beyond_int64_does_not_wrap(backend: Backend) -> None:
    made = applied(backend, Normalize(["x"], dtype="float64"), column([2**64 - 1, 0], pa.uint64()))
    assert_same_column(made.table["x"], pa.array([1.0, -1.0]))


def test_booleans_and_decimals_are_numbers(backend: Backend) -> None:
    assert applied(backend, Normalize(["x"]), column([True, False, None]))["x"] == [1.0, -1.0, None]
    assert applied(backend, Normalize(["x"]), column([Decimal("1.50"), Decimal("2.50"), None]))["x"] == [-1.0, 1.0, None]


def test_float32_and_small_integers_keep_their_precision(backend: Backend) -> None:
    assert applied(backend, Normalize(["x"]), column([1.5, 2.5, None], pa.float32()))["x"] == [-1.0, 1.0, None]
    assert applied(backend, Normalize(["x"]), column([-128, 126], pa.int8()))["x"] == [-1.0, 1.0]


@pytest.mark.parametrize("values", [[None, None], [NAN, None], [INF, -INF], []])
def test_a_column_without_a_finite_value_is_refused(backend: Backend, values: list[float | None]) -> None:
    with pytest.raises(DataError, match=r"column 'x': has no finite value in the training rows"):
        applied(backend, Normalize(["x"]), column(values, pa.float64()))


def test_strings_and_misspelt_columns_are_refused_together(backend: Backend) -> None:
    with pytest.raises(JobErrors, match=r"columns\[0\]: 'c' is string, and a number or boolean is needed") as caught:
        applied(backend, Normalize(["c", "dela"]), pa.table({"c": ["a"], "delay": [1]}))
    assert [(error.key, error.hint) for error in caught.value.errors][1] == ("columns[1]", "nearest: 'delay'. Columns: c, delay")


def test_a_wrong_dtype_is_refused() -> None:
    with pytest.raises(JobErrors, match="dtype: input should be 'float32' or 'float64', not 'int8'"):
        Normalize(["x"], dtype="int8")  # type: ignore[arg-type]


def test_what_was_learnt_is_told(backend: Backend) -> None:
    op = Normalize(["x"])
    assert op.learnt(applied(backend, op, column([1.0, 3.0])).state) == "x: mean 2, std 1"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1e12, 1e12) | st.none() | st.sampled_from([NAN, -0.0]), min_size=1).filter(
        lambda xs: any(x == x and x is not None for x in xs)
    )
)
def test_it_is_the_formula(values: list[float | None]) -> None:
    known = [value for value in values if value is not None and value == value]
    mean = math.fsum(known) / len(known)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / len(known))
    scale = applied(ArrowBackend(), Normalize(["x"]), column(values, pa.float64())).state
    assert math.isclose(scale.means["x"], mean, rel_tol=1e-12, abs_tol=1e-300)
    assert math.isclose(scale.stds["x"], std, rel_tol=1e-9, abs_tol=abs(mean) * 1e-12)
