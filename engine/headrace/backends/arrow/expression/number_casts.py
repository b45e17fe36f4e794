"""Conversions between integers, floats and decimals, with DuckDB's rounding and ranges."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from headrace.decimals import nearest_floats
from headrace.expressions.promotion import decimal_of, integer_range

_AWAY = "half_towards_infinity"  # Arrow's name for rounding halves away from zero


def convert_number(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Return numbers as numbers of another type, null where one is out of range.

    Floats become integers by rounding halves to even, decimals by rounding halves away from zero.
    """
    if pa.types.is_floating(target):
        return _to_float(array, target)
    if pa.types.is_decimal(target):
        return _to_decimal(array, target)
    if pa.types.is_floating(array.type):
        whole = pc.round(array, ndigits=0, round_mode="half_to_even")
        low, high = integer_range(target)
        # The upper bound + 1 is a power of two and so exact as a float; the range itself is not.
        inside = pc.and_(pc.greater_equal(whole, float(low)), pc.less(whole, float(high + 1)))
        return pc.cast(only(whole, inside), target, safe=False)
    if pa.types.is_decimal(array.type):
        array = _rescaled(array, 0)
    return _into_integer(array, target)


def _into_integer(array: pa.Array, target: pa.DataType) -> pa.Array:
    try:
        return array.cast(target)
    except pa.ArrowInvalid:  # a value is out of range: only now look for which
        wide = array.cast(decimal_of(array.type))
        low, high = (pa.scalar(bound, pa.decimal128(20, 0)) for bound in integer_range(target))
        return only(array, pc.and_(pc.greater_equal(wide, low), pc.less_equal(wide, high))).cast(target)


def _to_float(array: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(array.type):
        array = nearest_floats(array)
    result = array.cast(target, safe=False)
    if not (pa.types.is_float64(array.type) and pa.types.is_float32(target)):
        return result
    return only(result, pc.or_(pc.invert(pc.is_inf(result)), pc.is_inf(array)))


def _to_decimal(array: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_floating(array.type):
        array = pc.round(array, ndigits=target.scale, round_mode=_AWAY)
        limit = float(10 ** (target.precision - target.scale))
        array = only(array, pc.and_(pc.less(array, limit), pc.greater(array, -limit)))
        return array.cast(target)
    return _rescaled(array.cast(decimal_of(array.type)), target.scale, target)


def _rescaled(array: pa.Array, scale: int, target: pa.DataType | None = None) -> pa.Array:
    """Return decimals with `scale` digits behind the point, null where the target's precision is too small."""
    narrowed = target or pa.decimal128(min(38, array.type.precision), scale)
    if scale < array.type.scale:
        # Rounding may carry into one digit more.
        wide = pa.decimal128(38, array.type.scale) if array.type.precision < 38 else pa.decimal256(76, array.type.scale)
        array = pc.round(array.cast(wide), ndigits=scale, round_mode=_AWAY)
    try:
        return array.cast(narrowed)
    except pa.ArrowInvalid:
        wide = pa.decimal256(76, array.type.scale)
        bound = pa.scalar(Decimal(1).scaleb(narrowed.precision - narrowed.scale), wide)
        array = array.cast(wide)
        return only(array, pc.and_(pc.less(array, bound), pc.greater(array, pc.negate(bound)))).cast(narrowed)


def only(array: pa.Array, keep: pa.Array) -> pa.Array:
    """Return `array` with null where `keep` is not true."""
    return pc.if_else(keep, array, pa.scalar(None, array.type))
