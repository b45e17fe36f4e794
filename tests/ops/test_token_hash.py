"""TokenHash: texts as counts or lists of the buckets of their words."""

from __future__ import annotations

import collections
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobErrors
from headrace.ops.token_hash import TokenHash
from headrace.table import Backend
from headrace_kernels.hashing import hash_bytes

STRINGS = [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]


def buckets_of(words: list[str], buckets: int, seed: int = 0) -> list[int]:
    return [1 + hash_bytes(word.encode(), seed) % buckets for word in words]


@pytest.mark.parametrize("kind", STRINGS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat, the HAT!", ["the", "cat", "the", "hat"]),
        ("...naïve\u00a0東京\ta1b2--", ["naïve", "東京", "a1b2"]),
        ("don't snake_case e\u0301te\u0301", ["don", "t", "snake", "case", "e\u0301te\u0301"]),
        ("", []),
        (" \n.!", []),
    ],
)
def test_words_are_runs_of_letters_and_digits(backend: Backend, kind: pa.DataType, text: str, words: list[str]) -> None:
    made = applied(backend, TokenHash("s", buckets=10**6, output="list"), pa.table({"s": pa.array([text, None], kind)}))
    assert_same_column(made.table["s"], pa.array([buckets_of(words, 10**6), None], pa.list_(pa.int32())))


def test_case_may_count(backend: Backend) -> None:
    made = applied(backend, TokenHash("s", buckets=1000, output="list", lower=False, seed=3), pa.table({"s": ["The the"]}))
    assert made["s"] == [buckets_of(["The", "the"], 1000, 3)]


def test_counts_make_a_column_for_each_bucket(backend: Backend) -> None:
    made = applied(backend, TokenHash("s", buckets=2), pa.table({"s": ["a b a", None, "", "b"]}))
    counted = [collections.Counter(buckets_of(words, 2)) for words in (["a", "b", "a"], ["b"])]
    assert made.table.column_names == ["s", "s_1", "s_2"]
    for number in (1, 2):
        assert_same_column(made.table[f"s_{number}"], pa.array([counted[0][number], None, 0, counted[1][number]], pa.int32()))


def test_a_megabyte_of_words_and_one_word_of_a_megabyte(backend: Backend) -> None:
    made = applied(backend, TokenHash("s", buckets=1), pa.table({"s": ["ab " * 350_000, "é" * 500_000]}))
    assert made["s_1"] == [350_000, 1]


@pytest.mark.parametrize("values", [pa.array([], pa.string()), pa.nulls(2, pa.string())])
def test_empty_and_all_null_columns(backend: Backend, values: pa.Array) -> None:
    data = pa.table({"s": values})
    assert applied(backend, TokenHash("s", buckets=2), data)["s_2"] == [None] * len(values)
    assert applied(backend, TokenHash("s", buckets=2, output="list"), data)["s"] == [None] * len(values)


def test_mistakes_are_refused_with_their_keys(backend: Backend) -> None:
    with pytest.raises(JobErrors, match=r"columns\[0\]: 'n' is int64, and a string is needed"):
        applied(backend, TokenHash("n", buckets=2), pa.table({"n": [1]}))
    with pytest.raises(JobErrors, match="output: input should be 'counts' or 'list', not 'count'"):
        TokenHash("s", buckets=2, output="count")  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.text("aB9 .,-\n", max_size=12)), st.integers(1, 4))
def test_it_is_the_obvious_count(texts: list[str | None], buckets: int) -> None:
    words = [None if text is None else re.findall("[a-z0-9]+", text.lower()) for text in texts]
    for kind in (pa.string(), pa.dictionary(pa.int32(), pa.string())):
        made = applied(ArrowBackend(), TokenHash("s", buckets=buckets), pa.table({"s": pa.array(texts, pa.string()).cast(kind)}))
        for number in range(1, buckets + 1):
            assert made[f"s_{number}"] == [None if found is None else buckets_of(found, buckets).count(number) for found in words]
