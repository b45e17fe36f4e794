"""HashedCross: one id for a combination of columns."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobErrors
from headrace.ops.hashed_cross import HashedCross
from headrace.table import Backend
from headrace_kernels.hashing import combine_hashes, hash_bytes

CROSS = HashedCross(["a", "b"], buckets=10**9)


def test_equal_combinations_share_an_id_and_others_do_not(backend: Backend) -> None:
    made = applied(backend, CROSS, pa.table({"a": ["x", "x", "y", "x"], "b": [1, 2, 1, 1]}))
    first, other, third, again = made["a_b_cross"]
    assert first == again
    assert len({first, other, third}) == 3
    assert min(made["a_b_cross"]) >= 1


def test_the_order_of_the_columns_matters(backend: Backend) -> None:
    made = applied(backend, CROSS, pa.table({"a": ["x", "y"], "b": ["y", "x"]}))
    assert made["a_b_cross"][0] != made["a_b_cross"][1]


def test_values_do_not_run_together(backend: Backend) -> None:
    made = applied(backend, CROSS, pa.table({"a": ["x", "xy"], "b": ["yz", "z"]}))
    assert made["a_b_cross"][0] != made["a_b_cross"][1]


def test_only_a_cross_of_nulls_is_0(backend: Backend) -> None:
    made = applied(backend, CROSS, pa.table({"a": pa.array([None, "x", None, None]), "b": pa.array([None, None, 1, None], pa.int64())}))
    null, left, right, again = made["a_b_cross"]
    assert null == again == 0
    assert 0 not in (left, right)
    assert left != right


def test_one_zero_one_nan_and_three_columns(backend: Backend) -> None:
    data = pa.table({"a": [0.0, -0.0, math.nan, math.nan], "b": [1, 1, 1, 1], "c": [True, True, False, False]})
    made = applied(backend, HashedCross(["a", "b", "c"], buckets=10**9), data)["a_b_c_cross"]
    assert (made[0] == made[1], made[2] == made[3], made[0] == made[2]) == (True, True, False)


@pytest.mark.parametrize("n_rows", [0, 1])
def test_empty_and_short_tables(backend: Backend, n_rows: int) -> None:
    made = applied(backend, CROSS, pa.table({"a": pa.nulls(n_rows, pa.string()), "b": pa.nulls(n_rows)}))
    assert_same_column(made.table["a_b_cross"], pa.array([0] * n_rows, pa.int32()))


def test_one_column_is_no_cross() -> None:
    with pytest.raises(JobErrors, match="columns: at least 2 must be named"):
        HashedCross(["a"], buckets=10)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.none() | st.text(max_size=3), st.text(max_size=3))), st.integers(1, 1000))
def test_it_is_the_combined_hash(pairs: list[tuple[str | None, str]], buckets: int) -> None:
    data = pa.table(
        {"a": pa.array([a for a, _ in pairs], pa.string()).dictionary_encode(), "b": pa.array([b for _, b in pairs], pa.string())}
    )
    made = applied(ArrowBackend(), HashedCross(["a", "b"], buckets=buckets), data)["a_b_cross"]
    for (left, right), bucket in zip(pairs, made, strict=True):
        if left is not None:  # what a null hashes to is the backend's constant
            with np.errstate(over="ignore"):
                hashed = combine_hashes(np.uint64(hash_bytes(left.encode(), 0)), np.uint64(hash_bytes(right.encode(), 0)))
            assert bucket == 1 + int(hashed) % buckets
