"""Finding rows among known keys: the heart of encoding and of joining a small table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import DataError
from headrace.keys import Keys, is_text, one_chunk, plain_values, string_buffers
from headrace.pool import Pool

if TYPE_CHECKING:
    from headrace_kernels.tables import StringTable

Codes = npt.NDArray[np.int32]


class ValueIndex:
    """The distinct values of one column, made ready to be found: a table of the kernels for strings, Arrow's for all else."""

    def __init__(self, values: pa.Array) -> None:
        self.values = plain_values(values)
        valid = self.values.is_valid().to_numpy(zero_copy_only=False)
        self.null_code = np.int32(-1 if valid.all() else np.argmin(valid))

    def __len__(self) -> int:
        return len(self.values)

    def find(self, array: pa.Array) -> Codes:
        """Return the row of each value, -1 where it is not there; a null is found if there is one."""
        if pa.types.is_dictionary(array.type):
            of_dictionary = np.append(self.find(array.dictionary), self.null_code)
            indices = array.indices.cast(pa.int32()).fill_null(len(array.dictionary))
            return of_dictionary[indices.to_numpy(zero_copy_only=False)]
        are_strings = pa.types.is_large_string(self.values.type)
        plain = array if are_strings and is_text(array.type) else plain_values(array)
        if not are_strings or not is_text(plain.type):
            plain, values = _alike(plain, self.values)
            return pc.index_in(plain, value_set=values).fill_null(-1).to_numpy(zero_copy_only=False)
        if not plain.null_count:
            return self._rows_of(plain)
        codes = np.full(len(plain), self.null_code, np.int32)
        valid = plain.is_valid().to_numpy(zero_copy_only=False)
        codes[valid] = self._rows_of(plain.drop_null())
        return codes

    def _rows_of(self, strings: pa.Array) -> Codes:
        table, rows = self._strings
        return rows[table.find(*string_buffers(strings))]

    @cached_property
    def _strings(self) -> tuple[StringTable, Codes]:
        """The table of the strings, and the row of each id in it (of -1, -1); made when the first is looked up: with a pool, none may ever be."""
        from headrace_kernels.tables import StringTable

        valid = self.values.drop_null()
        table = StringTable(len(valid))
        table.add(*string_buffers(valid))
        rows = np.append(np.flatnonzero(self.values.is_valid().to_numpy(zero_copy_only=False)), -1)
        return table, rows.astype(np.int32)


class KeyIndex(NamedTuple):
    """Keys made ready: an index for each column, and for each column after the first the combinations that occur up to it.

    The last combinations are in the order of the keys. Column by column, so that no product of cardinalities can overflow.
    """

    columns: list[ValueIndex]
    combinations: list[pa.Array]


def find_keys(arrays: Sequence[pa.Array], keys: Keys) -> Codes:
    """Return the code of each row's key, int32 [rows], -1 where it is not among `keys`."""
    index = prepared_index(keys)
    rows = index.columns[0].find(arrays[0])
    for array, column, known in zip(arrays[1:], index.columns[1:], index.combinations, strict=True):
        rows = _among(_paired(rows, column.find(array), column), known)
    return rows


def encode_strings(array: pa.Array, keys: Keys, ids: npt.NDArray[np.int32], pool: Pool) -> tuple[npt.NDArray[np.int32], int]:
    """Return ids[code + 1] of each row of a string column and the number of rows unseen.

    Of a dictionary only the distinct values are looked up; and nothing is, if fitting has numbered the strings.
    """
    from headrace.backends.arrow.values import kernel_column
    from headrace_kernels.column import Column
    from headrace_kernels.encoding import encode_indices, encode_numbered_indices, encode_numbers

    index = prepared_index(keys).columns[0]
    if not pa.types.is_dictionary(array.type):
        numbers = pool.known(array)
        if numbers is not None:
            return encode_numbers(Column(numbers), pool.codes(keys), int(index.null_code), ids)
        codes = index.find(array)
        return ids[codes + 1], int(np.count_nonzero(codes < 0))
    indices = kernel_column(array.indices)
    if pool.gave(array):
        return encode_numbers(indices, pool.codes(keys), int(index.null_code), ids)
    numbers = pool.known(array.dictionary)
    if numbers is not None:
        return encode_numbered_indices(indices, numbers, pool.codes(keys), int(index.null_code), ids)
    codes = np.append(index.find(array.dictionary), index.null_code)
    return encode_indices(indices, ids[codes + 1], codes < 0)


def find_numbered(array: pa.Array, keys: Keys, pool: Pool) -> Codes | None:
    """Return the code of each row of a string column if fitting has numbered the rows, else None."""
    numbers = pool.known(array)
    return None if numbers is None else _codes_of_numbers(numbers, keys, pool)


def _codes_of_numbers(numbers: Codes, keys: Keys, pool: Pool) -> Codes:
    null_code = prepared_index(keys).columns[0].null_code
    # a null's number is -1, and takes whatever stands last
    return np.where(numbers < 0, null_code, pool.codes(keys)[numbers]) if len(pool) else np.full(len(numbers), null_code)


def prepared_index(keys: Keys) -> KeyIndex:
    """Return the index of some keys, made once and kept with them."""
    if "arrow" not in keys.prepared:
        keys.prepared["arrow"] = _prepare(keys.table)
    index: KeyIndex = keys.prepared["arrow"]
    return index


def _prepare(table: pa.Table) -> KeyIndex:
    columns = [plain_values(one_chunk(column)) for column in table.columns]
    if len(columns) == 1:
        return KeyIndex([ValueIndex(columns[0])], [])
    indexes = [ValueIndex(column.unique()) for column in columns]
    rows, combinations = indexes[0].find(columns[0]), []
    for column, index in zip(columns[1:], indexes[1:], strict=True):
        pairs = _paired(rows, index.find(column), index)
        combinations.append(pairs.unique())
        rows = _among(pairs, combinations[-1])
    return KeyIndex(indexes, combinations)


def _paired(rows: Codes, codes: Codes, index: ValueIndex) -> pa.Array:
    """Number the combinations of what was found so far and one more column; -1 where either is unseen. Two int32 fit int64."""
    return pa.array(np.where((rows < 0) | (codes < 0), np.int64(-1), rows.astype(np.int64) * (len(index) + 1) + codes))


def _among(pairs: pa.Array, known: pa.Array) -> Codes:
    return pc.index_in(pairs, value_set=known).fill_null(-1).to_numpy(zero_copy_only=False)


def _alike(array: pa.Array, values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Bring a column and the values it is looked up in to one type without loss."""
    if array.type == values.type:
        return array, values
    one, other = _widened(array), _widened(values)
    if one.type == other.type:
        return one, other
    if pa.types.is_integer(one.type) and pa.types.is_integer(other.type):  # one is uint64: 20 digits hold both
        return one.cast(pa.decimal128(20, 0)), other.cast(pa.decimal128(20, 0))
    try:
        finer = one.type if pa.types.is_timestamp(one.type) and one.type.unit == "ns" else other.type
        return one.cast(finer), other.cast(finer)
    except pa.ArrowException as error:
        raise DataError(f"values of {array.type} cannot be looked up among {values.type}: {error}") from error


def _widened(array: pa.Array) -> Any:
    """Return integers as int64, floats as float64, instants in microseconds of UTC: what compares equal has one type, if it can."""
    if pa.types.is_integer(array.type) and not pa.types.is_uint64(array.type):
        return array.cast(pa.int64())
    if pa.types.is_floating(array.type):
        return array.cast(pa.float64())
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp(array.type.unit, array.type.tz and "UTC"))
        whole = array.type.unit != "ns" or not pc.any(pc.not_equal(pc.nanosecond(array), 0)).as_py()
        return array.cast(pa.timestamp("us", array.type.tz)) if whole else array
    return array
