"""RobustScale: median 0, and the distance of two percentiles 1."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import FLOAT64, assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import DataError, JobError
from headrace.ops.robust_scale import RobustScale
from headrace.table import Backend

NAN, INF = math.nan, math.inf


def column(values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def test_median_becomes_0_and_the_quartiles_distance_1(backend: Backend) -> None:
    # quartiles 2 and 4, median 3; the outlier does not matter
    made = applied(backend, RobustScale(["x"]), column([1, 2, 3, 4, 1000]))
    assert made["x"] == [-1.0, -0.5, 0.0, 0.5, 498.5]


def test_other_percentiles(backend: Backend) -> None:
    made = applied(backend, RobustScale(["x"], quantile_range=(0, 100)), column([0.0, 5.0, 10.0]))
    assert made["x"] == [-0.5, 0.0, 0.5]


def test_missing_values_stay_and_take_no_part_and_infinities_stay(backend: Backend) -> None:
    made = applied(backend, RobustScale(["x"], dtype="float64"), column([None, NAN, 1.0, 2.0, 3.0, 4.0, INF, -INF]))
    expected = [(x - 2.5) / 2.5 for x in (1.0, 2.0, 3.0, 4.0)]  # of -inf, 1, 2, 3, 4, inf: quartiles 1.25 and 3.75
    assert_same_column(made.table["x"], pa.array([None, NAN, *expected, INF, -INF]), FLOAT64)


def test_a_constant_column_becomes_0_and_a_mostly_constant_one_is_only_shifted(backend: Backend) -> None:
    assert applied(backend, RobustScale(["x"]), column([5, 5, None]))["x"] == [0.0, 0.0, None]
    assert applied(backend, RobustScale(["x"]), column([5, 5, 5, 5, 5, 9]))["x"] == [0.0, 0.0, 0.0, 0.0, 0.0, 4.0]


def test_many_distinct_values_are_near_numpys_quantiles(backend: Backend) -> None:
    values = np.random.default_rng(0).lognormal(0, 3, 200_000)
    state = applied(backend, RobustScale(["x"]), column(list(values))).state
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    assert state.shifts["x"] == pytest.approx(median, rel=2**-11)
    assert state.scales["x"] == pytest.approx(high - low, rel=2**-10)


def test_what_cannot_be_scaled_is_refused(backend: Backend) -> None:
    with pytest.raises(DataError, match="column 'x': has no value in the training rows"):
        applied(backend, RobustScale(["x"]), column([None, NAN], pa.float64()))
    with pytest.raises(DataError, match="too far apart to scale by"):
        applied(backend, RobustScale(["x"]), column([INF, INF, -INF, -INF, 1.0]))
    with pytest.raises(JobError, match="quantile_range: the lower percentile comes first"):
        RobustScale(["x"], quantile_range=(75, 25))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-1000, 1000) | st.none(), min_size=1).filter(lambda xs: any(x is not None for x in xs)))
def test_it_is_numpys_quantiles(values: list[int | None]) -> None:
    made = applied(ArrowBackend(), RobustScale(["x"], dtype="float64"), column(list(values), pa.int32()))
    low, median, high = np.quantile([value for value in values if value is not None], [0.25, 0.5, 0.75])
    expected = [None if value is None else (value - median) / ((high - low) or 1.0) for value in values]
    assert_same_column(made.table["x"], pa.array(expected, pa.float64()), 1e-12)
