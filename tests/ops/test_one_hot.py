"""OneHot: columns of 0 and 1, by named categories or by the most frequent."""

from __future__ import annotations

import collections
import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobError, JobErrors
from headrace.ops.one_hot import OneHot
from headrace.pipeline import Pipeline
from headrace.table import Backend

STRINGS = [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]


@pytest.mark.parametrize("kind", STRINGS)
def test_the_most_frequent_categories_get_columns_in_order(backend: Backend, kind: pa.DataType) -> None:
    data = pa.table({"c": pa.array(["b", "東京", "b", "a", None, "a", "b"], kind)})
    made = applied(backend, OneHot(["c"], max_categories=2), data)
    assert_same_column(made.table["c_0"], pa.array([1, 0, 1, 0, 0, 0, 1], pa.int8()))
    assert_same_column(made.table["c_1"], pa.array([0, 0, 0, 1, 0, 1, 0], pa.int8()))
    assert made.counts == {("unseen", "c"): 1}
    assert OneHot(["c"], max_categories=2).learnt(made.state) == "c_0 = b, c_1 = a, c: 1 categories without a column"


def test_columns_left_over_stay_0(backend: Backend) -> None:
    made = applied(backend, OneHot(["c"], max_categories=3), pa.table({"c": [True, True, False]}))
    assert (made["c_0"], made["c_1"], made["c_2"]) == ([1, 1, 0], [0, 0, 1], [0, 0, 0])


@pytest.mark.parametrize("kind", STRINGS)
def test_named_categories_name_the_columns(backend: Backend, kind: pa.DataType) -> None:
    op = OneHot(categories={"c": ["LGA", "JFK"]})
    assert not op.learns
    made = applied(backend, op, pa.table({"c": pa.array(["JFK", None, "EWR", "LGA", "EWR"], kind)}))
    assert made.table.column_names == ["c", "c_LGA", "c_JFK"]
    assert (made["c_LGA"], made["c_JFK"]) == ([0, 0, 0, 1, 0], [1, 0, 0, 0, 0])
    assert made.counts == {("unseen", "c"): 2}


@pytest.mark.parametrize("type_", [pa.int8(), pa.int64(), pa.uint16(), pa.int32()])
def test_named_integers_are_found_in_any_width(backend: Backend, type_: pa.DataType) -> None:
    made = applied(backend, OneHot(categories={"n": [7, 1]}), pa.table({"n": pa.array([1, 7, None, 3], type_)}))
    assert (made["n_7"], made["n_1"]) == ([0, 1, 0, 0], [1, 0, 0, 0])


def test_named_and_learnt_columns_in_one_step(backend: Backend) -> None:
    made = applied(
        backend, OneHot("a", max_categories=1, categories={"b": [True]}), pa.table({"a": ["x", "y", "x"], "b": [True, False, None]})
    )
    assert (made["a_0"], made["b_True"]) == ([1, 0, 1], [1, 0, 0])


def test_nan_and_int64_extremes_and_long_texts_are_categories(backend: Backend) -> None:
    data = pa.table({"f": [math.nan, math.nan, -0.0, 0.0, 1.0], "n": [2**63 - 1, -(2**63), -(2**63), None, None], "s": ["é" * 500_000] * 5})
    made = applied(backend, OneHot(["f", "n", "s"], max_categories=2), data)
    assert (made["f_0"], made["f_1"]) == ([0, 0, 1, 1, 0], [1, 1, 0, 0, 0])
    assert (made["n_0"], made["n_1"]) == ([0, 1, 1, 0, 0], [1, 0, 0, 0, 0])
    assert made["s_0"] == [1] * 5


@pytest.mark.parametrize("values", [pa.nulls(2), pa.nulls(2, pa.string()), pa.array([], pa.string())])
def test_all_null_and_empty_columns_are_0_everywhere(backend: Backend, values: pa.Array) -> None:
    made = applied(backend, OneHot(["c"], max_categories=1), pa.table({"c": values}))
    assert_same_column(made.table["c_0"], pa.array([0] * len(values), pa.int8()))
    assert not made.counts


def test_learning_more_moves_no_column() -> None:
    fitted = Pipeline([OneHot(["c"], max_categories=3)]).fit(pa.table({"c": ["a", "a", "b"]}))
    updated = fitted.update(pa.table({"c": ["z", "z", "z", "y"]}))
    assert updated.learnt() == ["c_0 = a, c_1 = b, c_2 = z, c: 1 categories without a column"]
    assert updated.transform(pa.table({"c": ["z", "a"]}))["c_2"].to_pylist() == [1, 0]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({}, "columns: name columns, or the categories of columns"),
        ({"columns": ["c"]}, "max_categories: is missing"),
        ({"columns": ["c"], "max_categories": 2, "categories": {"c": ["a"]}}, "categories.c: 'c' is also among `columns`"),
        ({"categories": {"c": ["a", "a"]}}, r"categories.c\[1\]: two columns would be called 'c_a'"),
        ({"categories": {"c": [1]}}, r"categories.c\[0\]: 1 does not fit 'c', which is string"),
        ({"categories": {"n": [True]}}, r"categories.n\[0\]: True does not fit 'n', which is int64"),
        ({"categories": {"f": ["a"]}}, r"categories\[0\]: 'f' is double, and a string, integer or boolean is needed"),
    ],
)
def test_mistakes_are_refused_with_their_keys(backend: Backend, settings_: dict[str, object], message: str) -> None:
    with pytest.raises(JobError, match=message):
        applied(backend, OneHot.from_settings(settings_), pa.table({"c": ["a"], "n": [1], "f": [0.5]}))


def test_no_category_is_refused() -> None:
    with pytest.raises(JobErrors, match=r"categories\.c: at least 1 must be named"):
        OneHot(categories={"c": []})


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.text("abé", max_size=2)), st.integers(1, 4))
def test_it_is_the_obvious_table(values: list[str | None], max_categories: int) -> None:
    counts = collections.Counter(value for value in values if value is not None)
    order = sorted(counts, key=lambda value: (-counts[value], value.encode()))[:max_categories]
    made = applied(ArrowBackend(), OneHot(["c"], max_categories=max_categories), pa.table({"c": pa.array(values, pa.string())}))
    for place in range(max_categories):
        category = order[place] if place < len(order) else object()
        assert made[f"c_{place}"] == [int(value == category) for value in values]
