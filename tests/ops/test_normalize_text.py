"""NormalizeText: one spelling; and what the docs say that Derive does with texts and lists."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobErrors
from headrace.ops.derive import Derive
from headrace.ops.normalize_text import NormalizeText
from headrace.table import Backend

STRINGS = [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]


@pytest.mark.parametrize("kind", STRINGS)
def test_case_and_blanks_at_the_ends_go(backend: Backend, kind: pa.DataType) -> None:
    values = [" OSLO ", "oslo", "\tŁódź\r\n", "\u00a0\u3000東 京\u2003", None, " ", ""]
    made = applied(backend, NormalizeText(["s"]), pa.table({"s": pa.array(values, kind)}))
    assert made["s"] == ["oslo", "oslo", "łódź", "東 京", None, "", ""]


def test_either_may_stay(backend: Backend) -> None:
    data = pa.table({"s": [" Ab "]})
    assert applied(backend, NormalizeText("s", lower=False), data)["s"] == ["Ab"]
    assert applied(backend, NormalizeText("s", strip=False), data)["s"] == [" ab "]
    assert applied(backend, NormalizeText("s", lower=False, strip=False), data)["s"] == [" Ab "]


def test_a_megabyte_of_text(backend: Backend) -> None:
    assert applied(backend, NormalizeText("s"), pa.table({"s": [" " + "É" * 500_000]}))["s"] == ["é" * 500_000]


@pytest.mark.parametrize("values", [pa.array([], pa.string()), pa.nulls(2, pa.string())])
def test_empty_and_all_null_columns(backend: Backend, values: pa.Array) -> None:
    assert_same_column(applied(backend, NormalizeText("s"), pa.table({"s": values})).table["s"], values)


def test_only_texts_are_taken(backend: Backend) -> None:
    with pytest.raises(JobErrors, match=r"columns\[0\]: 'n' is int64, and a string is needed"):
        applied(backend, NormalizeText("n"), pa.table({"n": [1]}))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("lower(s)", ["ab-c", " x ", None]),
        ("trim(s)", ["Ab-c", "x", None]),
        ("contains(s, 'b-')", [True, False, None]),
        ("length(s)", [4, 3, None]),
        ("split_part(s, '-', 2)", ["c", "", None]),
        ("starts_with(s, 'A')", [True, False, None]),
        ("replace(s, '-', '+')", ["Ab+c", " x ", None]),
        ("regexp_split_to_array(s, '-')[1]", ["Ab", " x ", None]),
        ("len(l)", [2, 0, None]),
        ("l[1]", [7, None, None]),
    ],
)
def test_derive_has_the_functions_of_texts_and_lists(backend: Backend, sql: str, expected: list[object]) -> None:
    data = pa.table({"s": ["Ab-c", " x ", None], "l": [[7, 8], [], None]})
    assert applied(backend, Derive({"made": sql}), data)["made"] == expected


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.text("aBÉß \t\n\u00a0\u2028", max_size=6)))
def test_it_is_pythons_lower_and_strip(values: list[str | None]) -> None:
    for kind in STRINGS[::2]:
        made = applied(ArrowBackend(), NormalizeText("s"), pa.table({"s": pa.array(values, pa.string()).cast(kind)}))
        assert made["s"] == [None if value is None else value.lower().strip() for value in values]
