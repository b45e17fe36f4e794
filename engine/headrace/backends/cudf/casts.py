"""The backend's own `cast`, as Arrow's safe one: it raises where a value would change."""

from __future__ import annotations

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.arrow.values import cast_safely
from headrace.backends.cudf.by_value import by_value
from headrace.backends.cudf.column import Column, Plain, is_valid, storage
from headrace.backends.cudf.values import converted
from headrace.expressions.promotion import integer_range
from headrace.schema import Type

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EXACT = {np.dtype(np.float32): 1 << 24, np.dtype(np.float64): 1 << 53}


def cast_exactly(column: Column, type_: Type) -> Column:
    """Convert a column; raise DataError for a value that does not fit."""
    if Type.from_arrow(column.type) == type_:
        return column
    quickly = _quickly(column, type_.arrow)
    if quickly is not None:
        return quickly
    return by_value(lambda arrays: cast_safely(arrays[0], type_), [column])


def _quickly(column: Column, target: pa.DataType) -> Column | None:
    """Return integers and floats in a wider type, or in one that holds every value there is; None for all else."""
    dtype = storage(target)
    if isinstance(column, Plain) and pa.types.is_timestamp(target) and pa.types.is_timestamp(column.type):
        return _finer(column, target)
    if not isinstance(column, Plain) or dtype is None or pa.types.is_temporal(target) or pa.types.is_temporal(column.type):
        return None
    values = column.values
    if values.dtype.kind == "f":
        fits = dtype.kind == "f" and dtype.itemsize >= values.dtype.itemsize
        return Plain(converted(values, dtype), column.valid, target) if fits else None
    if values.dtype.kind == "b" or dtype.kind == "b":
        return Plain(values.astype(dtype), column.valid, target) if values.dtype.kind == "b" and dtype.kind in "iu" else None
    if dtype.itemsize < 4 and dtype.kind == "f":
        return None
    low, high = (-_EXACT[dtype], _EXACT[dtype]) if dtype.kind == "f" else integer_range(target)
    own = np.iinfo(values.dtype)
    inside = cupy.ones(len(values), bool)
    if own.min < low:
        inside = inside & (values >= low)
    if own.max > high:
        inside = inside & (values <= high)
    if not bool((inside | ~is_valid(column)).all()):
        return None
    return Plain(values.astype(dtype), column.valid, target)


def _finer(column: Plain, target: pa.DataType) -> Column | None:
    """Return instants in a finer unit, None where that is coarser, or one does not fit."""
    factor = _UNITS[target.unit] // _UNITS[column.type.unit]
    if not factor or (column.type.tz is None) != (target.tz is None):
        return None
    limit = (2**63 - 1) // factor
    outside = ((column.values > limit) | (column.values < -limit)) & is_valid(column)
    return None if bool(outside.any()) else Plain(column.values * factor, column.valid, target)
