"""CAST and TRY_CAST between what a device computes with; the rules are those of `headrace.backends.arrow.expression.casts`."""

from __future__ import annotations

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.arrow.expression.calendar import PER_SECOND
from headrace.backends.arrow.expression.casts import convert as convert_on_host
from headrace.backends.cudf.column import Column, Plain, Rows, is_valid, null_count, only, storage, take
from headrace.backends.cudf.transfers import DISTINCT
from headrace.backends.cudf.values import comparable, converted, to_arrow, towards_zero
from headrace.expressions.promotion import integer_range

_SECONDS_A_DAY = 86_400


def convert(column: Column, target: pa.DataType, *, strict: bool) -> Column | None:
    """Return the values of a column as `target`, null where one does not convert; None if that is for the host to do.

    With `strict` the host's own conversion of the first row that failed raises, and names its value.
    """
    if not isinstance(column, Plain) or storage(target) is None:
        return None
    made = _converted(column, target)
    if made is not None and strict and made.valid is not None and null_count(made) > null_count(column):
        failed = cupy.flatnonzero(is_valid(column) & ~made.valid)[:1]
        convert_on_host(to_arrow(take(column, failed), DISTINCT), target, strict=True)
    return made


def _converted(column: Plain, target: pa.DataType) -> Plain | None:
    source = column.type
    if pa.types.is_boolean(source) and _is_number(target):
        return _converted(Plain(column.values.astype(np.int8), column.valid, pa.int8()), target)
    if pa.types.is_boolean(target) and _is_number(source):
        return Plain(comparable(column.values) != 0, column.valid, target)
    if _is_number(source) and _is_number(target):
        return _number(column, target)
    if _is_time(source) and _is_time(target):
        return _time(column, target)
    if pa.types.is_duration(source) and pa.types.is_duration(target):
        return Plain(_rescaled(column.values, PER_SECOND[source.unit], PER_SECOND[target.unit]), column.valid, target)
    return None


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_float32(type_) or pa.types.is_float64(type_))


def _is_time(type_: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(type_) or pa.types.is_date32(type_))


def _number(column: Plain, target: pa.DataType) -> Plain:
    values, dtype = column.values, storage(target)
    assert dtype is not None  # noqa: S101  (a number)
    if dtype.kind == "f":
        made = Plain(converted(values, dtype), column.valid, target)
        if values.dtype == np.float64 and dtype == np.float32:
            lost = cupy.isinf(made.values) & ~cupy.isinf(values)
            return _without(made, lost)
        return made
    low, high = integer_range(target)
    if values.dtype.kind == "f":
        whole = cupy.rint(values)
        # The upper bound + 1 is a power of two and so exact as a float; the range itself is not.
        inside = (whole >= float(low)) & (whole < float(high + 1))
        clean = cupy.where(inside, whole, values.dtype.type(0))
        return _without(Plain(clean.astype(dtype), column.valid, target), ~inside)
    own = np.iinfo(values.dtype)
    outside = None
    if own.min < low:
        outside = values < low
    if own.max > high:
        above = values > high
        outside = above if outside is None else outside | above
    made = Plain(values.astype(dtype), column.valid, target)
    return made if outside is None else _without(made, outside)


def _without(column: Plain, rows: Rows) -> Plain:
    """Return a column with null in some rows, its bitmap untouched if there is none of them."""
    if not bool(rows.any()):
        return column
    made = only(column, ~rows)
    assert isinstance(made, Plain)  # noqa: S101
    return made


def _time(column: Plain, target: pa.DataType) -> Plain:
    source, values = column.type, column.values
    if pa.types.is_date32(target):
        if pa.types.is_date32(source):
            return column
        return Plain((values // (_SECONDS_A_DAY * PER_SECOND[source.unit])).astype(np.int32), column.valid, target)
    per_second = PER_SECOND[target.unit]
    if pa.types.is_date32(source):
        values, have = values.astype(np.int64) * _SECONDS_A_DAY, 1
    else:
        have = PER_SECOND[source.unit]
    factor = per_second // have
    moved = _rounded(values, have // per_second) if have > per_second else _rescaled(values, have, per_second)
    made = Plain(moved, column.valid, target)
    if factor <= 1:
        return made
    limit = (2**63 - 1) // factor
    return _without(made, (values > limit) | (values < -limit))


def _rounded(values: Rows, factor: int) -> Rows:
    """Return times in a coarser unit, halves away from 1970."""
    whole = values // factor
    rest = values - whole * factor
    return whole + cupy.where(values < 0, 2 * rest > factor, 2 * rest >= factor)


def _rescaled(values: Rows, have: int, want: int) -> Rows:
    return values * (want // have) if want >= have else towards_zero(values, have // want)
