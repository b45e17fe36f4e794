"""AsOfJoin: another table as it was at each row's time, and never as it became."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_table
from tests.laws.two_ways import two_ways

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobErrors
from headrace.ops.as_of_join import AsOfJoin
from headrace.schema import Schema
from headrace.table import Backend

SIDE = pa.table({"at": [5, 1, 9, 4], "sym": ["a", "a", "a", "b"], "price": [50.0, 10.0, 90.0, 40.0]})


def test_the_last_row_at_or_before_each_time_of_the_same_key(backend: Backend) -> None:
    data = pa.table({"t": [5, 8, 3, 7, 0], "sym": ["a", "a", "b", "b", "a"]})
    made = applied(backend, AsOfJoin("side", on={"t": "at"}, columns=["price"], by=["sym"]), data, tables={"side": SIDE})
    assert made["price"] == [50.0, 50.0, None, 40.0, None]
    assert made.counts[("unmatched", "price")] == 2


def test_exact_matches_can_be_left_out_and_far_ones_too(backend: Backend) -> None:
    data = pa.table({"t": [5, 8, 9, 100], "sym": ["a"] * 4})
    before = AsOfJoin("side", on={"t": "at"}, columns=["price"], by="sym", allow_exact_matches=False)
    assert applied(backend, before, data, tables={"side": SIDE})["price"] == [10.0, 50.0, 50.0, 90.0]
    near = AsOfJoin("side", on={"t": "at"}, columns=["price"], by="sym", tolerance=3)
    assert applied(backend, near, data, tables={"side": SIDE})["price"] == [50.0, 50.0, 90.0, None]


def test_without_a_key_the_table_is_one_series(backend: Backend) -> None:
    made = applied(
        backend, AsOfJoin("side", on={"t": "at"}, columns={"p": "price", "who": "sym"}), pa.table({"t": [4, 6]}), tables={"side": SIDE}
    )
    assert (made["p"], made["who"]) == ([40.0, 50.0], ["b", "a"])


@pytest.mark.parametrize(("ours", "theirs"), [("us", "ns"), ("ns", "s"), ("s", "ms"), ("ms", "ms")])
def test_units_of_time_need_not_be_the_same(backend: Backend, ours: str, theirs: str) -> None:
    times = [dt.datetime(2024, 1, 1, hour) for hour in (1, 3)]
    side = pa.table({"t": pa.array(times, pa.timestamp(theirs, "UTC")), "x": [1, 3]})
    data = pa.table({"t": pa.array([dt.datetime(2024, 1, 1, hour) for hour in (0, 2, 3, 5)], pa.timestamp(ours, "Europe/Oslo"))})
    assert applied(backend, AsOfJoin("side", on="t", columns="x"), data, tables={"side": side})["x"] == [None, 1, 3, 3]
    assert applied(backend, AsOfJoin("side", on="t", columns="x", tolerance="1h"), data, tables={"side": side})["x"] == [None, 1, 3, None]


def test_missing_times_find_nothing_and_null_keys_find_null_keys(backend: Backend) -> None:
    side = pa.table({"t": [1.0, None, math.nan, 2.0], "k": ["a", "a", "a", None], "x": [1, 2, 3, 4]})
    data = pa.table({"t": [9.0, None, math.nan, 9.0], "k": pa.array(["a", "a", "a", None]).dictionary_encode()})
    assert applied(backend, AsOfJoin("side", on="t", columns="x", by="k"), data, tables={"side": side})["x"] == [1, None, None, 4]


def test_of_rows_with_one_key_and_time_the_last_counts(backend: Backend) -> None:
    side = pa.table({"t": [1, 1, 1], "x": ["first", "second", "last"]})
    assert applied(backend, AsOfJoin("side", on="t", columns="x"), pa.table({"t": [1]}), tables={"side": side})["x"] == ["last"]


def test_the_ends_of_int64_are_far_apart(backend: Backend) -> None:
    side, data = pa.table({"t": [-(2**63)], "x": [1]}), pa.table({"t": [2**63 - 1]})
    assert applied(backend, AsOfJoin("side", on="t", columns="x"), data, tables={"side": side})["x"] == [1]
    assert applied(backend, AsOfJoin("side", on="t", columns="x", tolerance=2**63), data, tables={"side": side})["x"] == [None]


def test_empty_tables_on_either_side(backend: Backend) -> None:
    op = AsOfJoin("side", on={"t": "at"}, columns="price", by="sym")
    data = pa.table({"t": [5], "sym": ["a"]})
    assert applied(backend, op, data, tables={"side": SIDE.slice(0, 0)})["price"] == [None]
    assert applied(backend, op, data.slice(0, 0), tables={"side": SIDE})["price"] == []


def test_columns_that_cannot_be_compared_are_refused() -> None:
    tables = {"side": Schema.from_arrow(SIDE.schema)}
    schema = Schema.from_arrow(pa.schema([("t", pa.timestamp("us")), ("n", pa.int64()), ("sym", pa.string())]))
    with pytest.raises(JobErrors, match=r"'t' is timestamp\[us\], but side.at is int64"):
        AsOfJoin("side", on={"t": "at"}, columns="price").declare(schema, tables)
    with pytest.raises(JobErrors, match="no column 'prize'"):
        AsOfJoin("side", on={"n": "at"}, columns="prize").declare(schema, tables)
    with pytest.raises(JobErrors, match="on"):
        AsOfJoin("side", on=["t", "n"], columns="price")
    with pytest.raises(Exception, match="units"):
        AsOfJoin("side", on={"n": "at"}, columns="price", tolerance="1h").declare(schema, tables)


TIMES = st.one_of(st.none(), st.integers(0, 15))


@settings(max_examples=40, deadline=None)
@given(
    left=st.lists(st.tuples(st.sampled_from(["a", "b", None]), TIMES), max_size=25),
    right=st.lists(st.tuples(st.sampled_from(["a", "c", None]), TIMES), max_size=25),
    tolerance=st.one_of(st.none(), st.integers(1, 10)),
    exact=st.booleans(),
)
def test_it_equals_looking_at_every_row(left: list[Any], right: list[Any], tolerance: int | None, exact: bool) -> None:
    data = pa.table({"k": pa.array([k for k, _ in left], pa.string()), "t": pa.array([t for _, t in left], pa.int64())})
    side = pa.table(
        {"k": pa.array([k for k, _ in right], pa.string()), "t": pa.array([t for _, t in right], pa.int32()), "row": range(len(right))}
    )
    op = AsOfJoin("side", on="t", columns="row", by="k", tolerance=tolerance, allow_exact_matches=exact)
    expected = []
    for key, time in left:
        found = [
            (t, row)
            for row, (k, t) in enumerate(right)
            if k == key
            and time is not None
            and t is not None
            and (t < time or (exact and t == time))
            and (tolerance is None or time - t <= tolerance)
        ]
        expected.append(max(found)[1] if found else None)
    assert applied(ArrowBackend(), op, data, tables={"side": side})["row"] == expected


@pytest.mark.parametrize("bucket_rows", [1 << 18, 20], ids=["one bucket", "many buckets"])
def test_joining_by_exchange_gives_the_same_bits(bucket_rows: int, parquet: Callable[..., Path]) -> None:
    random = np.random.default_rng(5)
    names = [*map(str, range(30)), None]
    times = pa.array(random.integers(0, 10**9, 2_000) * 1_000, pa.timestamp("us"), mask=random.random(2_000) < 0.1)
    data = pa.table({"t": times, "sym": [names[n] for n in random.integers(0, 31, 2_000)]})
    at = pa.array(random.integers(0, 100, 900) * 10**7, pa.timestamp("ms"), mask=random.random(900) < 0.1)  # many of one key and time
    side = pa.table({"name": [names[n] for n in random.integers(3, 31, 900)], "at": at, "price": np.arange(900.0)})
    paths = parquet(data, 7), {"side": parquet(side, 5, name="side.parquet")}
    for settings_ in ({}, {"tolerance": "2d", "allow_exact_matches": False}):
        op = AsOfJoin("side", on={"t": "at"}, by={"sym": "name"}, columns={"price": "price", "seen": "at"}, **settings_)
        whole, met = two_ways([op], *paths, bucket_rows)
        assert_same_table(met.table, whole.table)
        assert met.ledger.step_counts(0) == whole.ledger.step_counts(0)
        assert 0 < whole.table["price"].null_count < 1_500
