"""SessionId: visits parted by a gap."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ops.ordered import scanned

from headrace.ops.session_id import SessionId


def test_a_gap_begins_a_new_session_and_each_key_begins_at_0() -> None:
    data = pa.table({"u": ["a", "a", "b", "a", "b"], "t": pa.array([0, 1800, 0, 3601, 9000], pa.timestamp("s", "UTC"))})
    assert scanned(SessionId("t", by="u"), data)["session_id"] == [0, 0, 0, 1, 1]
    assert scanned(SessionId("t", by="u", gap="3h", output="visit"), data)["visit"] == [0, 0, 0, 0, 0]


def test_nanoseconds_part_sessions_to_the_last() -> None:
    start = 1_700_000_000_000_000_000
    data = pa.table({"t": pa.array([start, start + 101, start + 150], pa.timestamp("ns"))})
    assert scanned(SessionId("t", gap=1e-7), data)["session_id"] == [0, 1, 1]


def test_rows_without_a_time_have_no_session_and_part_none() -> None:
    data = pa.table({"t": [0.0, None, math.nan, 5.0]})
    assert scanned(SessionId("t", gap=10), data)["session_id"] == [0, None, None, 0]


def test_null_is_a_key_and_an_empty_table_stays_empty() -> None:
    data = pa.table({"u": pa.array([None, None, "a"]).dictionary_encode(), "t": [5, 0, 1]})
    assert scanned(SessionId("t", by="u", gap=2), data)["session_id"] == [1, 0, 0]
    assert scanned(SessionId("t"), pa.table({"t": pa.array([], pa.int64())}))["session_id"] == []


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 100)), max_size=40), gap=st.integers(1, 20))
def test_sessions_equal_those_counted_one_by_one(rows: list[Any], gap: int) -> None:
    data = pa.table({"k": pa.array([k for k, _ in rows], pa.string()), "t": pa.array([t for _, t in rows], pa.int64())})
    expected = [0] * len(rows)
    for key in "ab":
        mine = sorted((t, row) for row, (k, t) in enumerate(rows) if k == key)
        for (before, previous), (time, row) in itertools.pairwise(mine):
            expected[row] = expected[previous] + (time - before > gap)
    assert scanned(SessionId("t", by="k", gap=gap), data)["session_id"] == expected
