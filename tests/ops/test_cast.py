"""Cast: columns in other types, strictly or with nulls for what does not fit."""

from __future__ import annotations

import datetime as dt
import math
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import DataError, JobError, JobErrors
from headrace.ops.cast import Cast
from headrace.pipeline import Pipeline
from headrace.schema import Schema
from headrace.table import Backend


def column(values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def test_types_change_and_values_stay(backend: Backend) -> None:
    data = pa.table({"a": pa.array([1, None], pa.int64()), "b": ["2.5", "nan"], "c": [True, False], "d": pa.array([Decimal("1.50"), None])})
    made = applied(backend, Cast({"a": "int8", "b": "float32", "c": "int32", "d": "string"}), data)
    assert_same_column(made.table["a"], pa.array([1, None], pa.int8()))
    assert_same_column(made.table["b"], pa.array([2.5, math.nan], pa.float32()))
    assert_same_column(made.table["c"], pa.array([1, 0], pa.int32()))
    assert made["d"] == ["1.50", None]
    assert not made.counts


def test_floats_become_integers_by_rounding_halves_to_even(backend: Backend) -> None:
    assert applied(backend, Cast({"x": "int64"}), column([0.5, 1.5, -2.5, -0.0, 2.4]))["x"] == [0, 2, -2, 0, 2]


@pytest.mark.parametrize(
    ("values", "type_", "target", "shown"),
    [
        ([1, 2**63 - 1], pa.int64(), "int8", "9223372036854775807"),
        ([2**64 - 1], pa.uint64(), "int64", "18446744073709551615"),
        ([1.0, math.nan], pa.float64(), "int64", "nan"),
        ([math.inf], pa.float64(), "int64", "inf"),
        (["1", "x"], pa.string(), "int32", "'x'"),
        ([-1], pa.int8(), "uint8", "-1"),
        ([Decimal("1234.50")], pa.decimal128(6, 2), "int8", "1234"),
    ],
)
def test_a_value_that_does_not_fit_raises_or_becomes_null(
    backend: Backend, values: list[object], type_: pa.DataType, target: str, shown: str
) -> None:
    data = column(values, type_)
    with pytest.raises(DataError, match=shown) as caught:
        applied(backend, Cast({"x": target}), data)
    assert caught.value.column == "x"
    made = applied(backend, Cast({"x": target}, errors="null"), data)
    assert made["x"][-1] is None
    assert made.counts == {("not_cast", "x"): 1}


def test_dictionaries_and_large_strings_are_read(backend: Backend) -> None:
    for text in (pa.array(["7", None, "x" * 2**20]).dictionary_encode(), pa.array(["7", None, "x" * 2**20], pa.large_string())):
        made = applied(backend, Cast({"x": "int16"}, errors="null"), pa.table({"x": text}))
        assert_same_column(made.table["x"], pa.array([7, None, None], pa.int16()))
        assert made.counts == {("not_cast", "x"): 1}


def test_timestamps_keep_their_instant(backend: Backend) -> None:
    utc = dt.datetime(2013, 3, 10, 7, 0, tzinfo=dt.UTC)
    made = applied(backend, Cast({"x": "timestamp[ms, tz=America/New_York]"}), column([utc, None], pa.timestamp("us", "UTC")))
    assert made["x"] == [utc, None]
    assert str(made.table["x"].type) == "timestamp[ms, tz=America/New_York]"


def test_empty_and_all_null_columns_change_type(backend: Backend) -> None:
    for values in ([], [None, None]):
        assert_same_column(applied(backend, Cast({"x": "int8"}), column(list(values), pa.string())).table["x"], pa.array(values, pa.int8()))


def test_all_mistakes_come_together_with_their_keys() -> None:
    schema = Schema.from_arrow(pa.schema({"x": pa.float64(), "y": pa.float64()}))
    with pytest.raises(JobErrors) as caught:
        Cast({"x": "int33", "y": "date32"}).declare(schema, {})
    assert [error.key for error in caught.value.errors] == ["columns.x", "columns.y"]
    assert "nearest: 'int32'" in str(caught.value.errors[0])


def test_yaml_knows_columns_from_settings() -> None:
    pipeline = Pipeline.from_yaml("- cast: {a: int8}\n- cast: {columns: int8}\n- cast: {columns: {a: int8}, errors: null}")
    assert pipeline.steps == (Cast({"a": "int8"}), Cast({"columns": "int8"}), Cast({"a": "int8"}, errors="null"))
    with pytest.raises(JobError, match=r"pipeline\[0\].cast.errors"):
        Pipeline.from_yaml("- cast: {columns: {a: int8}, errors: ignore}")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.floats(width=64)))
def test_floats_to_integers_equal_pythons_rounding(values: list[float | None]) -> None:
    made = applied(ArrowBackend(), Cast({"x": "int64"}, errors="null"), column(list(values), pa.float64()))
    fits = [value is not None and math.isfinite(value) and -(2**63) <= round(value) < 2**63 for value in values]
    assert made["x"] == [round(value) if ok and value is not None else None for value, ok in zip(values, fits, strict=True)]
    assert made.counts["not_cast", "x"] == sum(value is not None and not ok for value, ok in zip(values, fits, strict=True))


@pytest.mark.parametrize("target", ["uint8", "uint64", "int32"])
def test_zero_may_have_a_sign_whatever_the_type(backend: Backend, target: str) -> None:
    assert applied(backend, Cast({"x": target}), column(["-0", "+0", "-00", "-0.0", "+7"]))["x"] == [0, 0, 0, 0, 7]


@pytest.mark.parametrize(("target", "precision", "scale"), [("decimal128(10, 2)", 10, 2), ("decimal128(38, 10)", 38, 10), ("int64", 18, 0)])
def test_texts_of_many_digits_become_exact_or_null(backend: Backend, target: str, precision: int, scale: int) -> None:
    # 2^128 + 1, digits that Arrow wraps when it rescales them, and more of them than any type has
    texts = ["340282366920938463463374607431768211457", "12345678901234567890123.45", "1" * 30, "0." + "3" * 60, "1e9", "-1e-99"]
    made = applied(backend, Cast({"x": target}, errors="null"), column(texts))

    def exact(text: str) -> Decimal | None:
        try:
            return Decimal(text).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, Context(prec=precision))
        except InvalidOperation:
            return None

    assert made["x"] == [exact(text) for text in texts]


def test_a_decimal_that_rounds_to_one_digit_more_is_null(backend: Backend) -> None:
    last = Decimal("9" * 28 + "." + "9" * 10)
    data = column([last, Decimal("1.5"), None], pa.decimal128(38, 10))
    assert applied(backend, Cast({"x": "int64"}, errors="null"), data)["x"] == [None, 2, None]
    assert applied(backend, Cast({"x": "decimal128(38, 9)"}, errors="null"), data)["x"] == [10**28, Decimal("1.5"), None]
    wide = column([Decimal("9" * 60), Decimal("2")], pa.decimal256(76, 5))
    assert applied(backend, Cast({"x": "int16"}, errors="null"), wide)["x"] == [None, 2]


def test_a_date_that_is_far_off_is_named(backend: Backend) -> None:
    data = column([None, 2**31 - 1], pa.int32()).cast(pa.schema([("x", pa.date32())]))
    with pytest.raises(DataError, match="2147483647 to timestamp"):
        applied(backend, Cast({"x": "timestamp[us]"}), data)
