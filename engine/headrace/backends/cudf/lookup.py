"""Finding rows among known keys on the device: distinct values are looked up where they are, numbers by their bits in sorted order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.arrow.lookup import KeyIndex, ValueIndex, prepared_index
from headrace.backends.cudf.column import Coded, Column, Plain, Rows
from headrace.backends.cudf.grouping import distinct_rows, keys_at
from headrace.backends.cudf.values import from_arrow, words
from headrace.keys import Keys


class Sorted(NamedTuple):
    """Distinct 64-bit integers in ascending order, and the place of each before they were sorted."""

    ascending: Rows
    places: Rows

    @classmethod
    def of(cls, values: Rows, places: Rows) -> Sorted:
        order = cupy.argsort(values)
        return cls(values[order], places[order].astype(np.int32))

    def find(self, wanted: Rows) -> Rows:
        """Return the place of each value, int32, -1 where it is not there."""
        if not len(self.ascending):
            return cupy.full(len(wanted), -1, np.int32)
        near = cupy.minimum(cupy.searchsorted(self.ascending, wanted), len(self.ascending) - 1)
        return cupy.where(self.ascending[near] == wanted, self.places[near], np.int32(-1))


class DeviceIndex(NamedTuple):
    """Keys made ready: the host's index, and on the device the numbers of each column and the combinations that occur."""

    host: KeyIndex
    numbers: list[Sorted | None]
    combinations: list[Sorted]


def find_keys(columns: Sequence[Column], keys: Keys) -> Rows:
    """Return the code of each row's key, int32 [rows], -1 where it is not among `keys`."""
    index = _prepared(keys)
    rows = _find(columns[0], index.host.columns[0], index.numbers[0])
    for place, column in enumerate(columns[1:], 1):
        known = index.host.columns[place]
        codes = _find(column, known, index.numbers[place])
        unseen = (rows < 0) | (codes < 0)
        pairs = cupy.where(unseen, np.int64(-1), rows.astype(np.int64) * (len(known) + 1) + codes)
        rows = index.combinations[place - 1].find(pairs)
    return rows


def _prepared(keys: Keys) -> DeviceIndex:
    if "cudf" not in keys.prepared:
        host = prepared_index(keys)
        combinations = [_of_integers(array) for array in host.combinations]
        keys.prepared["cudf"] = DeviceIndex(host, [_numbers(one.values) for one in host.columns], combinations)
    index: DeviceIndex = keys.prepared["cudf"]
    return index


def _of_integers(array: pa.Array) -> Sorted:
    values = cupy.asarray(array.to_numpy(zero_copy_only=False))
    return Sorted.of(values, cupy.arange(len(values)))


def _numbers(values: pa.Array) -> Sorted | None:
    column = from_arrow(values)
    if not isinstance(column, Plain):
        return None
    places = cupy.arange(len(column))
    kept = places if column.valid is None else cupy.flatnonzero(column.valid)
    return Sorted.of(words(column)[kept], kept)


def _find(column: Column, known: ValueIndex, numbers: Sorted | None) -> Rows:
    """Return the code of each value in one column of the keys."""
    if isinstance(column, Coded):
        of_distinct = known.find(column.distinct)
        codes = cupy.asarray(of_distinct)[column.values] if len(of_distinct) else cupy.full(len(column), -1, np.int32)
    elif isinstance(column, Plain) and numbers is not None and _same_bits(column.type, known.values.type):
        codes = numbers.find(words(column))
    else:
        return _find_distinct(column, known)
    return codes if column.valid is None else cupy.where(column.valid, codes, known.null_code)


def _find_distinct(column: Column, known: ValueIndex) -> Rows:
    """Look each distinct value up once, on the host: for types that are equal only after a conversion."""
    found = distinct_rows([column])
    values = keys_at({"value": column}, found.firsts).table.column(0).combine_chunks()
    return cupy.asarray(known.find(values))[found.codes] if len(values) else cupy.full(len(column), -1, np.int32)


def _same_bits(left: pa.DataType, right: pa.DataType) -> bool:
    """Say whether values of two types are equal where their `words` are."""
    kinds: tuple[Callable[[pa.DataType], bool], ...] = (pa.types.is_signed_integer, _small_unsigned)
    if any(kind(left) for kind in kinds) and any(kind(right) for kind in kinds):
        return True
    if pa.types.is_floating(left) and pa.types.is_floating(right):
        return True
    if pa.types.is_timestamp(left) and pa.types.is_timestamp(right):
        return bool(left.unit == right.unit and (left.tz is None) == (right.tz is None))
    return bool(left == right)


def _small_unsigned(type_: pa.DataType) -> bool:
    return bool(pa.types.is_unsigned_integer(type_) and type_.bit_width < 64)
