"""Rolling: counts, sums and extremes of a key's recent past."""

from __future__ import annotations

import datetime as dt
import math
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.comparing import assert_same_column
from tests.ops.ordered import scanned

from headrace.errors import JobErrors
from headrace.ops.rolling import Rolling
from headrace.schema import INT64, STRING, Schema

NAN, INF = math.nan, math.inf
ALL = ("count", "sum", "mean", "min", "max")


def test_every_statistic_of_a_small_table() -> None:
    data = pa.table({"k": ["a", "b", "a", "a"], "t": [0, 1, 5, 12], "x": pa.array([1, 7, 2, 4], pa.int32())})
    made = scanned(Rolling("x", window=10, order="t", by="k", stats=ALL), data)
    assert made["x_count_10"] == [1, 1, 2, 2]
    assert made["x_sum_10"] == [1.0, 7.0, 3.0, 6.0]
    assert made["x_mean_10"] == [1.0, 7.0, 1.5, 3.0]
    assert made["x_min_10"] == [1, 7, 1, 2]
    assert made["x_max_10"] == [1, 7, 2, 4]
    assert made.table.schema.field("x_min_10").type == pa.int32()


def test_the_older_end_of_the_window_is_left_out() -> None:
    made = scanned(Rolling("x", window=10, order="t"), pa.table({"t": [0, 10, 19], "x": [1.0, 2.0, 4.0]}))
    assert made["x_sum_10"] == [1.0, 2.0, 6.0]


def test_the_row_itself_can_be_left_out() -> None:
    data = pa.table({"t": [0, 1, 50], "x": [1.0, 2.0, 4.0]})
    made = scanned(Rolling("x", window=10, order="t", stats=ALL, include_current=False), data)
    assert made["x_count_10"] == [0, 1, 0]
    assert made["x_sum_10"] == [0.0, 1.0, 0.0]
    assert made["x_mean_10"] == made["x_min_10"] == made["x_max_10"] == [None, 1.0, None]


def test_rows_are_put_in_order_and_rows_of_one_time_keep_the_order_of_the_source() -> None:
    made = scanned(Rolling("x", window=10, order="t", stats="count"), pa.table({"t": [5, 5, 0], "x": [1, 1, 1]}))
    assert made["x_count_10"] == [2, 3, 1]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_a_window_of_time_is_the_same_in_every_unit(unit: str, zone: str | None) -> None:
    times = [dt.datetime(2013, 11, 3, 5, 30), dt.datetime(2013, 11, 3, 6, 29, 59), dt.datetime(2013, 11, 3, 6, 30)]  # summer time ends
    data = pa.table({"t": pa.array(times, pa.timestamp(unit, zone)), "x": [1.0, 2.0, 4.0]})
    assert scanned(Rolling("x", window="1h", order="t"), data)["x_sum_1h"] == [1.0, 3.0, 6.0]


def test_dates_have_days() -> None:
    days = pa.array([dt.date(1969, 12, 30), dt.date(1970, 1, 2), dt.date(1970, 1, 5)])
    assert scanned(Rolling("x", window="7d", order="t"), pa.table({"t": days, "x": [1.0, 2.0, 4.0]}))["x_sum_7d"] == [1.0, 3.0, 7.0]
    assert scanned(Rolling("x", window="6d", order="t"), pa.table({"t": days, "x": [1.0, 2.0, 4.0]}))["x_sum_6d"] == [1.0, 3.0, 6.0]
    assert scanned(Rolling("x", window="3d", order="t"), pa.table({"t": days, "x": [1.0, 2.0, 4.0]}))["x_sum_3d"] == [1.0, 2.0, 4.0]


def test_missing_values_take_no_part_and_missing_times_get_nothing() -> None:
    data = pa.table({"t": [0.0, 1.0, 2.0, 3.0, None, NAN, 4.0], "x": [1.0, None, NAN, INF, 5.0, 6.0, 2.0]})
    made = scanned(Rolling("x", window=100, order="t", stats=["count", "sum", "max"]), data)
    assert made["x_count_100"] == [1, 1, 1, 1, None, None, 2]
    assert made["x_sum_100"] == [1.0, 1.0, 1.0, 1.0, None, None, 3.0]
    assert made["x_max_100"] == [1.0, 1.0, 1.0, 1.0, None, None, 2.0]


def test_what_leaves_the_window_leaves_no_rounding_behind() -> None:
    data = pa.table({"t": [0, 1, 2, 12, 13, 14], "x": [1e16, 1.0, 1e308, 1e308, 1.0, 1.0]})
    assert scanned(Rolling("x", window=10, order="t"), data)["x_sum_10"][2:4] == [1e308, 1e308]
    overflow = pa.table({"t": [0, 1, 30, 31], "x": [1.7e308, 1.7e308, 3.0, 4.0]})
    assert scanned(Rolling("x", window=30, order="t"), overflow)["x_sum_30"] == [1.7e308, INF, 1.7e308, 7.0]


def test_integers_at_their_ends_stay_what_they_are() -> None:
    ends = [2**63 - 1, -(2**63), 2**63 - 2]
    made = scanned(Rolling("x", window=3, order="t", stats=["sum", "min", "max"]), pa.table({"t": [0, 1, 2], "x": ends}))
    assert made["x_min_3"] == [2**63 - 1, -(2**63), -(2**63)]
    assert made["x_max_3"] == [2**63 - 1] * 3
    assert made["x_sum_3"] == [2.0**63, 0.0, 2.0**63]
    wide = scanned(Rolling("x", window=2.0**63, order="t"), pa.table({"t": [-(2**63), 2**63 - 1], "x": [1.0, 2.0]}))
    assert wide[wide.table.column_names[-1]] == [1.0, 2.0]  # 2**64 - 1 apart


def test_an_empty_table_one_row_and_booleans() -> None:
    empty = pa.table({"t": pa.array([], pa.timestamp("us")), "x": pa.array([], pa.float32())})
    assert scanned(Rolling("x", window="1h", order="t", stats=ALL), empty).table.num_rows == 0
    one = pa.table({"k": pa.array(["x" * 1_000_000]).dictionary_encode(), "t": [0], "x": [True]})
    made = scanned(Rolling("x", window=5, order="t", by="k", stats=ALL), one)
    assert [made[f"x_{stat}_5"] for stat in ALL] == [[1], [1.0], [1.0], [True], [True]]


def test_lengths_and_columns_are_checked() -> None:
    with pytest.raises(JobErrors, match="30m"):
        Rolling("x", window="3 parsecs", order="t")
    with pytest.raises(JobErrors, match="above 0"):
        Rolling("x", window=0, order="t")
    schema = Schema({"x": INT64, "t": INT64, "s": STRING})
    with pytest.raises(Exception, match="units"):
        Rolling("x", window="1h", order="t").declare(schema, {})
    with pytest.raises(JobErrors, match="a number or boolean"):
        Rolling("s", window=1, order="t").declare(schema, {})
    with pytest.raises(JobErrors, match="a date, timestamp or number"):
        Rolling("x", window=1, order="s").declare(schema, {})


ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.one_of(st.none(), st.integers(0, 20)), st.one_of(st.none(), st.floats(-1e6, 1e6))),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, window=st.integers(1, 25), current=st.booleans())
def test_windows_equal_those_looked_up_row_by_row(rows: list[Any], window: int, current: bool) -> None:
    data = pa.table(
        {
            "k": pa.array([k for k, _, _ in rows], pa.string()),
            "t": pa.array([t for _, t, _ in rows], pa.int64()),
            "x": pa.array([x for _, _, x in rows], pa.float64()),
        }
    )
    made = scanned(Rolling("x", window=window, order="t", by="k", stats=ALL, include_current=current), data)
    expected: dict[str, list[Any]] = {stat: [] for stat in ALL}
    for row, (key, time, _) in enumerate(rows):
        seen = [
            x
            for i, (k, t, x) in enumerate(rows)
            if time is not None
            and t is not None
            and k == key
            and x is not None
            and (t, i) <= (time, row)
            and time - t < window
            and (current or i != row)
        ]
        total = float(sum(map(Fraction, seen)))
        found = {
            "count": len(seen),
            "sum": total,
            "mean": total / len(seen) if seen else None,
            "min": min(seen, default=None),
            "max": max(seen, default=None),
        }
        for stat in ALL:
            expected[stat].append(None if time is None else found[stat])
    for stat in ALL:
        kind = pa.int64() if stat == "count" else pa.float64()
        assert_same_column(
            made.table[f"x_{stat}_{window}"], pa.array(expected[stat], kind), 1e-15 if stat in ("sum", "mean") else 0.0, stat
        )
