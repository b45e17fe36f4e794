"""CAST and TRY_CAST on Arrow arrays, with DuckDB's rounding and ranges.

Every conversion gives null where a value does not convert; CAST then raises for the first such value and names it,
TRY_CAST leaves the null.
"""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.expression.from_text import parse_text
from headrace.backends.arrow.expression.to_text import to_text
from headrace.errors import DataError, JobError
from headrace.expressions.promotion import decimal_of, integer_range, is_number, is_text

_AWAY = "half_towards_infinity"  # Arrow's name for rounding halves away from zero


def convert(array: pa.Array, target: pa.DataType, *, strict: bool) -> pa.Array:
    """Return the values of `array` as `target`.

    Floats become integers by rounding halves to even, decimals and texts by rounding halves away from zero, as in
    DuckDB. Timestamps without a zone are taken as UTC where a zone is asked for, and back.

    Raises
    ------
    DataError
        With `strict`, if a value does not convert: too large, not a number, no such day.
    JobError
        If no value of the one type can become the other.
    """
    if array.type == target:
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    result = _converted(array, target)
    if strict and result.null_count > array.null_count:
        failed = array.filter(pc.and_(result.is_null(), array.is_valid()))
        shown = repr(failed[0].as_py()) if is_text(array.type) else str(failed[0])
        raise DataError(f"cannot cast {shown} to {target}", hint="TRY_CAST gives null instead")
    return result


def _converted(array: pa.Array, target: pa.DataType) -> pa.Array:
    source = array.type
    if is_text(target):
        return to_text(array).cast(target)
    if is_text(source):
        return parse_text(array, target)
    if pa.types.is_boolean(source) and is_number(target):
        return _converted(array.cast(pa.int8()), target)
    if pa.types.is_boolean(target) and is_number(source):
        return pc.not_equal(array, pa.scalar(0).cast(source))  # NaN is not 0, so it is true, as in DuckDB
    if is_number(source) and is_number(target):
        return _number(array, target)
    if (pa.types.is_timestamp(source) or pa.types.is_date(source)) and (pa.types.is_timestamp(target) or pa.types.is_date(target)):
        return _time(array, target)
    if pa.types.is_duration(source) and pa.types.is_duration(target):
        return array.cast(target, safe=False)
    raise JobError(f"no cast from {source} to {target}", hint="docs/expressions.md lists the casts")


def _number(array: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_floating(target):
        return _to_float(array, target)
    if pa.types.is_decimal(target):
        return _to_decimal(array, target)
    if pa.types.is_floating(array.type):
        whole = pc.round(array, ndigits=0, round_mode="half_to_even")
        low, high = integer_range(target)
        # The upper bound + 1 is a power of two and so exact as a float; the range itself is not.
        inside = pc.and_(pc.greater_equal(whole, float(low)), pc.less(whole, float(high + 1)))
        return pc.cast(_only(whole, inside), target, safe=False)
    if pa.types.is_decimal(array.type):
        array = _rescaled(array, 0)
    return _into_integer(array, target)


def _into_integer(array: pa.Array, target: pa.DataType) -> pa.Array:
    try:
        return array.cast(target)
    except pa.ArrowInvalid:  # a value is out of range: only now look for which
        wide = array.cast(decimal_of(array.type))
        low, high = (pa.scalar(bound, pa.decimal128(20, 0)) for bound in integer_range(target))
        return _only(array, pc.and_(pc.greater_equal(wide, low), pc.less_equal(wide, high))).cast(target)


def _to_float(array: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(array.type) and pa.types.is_float32(target):
        array = array.cast(pa.float64())  # straight to float32, Arrow is off by a last digit
    result = array.cast(target, safe=False)
    if not (pa.types.is_float64(array.type) and pa.types.is_float32(target)):
        return result
    return _only(result, pc.or_(pc.invert(pc.is_inf(result)), pc.is_inf(array)))


def _to_decimal(array: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_floating(array.type):
        array = pc.round(array, ndigits=target.scale, round_mode=_AWAY)
        limit = float(10 ** (target.precision - target.scale))
        array = _only(array, pc.and_(pc.less(array, limit), pc.greater(array, -limit)))
        return array.cast(target)
    return _rescaled(array.cast(decimal_of(array.type)), target.scale, target)


def _rescaled(array: pa.Array, scale: int, target: pa.DataType | None = None) -> pa.Array:
    """Return decimals with `scale` digits behind the point, null where the target's precision is too small."""
    if scale < array.type.scale:
        wide = pa.decimal128(38, array.type.scale)
        array = pc.round(array.cast(wide), ndigits=scale, round_mode=_AWAY)
    narrowed = target or pa.decimal128(min(38, array.type.precision), scale)
    try:
        return array.cast(narrowed)
    except pa.ArrowInvalid:
        limit = 10 ** (narrowed.precision - narrowed.scale + array.type.scale)
        if limit >= 10**38:
            raise DataError(f"a decimal is beyond {narrowed}", hint="CAST it to DOUBLE") from None
        bound = pa.scalar(Decimal(limit).scaleb(-array.type.scale), pa.decimal128(38, array.type.scale))
        return _only(array, pc.and_(pc.less(array, bound), pc.greater(array, pc.negate(bound)))).cast(narrowed)


def _time(array: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp(array.type.unit))  # an instant, read in UTC
    if pa.types.is_date(target):
        return array.cast(target, safe=False)
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s"))
    try:
        # From a finer unit the rest falls away; to a finer one a date far off may not fit.
        return array.cast(pa.timestamp(target.unit), safe=target.unit == "ns").cast(target)
    except pa.ArrowInvalid:
        limit = pa.scalar(2**63 - 1, pa.timestamp("ns")).cast(array.type, safe=False)
        low = pa.scalar(-(2**63) + 1, pa.timestamp("ns")).cast(array.type, safe=False)
        return _only(array, pc.and_(pc.less(array, limit), pc.greater(array, low))).cast(target)


def _only(array: pa.Array, keep: pa.Array) -> pa.Array:
    """Return `array` with null where `keep` is not true."""
    return pc.if_else(keep, array, pa.scalar(None, array.type))
