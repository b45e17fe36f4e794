"""Keys: distinct rows of one or more columns; null is a value, NaN is NaN, -0.0 is 0.0."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.keys import Keys, factorize, factorize_array, merge_keys

NAN = math.nan
NEGATIVE_NAN = math.copysign(NAN, -1.0)


def keys(*values: object, type_: pa.DataType | None = None) -> Keys:
    return Keys(pa.table({"k": pa.array(values, type_)}))


@pytest.mark.parametrize(
    ("array", "codes", "values"),
    [
        (pa.array(["b", None, "b", "a"]), [0, 1, 0, 2], ["b", None, "a"]),
        (pa.array([None, None], pa.string()), [0, 0], [None]),
        (pa.array(["a", "b", None, "c", "a"]).dictionary_encode(), [0, 1, 2, 3, 0], ["a", "b", None, "c"]),
        (pa.array([3, None, 3, -(2**63), 2**63 - 1]), [0, 1, 0, 2, 3], [3, None, -(2**63), 2**63 - 1]),
        (pa.array([True, None, False, True]), [0, 1, 2, 0], [True, None, False]),
        (pa.array([], pa.string()), [], []),
        (pa.array([], pa.float64()), [], []),
    ],
)
def test_codes_go_by_first_appearance(array: pa.Array, codes: list[int], values: list[object]) -> None:
    found, distinct = factorize_array(array)
    assert (found.tolist(), distinct.to_pylist()) == (codes, values)


@pytest.mark.parametrize("type_", [pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.uint64()])
@pytest.mark.parametrize("low", [0, 100])
def test_integers_close_together_have_the_codes_of_any(type_: pa.DataType, low: int) -> None:
    array = pa.array(np.random.default_rng(0).integers(low, 127, 1_000)).cast(type_).slice(3)
    codes, values = factorize_array(array)
    expected = array.dictionary_encode()
    assert (codes.tolist(), values.to_pylist()) == (expected.indices.to_pylist(), expected.dictionary.to_pylist())
    assert values.type == type_


@pytest.mark.parametrize("ends", [[2**64 - 1, 2**64 - 3], [0, 2**64 - 1]])
def test_integers_at_the_end_of_their_type_have_codes(ends: list[int]) -> None:
    codes, values = factorize_array(pa.array([*ends, ends[0]], pa.uint64()))
    assert (codes.tolist(), values.to_pylist()) == ([0, 1, 0], ends)


def test_every_nan_is_one_and_both_zeros_are_one() -> None:
    for type_ in (pa.float64(), pa.float32(), pa.float16()):
        codes, values = factorize_array(pa.array(np.array([-0.0, NAN, 0.0, NEGATIVE_NAN, 1.0], type_.to_pandas_dtype())))
        assert codes.tolist() == [0, 1, 0, 1, 2]
        assert math.copysign(1.0, values[0].as_py()) == 1.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.none() | st.sampled_from(["a", "b", "\x00", ""]), st.none() | st.integers(0, 2), st.booleans()), max_size=40))
def test_rows_of_several_columns_are_numbered_like_tuples(rows: list[tuple[object, ...]]) -> None:
    columns = [pa.array([row[index] for row in rows], type_) for index, type_ in enumerate((pa.string(), pa.int64(), pa.bool_()))]
    codes, firsts = factorize(columns)
    order = list(dict.fromkeys(rows))
    assert codes.tolist() == [order.index(row) for row in rows]
    assert firsts.tolist() == [rows.index(row) for row in order]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.none() | st.text("ab", max_size=2), unique=True), st.lists(st.none() | st.text("ab", max_size=2), unique=True))
def test_a_union_has_the_left_keys_first(left: list[str | None], right: list[str | None]) -> None:
    union, left_codes, right_codes = merge_keys(keys(*left, type_=pa.string()), keys(*right, type_=pa.string()))
    expected = left + [key for key in right if key not in left]
    assert union.table["k"].to_pylist() == expected
    assert left_codes.tolist() == list(range(len(left)))
    assert right_codes.tolist() == [expected.index(key) for key in right]


def test_keys_of_several_columns_are_united_by_row() -> None:
    left = Keys(pa.table({"a": ["x", None], "b": [1, 1]}))
    right = Keys(pa.table({"a": [None, "x"], "b": [1, 2]}))
    union, _, codes = merge_keys(left, right)
    assert union.table.to_pylist() == [{"a": "x", "b": 1}, {"a": None, "b": 1}, {"a": "x", "b": 2}]
    assert codes.tolist() == [1, 2]


def test_positions_are_rows_here_or_minus_one() -> None:
    assert keys("a", None, "c").positions(keys("c", "z", None)).tolist() == [2, -1, 1]


def test_the_order_is_by_count_then_by_bytes() -> None:
    found = keys("b", "a", "ä", "Z", "c")
    order = found.order(np.arange(5), np.array([1, 1, 1, 1, 9]))
    assert found.take(order).table["k"].to_pylist() == ["c", "Z", "a", "b", "ä"]
    assert found.order(np.array([2, 0]), np.array([1, 0, 1, 0, 0])).tolist() == [1, 0]  # positions in what was asked for


@pytest.mark.parametrize("name", [".k", "[0]", "a.b", '"'])
def test_names_of_columns_are_no_paths_to_the_order(name: str) -> None:
    found = Keys(pa.table({"first": [2, 1, 1], name: ["a", "c", "b"]}))
    assert found.order(np.arange(3), np.array([1, 1, 1])).tolist() == [2, 1, 0]


def test_only_a_row_null_in_every_column_is_the_null() -> None:
    found = Keys(pa.table({"a": ["x", None, None], "b": [None, None, 1]}))
    null, rest = found.split_null()
    assert (null, rest.tolist()) == (1, [0, 2])
    assert keys("a").split_null()[0] == -1


def test_keys_are_values() -> None:
    found = keys("a", None)
    assert pickle.loads(pickle.dumps(found)) == found
    assert hash(keys("a", None)) == hash(found)
    assert keys("a") != found
    assert keys("a").with_null().table["k"].to_pylist() == [None, "a"]
    assert keys("a").appended(keys("b")).table["k"].to_pylist() == ["a", "b"]
