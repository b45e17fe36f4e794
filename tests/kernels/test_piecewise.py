"""Buckets and straight lines between points against NumPy's digitize and interp."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels import Column, get_kernel
from headrace_kernels.piecewise import bucketize, interpolate_float64

NAN, INF = math.nan, math.inf
POINTS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40, unique=True).map(np.unique)
VALUES = st.lists(st.floats(width=64), min_size=1)


@settings(max_examples=60, deadline=None)
@given(VALUES, POINTS)
def test_buckets_equal_numpys(values: list[float], edges: np.ndarray) -> None:
    (found,) = get_kernel("bucketize").launch([Column(np.array([*values, *edges]))], {"edges": edges})
    expected = [-1 if x != x else int(np.digitize(x, edges)) for x in [*values, *edges]]
    assert found.values.tolist() == expected
    assert found.values.dtype == np.int32
    assert bucketize.reference(values[0], edges) == expected[0]


def test_no_edges_make_one_bucket() -> None:
    assert get_kernel("bucketize").launch([Column(np.array([1.0, NAN]))])[0].values.tolist() == [0, -1]


@settings(max_examples=60, deadline=None)
@given(VALUES, POINTS)
def test_lines_equal_numpys(values: list[float], xs: np.ndarray) -> None:
    ys = np.sin(xs)
    data = np.array([*values, *xs])
    (found,) = get_kernel("interpolate_float64").launch([Column(data)], {"xs": xs, "ys": ys})
    expected = np.where(np.isnan(data), np.nan, np.interp(data, xs, ys))  # NumPy gives the only point's y for NaN
    np.testing.assert_allclose(found.values, expected, rtol=1e-9, atol=1e-9)
    assert interpolate_float64.reference(values[0], xs, ys) == pytest.approx(float(found.values[0]), nan_ok=True)


def test_points_beside_the_smallest_number_are_met() -> None:
    xs, ys = np.array([-5e-324, 0.0, 5e-324, 1.0]), np.array([1.0, 2.0, 3.0, 4.0])
    (found,) = get_kernel("interpolate_float64").launch([Column(np.append(xs, -0.0))], {"xs": xs, "ys": ys})
    assert found.values.tolist() == [1.0, 2.0, 3.0, 4.0, 2.0]


def test_points_are_met_exactly_and_the_ends_go_on_level() -> None:
    xs, ys = np.array([-1.7e308, 0.0, 1.7e308]), np.array([1.0, 2.0, 5.0])
    (found,) = get_kernel("interpolate_float32").launch([Column(np.array([-INF, *xs, INF, NAN, 0.85e308]))], {"xs": xs, "ys": ys})
    np.testing.assert_array_equal(found.values, np.float32([1, 1, 2, 5, 5, NAN, 3.5]))
    assert found.values.dtype == np.float32
