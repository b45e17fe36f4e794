"""DifferenceLag: values some rows ago, and how much has changed since."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.comparing import assert_same_column
from tests.ops.ordered import scanned

from headrace.errors import DataError, JobErrors
from headrace.ops.difference_lag import DifferenceLag
from headrace.schema import STRING, Schema


def test_differences_within_a_key_in_the_order_of_time() -> None:
    data = pa.table({"k": ["a", "b", "a", "a"], "t": [3, 0, 1, 2], "x": pa.array([9, 5, 1, 4], pa.int8())})
    made = scanned(DifferenceLag("x", order="t", by="k", lags=[1, 2]), data)
    assert made["x_difference_lag_1"] == [5, None, None, 3]
    assert made["x_difference_lag_2"] == [8, None, None, None]


def test_values_of_any_type_can_be_brought() -> None:
    data = pa.table({"t": [1, 2, 3], "s": pa.array(["x" * 1_000_000, None, "é"]).dictionary_encode(), "l": [[1], [], None]})
    made = scanned(DifferenceLag(["s", "l"], order="t", output="value"), data)
    assert made["s_lag_1"] == [None, "x" * 1_000_000, None]
    assert made["l_lag_1"] == [None, [1], []]


def test_integers_become_wide_and_never_wrap() -> None:
    small = pa.table({"t": [1, 2], "x": pa.array([-128, 127], pa.int8())})
    assert scanned(DifferenceLag("x", order="t"), small)["x_difference_lag_1"] == [None, 255]
    told = r"column 'x': pipeline\[0\].difference_lag: a - b leaves the range of int64 for .*\d\n  cast the column to float64 before"
    with pytest.raises(DataError, match=told):
        scanned(DifferenceLag("x", order="t"), pa.table({"t": [1, 2], "x": [-(2**63), 2**63 - 1]}))


def test_nulls_nan_infinities_and_decimals() -> None:
    data = pa.table({"t": [1, 2, 3, 4, 5], "x": [1.0, None, math.nan, math.inf, math.inf]})
    assert_same_column(
        scanned(DifferenceLag("x", order="t"), data).table["x_difference_lag_1"], pa.array([None, None, None, math.nan, math.nan])
    )
    money = pa.table({"t": [1, 2], "p": pa.array([Decimal("1.25"), Decimal("3.50")], pa.decimal128(9, 2))})
    assert scanned(DifferenceLag("p", order="t"), money)["p_difference_lag_1"] == [None, 2.25]


def test_rows_without_a_time_come_last() -> None:
    data = pa.table({"t": [None, 2, 1], "x": [7, 5, 1]})
    assert scanned(DifferenceLag("x", order="t"), data)["x_difference_lag_1"] == [2, 4, None]


def test_an_empty_table_and_wrong_settings() -> None:
    empty = pa.table({"t": pa.array([], pa.int64()), "x": pa.array([], pa.float32())})
    assert scanned(DifferenceLag("x", order="t"), empty)["x_difference_lag_1"] == []
    with pytest.raises(JobErrors, match="a number is needed"):
        DifferenceLag("t", order="t").declare(Schema({"t": STRING}), {})
    with pytest.raises(JobErrors, match="lags"):
        DifferenceLag("x", order="t", lags=[0])


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.floats(-1e9, 1e9)), max_size=40), lag=st.integers(1, 4))
def test_lags_equal_those_counted_by_hand(rows: list[Any], lag: int) -> None:
    data = pa.table(
        {
            "k": pa.array([k for k, _, _ in rows], pa.string()),
            "t": pa.array([t for _, t, _ in rows], pa.int64()),
            "x": pa.array([x for _, _, x in rows], pa.float64()),
        }
    )
    expected: list[Any] = [None] * len(rows)
    for key in "ab":
        mine = sorted((t, row) for row, (k, t, _) in enumerate(rows) if k == key)
        for (_, before), (_, row) in zip(mine, mine[lag:], strict=False):
            expected[row] = rows[row][2] - rows[before][2]
    assert scanned(DifferenceLag("x", order="t", by="k", lags=lag), data)[f"x_difference_lag_{lag}"] == expected
