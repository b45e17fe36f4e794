"""ListSlice: a part of each list, padded if wanted."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobError, JobErrors
from headrace.ops.list_slice import ListSlice
from headrace.table import Backend

LISTS = [[1, 2, 3, 4], [], None, [5, None]]
KINDS = [pa.list_(pa.int32()), pa.large_list(pa.int64()), pa.list_(pa.float64())]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 2, [[1, 2], [], None, [5, None]]),
        (1, None, [[2, 3, 4], [], None, [None]]),
        (-2, None, [[3, 4], [], None, [5, None]]),
        (1, -1, [[2, 3], [], None, []]),
        (-3, -1, [[2, 3], [], None, [5]]),
        (3, 1, [[], [], None, []]),
        (0, None, LISTS),
    ],
)
def test_a_slice_is_counted_as_in_python(backend: Backend, kind: pa.DataType, start: int, stop: int | None, expected: list[object]) -> None:
    made = applied(backend, ListSlice(["l"], start=start, stop=stop), pa.table({"l": pa.array(LISTS, kind)}))
    assert made["l"] == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 3, [[1, 2, 3], [9, 9, 9], None, [5, None, 9]]),
        (-3, None, [[2, 3, 4], [9, 9, 9], None, [5, None, 9]]),
        (-3, -1, [[2, 3], [9, 9], None, [5, 9]]),
        (2, 2, [[], [], None, []]),
    ],
)
def test_padded_lists_have_one_length(backend: Backend, kind: pa.DataType, start: int, stop: int | None, expected: list[object]) -> None:
    made = applied(backend, ListSlice("l", start=start, stop=stop, pad=9), pa.table({"l": pa.array(LISTS, kind)}))
    assert made["l"] == expected


def test_a_slice_of_a_table_keeps_its_own_lists(backend: Backend) -> None:
    data = pa.table({"l": pa.array([[0], *LISTS, [7]], pa.list_(pa.int8()))}).slice(1, 4)
    assert applied(backend, ListSlice("l", stop=1), data)["l"] == [[1], [], None, [5]]


def test_texts_nan_and_extremes_stay_what_they_are(backend: Backend) -> None:
    long = "é" * 500_000
    data = pa.table({"s": [["a", long], None, [None]], "f": [[math.nan, -0.0], [math.inf], []], "n": [[2**63 - 1, -(2**63)], [0], None]})
    made = applied(backend, ListSlice(["s", "f", "n"], start=-1), data)
    assert (made["s"], made["n"]) == ([[long], None, [None]], [[-(2**63)], [0], None])
    assert_same_column(made.table["f"].combine_chunks().flatten(), pa.array([-0.0, math.inf]))


@pytest.mark.parametrize("values", [pa.array([], KINDS[0]), pa.nulls(2, KINDS[0]), pa.array([[], []], KINDS[0])])
@pytest.mark.parametrize("pad", [None, 0])
def test_empty_and_all_null_columns(backend: Backend, values: pa.Array, pad: int | None) -> None:
    made = applied(backend, ListSlice("l", stop=2, pad=pad), pa.table({"l": values}))
    assert made["l"] == [None if value is None else [0, 0] * (pad is not None) for value in values.to_pylist()]


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (ListSlice("n"), r"columns\[0\]: 'n' is int64, and a list is needed"),
        (ListSlice("l", pad=0), "pad: lists are padded to a length that start and stop must tell"),
        (ListSlice("l", start=1, stop=-1, pad=0), "pad: lists are padded to a length that start and stop must tell"),
        (ListSlice("s", stop=2, pad=0), "pad: 0 does not fit the elements of 's', which are string"),
        (ListSlice("l", stop=2, pad=0.5), "pad: 0.5 does not fit the elements of 'l', which are int64"),
    ],
)
def test_mistakes_are_refused_with_their_keys(backend: Backend, op: ListSlice, message: str) -> None:
    with pytest.raises(JobError, match=message):
        applied(backend, op, pa.table({"n": [1], "l": [[1]], "s": [["a"]]}))


def test_settings_are_checked() -> None:
    with pytest.raises(JobErrors, match="start: an integer is needed"):
        ListSlice("l", start="first")  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.none() | st.lists(st.none() | st.integers(-9, 9), max_size=6)),
    st.integers(-7, 7),
    st.none() | st.integers(-7, 7),
)
def test_it_is_pythons_slice(lists: list[list[int | None] | None], start: int, stop: int | None) -> None:
    made = applied(ArrowBackend(), ListSlice("l", start=start, stop=stop), pa.table({"l": pa.array(lists, KINDS[0])}))
    assert made["l"] == [None if one is None else one[start:stop] for one in lists]
