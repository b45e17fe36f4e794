"""Elementary functions that LLVM vectorises: no branch, no call, the same source for a CPU, a GPU and plain Python.

PyPI's Numba has no vector mathematics library, so a loop that calls ``math.sin`` or ``math.log1p`` runs one value at a time. The
functions here are polynomials and selects. They follow the type of their argument: float32 in, float32 throughout; any other number is
a float64. Angles are in degrees or turns, because reducing those by whole turns is exact.

Largest relative error (against 40-digit arithmetic; absolute for sines near their zeros other than 0):

| function | float64 | float32 | domain |
|---|---|---|---|
| ``sin_degrees``, ``cos_degrees``, ``sin_turns``, ``cos_turns`` | 5e-16 | 3e-7 | up to 2**50 (2**21) turns |
| ``sine_cosine_squared`` | 1.5e-15 | 1e-6 | up to 2**50 (2**21) half turns |
| ``asin_of_sqrt`` | 5e-16 | 3e-7 | a, b >= 0, a + b = 1 |
| ``compass_degrees`` | 1e-15 | 6e-7 | all |
| ``log``, ``log1p`` | 6e-16 | 3e-7 | all; subnormal float64 too |
| ``exp2`` | 4e-16 | 2e-7 | all; results below the smallest normal number become 0 |

The polynomials are interpolations at Chebyshev nodes, made in 60-digit arithmetic for this package, of sin(sqrt(z))/sqrt(z) and its
like. Source of the reductions: Cody and Waite, *Software Manual for the Elementary Functions*, 1980.
"""

from __future__ import annotations

import ctypes
import functools
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from headrace_kernels.numba_names import intrinsic, overload, register_jitable, types

Number = Any  # a Python or NumPy number in plain Python, a machine number when compiled

inlined = register_jitable(forceinline=True)
"""Decorator: compiled into every function that calls it. A call left in a loop stops LLVM from vectorising it (80 ns a distance, not 8)."""

_LN_2 = math.log(2)
_SQRT_HALF = math.sqrt(0.5)
_SMALLEST_NORMAL_SINGLE = 2.0**-126
_TINY = 2.0**-56
_LIFT_BITS = 54
_LIFT = 2.0**_LIFT_BITS


def like(value: float, x: Number) -> Number:
    """Return the constant `value` as a number of `x`'s precision; a bare literal would turn float32 arithmetic into float64.

    >>> like(0.5, np.float32(3)), like(0.5, 3)
    (np.float32(0.5), 0.5)
    """
    return x.dtype.type(value) if isinstance(x, np.floating) else float(value)


@overload(like, inline="always", strict=False)
def _compile_like(value: Any, x: Any) -> Any:
    real = x if isinstance(x, types.Float) else types.float64
    return lambda value, x: real(value)


def floor(x: Number) -> Number:
    """Return the largest whole number not above `x`, as a float; not finite stays as it is.

    >>> float(floor(-0.5))
    -1.0
    """
    return np.floor(x)


# What builds an intrinsic's code is one object for all targets: Numba keeps the last one it was given, and a second target's own would
# not be known to the first ("No definition for lowering"), which fails where one process compiles for the CPU and for CUDA.
def _build_floor(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.call(builder.module.declare_intrinsic("llvm.floor", [arguments[0].type]), arguments)


@intrinsic
def _floor(typingctx: Any, x: Any) -> Any:
    return x(x), _build_floor


@overload(floor, strict=False)
def _compile_floor(x: Any) -> Any:
    return (lambda x: _floor(x)) if isinstance(x, types.Float) else (lambda x: float(x))


@inlined
def nearest(x: Number) -> Number:
    """Return a nearest whole number as a float, the upper of two; not finite stays as it is.

    >>> float(nearest(2.5)), float(nearest(-3.7))
    (3.0, -4.0)
    """
    return floor(x + like(0.5, x))  # not llvm.rint: CUDA's compiler does not take it


@functools.cache
def _fma_of_c(single: bool) -> Any:
    function = ctypes.CDLL(None).fmaf if single else ctypes.CDLL(None).fma  # Python has its own from 3.13 on
    type_ = ctypes.c_float if single else ctypes.c_double
    function.argtypes, function.restype = [type_] * 3, type_
    return function


def fma(a: Number, b: Number, c: Number) -> Number:
    """Return a * b + c for floats of one precision, rounded once: one instruction, and the same bits on every machine.

    Left to themselves, CUDA's compiler makes one operation of both and LLVM two.

    >>> fma(1 + 2.0**-30, 1 - 2.0**-30, -1.0) == -(2.0**-60)
    True
    """
    return type(a)(_fma_of_c(isinstance(a, np.float32))(a, b, c))


def _build_fma(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.fma(*arguments)


@intrinsic
def _fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    return a(a, a, a), _build_fma


@overload(fma, strict=False)
def _compile_fma(a: Any, b: Any, c: Any) -> Any:
    return lambda a, b, c: _fma(a, b, c)


def to_bits(x: Number) -> Number:
    """Return the bits of a float64 as an int64, of a float32 as an int32.

    >>> hex(to_bits(1.0)), hex(to_bits(np.float32(1)))
    ('0x3ff0000000000000', '0x3f800000')
    """
    if isinstance(x, np.float32):
        return struct.unpack("<i", struct.pack("<f", x))[0]
    return struct.unpack("<q", struct.pack("<d", x))[0]


def from_bits(bits: Number, x: Number) -> Number:
    """Return the number of `x`'s precision that has these bits.

    >>> from_bits(0x3FF0000000000000, 0.0)
    1.0
    """
    if isinstance(x, np.float32):
        return np.frombuffer(struct.pack("<i", bits), np.float32)[0]
    return struct.unpack("<d", struct.pack("<q", bits))[0]


def _build_bitcast(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))


@intrinsic
def _bitcast(typingctx: Any, x: Any, target: Any) -> Any:
    return target.dtype(x, target), _build_bitcast


_I32, _I64, _F32, _F64 = types.int32, types.int64, types.float32, types.float64


@overload(to_bits, strict=False)
def _compile_to_bits(x: Any) -> Any:
    if x == types.float32:
        return lambda x: _bitcast(x, _I32)
    return lambda x: _bitcast(_F64(x), _I64)


@overload(from_bits, strict=False)
def _compile_from_bits(bits: Any, x: Any) -> Any:
    if x == types.float32:
        return lambda bits, x: _bitcast(_I32(bits), _F32)
    return lambda bits, x: _bitcast(_I64(bits), _F64)


def by_precision(single: int, double: int, x: Number) -> Number:
    """Return the integer constant for `x`'s precision, of its width.

    >>> by_precision(23, 52, np.float32(1)), by_precision(23, 52, 1.0)
    (23, 52)
    """
    return single if isinstance(x, np.float32) else double


@overload(by_precision, strict=False, prefer_literal=True)
def _compile_by_precision(single: Any, double: Any, x: Any) -> Any:
    if x == types.float32:
        return lambda single, double, x: _I32(single)
    return lambda single, double, x: _I64(double)


def to_integer(x: Number) -> Number:
    """Return a finite whole float as an integer of the same width.

    >>> to_integer(3.0)
    3
    """
    return int(x)


@overload(to_integer, strict=False)
def _compile_to_integer(x: Any) -> Any:
    return (lambda x: _I32(x)) if x == types.float32 else (lambda x: _I64(x))


def polynomial(double: tuple[float, ...], single: tuple[float, ...]) -> Callable[[Number], Number]:
    """Return a function that evaluates a polynomial by Horner's rule, its coefficients chosen by the precision of its argument.

    Parameters
    ----------
    double, single : tuple of float
        Coefficients for float64 and float32, constant term first.
    """

    def evaluate(z: Number) -> Number:
        coefficients = single if isinstance(z, np.float32) else double
        total = like(coefficients[-1], z)
        for coefficient in coefficients[-2::-1]:
            total = fma(total, z, like(coefficient, z))
        return total

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        coefficients = single if signature.return_type == types.float32 else double
        total = ir.Constant(value.type, coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            total = builder.fma(total, value, ir.Constant(value.type, coefficient))
        return total

    @intrinsic
    def unrolled(typingctx: Any, z: Any) -> Any:
        return z(z), build

    @overload(evaluate, strict=False)
    def compile_evaluate(z: Any) -> Any:
        return lambda z: unrolled(z)

    return evaluate


# fmt: off
_SINE = polynomial(  # sin(sqrt(z)) / sqrt(z), z in [0, (pi/2)**2]: 3e-19, 3e-11
    (1.0, -0.16666666666666666, 0.008333333333333186, -0.00019841269841208676, 2.7557319211229606e-06, -2.505210689056952e-08,
     1.605894087848656e-10, -7.643026557971632e-13, 2.7215749422983443e-15),
    (0.9999999999829191, -0.16666666616815567, 0.008333330974207583, -0.00019840861179319552, 2.752526981229885e-06,
     -2.3889217773452806e-08),
)
_SHORT_SINE = polynomial(  # sin(sqrt(z)) / sqrt(z), z in [0, (pi/4)**2]: 1e-17, 3e-9
    (1.0, -0.16666666666666616, 0.008333333333320363, -0.000198412698286503, 2.755731337640013e-06, -2.5050716974102745e-08,
     1.5894736651849094e-10),
    (0.9999999969177036, -0.16666650673996775, 0.00833203578559731, -0.000195039042508408),
)
_ARCSINE = polynomial(  # asin(sqrt(z)) / sqrt(z), z in [0, 1/2]: 3e-17, 3e-9
    (1.0, 0.16666666666664987, 0.07500000000401816, 0.044642856762615, 0.030381963396751827, 0.022371584779320355, 0.017364281439103527,
     0.01380344589589198, 0.013191002571753903, -0.002601537848299688, 0.07871611357002127, -0.2968705430689824, 1.0082016650534187,
     -2.4908808126226116, 4.6420689099888435, -6.229299875397985, 5.7579408313146985, -3.278933156739812, 0.8892904367638688),
    (1.0000000016226234, 0.16666614237824284, 0.07502757316352404, 0.04409161673371687, 0.03581423928401177, -0.0070205791522944755,
     0.10740002130174647, -0.13591627123984387, 0.12391349490512975),
)
_ARCTANGENT = polynomial(  # atan(sqrt(z)) / sqrt(z), z in [0, 1]: 2e-16, 3e-9
    (0.9999999999999998, -0.333333333333188, 0.19999999998244405, -0.14285714201153485, 0.11111108947215684, -0.09090875100099982,
     0.07691950418796795, -0.06664007607654046, 0.05867776001706719, -0.052025829246698206, 0.045668724719449945, -0.03852606834610674,
     0.02992405293802711, -0.02033087003302746, 0.011430023675054508, -0.0050003664537326496, 0.0015739493241755762,
     -0.00031420077366807334, 2.969635660165779e-05),
    (0.9999999971605454, -0.3333327629198255, 0.19998075281148714, -0.14260016082820906, 0.10932341501303093, -0.08349724968301601,
     0.05708955593030619, -0.030351864785781172, 0.010487649254949306, -0.0017011700640685973),
)
_ARTANH = polynomial(  # atanh(sqrt(z)) / sqrt(z), z in [0, (3 - 2 sqrt(2))**2]: 1e-18, 4e-12
    (1.0, 0.33333333333333826, 0.1999999999965117, 0.1428571438032084, 0.11111098528363024, 0.09091815840114664, 0.07656264074182095,
     0.07404855180327638),
    (1.0000000000041798, 0.3333333262374376, 0.20000192336187594, 0.14267525518908156, 0.11808179549572992),
)
_EXPONENTIAL = polynomial(  # exp(z), |z| <= ln(2)/2: 6e-20, 6e-11
    (1.0, 1.0, 0.5, 0.16666666666666702, 0.04166666666666669, 0.008333333333309528, 0.001388888888887189, 0.000198412699092171,
     2.4801587350110797e-05, 2.7557224958392624e-06, 2.7557251904174915e-07, 2.5114869528657765e-08, 2.09215799649503e-09),
    (0.9999999999595618, 0.999999999995509, 0.5000000107729166, 0.16666666786308587, 0.041666218319291945, 0.008333283538708528,
     0.0013948578326459795, 0.00019907569310848288),
)
# fmt: on


@inlined
def _sine_of_turn(r: Number, turn: Number) -> Number:
    """Sine of `r` in [-turn/2, turn/2], where `turn` is the full circle in `r`'s unit."""
    half = turn * like(0.5, r)
    quarter = turn * like(0.25, r)
    s = half - r if r > quarter else r
    s = -half - r if r < -quarter else s
    s = s * (like(2 * math.pi, r) / turn)
    return s * _SINE(s * s)


@inlined
def _reduced(x: Number) -> Number:
    """Return an angle in degrees less whole turns."""
    return fma(like(-360.0, x), nearest(x * like(1 / 360, x)), x)


@inlined
def sin_degrees(x: Number) -> Number:
    """Return the sine of an angle in degrees; infinite gives NaN.

    >>> round(sin_degrees(30.0), 15)
    0.5
    """
    return _sine_of_turn(_reduced(x), like(360.0, x))


@inlined
def cos_degrees(x: Number) -> Number:
    """Return the cosine of an angle in degrees, exactly 0 at 90.

    >>> float(cos_degrees(90.0)), float(cos_degrees(180.0))
    (0.0, -1.0)
    """
    return _sine_of_turn(like(90.0, x) - abs(_reduced(x)), like(360.0, x))


@inlined
def sin_turns(x: Number) -> Number:
    """Return the sine of an angle in full turns: sin(2 pi x).

    >>> float(sin_turns(0.25)), float(sin_turns(7.0))
    (1.0, 0.0)
    """
    return _sine_of_turn(x - nearest(x), like(1.0, x))


@inlined
def cos_turns(x: Number) -> Number:
    """Return the cosine of an angle in full turns: cos(2 pi x).

    >>> float(cos_turns(0.5))
    -1.0
    """
    return _sine_of_turn(like(0.25, x) - abs(x - nearest(x)), like(1.0, x))


@inlined
def sine_cosine_squared(x: Number, rest: Number) -> tuple[Number, Number]:
    """Return the squares of the sine and of the cosine of x + rest degrees, where `rest` is below the last place of `x`.

    >>> near_one, tiny = sine_cosine_squared(90.0, 1e-20)
    >>> float(near_one), bool(tiny < 1e-43)
    (1.0, True)
    """
    quarter = like(45.0, x)
    r = fma(like(-180.0, x), nearest(x * like(1 / 180, x)), x)
    rest = -rest if r < like(0.0, x) else rest
    r = abs(r)
    upper = r > quarter
    t = (((like(90.0, x) - r) - rest) if upper else (r + rest)) * like(math.pi / 180, x)
    s = t * _SHORT_SINE(t * t)
    small = s * s
    large = like(1.0, x) - small
    return (large if upper else small), (small if upper else large)


@inlined
def exact_sum(x: Number, y: Number) -> tuple[Number, Number]:
    """Return the sum of two floats as rounded, and what rounding took: together they are exact.

    Source: TwoSum, D. E. Knuth, *The Art of Computer Programming*, volume 2, section 4.2.2.

    >>> exact_sum(1.0, 1e-20)
    (1.0, 1e-20)
    """
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


@inlined
def asin_of_sqrt(a: Number, b: Number) -> Number:
    """Return asin(sqrt(a)) in radians for a >= 0 and b = 1 - a, each exact by itself.

    >>> float(asin_of_sqrt(1.0, 0.0)) == math.pi / 2
    True
    """
    steep = a > b
    smaller = b if steep else a
    angle = like(math.sqrt(smaller), a) * _ARCSINE(smaller)
    return like(math.pi / 2, a) - angle if steep else angle


@inlined
def compass_degrees(y: Number, x: Number) -> Number:
    """Return the angle of the point (x, y) in degrees, 0 <= angle < 360: atan2 with its negative half turned on; (0, 0) gives 0.

    >>> float(compass_degrees(-1.0, 0.0))
    270.0
    """
    zero = like(0.0, y)
    steep = abs(y) > abs(x)
    longer = abs(y) if steep else abs(x)
    shorter = abs(x) if steep else abs(y)
    t = shorter / (longer if longer != zero else like(1.0, y))
    angle = t * _ARCTANGENT(t * t) * like(180 / math.pi, y)
    angle = like(90.0, y) - angle if steep else angle
    angle = like(180.0, y) - angle if x < zero else angle
    angle = like(360.0, y) - angle if y < zero else angle
    return zero if angle >= like(360.0, y) else angle


@inlined
def _logarithm(u: Number, correction: Number, exponent: Number) -> Number:
    """ln((u + correction) * 2**exponent) for a normal, positive `u` and a `correction` below its last place."""
    mantissa_bits = by_precision(23, 52, u)
    k = (to_bits(u) - to_bits(like(_SQRT_HALF, u))) >> mantissa_bits
    m = from_bits(to_bits(u) - (k << mantissa_bits), u)  # u / 2**k in [sqrt(1/2), sqrt(2))
    scale = from_bits(max(by_precision(127, 1023, u) - k, by_precision(0, 0, u)) << mantissa_bits, u)
    f = (m - like(1.0, u)) + correction * scale
    q = f / (like(2.0, u) + f)
    return like(k + exponent, u) * like(_LN_2, u) + (q + q) * _ARTANH(q * q)


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
    k = nearest(safe)
    # one binade lower and doubled: 2**1024 itself has no bits
    power = from_bits((to_integer(k) + by_precision(126, 1022, x)) << by_precision(23, 52, x), x)
    result = (_EXPONENTIAL((safe - k) * like(_LN_2, x)) * power) * like(2.0, x)
    special = like(0.0, x) if x < low else (like(math.inf, x) if x >= high else x)
    return result if usable else special
