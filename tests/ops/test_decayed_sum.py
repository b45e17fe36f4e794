"""DecayedSum: old events count less and less."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.comparing import assert_same_column
from tests.ops.ordered import scanned

from headrace.errors import JobErrors
from headrace.ops.decayed_sum import DecayedSum

NAN, INF = math.nan, math.inf


def test_a_value_is_halved_for_every_half_life() -> None:
    data = pa.table({"k": ["a", "b", "a", "a"], "t": pa.array([0, 5, 10, 30], pa.timestamp("s")), "x": [8, 1, 0, 1]})
    assert scanned(DecayedSum("x", half_life="10s", order="t", by="k"), data)["x_decayed_10s"] == [8.0, 1.0, 4.0, 2.0]


def test_the_row_itself_can_be_left_out() -> None:
    op = DecayedSum("x", half_life=10, order="t", include_current=False)
    assert scanned(op, pa.table({"t": [20, 0, 10], "x": [1.0, 8.0, 2.0]}))["x_decayed_10"] == [3.0, 0.0, 4.0]


def test_missing_values_count_as_0_and_missing_times_get_nothing() -> None:
    data = pa.table({"t": [0.0, 10.0, NAN, None, 20.0], "x": [None, 4.0, 99.0, 99.0, INF]})
    assert scanned(DecayedSum("x", half_life=10, order="t"), data)["x_decayed_10"] == [0.0, 4.0, None, None, 2.0]


def test_it_dies_out_and_lives_again_without_end() -> None:
    data = pa.table({"t": [-(2**63), 2**63 - 1], "x": [1e308, 1.0]})
    assert scanned(DecayedSum("x", half_life=1, order="t"), data)["x_decayed_1"] == [1e308, 1.0]


def test_an_empty_table_and_a_wrong_half_life() -> None:
    empty = pa.table({"t": pa.array([], pa.date32()), "x": pa.array([], pa.bool_())})
    assert scanned(DecayedSum("x", half_life="1d", order="t"), empty)["x_decayed_1d"] == []
    with pytest.raises(JobErrors, match="above 0"):
        DecayedSum("x", half_life=-1, order="t")


ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50), st.one_of(st.none(), st.floats(0, 1e6))), max_size=30)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, half_life=st.integers(1, 20), current=st.booleans())
def test_sums_equal_those_of_the_formula(rows: list[Any], half_life: int, current: bool) -> None:
    data = pa.table(
        {
            "k": pa.array([k for k, _, _ in rows], pa.string()),
            "t": pa.array([t for _, t, _ in rows], pa.int32()),
            "x": pa.array([x for _, _, x in rows], pa.float64()),
        }
    )
    made = scanned(DecayedSum("x", half_life=half_life, order="t", by="k", include_current=current), data)
    expected = [
        math.fsum(
            (x or 0.0) * 2.0 ** (-(time - t) / half_life)
            for i, (k, t, x) in enumerate(rows)
            if k == key and (t, i) <= (time, row) and (current or i != row)
        )
        for row, (key, time, _) in enumerate(rows)
    ]
    assert_same_column(made.table[f"x_decayed_{half_life}"], pa.array(expected, pa.float64()), 1e-13)
