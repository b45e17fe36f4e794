"""Logarithms and exponentials that LLVM vectorises: no branch, no call, the same source for a CPU, a GPU and plain Python.

PyPI's Numba has no vector mathematics library, so a loop that calls ``math.exp2`` or ``math.log1p`` runs one value at a time. The
functions here, and those of `angles`, are polynomials and selects. Precision follows the argument, as in `scalars`.

Largest relative error (against 40-digit arithmetic):

| function | float64 | float32 | domain |
|---|---|---|---|
| ``log``, ``log1p`` | 6e-16 | 3e-7 | all; subnormal float64 too |
| ``exp2`` | 2e-16 | 2e-7 | all; results below the smallest normal number become 0 |

The polynomials are interpolations at Chebyshev nodes, made in 60-digit arithmetic for this package, of atanh(sqrt(z))/sqrt(z) and its
like. Source of the reductions: Cody and Waite, *Software Manual for the Elementary Functions*, 1980.
"""

from __future__ import annotations

import math

from headrace_kernels.scalars import Number, by_precision, from_bits, inlined, like, polynomial, rounded, to_bits, to_float

_LN_2 = math.log(2)
_SQRT_HALF = math.sqrt(0.5)
_SMALLEST_NORMAL_SINGLE = 2.0**-126
_TINY = 2.0**-56
_LIFT_BITS = 54
_LIFT = 2.0**_LIFT_BITS

# fmt: off
_ARTANH = polynomial(  # atanh(sqrt(z)) / sqrt(z), z in [0, (3 - 2 sqrt(2))**2]: 1e-18, 4e-12
    (1.0, 0.33333333333333826, 0.1999999999965117, 0.1428571438032084, 0.11111098528363024, 0.09091815840114664, 0.07656264074182095,
     0.07404855180327638),
    (1.0000000000041798, 0.3333333262374376, 0.20000192336187594, 0.14267525518908156, 0.11808179549572992),
)
_POWER_OF_TWO = polynomial(  # 2**z, |z| <= 1/2: 2e-17, 3e-9
    (1.0, 0.6931471805599453, 0.24022650695910158, 0.055504108664821625, 0.009618129107587256, 0.001333355814640647, 0.00015403530463724353,
     1.5252733841556773e-05, 1.3215432535912375e-06, 1.0178057087733941e-07, 7.074194297288521e-09, 4.4558179083360645e-10),
    (1.0, 0.6931472067028326, 0.24022650922288757, 0.05550327226670302, 0.009618056678524637, 0.0013400428177615838, 0.0001546144469856913),
)
# fmt: on


@inlined
def _logarithm(u: Number, correction: Number, exponent: Number) -> Number:
    """ln((u + correction) * 2**exponent) for a normal, positive `u` and a `correction` below its last place."""
    mantissa_bits = by_precision(23, 52, u)
    k = (to_bits(u) - to_bits(like(_SQRT_HALF, u))) >> mantissa_bits
    m = from_bits(to_bits(u) - (k << mantissa_bits), u)  # u / 2**k in [sqrt(1/2), sqrt(2))
    biased, least = by_precision(127, 1023, u) - k, by_precision(0, 0, u)
    scale = from_bits((biased if biased > least else least) << mantissa_bits, u)  # not max: Numba 0.68 finds none of two for CUDA
    f = (m - like(1.0, u)) + correction * scale
    q = f / (like(2.0, u) + f)
    return to_float(k + exponent, u) * like(_LN_2, u) + (q + q) * _ARTANH(q * q)


@inlined
def log(x: Number) -> Number:
    """Return the natural logarithm: -inf at 0, NaN below, NaN for NaN.

    >>> float(log(1.0)), float(log(0.0))
    (0.0, -inf)
    """
    zero, one = like(0.0, x), like(1.0, x)
    usable = (x > zero) & (x < like(math.inf, x))
    tiny = x < like(_SMALLEST_NORMAL_SINGLE, x)  # its exponent says nothing in float32; harmless in float64 down to 2**-1022
    u = x * like(_LIFT, x) if tiny else x
    exponent = by_precision(-_LIFT_BITS, -_LIFT_BITS, x) if tiny else by_precision(0, 0, x)
    result = _logarithm(u if usable else one, zero, exponent)
    special = like(-math.inf, x) if x == zero else (like(math.nan, x) if x < zero else x)
    return result if usable else special


@inlined
def log1p(x: Number) -> Number:
    """Return ln(1 + x), exact in the last places for small `x` too: -inf at -1, NaN below, NaN for NaN.

    >>> float(log1p(1e-20))
    1e-20
    """
    zero, one = like(0.0, x), like(1.0, x)
    usable = (x > -one) & (x < like(math.inf, x))
    safe = x if usable else zero
    u = one + safe
    rounded = u - one
    result = _logarithm(u, (one - (u - rounded)) + (safe - rounded), by_precision(0, 0, x))
    special = like(-math.inf, x) if x == -one else (like(math.nan, x) if x < -one else x)
    tiny = abs(x) < like(_TINY, x)  # ln(1 + x) is x: halves of the smallest numbers would be lost, and the sign of -0.0
    result = result if usable else special
    return x if tiny else result


@inlined
def exp2(x: Number) -> Number:
    """Return 2**x: 0 where that is below the smallest normal number, inf where it is too large, NaN for NaN.

    >>> float(exp2(10.0)), float(exp2(-2000.0))
    (1024.0, 0.0)
    """
    low, high = like(by_precision(-126, -1022, x), x), like(by_precision(128, 1024, x), x)
    usable = (x >= low) & (x < high)
    safe = x if usable else like(0.0, x)
    whole, k = rounded(safe)
    # the power goes into the exponent: 2**1024, times what is below 1, has no bits of its own
    result = from_bits(to_bits(_POWER_OF_TWO(safe - whole)) + (k << by_precision(23, 52, x)), x)
    special = like(0.0, x) if x < low else (like(math.inf, x) if x >= high else x)
    return result if usable else special
