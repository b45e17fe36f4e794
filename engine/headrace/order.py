"""Columns that rows are ordered by: numbers, dates and timestamps as NumPy numbers of the same order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.errors import DataError

UNITS = ("s", "ms", "us", "ns")


def order_values(array: pa.Array) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return a column as numbers in its order, 0 where it is missing, and where it is missing: null or NaN.

    >>> [part.tolist() for part in order_values(pa.array([2.5, None, float("nan")]))]
    [[2.5, 0.0, 0.0], [False, True, True]]
    """
    missing = array.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_temporal(array.type):
        array = array.cast(pa.int32() if array.type.bit_width == 32 else pa.int64())
    elif pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    values = array.fill_null(0).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
        values = np.where(missing, 0, values)
    return values, missing


def comparable(left: pa.Array, right: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return two columns of one kind in one type, that of the finer unit; raise DataError where a time does not fit it."""
    if left.type == right.type:
        return left, right
    if pa.types.is_timestamp(left.type) and pa.types.is_timestamp(right.type):
        wanted = pa.timestamp(max(left.type.unit, right.type.unit, key=UNITS.index), left.type.tz)
    elif pa.types.is_integer(left.type) and pa.types.is_integer(right.type):
        wanted = pa.int64()
    else:
        wanted = pa.float64()
    try:
        return left.cast(wanted), right.cast(wanted)
    except pa.ArrowException as error:
        raise DataError(f"cannot be compared as {wanted}: {error}") from error
