"""Clipping, logarithms and the Yeo-Johnson transform against plain formulas."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels import Column, get_kernel
from headrace_kernels.transforms import clip, log_plus, log_plus_one, yeo_johnson_float32, yeo_johnson_float64

NAN, INF = math.nan, math.inf


def launched(name: str, values: np.ndarray, **constants: float) -> np.ndarray:
    return get_kernel(name).launch([Column(values)], constants)[0].values


def yeo_johnson(x: float, power: float) -> float:
    exponent = power if x >= 0 else 2 - power
    size = math.expm1(exponent * math.log1p(abs(x))) / exponent if exponent else math.log1p(abs(x))
    return math.copysign(size, x)


def test_clip_keeps_what_is_inside_nan_and_the_sign_of_0() -> None:
    found = launched("clip", np.array([-INF, -1.0, -0.0, 0.5, 1.0, INF, NAN]), low=0.0, high=1.0)
    assert found.tobytes() == np.array([0.0, 0.0, -0.0, 0.5, 1.0, 1.0, NAN]).tobytes()
    assert launched("clip", np.float32([2, 3]), high=2.5).dtype == np.float32
    assert clip.reference(5.0) == 5.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logarithms_at_their_border(dtype: type) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(launched("log_plus_one", dtype([-1, -2, INF, NAN, 0])), [-INF, NAN, INF, NAN, 0])
        np.testing.assert_array_equal(launched("log_plus", dtype([-1, -2, INF, NAN, 0]), plus=1.0), [-INF, NAN, INF, NAN, 0])
    assert launched("log_plus", dtype([1000]), unit=math.log(10)).dtype == dtype


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-0.999999, 1e300), min_size=1))
def test_logarithms_equal_libms(values: list[float]) -> None:
    np.testing.assert_allclose(launched("log_plus_one", np.array(values)), np.log1p(values), rtol=2e-15)
    np.testing.assert_allclose(launched("log_plus", np.array(values), plus=2.0, unit=3.0), np.log(np.array(values) + 2.0) / 3.0, rtol=2e-15)
    assert log_plus_one.reference(values[0]) == pytest.approx(math.log1p(values[0]), rel=2e-15)
    assert log_plus.reference(values[0], 2.0, 3.0) == pytest.approx(math.log(values[0] + 2.0) / 3.0, rel=2e-15)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e15, 1e15), min_size=1), st.sampled_from([-2.0, -0.3, 0.0, 1e-9, 0.7, 1.0, 2.0, 2.3, 4.0]))
def test_yeo_johnson_equals_the_formula(values: list[float], power: float) -> None:
    expected = [yeo_johnson(x, power) for x in values]
    np.testing.assert_allclose(launched("yeo_johnson_float64", np.array(values), power=power), expected, rtol=1e-13)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(launched("yeo_johnson_float32", np.array(values), power=power), np.float32(expected), rtol=3e-7)
    assert yeo_johnson_float64.reference(values[0], power) == pytest.approx(expected[0], rel=1e-13)


def test_yeo_johnson_is_exact_where_cancellation_threatens() -> None:
    # (1 + x)**2 - 1 over 2 is x + x**2 / 2; near 0 a subtraction would lose all digits
    for x in (1e-12, 1e-5, 0.3, 0.6487, 0.6488):
        exact = float(Fraction(x) + Fraction(x) ** 2 / 2)
        assert launched("yeo_johnson_float64", np.array([x]), power=2.0)[0] == pytest.approx(exact, rel=2e-15)


def test_yeo_johnson_at_infinity_and_nan() -> None:
    assert launched("yeo_johnson_float64", np.array([INF, -INF]), power=-0.5).tolist() == [2.0, -INF]
    assert launched("yeo_johnson_float64", np.array([INF, -INF]), power=0.0).tolist() == [INF, -INF]
    assert np.isnan(launched("yeo_johnson_float32", np.array([NAN]))).all()


def test_yeo_johnson_takes_integers_and_standardises() -> None:
    found = launched("yeo_johnson_float32", np.array([1, 3], np.int8), power=1.0, mean=1.0, std=2.0)
    assert found.tolist() == [0.0, 1.0]
    assert found.dtype == np.float32
    assert yeo_johnson_float32.reference(3.0, 1.0, 1.0, 2.0) == pytest.approx(1.0, rel=1e-15)
