"""Finding rows among known keys: the heart of encoding and of joining a small table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.keys import Keys, plain_values
from headrace.table import one_array


class KeyIndex(NamedTuple):
    """Keys made ready: the distinct values of each column and, for several columns, each key's combined code."""

    values: list[pa.Array]
    combined: pa.Array | None


def find_keys(arrays: Sequence[pa.Array], keys: Keys) -> npt.NDArray[np.int32]:
    """Return the code of each row's key, int32 [rows], -1 where it is not among `keys`."""
    index = _prepared(keys)
    codes = [_find_values(array, values) for array, values in zip(arrays, index.values, strict=True)]
    if index.combined is None:
        return codes[0]
    rows = _combine(codes, index.values)
    found = pc.index_in(pa.array(rows), value_set=index.combined).fill_null(-1)
    return found.to_numpy(zero_copy_only=False)


def _prepared(keys: Keys) -> KeyIndex:
    if "arrow" not in keys.prepared:
        keys.prepared["arrow"] = _prepare(keys.table)
    index: KeyIndex = keys.prepared["arrow"]
    return index


def _prepare(table: pa.Table) -> KeyIndex:
    columns = [plain_values(one_array(column)) for column in table.columns]
    if len(columns) == 1:
        return KeyIndex(columns, None)
    distinct = [column.unique() for column in columns]
    codes = [_find_values(column, values) for column, values in zip(columns, distinct, strict=True)]
    return KeyIndex(distinct, pa.array(_combine(codes, distinct)))


def _combine(codes: Sequence[npt.NDArray[np.int32]], values: Sequence[pa.Array]) -> npt.NDArray[np.int64]:
    """Number combinations in mixed radix; -1 where a part is unseen. Python refuses what 64 bits do not hold."""
    size = 1
    for distinct in values:
        size *= len(distinct) + 1
    if size >= 2**63:
        raise OverflowError(f"{size} combinations of keys do not fit 64 bits")
    combined = np.zeros(len(codes[0]), np.int64)
    unseen = np.zeros(len(codes[0]), bool)
    for column_codes, distinct in zip(codes, values, strict=True):
        combined = combined * (len(distinct) + 1) + column_codes
        unseen |= column_codes < 0
    combined[unseen] = -1
    return combined


def _find_values(array: pa.Array, values: pa.Array) -> npt.NDArray[np.int32]:
    if pa.types.is_dictionary(array.type):
        of_dictionary = np.append(_find_values(array.dictionary, values), _null_code(values))
        indices = array.indices.cast(pa.int32()).fill_null(len(array.dictionary))
        return of_dictionary[indices.to_numpy(zero_copy_only=False)]
    array, values = _alike(plain_values(array), values)
    return pc.index_in(array, value_set=values).fill_null(-1).to_numpy(zero_copy_only=False)


def _null_code(values: pa.Array) -> np.int32:
    return np.int32(pc.index(values.is_null(), pa.scalar(value=True)).as_py()) if values.null_count else np.int32(-1)


def _alike(array: pa.Array, values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Bring a column and the values it is looked up in to one type without loss."""
    if array.type == values.type:
        return array, values
    one, other = _widened(array), _widened(values)
    if one.type != other.type and pa.types.is_timestamp(one.type) and pa.types.is_timestamp(other.type):
        other = other.cast(one.type)
    elif one.type != other.type:
        other = other.cast(one.type)
    return one, other


def _widened(array: pa.Array) -> Any:
    """Return integers as int64, floats as float64, timestamps in microseconds: what compares equal has one type."""
    if pa.types.is_integer(array.type) and not pa.types.is_uint64(array.type):
        return array.cast(pa.int64())
    if pa.types.is_floating(array.type):
        return array.cast(pa.float64())
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.timestamp("us", array.type.tz))
    return array
