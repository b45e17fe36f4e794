"""What the host computes for a device: a function of a few columns, once for each distinct row of them.

Texts, decimals, calendars and time zones have no arithmetic on a device. Their distinct values are on the host already, or few;
the CPU's own implementation makes the results, so that there is one meaning of each function, and codes spread them to the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.cudf.column import Coded, Column, Lists, Rows, take, used
from headrace.backends.cudf.grouping import distinct_rows
from headrace.backends.cudf.transfers import DISTINCT
from headrace.backends.cudf.values import from_arrow, to_arrow
from headrace.errors import DataError

OfArrays = Callable[[list[pa.Array]], pa.Array]


def by_value(function: OfArrays, columns: Sequence[Column]) -> Column:
    """Return what `function` makes of columns, row by row; it gets the distinct rows as Arrow arrays of equal length."""
    arrays, codes = on_host(columns)
    try:
        made = function(arrays)
    except DataError:
        if len(columns) != 1 or not isinstance(columns[0], Coded):
            raise
        # The value at fault may be one that no row has any more.
        arrays, codes = on_host([used(columns[0])])
        made = function(arrays)
    return take(from_arrow(made), codes)


def on_host(columns: Sequence[Column]) -> tuple[list[pa.Array], Rows]:
    """Return the distinct rows of some columns as Arrow arrays of plain values, and the code (int64) of each row."""
    if len(columns) == 1 and isinstance(columns[0], Coded):
        return _distinct_of(columns[0])
    if any(isinstance(column, Lists) for column in columns):  # lists are not compared: each row by itself
        return [_decoded(to_arrow(column)) for column in columns], cupy.arange(len(columns[0]), dtype=np.int64)
    found = distinct_rows(columns, bitwise=True)
    return [_decoded(to_arrow(take(column, found.firsts), DISTINCT)) for column in columns], found.codes


def _distinct_of(column: Coded) -> tuple[list[pa.Array], Rows]:
    values = column.distinct
    codes = column.values.astype(np.int64)
    if column.valid is not None:
        codes = cupy.where(column.valid, codes, np.int64(len(values)))
        values = pa.concat_arrays([values, pa.nulls(1, values.type)])
    return [values], codes


def _decoded(array: pa.Array) -> pa.Array:
    return array.dictionary.take(array.indices) if pa.types.is_dictionary(array.type) else array
