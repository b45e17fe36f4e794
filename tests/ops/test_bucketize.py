"""Bucketize: numbers become the numbers of intervals."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import DataError, JobError
from headrace.ops.bucketize import Bucketize
from headrace.table import Backend

NAN, INF = math.nan, math.inf


def column(values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def test_an_edge_belongs_to_the_bucket_above_it(backend: Backend) -> None:
    made = applied(backend, Bucketize(["x"], edges=[18, 65]), column([17.9, 18.0, 64.9, 65.0]))
    assert_same_column(made.table["x"], pa.array([0, 1, 1, 2], pa.int32()))


def test_missing_values_become_null_and_infinities_the_ends(backend: Backend) -> None:
    made = applied(backend, Bucketize(["x"], edges=[0.0]), column([None, NAN, -INF, INF, -0.0]))
    assert_same_column(made.table["x"], pa.array([None, None, 0, 1, 1], pa.int32()))


def test_every_kind_of_number(backend: Backend) -> None:
    edges = Bucketize(["x"], edges=[0, 1.5])
    assert applied(backend, edges, column([-(2**63), 2**63 - 1], pa.int64()))["x"] == [0, 2]
    assert applied(backend, edges, column([0, 2**64 - 1], pa.uint64()))["x"] == [1, 2]
    assert applied(backend, edges, column([1.5, -1.0], pa.float32()))["x"] == [2, 0]
    assert applied(backend, edges, column([Decimal("1.50"), None], pa.decimal128(4, 2)))["x"] == [2, None]


def test_uniform_buckets_have_one_width_and_count_what_lies_outside(backend: Backend) -> None:
    op = Bucketize(["x"], bins=4, method="uniform")
    made = applied(backend, op, column([-1.0, 0.0, 1.9, 2.0, 7.9, 8.0, 9.0, INF, NAN]), learnt_from=column([0.0, 8.0, INF]))
    assert made["x"] == [0, 0, 0, 1, 3, 3, 3, 3, None]
    assert made.counts == {("out_of_range", "x"): 3}


def test_quantile_buckets_have_about_equally_many_rows(backend: Backend) -> None:
    values = np.random.default_rng(0).lognormal(size=10_000)
    made = applied(backend, Bucketize(["x"], bins=10), column(list(values)))
    assert np.bincount(made["x"]).tolist() == [1000] * 10
    assert not made.counts


def test_repeated_values_make_fewer_buckets(backend: Backend) -> None:
    made = applied(backend, Bucketize(["x"], bins=4), column([0] * 90 + list(range(1, 11))))
    assert made["x"] == [0] * 100
    made = applied(backend, Bucketize(["x"], bins=4), column([0, 0, 0, 1, 1, 1, 1, 1, 2]))
    assert made["x"] == [0, 0, 0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("method", ["uniform", "quantile"])
def test_a_constant_column_is_one_bucket(backend: Backend, method: str) -> None:
    made = applied(backend, Bucketize(["x"], bins=3, method=method), column([0.1, 0.1, None]), learnt_from=column([0.1]))
    assert made["x"] == [0, 0, None]


@pytest.mark.parametrize("method", ["uniform", "quantile"])
def test_an_empty_table_is_encoded_and_not_learnt_from(backend: Backend, method: str) -> None:
    op = Bucketize(["x"], bins=3, method=method)
    assert_same_column(
        applied(backend, op, column([], pa.int8()), learnt_from=column([1, 2], pa.int8())).table["x"], pa.array([], pa.int32())
    )
    with pytest.raises(DataError, match="column 'x': has no finite value in the training rows"):
        applied(backend, op, column([None, None], pa.float64()))


def test_settings_are_checked() -> None:
    for settings_ in ({}, {"edges": [1.0], "bins": 3}):
        with pytest.raises(JobError, match="either edges or bins is needed, not both"):
            Bucketize(["x"], **settings_)
    with pytest.raises(JobError, match="edges ascend"):
        Bucketize(["x"], edges=[1.0, 1.0])
    with pytest.raises(JobError, match=r"edges\[1\]: input should be a finite number"):
        Bucketize(["x"], edges=[1.0, INF])
    with pytest.raises(JobError, match="bins: input should be greater than or equal to 2"):
        Bucketize(["x"], bins=1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.floats()), st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9, unique=True))
def test_codes_equal_numpys(values: list[float | None], edges: list[float]) -> None:
    ascending = np.unique(edges).tolist()
    made = applied(ArrowBackend(), Bucketize(["x"], edges=ascending), column(list(values), pa.float64()))
    assert made["x"] == [None if x is None or x != x else int(np.digitize(x, ascending)) for x in values]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=1), st.integers(2, 12))
def test_quantile_edges_equal_numpys(values: list[int], bins: int) -> None:
    state = applied(ArrowBackend(), Bucketize(["x"], bins=bins), column(list(values))).state
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    np.testing.assert_allclose(state["x"].edges, edges[edges > min(values)], rtol=1e-12, atol=1e-12)
