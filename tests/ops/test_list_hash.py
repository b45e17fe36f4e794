"""ListHash: the elements of lists in buckets, counted or listed."""

from __future__ import annotations

import collections

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobError
from headrace.ops.hash_bucket import HashBucket
from headrace.ops.list_hash import ListHash
from headrace.table import Backend

LISTS = [["Oslo", "東京", "Oslo"], [], None, [None, ""]]
KINDS = [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.dictionary(pa.int8(), pa.string()))]


def bucket(backend: Backend, value: object, buckets: int) -> int:
    """Return the bucket that HashBucket gives to a single value."""
    found: int = applied(backend, HashBucket(["v"], buckets=buckets), pa.table({"v": [value]}))["v"][0]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_the_elements_buckets(backend: Backend, kind: pa.DataType) -> None:
    oslo, tokyo, empty = (bucket(backend, value, 1000) for value in ("Oslo", "東京", ""))
    made = applied(backend, ListHash("l", buckets=1000, output="list"), pa.table({"l": pa.array(LISTS, kind)}))
    assert_same_column(made.table["l"], pa.array([[oslo, tokyo, oslo], [], None, [0, empty]], pa.list_(pa.int32())))


@pytest.mark.parametrize("kind", KINDS)
def test_counts_of_each_bucket(backend: Backend, kind: pa.DataType) -> None:
    made = applied(backend, ListHash("l", buckets=3), pa.table({"l": pa.array(LISTS, kind)}))
    expected = {number: [0, 0, None, 0] for number in (1, 2, 3)}
    for row, values in ((0, ["Oslo", "東京", "Oslo"]), (3, [""])):
        for value in values:
            expected[bucket(backend, value, 3)][row] += 1
    assert {number: made[f"l_{number}"] for number in (1, 2, 3)} == expected
    assert made.table["l_1"].type == pa.int32()


def test_integers_hash_as_in_a_plain_column(backend: Backend) -> None:
    made = applied(backend, ListHash("l", buckets=10**6, output="list"), pa.table({"l": [[2**63 - 1], [-(2**63)]]}))
    assert made["l"] == [[bucket(backend, 2**63 - 1, 10**6)], [bucket(backend, -(2**63), 10**6)]]


def test_a_slice_of_a_table_counts_its_own_lists(backend: Backend) -> None:
    data = pa.table({"l": [["x"] * 5, ["a"], None, ["x"]]}).slice(1, 2)
    made = applied(backend, ListHash("l", buckets=1), data)
    assert made["l_1"] == [1, None]


@pytest.mark.parametrize("values", [pa.array([], KINDS[0]), pa.nulls(2, KINDS[0]), pa.array([[], [None]], KINDS[0])])
def test_empty_and_all_null_columns(backend: Backend, values: pa.Array) -> None:
    data = pa.table({"l": values})
    assert applied(backend, ListHash("l", buckets=1), data)["l_1"] == [None if value is None else 0 for value in values.to_pylist()]
    listed = applied(backend, ListHash("l", buckets=1, output="list"), data)["l"]
    assert listed == [None if value is None else [0] * len(value) for value in values.to_pylist()]


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (ListHash("s", buckets=2), r"columns\[0\]: 's' is string, and a list of strings"),
        (ListHash("nested", buckets=2), r"columns\[0\]: 'nested' is list<item: list<item: int64>>, and a list of strings"),
        (ListHash("l", buckets=5000), "buckets: counts make a column for each bucket: 4,096 at most, not 5,000\n  or output: list"),
    ],
)
def test_mistakes_are_refused_with_their_keys(backend: Backend, op: ListHash, message: str) -> None:
    with pytest.raises(JobError, match=message):
        applied(backend, op, pa.table({"s": ["a"], "nested": [[[1]]], "l": [[1]]}))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.lists(st.none() | st.integers(-3, 3), max_size=6)), st.integers(1, 5))
def test_it_is_the_obvious_count(lists: list[list[int | None] | None], buckets: int) -> None:
    backend = ArrowBackend()
    of_value = {value: bucket(backend, value, buckets) for value in range(-3, 4)}
    made = applied(backend, ListHash("l", buckets=buckets), pa.table({"l": pa.array(lists, pa.list_(pa.int16()))}))
    counts = [None if one is None else collections.Counter(of_value[value] for value in one if value is not None) for one in lists]
    for number in range(1, buckets + 1):
        assert made[f"l_{number}"] == [None if count is None else count[number] for count in counts]
