"""Columns of numbers that are kept as codes of few values, as files with dictionary pages have them.

What a step does to such a column it does to the values, of which there are hundreds where there are 100,000 rows; kept rows take two bytes a
value; and a dictionary is written as it is. An op sees none of it: `Table` hands out a value a row unless codes are asked for.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace_kernels.column import Column

CODES = pa.int16()
LEAST_ROWS_A_VALUE = 16
"""With fewer rows for each value codes save little, and what is done to the values costs as much as to do it to the rows."""
MOST_VALUES = (1 << 15) - 1
"""Of one column, without the null."""

# What chains of steps compute in float64: see `run_stages`. Of wider integers a step may need each bit.
VALUE_TYPES = frozenset([pa.float32(), pa.float64(), pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32()])
_DICTIONARY = pa.dictionary(CODES, pa.int32()).id


def is_coded(column: pa.Array | pa.Field) -> bool:
    """Say whether a column is codes of numbers."""
    type_ = column.type
    return bool(type_.id == _DICTIONARY and type_.index_type == CODES and type_.value_type in VALUE_TYPES)


def is_codes_of(column: pa.Array | pa.Field, type_: pa.DataType) -> bool:
    """Say whether a column is codes of numbers of a type."""
    return is_coded(column) and bool(column.type.value_type == type_)


def plain(column: pa.Array) -> pa.Array:
    """Return a column with a value a row; one that is not codes of numbers as it is."""
    return pc.take(column.dictionary, column.indices, boundscheck=False) if is_coded(column) else column


def values_of(column: pa.Array) -> pa.Array:
    """Return the values of a column of codes, without the null."""
    return column.dictionary.slice(0, len(column.dictionary) - column.dictionary.null_count)


def n_nulls(column: pa.Array) -> int:
    """Return how many rows of a column of codes have the null."""
    return int(np.count_nonzero(codes_of(column) == len(column.dictionary) - 1)) if column.dictionary.null_count else 0


def codes_of(column: pa.Array) -> NDArray[np.int16]:
    """Return the codes of rows."""
    codes: NDArray[np.int16] = column.indices.to_numpy()
    return codes


def value_counts(column: pa.Array) -> NDArray[np.int64]:
    """Return how many rows have each value of the dictionary, the null among them."""
    from headrace_kernels.counting import count_indices

    return count_indices(Column(codes_of(column)), len(column.dictionary))[:-1]


def with_values(column: pa.Array, values: pa.Array) -> pa.Array:
    """Return a column of codes with others in place of its values; with a value a row if another than the last became null."""
    if values.null_count > 1 or (values.null_count and values[-1].is_valid):
        return pc.take(values, column.indices, boundscheck=False)
    return pa.DictionaryArray.from_arrays(column.indices, values, safe=False)
