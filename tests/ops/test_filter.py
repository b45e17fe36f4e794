"""Filter: only rows for which a condition is true go on."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from tests.applying import applied
from tests.comparing import assert_same_table

from headrace.errors import JobError
from headrace.ops.filter import Filter
from headrace.table import Backend

DATA = pa.table(
    {"n": pa.array([1, None, 3, -4]), "c": pa.array(["a", "b", None, "Łódź"]).dictionary_encode(), "f": [0.5, math.nan, -0.0, math.inf]}
)


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("n > 0", [0, 2]),
        ("n IS NOT NULL", [0, 2, 3]),
        ("n IS NULL OR n < 0", [1, 3]),
        ("c = 'Łódź'", [3]),
        ("c <> 'a'", [1, 3]),
        ("f > 0", [0, 1, 3]),  # NaN is the largest of all, as in DuckDB
        ("f = 0", [2]),
        ("FALSE", []),
        ("TRUE", [0, 1, 2, 3]),
        ("n > 10 AND c = 'a'", []),
    ],
)
def test_rows_whose_condition_is_true_are_kept_in_order(backend: Backend, condition: str, kept: list[int]) -> None:
    assert_same_table(applied(backend, Filter(condition), DATA).table, DATA.take(pa.array(kept, pa.int64())))


def test_an_empty_table_stays_empty(backend: Backend) -> None:
    assert_same_table(applied(backend, Filter("n > 0"), DATA.slice(0, 0)).table, DATA.slice(0, 0))


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("n + 1", "a condition is needed, and 'n [+] 1' is int64"),
        ("delay > 1", "no column 'delay'"),
        ("n >", "n >"),
        ("nosuch(n) > 1", "nosuch"),
    ],
)
def test_what_is_no_condition_is_refused(backend: Backend, condition: str, message: str) -> None:
    with pytest.raises(JobError, match=message):
        applied(backend, Filter(condition), DATA)


def test_the_nearest_column_is_offered(backend: Backend) -> None:
    with pytest.raises(JobError, match="no column 'arr_dely'\n  nearest: 'arr_delay'"):
        applied(backend, Filter("arr_dely > 1"), pa.table({"arr_delay": [1]}))
