"""Joining on time on the device: the last row of a key at or before a time, by one sorted search for all rows."""

from __future__ import annotations

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.cudf.casts import cast_exactly
from headrace.backends.cudf.column import Column, Plain, Rows
from headrace.backends.cudf.values import as_float64, from_arrow, numbers
from headrace.order import comparable_type, units
from headrace.schema import Type
from headrace.states import Ints


def find_as_of(column: Column, times: pa.Array, starts: Ints, groups: Rows, tolerance: float, *, allow_exact: bool) -> Rows:
    """Return the place among `times` of the last one in each row's group that is not after the row's time, int64, -1 for none.

    Both are brought to numbers of one order first: the rank of a time among the distinct ones, group after group, is an integer
    that one search finds. `tolerance` is in the column's units.
    """
    type_ = comparable_type(column.type, times.type)
    wanted = numbers(cast_exactly(column, Type(type_)))
    known = numbers(_column(times, type_)).values
    if not len(known):
        return cupy.full(len(column), -1, np.int64)
    values = wanted.values
    missing = cupy.zeros(len(values), bool) if wanted.valid is None else ~wanted.valid
    if values.dtype.kind == "f":
        missing = missing | cupy.isnan(values)
        values = cupy.where(missing, values.dtype.type(0), values)
    distinct, ranks = cupy.unique(known, return_inverse=True)
    width = len(distinct) + 1
    first_rows = cupy.asarray(starts)
    group_of = cupy.searchsorted(first_rows, cupy.arange(len(known)), side="right") - 1
    below = cupy.searchsorted(distinct, values, side="right" if allow_exact else "left")  # times that are not after
    inside = cupy.where(missing | (groups < 0), 0, groups)
    place = cupy.searchsorted(group_of * width + ranks + 1, inside * width + below, side="right") - 1
    found = ~missing & (groups >= 0) & (place >= first_rows[inside])
    at = cupy.maximum(place, 0)
    if np.isfinite(tolerance):
        finer = units(type_) / units(column.type)
        found = found & (_elapsed(values, known[at]) <= tolerance * finer)
    return cupy.where(found, at, -1).astype(np.int64)


def _column(times: pa.Array, type_: pa.DataType) -> Plain:
    column = cast_exactly(from_arrow(times), Type(type_))
    assert isinstance(column, Plain)  # noqa: S101  (times are numbers, dates and instants)
    return column


def _elapsed(later: Rows, earlier: Rows) -> Rows:
    """Return the difference of times as floats; of integers exact before it is rounded once, as times do not fall."""
    if later.dtype.kind == "f":
        return as_float64(later) - as_float64(earlier)
    return (later.astype(np.int64).view(np.uint64) - earlier.astype(np.int64).view(np.uint64)).astype(np.float64)
