"""Dropna: rows with missing values are left out."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobErrors
from headrace.ops.dropna import Dropna
from headrace.schema import Schema
from headrace.table import Backend

NAN = math.nan
ROWS = pa.table(
    {"x": [1.0, None, NAN, math.inf, None], "s": pa.array(["a", "b", None, "", None]).dictionary_encode(), "n": [1, 2, 3, 4, 5]}
)


def test_any_missing_value_drops_the_row(backend: Backend) -> None:
    made = applied(backend, Dropna(["x", "s"]), ROWS)
    assert made["n"] == [1, 4]
    assert made.counts == {("missing", "x"): 3, ("missing", "s"): 2}


def test_all_missing_values_drop_the_row(backend: Backend) -> None:
    assert applied(backend, Dropna(["x", "s"], how="all"), ROWS)["n"] == [1, 2, 4]


def test_one_column_is_named_without_a_list(backend: Backend) -> None:
    assert applied(backend, Dropna("s"), ROWS)["n"] == [1, 2, 4]


def test_every_type_can_be_missing(backend: Backend) -> None:
    kinds = [pa.int64(), pa.bool_(), pa.large_string(), pa.timestamp("us", "UTC"), pa.decimal128(5, 2), pa.list_(pa.int8()), pa.float32()]
    data = pa.table({f"c{index}": pa.nulls(2, kind) for index, kind in enumerate(kinds)})
    assert applied(backend, Dropna(list(data.column_names)), data).table.num_rows == 0
    assert applied(backend, Dropna(["c0"]), data.slice(0, 0)).table.num_rows == 0


def test_an_unknown_column_gets_the_nearest_name() -> None:
    with pytest.raises(JobErrors, match=r"columns\[0\]: no column 'temp'\n  nearest: 'tmp'"):
        Dropna(["temp"]).declare(Schema.from_arrow(pa.schema({"tmp": pa.int8()})), {})


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.none() | st.floats(), st.none() | st.integers(0, 3))), st.sampled_from(["any", "all"]))
def test_rows_kept_equal_pythons(rows: list[tuple[float | None, int | None]], how: str) -> None:
    data = pa.table(
        {"x": pa.array([x for x, _ in rows], pa.float64()), "y": pa.array([y for _, y in rows], pa.int64()), "n": range(len(rows))}
    )
    drops = any if how == "any" else all
    expected = [n for n, (x, y) in enumerate(rows) if not drops([x is None or x != x, y is None])]
    assert applied(ArrowBackend(), Dropna(["x", "y"], how=how), data)["n"] == expected
