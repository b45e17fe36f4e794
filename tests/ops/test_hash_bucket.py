"""HashBucket: ids by XXH64, the same in every layout of a column, nothing learnt."""

from __future__ import annotations

import datetime as dt
import math
import struct
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobErrors
from headrace.ops.hash_bucket import HashBucket
from headrace.table import Backend
from headrace_kernels.hashing import hash_bytes

STRINGS = [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
NAN = math.nan


def obvious(value: str | int | float | None, buckets: int, seed: int = 0) -> int:
    """Hash a value's UTF-8, or its 8 little-endian bytes, by XXH64 in plain Python."""
    if value is None:
        return 0
    if isinstance(value, str):
        content = value.encode()
    elif isinstance(value, float):
        content = struct.pack("<d", value + 0.0 if value == value else NAN)
    else:
        content = struct.pack("<q", value)
    return 1 + hash_bytes(content, seed) % buckets


@pytest.mark.parametrize("kind", STRINGS)
def test_a_string_has_the_bucket_of_its_hash(backend: Backend, kind: pa.DataType) -> None:
    values = ["Oslo", "", "東京", None, "Oslo", "x" * 10**6]
    made = applied(backend, HashBucket(["c"], buckets=1000, seed=5), pa.table({"c": pa.array(values, kind)}))
    assert_same_column(made.table["c"], pa.array([obvious(value, 1000, 5) for value in values], pa.int32()))


@pytest.mark.parametrize("type_", [pa.int8(), pa.int32(), pa.int64(), pa.uint16()])
def test_an_integer_of_any_width_has_one_bucket(backend: Backend, type_: pa.DataType) -> None:
    made = applied(backend, HashBucket(["c"], buckets=97), pa.table({"c": pa.array([0, 5, None, 120], type_)}))
    assert made["c"] == [obvious(0, 97), obvious(5, 97), 0, obvious(120, 97)]


def test_int64_extremes_do_not_wrap(backend: Backend) -> None:
    made = applied(backend, HashBucket(["c"], buckets=2**31 - 1), pa.table({"c": [2**63 - 1, -(2**63)]}))
    assert made["c"] == [obvious(2**63 - 1, 2**31 - 1), obvious(-(2**63), 2**31 - 1)]


@pytest.mark.parametrize("type_", [pa.float32(), pa.float64()])
def test_floats_have_one_zero_and_one_nan(backend: Backend, type_: pa.DataType) -> None:
    other_nan = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    values = np.array([0.0, -0.0, NAN, other_nan, math.inf, -math.inf, 0.5])
    made = applied(backend, HashBucket(["c"], buckets=1000), pa.table({"c": pa.array(values).cast(type_)}))
    assert made["c"] == [obvious(value, 1000) for value in values.tolist()]


def test_times_decimals_and_booleans_have_buckets_that_do_not_depend_on_the_unit(backend: Backend) -> None:
    stamps = pa.array([dt.datetime(2013, 3, 10, 2, 30), None], pa.timestamp("s"))
    data = pa.table({"s": stamps, "ns": stamps.cast(pa.timestamp("ns")), "d": pa.array([Decimal("1.50"), None]), "b": [True, None]})
    made = applied(backend, HashBucket(["s", "ns", "d", "b"], buckets=10**6), data)
    assert made["s"] == made["ns"]
    assert [made[name][1] for name in data.column_names] == [0, 0, 0, 0]
    assert made["d"][0] == obvious("1.50", 10**6)
    assert made["b"][0] == obvious(1, 10**6)


def test_nanoseconds_within_one_microsecond_share_a_bucket_before_1970_too(backend: Backend) -> None:
    nanoseconds = pa.array([-1_000, -999, -1, 0, 999, 1_000], pa.timestamp("ns"))
    made = applied(backend, HashBucket(["c"], buckets=10**6), pa.table({"c": nanoseconds}))
    assert made["c"] == [obvious(microsecond, 10**6) for microsecond in (-1, -1, -1, 0, 0, 1)]


@pytest.mark.parametrize("data", [pa.nulls(3), pa.nulls(3, pa.string()), pa.array([], pa.string()), pa.array(["a"]).slice(1)])
def test_all_null_and_empty_columns_are_0(backend: Backend, data: pa.Array) -> None:
    assert applied(backend, HashBucket(["c"], buckets=7), pa.table({"c": data}))["c"] == [0] * len(data)


def test_a_null_among_the_values_of_a_dictionary_is_a_null(backend: Backend) -> None:
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), pa.array(["a", None]))
    assert applied(backend, HashBucket(["c"], buckets=7), pa.table({"c": coded}))["c"] == [obvious("a", 7), 0, 0]


def test_another_seed_gives_other_buckets(backend: Backend) -> None:
    data = pa.table({"c": [str(number) for number in range(100)]})
    one, other = (applied(backend, HashBucket(["c"], buckets=50, seed=seed), data)["c"] for seed in (0, 1))
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 20


def test_mistakes_are_refused_with_their_keys(backend: Backend) -> None:
    with pytest.raises(JobErrors, match="buckets: is missing"):
        HashBucket.from_settings(["c"])
    with pytest.raises(JobErrors, match="buckets: input should be greater than or equal to 1, not 0"):
        HashBucket(["c"], buckets=0)
    with pytest.raises(JobErrors, match=r"columns\[0\]: 'c' is list<item: int64>, and a string"):
        applied(backend, HashBucket(["c"], buckets=2), pa.table({"c": [[1]]}))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.text(max_size=40)), st.integers(1, 10**6), st.integers(0, 2**63))
def test_it_is_the_obvious_hash(values: list[str | None], buckets: int, seed: int) -> None:
    for kind in STRINGS[::2]:
        made = applied(
            ArrowBackend(), HashBucket("c", buckets=buckets, seed=seed), pa.table({"c": pa.array(values, pa.string()).cast(kind)})
        )
        assert made["c"] == [obvious(value, buckets, seed) for value in values]


def test_dates_that_microseconds_do_not_reach_have_a_bucket(backend: Backend) -> None:
    days = pa.array([2**31 - 1, -(2**31), 0, None], pa.int32())
    made = applied(backend, HashBucket(["x"], buckets=10**6), pa.table({"x": days.cast(pa.date32())}))
    assert len(set(made["x"])) == 4
    near = pa.table({"x": days[2:].cast(pa.date32()).cast(pa.timestamp("us"))})
    assert applied(backend, HashBucket(["x"], buckets=10**6), near)["x"] == made["x"][2:]
