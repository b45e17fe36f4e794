"""What scalar functions are made of, the same in plain Python, on a CPU and on a GPU: constants, bits, fused operations, polynomials.

Numbers follow the type of what they are computed from: float32 in, float32 throughout; any other number is a float64.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from headrace_kernels.numba_names import intrinsic, overload, register_jitable, types

Number = Any  # a Python or NumPy number in plain Python, a machine number when compiled

inlined = register_jitable(forceinline=True)
"""Decorator: compiled into every function that calls it. A call left in a loop stops LLVM from vectorising it (80 ns a distance, not 8)."""


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


# In a number so large the last bit is worth 1: what is added to it is rounded to a whole number, which its last bits then hold.
# Converting between floats and 64-bit integers is one value at a time without AVX-512.
_WHOLE_SINGLE, _WHOLE_DOUBLE = 3 << 22, 3 << 51


@inlined
def rounded(x: Number) -> tuple[Number, Number]:
    """Return the nearest whole number, of two the even one, as a float and as an integer of its width; `x` is below 2**22 (float64: 2**51) in size.

    >>> rounded(2.5), rounded(-3.7)
    ((2.0, 2), (-4.0, -4))
    """
    whole = like(by_precision(_WHOLE_SINGLE, _WHOLE_DOUBLE, x), x)
    shifted = x + whole
    return shifted - whole, to_bits(shifted) - to_bits(whole)


@inlined
def to_float(k: Number, x: Number) -> Number:
    """Return an integer of `x`'s width, below 2**22 (float64: 2**51) in size, as a float of its precision.

    >>> to_float(-3, 0.0)
    -3.0
    """
    whole = like(by_precision(_WHOLE_SINGLE, _WHOLE_DOUBLE, x), x)
    return from_bits(to_bits(whole) + k, x) - whole


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


def polynomial(double: tuple[float, ...], single: tuple[float, ...]) -> Callable[[Number], Number]:
    """Return a function that evaluates a polynomial by Horner's rule, its coefficients chosen by the precision of its argument.

    But for the constant, even and odd powers go apart, as two polynomials of z**2: of one, every operation would wait for the one before.

    Parameters
    ----------
    double, single : tuple of float
        Coefficients for float64 and float32, constant term first.
    """

    def evaluate(z: Number) -> Number:
        coefficients = [like(coefficient, z) for coefficient in (single if isinstance(z, np.float32) else double)]
        return _by_horner(coefficients, z, z * z, fma)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (z,) = arguments
        coefficients = [ir.Constant(z.type, coefficient) for coefficient in (single if signature.return_type == types.float32 else double)]
        return _by_horner(coefficients, z, builder.fmul(z, z), builder.fma)

    @intrinsic
    def unrolled(typingctx: Any, z: Any) -> Any:
        return z(z), build

    @overload(evaluate, strict=False)
    def compile_evaluate(z: Any) -> Any:
        return lambda z: unrolled(z)

    return evaluate


def _by_horner(coefficients: Sequence[Any], z: Any, square: Any, multiply_add: Callable[[Any, Any, Any], Any]) -> Any:
    constant, *others = coefficients
    even, odd = (functools.reduce(lambda total, lower: multiply_add(total, square, lower), others[i::2][::-1]) for i in (0, 1))
    # the constant last: it is the largest, and its sum with all others is rounded once
    return multiply_add(multiply_add(odd, z, even), z, constant)
