"""CAST and TRY_CAST on Arrow arrays, with DuckDB's rounding and ranges.

Every conversion gives null where a value does not convert; CAST then raises for the first such value and names it,
TRY_CAST leaves the null.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.expression.calendar import PER_SECOND
from headrace.backends.arrow.expression.from_text import parse_text
from headrace.backends.arrow.expression.number_casts import convert_number, only
from headrace.backends.arrow.expression.to_text import to_text
from headrace.errors import DataError, JobError
from headrace.expressions.promotion import is_number, is_text


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
        raise DataError(f"cannot cast {_shown(failed[0])} to {target}", hint="TRY_CAST gives null instead")
    return result


def _shown(value: pa.Scalar) -> str:
    try:
        return repr(value.as_py()) if is_text(value.type) else str(value)
    except (OverflowError, ValueError):  # Python's dates end with the year 9999
        return f"{value.type} {value.cast(pa.int32() if pa.types.is_date32(value.type) else pa.int64())}"


def _converted(array: pa.Array, target: pa.DataType) -> pa.Array:
    source = array.type
    if is_text(target):
        return to_text(array).cast(target)
    if is_text(source):
        if pa.types.is_timestamp(target) and PER_SECOND[target.unit] < PER_SECOND["us"]:
            return _time(parse_text(array, pa.timestamp("us", target.tz)), target)
        return parse_text(array, target)
    if pa.types.is_boolean(source) and is_number(target):
        return _converted(array.cast(pa.int8()), target)
    if pa.types.is_boolean(target) and is_number(source):
        array = array.cast(pa.float64()) if pa.types.is_decimal(source) else array
        return pc.not_equal(array, pa.scalar(0, array.type))  # NaN is not 0, so it is true, as in DuckDB
    if is_number(source) and is_number(target):
        return convert_number(array, target)
    if (pa.types.is_timestamp(source) or pa.types.is_date(source)) and (pa.types.is_timestamp(target) or pa.types.is_date(target)):
        return _time(array, target)
    if pa.types.is_duration(source) and pa.types.is_duration(target):
        return array.cast(target, safe=False)
    raise JobError(f"no cast from {source} to {target}", hint="docs/expressions.md lists the casts")


def _time(array: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp(array.type.unit))  # an instant, read in UTC
    if pa.types.is_date(target):
        return array.cast(target, safe=False)
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s"))
    have, want = PER_SECOND[array.type.unit], PER_SECOND[target.unit]
    if have > want:
        return _rounded(array, have // want, pa.timestamp(target.unit)).cast(target)
    factor = want // have
    if factor > 1:  # a date far off may not fit
        limit = pa.scalar((2**63 - 1) // factor, pa.int64())
        count = array.cast(pa.int64())
        array = only(array, pc.and_(pc.less_equal(count, limit), pc.greater_equal(count, pc.negate(limit))))
    return array.cast(pa.timestamp(target.unit), safe=False).cast(target)


def _rounded(array: pa.Array, factor: int, target: pa.DataType) -> pa.Array:
    """Return times in a coarser unit, halves away from 1970, as in DuckDB."""
    counts = array.cast(pa.int64()).fill_null(0).to_numpy()
    whole, rest = np.divmod(counts, factor)
    whole += np.where(counts < 0, 2 * rest > factor, 2 * rest >= factor)
    return pa.array(whole, mask=array.is_null().to_numpy(zero_copy_only=False)).cast(target)
