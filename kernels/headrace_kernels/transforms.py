"""Row-by-row transforms of one number: clipping, logarithms, and the Yeo-Johnson power transform.

Bounds, shifts and powers are constants of the launch. Each kernel is one scalar function; nulls are the loop's business.
"""

from __future__ import annotations

import math

from headrace_kernels.elementary import exp2, log, log1p
from headrace_kernels.kernel import kernel
from headrace_kernels.scalars import Number, inlined, polynomial

_LOG2_E = 1 / math.log(2)
_TAYLOR = tuple(1 / math.factorial(n) for n in range(1, 17))
_EXPM1_OVER_T = polynomial(_TAYLOR, _TAYLOR)  # (exp(t) - 1) / t for |t| <= 0.5: the next term is 4e-20


@kernel(output="same")
def clip(x: Number, low: Number = -math.inf, high: Number = math.inf) -> Number:
    """Return the nearest number of [low, high]. NaN stays NaN, -0.0 stays -0.0 where 0 is inside."""
    raised = low if x < low else x
    return high if raised > high else raised


@kernel(output="same")
def log_plus_one(x: Number, unit: Number = 1.0) -> Number:
    """Return ln(1 + x) / unit, exact for small x too: -inf at -1, NaN below. `unit` is ln(2) for the base 2 and so on."""
    return log1p(x) / unit


@kernel(output="same")
def log_plus(x: Number, plus: Number = 0.0, unit: Number = 1.0) -> Number:
    """Return ln(x + plus) / unit: -inf at -plus, NaN below. `unit` is ln(2) for the base 2 and so on."""
    return log(x + plus) / unit


@kernel(output="float32")
def yeo_johnson_float32(x: Number, power: Number = 1.0, mean: Number = 0.0, std: Number = 1.0) -> Number:
    """Yeo-Johnson transform of x, then (y - mean) / std, computed in float64 and rounded to float32. NaN stays NaN."""
    return (_yeo_johnson(x * 1.0, power) - mean) / std


@kernel(output="float64")
def yeo_johnson_float64(x: Number, power: Number = 1.0, mean: Number = 0.0, std: Number = 1.0) -> Number:
    """Yeo-Johnson transform of x, then (y - mean) / std. NaN stays NaN; an infinity becomes the transform's limit."""
    return (_yeo_johnson(x * 1.0, power) - mean) / std


@inlined
def _yeo_johnson(x: Number, power: Number) -> Number:
    """((1 + x)**power - 1) / power for x >= 0, the mirror image with 2 - power below; ln(1 + |x|) where the power is 0.

    Source: Yeo and Johnson, *A new family of power transformations to improve normality or symmetry*, Biometrika 87 (2000), (2.1).
    """
    exponent = 2.0 - power if x < 0.0 else power
    straight = exponent == 0.0
    magnitude = log1p(abs(x))
    grown = _expm1(exponent * magnitude) / (1.0 if straight else exponent)
    size = magnitude if straight else grown
    size = abs(x) if exponent == 1.0 else size  # not by way of a logarithm, so that a constant column becomes 0
    return -size if x < 0.0 else size


@inlined
def _expm1(t: Number) -> Number:
    """exp(t) - 1 of a float64; relative error at most 2e-15 up to |t| = 10, growing with |t| to 2e-13 at 700."""
    small = abs(t) <= 0.5
    near = t if small else 0.0
    return near * _EXPM1_OVER_T(near) if small else exp2(t * _LOG2_E) - 1.0
