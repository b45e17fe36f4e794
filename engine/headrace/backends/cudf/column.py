"""What a column is on a GPU, and how rows of one are taken, kept and put together.

Three kinds. Numbers, truth values and times are `Plain`: the values as a CuPy array and, where rows are null, which are not.
What a device has no arithmetic for (texts, bytes, decimals) is `Coded`: a code a row on the device and the distinct values on
the host, where they are counted, hashed and transformed once each, as the CPU does with dictionaries. `Lists` are lengths and a
column of all elements.

They are CuPy's arrays and not cuDF's series, though cuDF reads them: a series takes NaN for null, has no date and no time
zone, and divides small integers in float32, and each of these would be another answer than the CPU's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cupy
import numpy as np
import pyarrow as pa

from headrace.keys import factorize_array

Rows: TypeAlias = Any  # a CuPy array of a value a row


@dataclass(frozen=True, eq=False)
class Plain:
    """Values that the device computes with: integers, floats, truth values; dates, times and durations as integers of their unit."""

    values: Rows
    valid: Rows | None
    type: pa.DataType

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Coded:
    """A code (int32) a row, and on the host the distinct values that codes stand for, none of them null."""

    values: Rows
    valid: Rows | None
    distinct: pa.Array

    @property
    def type(self) -> pa.DataType:
        return self.distinct.type

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Lists:
    """Lengths (int64; 0 for a null) of lists, and all their elements one after another."""

    lengths: Rows
    valid: Rows | None
    elements: Column

    @property
    def type(self) -> pa.DataType:
        return pa.list_(self.elements.type)

    def __len__(self) -> int:
        return len(self.lengths)


Column: TypeAlias = "Plain | Coded | Lists"


def storage(type_: pa.DataType) -> np.dtype[Any] | None:
    """Return what values of a type are on the device, None for those that are coded.

    >>> storage(pa.date32()), storage(pa.bool_()), storage(pa.string())
    (dtype('int32'), dtype('bool'), None)
    """
    if pa.types.is_temporal(type_) and not pa.types.is_interval(type_):
        return np.dtype(np.int32 if type_.bit_width == 32 else np.int64)
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_):
        return np.dtype(type_.to_pandas_dtype())
    return None


def is_valid(column: Column) -> Rows:
    """Return which rows are not null."""
    return cupy.ones(len(column), bool) if column.valid is None else column.valid


def null_count(column: Column) -> int:
    """Return how many rows are null."""
    return 0 if column.valid is None else len(column) - int(cupy.count_nonzero(column.valid))


def both(left: Rows | None, right: Rows | None) -> Rows | None:
    """Return where two columns both have a value; None stands for everywhere."""
    if left is None or right is None:
        return right if left is None else left
    return left & right


def only(column: Column, keep: Rows) -> Column:
    """Return a column with null where `keep` is false."""
    return replace(column, valid=both(column.valid, keep))


def take(column: Column, rows: Rows) -> Column:
    """Return the rows at `rows`, in that order; -1 gives null."""
    missing = rows < 0
    some = bool(missing.any())
    if not len(column):
        return _nulls_like(column, len(rows))
    places = cupy.where(missing, 0, rows) if some else rows
    valid = None if column.valid is None else column.valid[places]
    valid = both(valid, ~missing) if some else valid
    if isinstance(column, Lists):
        return _take_lists(column, places, valid)
    return replace(column, values=column.values[places], valid=valid)


def _take_lists(column: Lists, places: Rows, valid: Rows | None) -> Lists:
    firsts = cupy.cumsum(column.lengths) - column.lengths
    lengths = column.lengths[places] if valid is None else cupy.where(valid, column.lengths[places], 0)
    return Lists(lengths, valid, take(column.elements, element_rows(firsts[places], lengths)))


def element_rows(firsts: Rows, lengths: Rows) -> Rows:
    """Return the places of the elements of lists that start at `firsts`."""
    before = cupy.cumsum(lengths) - lengths
    return cupy.repeat(firsts - before, lengths) + cupy.arange(int(lengths.sum()))


def _nulls_like(column: Column, n_rows: int) -> Column:
    none = cupy.zeros(n_rows, bool)
    if isinstance(column, Lists):
        return Lists(cupy.zeros(n_rows, np.int64), none, column.elements)
    return replace(column, values=cupy.zeros(n_rows, column.values.dtype), valid=none)


def concat(columns: Sequence[Column]) -> Column:
    """Return the rows of columns of one type, one after another."""
    first = columns[0]
    if len(columns) == 1:
        return first
    valid = None
    if any(column.valid is not None for column in columns):
        valid = cupy.concatenate([is_valid(column) for column in columns])
    if isinstance(first, Lists):
        lists = [column for column in columns if isinstance(column, Lists)]
        return Lists(cupy.concatenate([column.lengths for column in lists]), valid, concat([column.elements for column in lists]))
    if isinstance(first, Coded):
        return _concat_coded([column for column in columns if isinstance(column, Coded)], valid)
    return Plain(cupy.concatenate([column.values for column in columns if isinstance(column, Plain)]), valid, first.type)


def _concat_coded(columns: Sequence[Coded], valid: Rows | None) -> Coded:
    if all(column.distinct is columns[0].distinct for column in columns):
        return Coded(cupy.concatenate([column.values for column in columns]), valid, columns[0].distinct)
    types = {column.distinct.type for column in columns}
    common = pa.large_string() if len(types) > 1 and pa.string() in types else columns[0].distinct.type
    codes, distinct = factorize_array(pa.concat_arrays([column.distinct.cast(common) for column in columns]))
    pieces, start = [], 0
    for column in columns:
        stop = start + len(column.distinct)
        pieces.append(recoded(column.values, codes[start:stop]))
        start = stop
    return Coded(cupy.concatenate(pieces), valid, distinct)


def recoded(codes: Rows, new: Any) -> Rows:
    """Return the new code of each row; `new` holds one for each old code, on the host."""
    return cupy.asarray(new)[codes] if len(new) else cupy.zeros(len(codes), np.int32)


def used(column: Coded) -> Coded:
    """Return a column without the distinct values that no row has."""
    present = cupy.zeros(len(column.distinct), bool)
    present[column.values if column.valid is None else column.values[column.valid]] = True
    kept = cupy.flatnonzero(present)
    if len(kept) == len(column.distinct):
        return column
    from headrace.backends.cudf.transfers import DISTINCT, to_host

    places = cupy.cumsum(present).astype(np.int32) - np.int32(1)
    codes = cupy.maximum(places[column.values], 0) if len(column.distinct) else column.values
    return Coded(codes, column.valid, column.distinct.take(pa.array(to_host(kept, DISTINCT))))


def repeated(column: Column, n_rows: int) -> Column:
    """Return a column of one row for `n_rows` rows."""
    return take(column, cupy.zeros(n_rows, np.int64))
