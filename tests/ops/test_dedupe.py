"""Dedupe: one row of each key."""

from __future__ import annotations

import math
import struct
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ops.ordered import scanned

from headrace.ops.dedupe import Dedupe


def test_the_first_row_of_each_key_stays_and_the_others_are_counted() -> None:
    made = scanned(Dedupe(["k"]), pa.table({"k": ["b", "a", "b", "b"], "x": [1, 2, 3, 4]}))
    assert (made["k"], made["x"]) == (["b", "a"], [1, 2])
    assert made.counts[("duplicates", "k")] == 2


def test_the_last_by_time_stays_where_it_was() -> None:
    data = pa.table({"k": ["a", "a", "b", "a"], "t": [5, 9, 1, 7], "x": [1, 2, 3, 4]})
    assert scanned(Dedupe("k", keep="last", order="t"), data)["x"] == [2, 3]
    assert scanned(Dedupe("k", keep="first", order="t"), data)["x"] == [1, 3]
    assert scanned(Dedupe("k", keep="last"), data)["x"] == [3, 4]


def test_null_equals_null_nan_equals_nan_and_zero_has_no_sign() -> None:
    other_nan = struct.unpack("d", struct.pack("Q", 0xFFF8_0000_0000_0001))[0]
    data = pa.table({"k": [None, 0.0, math.nan, -0.0, other_nan, None], "x": range(6)})
    assert scanned(Dedupe("k"), data)["x"] == [0, 1, 2]


def test_keys_of_several_columns_and_an_empty_table() -> None:
    data = pa.table({"a": pa.array(["x", "x", "y", "x"]).dictionary_encode(), "b": [1, 2, 1, 1]})
    made = scanned(Dedupe(["a", "b"]), data)
    assert made.table.num_rows == 3
    assert made.counts[("duplicates", "a, b")] == 1
    assert scanned(Dedupe(["a", "b"]), data.slice(0, 0)).table.num_rows == 0


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(st.sampled_from(["a", "é", None]), st.integers(0, 3)), max_size=30), last=st.booleans())
def test_it_equals_a_dictionary(rows: list[Any], last: bool) -> None:
    data = pa.table(
        {
            "k": pa.array([k for k, _ in rows], pa.string()),
            "t": pa.array([t for _, t in rows], pa.int64()),
            "row": pa.array(range(len(rows)), pa.int64()),
        }
    )
    chosen: dict[Any, tuple[int, int]] = {}
    for row, (key, time) in enumerate(rows):
        here = (time, row)
        chosen[key] = max(chosen.get(key, here), here) if last else min(chosen.get(key, here), here)
    made = scanned(Dedupe("k", keep="last" if last else "first", order="t"), data)
    assert made["row"] == sorted(row for _, row in chosen.values())
