"""FillMissing: a constant or a statistic of the training rows where values are missing."""

from __future__ import annotations

import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

import headrace as hr
from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import DataError, JobError, JobErrors
from headrace.ops.fill_missing import FillMissing
from headrace.table import Backend

NAN, INF = math.nan, math.inf


def column(values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def test_null_and_nan_are_filled_and_counted(backend: Backend) -> None:
    made = applied(backend, FillMissing(["x"], value=-1.5), column([1.0, None, NAN, -0.0, INF]))
    assert_same_column(made.table["x"], pa.array([1.0, -1.5, -1.5, -0.0, INF]))
    assert made.counts == {("nulls_filled", "x"): 2}


def test_nothing_missing_leaves_the_column_and_no_trace(backend: Backend) -> None:
    made = applied(backend, FillMissing(["x"], value=0), column([1, 2], pa.int16()))
    assert_same_column(made.table["x"], pa.array([1, 2], pa.int16()))
    assert made.counts == {}


def test_the_mean_leaves_out_null_nan_and_infinities(backend: Backend) -> None:
    assert applied(backend, FillMissing(["x"], value="mean"), column([1.0, None, 4.0, NAN, INF]))["x"] == [1.0, 2.5, 4.0, 2.5, INF]


def test_integers_filled_with_their_mean_become_floats(backend: Backend) -> None:
    made = applied(backend, FillMissing(["x"], value="mean"), column([1, 2, None], pa.int32()))
    assert_same_column(made.table["x"], pa.array([1.0, 2.0, 1.5]))


def test_the_median_of_an_even_number_is_their_middle(backend: Backend) -> None:
    assert applied(backend, FillMissing(["x"], value="median"), column([4.0, 1.0, None, 2.0, 100.0, NAN]))["x"] == [
        4.0,
        1.0,
        3.0,
        2.0,
        100.0,
        3.0,
    ]


def test_the_median_of_integers_stays_one(backend: Backend) -> None:
    made = applied(backend, FillMissing(["x"], value="median"), column([-1, -2, None, 5, 6, -(2**40)], pa.int64()))
    assert_same_column(made.table["x"], pa.array([-1, -2, -1, 5, 6, -(2**40)], pa.int64()))
    assert applied(backend, FillMissing(["x"], value="median"), column([-1, -2, None], pa.int8()))["x"] == [-1, -2, -2]


def test_the_mode_is_the_smallest_of_the_most_frequent(backend: Backend) -> None:
    assert applied(backend, FillMissing(["x"], value="mode"), column(["b", None, "a", "b", "a", "c"]))["x"] == [
        "b",
        "a",
        "a",
        "b",
        "a",
        "c",
    ]
    assert applied(backend, FillMissing(["x"], value="mode"), column([2.5, NAN, NAN, NAN, None]))["x"] == [2.5, 2.5, 2.5, 2.5, 2.5]
    assert applied(backend, FillMissing(["x"], value="mode"), column([True, None, True, False]))["x"] == [True, True, True, False]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.large_string())]
)
@pytest.mark.parametrize("value", ["Łódź", "new", "", "x" * 1_000_000])
def test_every_layout_of_strings_is_filled(backend: Backend, kind: pa.DataType, value: str) -> None:
    made = applied(backend, FillMissing(["x"], value=value), column(["Łódź", None, "", "Łódź", None], kind))
    assert made["x"] == ["Łódź", value, "", "Łódź", value]
    assert made.counts == {("nulls_filled", "x"): 2}


def test_a_null_among_the_values_of_a_dictionary_is_filled_and_counted(backend: Backend) -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 1, 2], pa.int8()), pa.array(["a", None, "b"]))
    made = applied(backend, FillMissing(["x"], value="z"), pa.table({"x": values}))
    assert made["x"] == ["a", "z", "z", "z", "b"]
    assert made.counts == {("nulls_filled", "x"): 3}


def test_a_statistic_of_the_training_rows_fills_other_rows(backend: Backend) -> None:
    made = applied(backend, FillMissing(["x"], value="mean"), column([None, NAN, 9.0], pa.float64()), learnt_from=column([1.0, 3.0]))
    assert made["x"] == [2.0, 2.0, 9.0]


@pytest.mark.parametrize("value", [0, 1.5])
def test_all_null_one_row_and_empty_columns_take_a_constant(backend: Backend, value: float) -> None:
    assert applied(backend, FillMissing(["x"], value=value), column([None, None], pa.float64()))["x"] == [value, value]
    assert applied(backend, FillMissing(["x"], value=value), column([None], pa.float32()))["x"] == [value]
    assert applied(backend, FillMissing(["x"], value=value), column([], pa.float64()))["x"] == []


@pytest.mark.parametrize("value", ["mean", "median", "mode"])
@pytest.mark.parametrize("values", [[None, None], [NAN], []])
def test_a_statistic_of_nothing_is_refused(backend: Backend, value: str, values: list[float | None]) -> None:
    with pytest.raises(DataError, match=f"column 'x': has no value to take the {value} of"):
        applied(backend, FillMissing(["x"], value=value), column(values, pa.float64()))


def test_int64_extremes_are_kept(backend: Backend) -> None:
    values = [2**63 - 1, -(2**63), None, 2**63 - 1]
    assert applied(backend, FillMissing(["x"], value=2**63 - 1), column(values, pa.int64()))["x"] == [*values[:2], 2**63 - 1, 2**63 - 1]
    assert applied(backend, FillMissing(["x"], value="mode"), column(values, pa.int64()))["x"] == [*values[:2], 2**63 - 1, 2**63 - 1]


def test_the_median_of_int64_extremes_does_not_wrap(backend: Backend) -> None:
    made = applied(backend, FillMissing(["x"], value="median"), column([2**63 - 1, None, 2**63 - 1], pa.int64()))
    assert made["x"] == [2**63 - 1] * 3


def test_decimals_are_filled_in_their_type(backend: Backend) -> None:
    money = pa.decimal128(9, 2)
    made = applied(backend, FillMissing(["x"], value=2.5), column([Decimal("1.25"), None], money))
    assert_same_column(made.table["x"], pa.array([Decimal("1.25"), Decimal("2.50")], money))
    made = applied(backend, FillMissing(["x"], value="median"), column([Decimal("1.25"), None, Decimal("3.25")], money))
    assert_same_column(made.table["x"], pa.array([Decimal("1.25"), Decimal("2.25"), Decimal("3.25")], money))


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("no", pa.int32()),
        (1.5, pa.int32()),
        (1, pa.string()),
        (True, pa.int32()),
        (1, pa.bool_()),
        (300, pa.int8()),
        (-1, pa.uint8()),
        ("x", pa.float64()),
    ],
)
def test_a_value_that_does_not_fit_the_type_is_refused(backend: Backend, value: object, type_: pa.DataType) -> None:
    with pytest.raises(JobError, match=r"value: .* does not fit 'x', which is"):
        applied(backend, FillMissing(["x"], value=value), column([None], type_))


def test_types_it_cannot_fill_are_refused(backend: Backend) -> None:
    with pytest.raises(JobErrors, match=r"columns\[0\]: 'x' is timestamp\[us, tz=UTC\], and a number, string or boolean is needed"):
        applied(backend, FillMissing(["x"], value=0), column([None], pa.timestamp("us", "UTC")))
    with pytest.raises(JobErrors, match=r"columns\[0\]: 'x' is string, and a number is needed"):
        applied(backend, FillMissing(["x"], value="median"), column(["a"]))


def test_a_missing_value_setting_is_refused() -> None:
    with pytest.raises(JobErrors, match="value: is missing"):
        FillMissing.from_settings(["x"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1000, 1000) | st.none(), min_size=1).filter(lambda values: any(value is not None for value in values)))
def test_the_median_is_the_middle_of_the_sorted_values(values: list[int | None]) -> None:
    known = sorted(value for value in values if value is not None)
    middle = (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2
    made = applied(ArrowBackend(), FillMissing(["x"], value="median"), column(values, pa.float64()))
    assert made["x"] == [middle if value is None else value for value in values]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_no_file_of_settings_holds_is_refused(value: float) -> None:
    with pytest.raises(JobErrors, match=r"value: a finite number is needed, not (nan|inf)"):
        hr.Pipeline([hr.FillMissing(["x"], value=value)]).fit(pa.table({"x": [1.0, None]}))


def test_integers_that_no_float_holds_are_refused_beside_a_mean(backend: Backend) -> None:
    data = pa.table({"ok": [1, 2], "x": [2**53 + 1, None]})
    with pytest.raises(DataError, match=r"column 'x': cannot be cast from int64 to double(.|\n)*median, mode or a constant"):
        applied(backend, FillMissing(["ok", "x"], value="mean"), data)
