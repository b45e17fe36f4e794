"""CountEncoding: how many training rows have a category."""

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
from headrace.errors import JobErrors
from headrace.ops.count_encoding import CountEncoding
from headrace.table import Backend

STRINGS = [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
NAN = math.nan


@pytest.mark.parametrize("kind", STRINGS)
def test_every_row_gets_the_count_of_its_category(backend: Backend, kind: pa.DataType) -> None:
    data = pa.table({"c": pa.array(["Oslo", "Łódź", "Oslo", None, "", None, "Oslo"], kind)})
    made = applied(backend, CountEncoding(["c"]), data)
    assert_same_column(made.table["c_count"], pa.array([3, 1, 3, 2, 1, 2, 3], pa.int64()))
    assert made.table["c"].to_pylist() == data["c"].to_pylist()
    assert not made.counts


def test_a_frequency_is_a_share_of_the_training_rows(backend: Backend) -> None:
    made = applied(backend, CountEncoding(["c"], output="frequency"), pa.table({"c": ["a", "b", "b", None]}))
    assert_same_column(made.table["c_frequency"], pa.array([0.25, 0.5, 0.5, 0.25]))


def test_an_unseen_category_has_0_and_is_counted(backend: Backend) -> None:
    learnt_from = pa.table({"c": ["a", "a", "b"]})
    made = applied(backend, CountEncoding(["c"]), pa.table({"c": ["z", "a", None, "z"]}), learnt_from=learnt_from)
    assert made["c_count"] == [0, 2, 0, 0]
    assert made.counts == {("unseen", "c_count"): 3}


def test_several_columns_are_one_category(backend: Backend) -> None:
    data = pa.table({"a": ["x", "x", None, "x"], "b": [1, 1, None, 2]})
    assert applied(backend, CountEncoding([["a", "b"]]), data)["a_b_count"] == [2, 2, 1, 1]


def test_nan_is_one_category_and_minus_zero_is_zero(backend: Backend) -> None:
    data = pa.table({"c": [NAN, 0.0, -0.0, NAN, math.inf, -math.inf, NAN]})
    assert applied(backend, CountEncoding(["c"]), data)["c_count"] == [3, 2, 2, 3, 1, 1, 3]


def test_int64_extremes_and_a_megabyte_of_text_are_categories(backend: Backend) -> None:
    data = pa.table({"n": [2**63 - 1, -(2**63), 2**63 - 1], "s": ["é" * 500_000, "é" * 499_999 + "e", "é" * 500_000]})
    made = applied(backend, CountEncoding(["n", "s"]), data)
    assert (made["n_count"], made["s_count"]) == ([2, 1, 2], [2, 1, 2])


@pytest.mark.parametrize("values", [pa.nulls(2), pa.nulls(2, pa.string()), pa.array([], pa.string()), pa.array(["a"])])
def test_all_null_empty_and_single_columns(backend: Backend, values: pa.Array) -> None:
    made = applied(backend, CountEncoding(["c"]), pa.table({"c": values}))
    assert_same_column(made.table["c_count"], pa.array([len(values)] * len(values), pa.int64()))
    shares = applied(backend, CountEncoding(["c"], output="frequency"), pa.table({"c": values}))
    assert shares["c_frequency"] == [1.0] * len(values)


def test_mistakes_are_refused_with_their_keys(backend: Backend) -> None:
    with pytest.raises(JobErrors, match=r"columns\[1\]: no column 'cc'"):
        applied(backend, CountEncoding(["c", "cc"]), pa.table({"c": ["a"]}))
    with pytest.raises(JobErrors, match="output: input should be 'count' or 'frequency', not 'share'"):
        CountEncoding(["c"], output="share")  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.none() | st.sampled_from("abé"), st.none() | st.booleans()), min_size=1))
def test_it_is_the_obvious_count(pairs: list[tuple[str | None, bool | None]]) -> None:
    data = pa.table({"a": pa.array([a for a, _ in pairs], pa.string()), "b": pa.array([b for _, b in pairs], pa.bool_())})
    made = applied(ArrowBackend(), CountEncoding(["a", ["a", "b"]]), data)
    of_one, of_both = collections.Counter(a for a, _ in pairs), collections.Counter(pairs)
    assert made["a_count"] == [of_one[a] for a, _ in pairs]
    assert made["a_b_count"] == [of_both[pair] for pair in pairs]
