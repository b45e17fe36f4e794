"""TimeSinceLast: how long ago a key was seen."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ops.ordered import scanned

from headrace.ops.time_since_last import TimeSinceLast


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_seconds_since_the_row_before_whatever_the_unit(unit: str) -> None:
    times = [dt.datetime(2024, 1, 1, 0, 0, 1), dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2, 0, 0, 1)]
    data = pa.table({"k": ["a", "a", "b", "a"], "t": pa.array(times, pa.timestamp(unit, "UTC"))})
    assert scanned(TimeSinceLast("t", by="k"), data)["t_since_last"] == [1.0, None, None, 86_400.0]


def test_days_become_seconds_and_numbers_keep_their_units() -> None:
    assert scanned(TimeSinceLast("d"), pa.table({"d": [dt.date(1969, 12, 31), dt.date(1970, 1, 2)]}))["d_since_last"] == [None, 172_800.0]
    assert scanned(TimeSinceLast("n"), pa.table({"n": [2.5, 1.0]}))["n_since_last"] == [1.5, None]


@pytest.mark.parametrize("type_", [pa.int64(), pa.uint64()])
def test_numbers_that_no_float_tells_apart_are_told_apart(type_: pa.DataType) -> None:
    data = pa.table({"n": pa.array([2**60 + 3, 2**60, 2**60 + 1, None], type_)})
    assert scanned(TimeSinceLast("n"), data)["n_since_last"] == [2.0, None, 1.0, None]


def test_rows_without_a_time_are_no_row_before() -> None:
    assert scanned(TimeSinceLast("t"), pa.table({"t": [0.0, None, math.nan, 5.0, 5.0]}))["t_since_last"] == [None, None, None, 5.0, 0.0]
    assert scanned(TimeSinceLast("t"), pa.table({"t": pa.array([], pa.float32())}))["t_since_last"] == []


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(st.sampled_from([1, 2, None]), st.integers(-(2**40), 2**40)), max_size=40))
def test_it_equals_what_is_found_one_by_one(rows: list[Any]) -> None:
    data = pa.table({"k": pa.array([k for k, _ in rows], pa.int64()), "t": pa.array([t for _, t in rows], pa.int64())})
    expected: list[Any] = [None] * len(rows)
    for key in (1, 2, None):
        mine = sorted((t, row) for row, (k, t) in enumerate(rows) if k == key)
        for (before, _), (time, row) in itertools.pairwise(mine):
            expected[row] = float(time - before)
    assert scanned(TimeSinceLast("t", by="k"), data)["t_since_last"] == expected
