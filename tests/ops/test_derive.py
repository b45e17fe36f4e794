"""Derive: new columns from SQL expressions."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.errors import DataError, JobError, JobErrors
from headrace.ops.derive import Derive
from headrace.table import Backend

NAN, INF = math.nan, math.inf
DATA = pa.table(
    {
        "n": pa.array([1, None, 2**62], pa.int64()),
        "f": [0.5, NAN, -INF],
        "c": pa.array(["a", None, "Łódź"]).dictionary_encode(),
        "p": pa.array([Decimal("1.25"), None, Decimal("-0.50")], pa.decimal128(9, 2)),
        "t": pa.array(
            [dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC), None, dt.datetime(2013, 7, 1, 5, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")
        ),
    }
)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CAST(n > 1 AS INT)", pa.array([0, None, 1], pa.int32())),
        ("f * 2", pa.array([1.0, NAN, -INF])),
        ("COALESCE(n, 0)", pa.array([1, 0, 2**62], pa.int64())),
        ("c || '!'", pa.array(["a!", None, "Łódź!"])),
        ("p IS NULL", pa.array([False, True, False])),
        ("extract(hour FROM t AT TIME ZONE 'America/New_York')", pa.array([0, None, 1], pa.int64())),
        ("7", pa.array([7, 7, 7], pa.int32())),
    ],
)
def test_a_column_is_made_of_an_expression(backend: Backend, sql: str, expected: pa.Array) -> None:
    made = applied(backend, Derive({"made": sql}), DATA)
    assert_same_column(made.table["made"], expected)
    assert made.table.column_names == [*DATA.column_names, "made"]


def test_every_expression_sees_the_columns_before_the_step(backend: Backend) -> None:
    made = applied(backend, Derive({"f": "n * 1.0", "g": "f"}), pa.table({"n": [1, 2], "f": [5.0, 6.0]}))
    assert made.table.column_names == ["n", "f", "g"]
    assert made["g"] == [5.0, 6.0]


def test_an_empty_table_gets_an_empty_column(backend: Backend) -> None:
    assert_same_column(applied(backend, Derive({"m": "n + 1"}), DATA.slice(0, 0)).table["m"], pa.array([], pa.int64()))


def test_a_sum_beyond_int64_is_an_error_and_does_not_wrap(backend: Backend) -> None:
    with pytest.raises(DataError, match="leaves the range of int64 for 4611686018427387904"):
        applied(backend, Derive({"m": "n + n"}), DATA)


def test_all_mistakes_come_together_under_their_names(backend: Backend) -> None:
    with pytest.raises(JobErrors) as caught:
        applied(backend, Derive({"a": "m + 1", "b": "n +", "c": "n + 1"}), DATA)
    assert [error.key for error in caught.value.errors] == ["a", "b"]
    assert "no column 'm'" in str(caught.value.errors[0])


def test_an_expression_must_be_text() -> None:
    with pytest.raises(JobError, match="a: a text is needed, not 5"):
        Derive.from_settings({"a": 5})
