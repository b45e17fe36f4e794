"""Distinct keys of one or more columns, the common ground of vocabularies, joins and group statistics.

A key is a row of one or more columns; a null is a value like any other, so (null, "JFK") is a key too. NaN equals
NaN and -0.0 equals 0.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, eq=False)
class Keys:
    """Distinct keys in an order that gives each its code: row i of `table` has the code i.

    `prepared` is where a backend keeps what it made of the keys to look them up quickly; it is no part of the value.
    """

    table: pa.Table
    prepared: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Any]]) -> Keys:
        """Return keys of Python values, column by column; they must be distinct.

        >>> len(Keys.of({"origin": ["JFK", "LGA", None]}))
        3
        """
        return cls(pa.table({name: pa.array(values) for name, values in columns.items()}))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __reduce__(self) -> tuple[object, ...]:
        return Keys, (self.table,)

    def __dask_tokenize__(self) -> object:
        """What Dask names its tasks by: the value, without what was prepared of it."""
        return Keys, (self.table,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keys) and bool(self.table.equals(other.table))

    def __hash__(self) -> int:
        return hash((self.table.num_rows, tuple(self.table.column_names)))

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.table.column_names)

    def take(self, rows: npt.NDArray[np.int64]) -> Keys:
        """Return the keys at `rows`, in that order."""
        return Keys(self.table.take(pa.array(rows)))

    def renamed(self, names: Sequence[str]) -> Keys:
        """Return the keys with other names for their columns."""
        return Keys(self.table.rename_columns(list(names)))

    def united(self, parts: Sequence[Keys]) -> tuple[Keys, npt.NDArray[np.int64]] | None:
        """Return what `union_keys` returns, where these keys know a quicker way: None where they do not."""
        return None

    def split_null(self) -> tuple[int, npt.NDArray[np.int64]]:
        """Return the row of the key that is null in every column (-1 if there is none), and all other rows."""
        is_null = np.ones(len(self), bool)
        for column in self.table.columns:
            is_null &= column.is_null().to_numpy()
        found = np.flatnonzero(is_null)
        return int(found[0]) if len(found) else -1, np.flatnonzero(~is_null)

    @property
    def nbytes(self) -> int:
        """How many bytes of memory they take for themselves."""
        return int(self.table.nbytes)

    @property
    def are_strings(self) -> bool:
        """Say whether a key is one string."""
        return self.table.num_columns == 1 and is_text(self.table.schema.field(0).type)

    def hashes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Return the hash64 of the string at each of `rows`, none of them null."""
        return string_hashes(self.take(rows).table.column(0).combine_chunks())

    def order(self, rows: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the order of `rows` by falling count, ties by value (bytes for strings), nulls last."""
        # By place: Arrow takes a name that begins with a dot or a bracket for a path.
        by_value = pa.table(
            [pa.array(counts[rows]), *self.take(rows).table.columns], names=["count", *map(str, range(self.table.num_columns))]
        )
        names = by_value.column_names[1:]
        order = pc.sort_indices(by_value, sort_keys=[("count", "descending"), *((name, "ascending") for name in names)])
        return order.to_numpy().astype(np.int64)

    def with_null(self) -> Keys:
        """Return the keys after one that is null in every column."""
        null = pa.table({name: pa.nulls(1, self.table.schema.field(name).type) for name in self.table.column_names})
        return Keys(pa.concat_tables([null, self.table]).combine_chunks())

    def appended(self, other: Keys) -> Keys:
        """Return these keys and then the others, which must be new."""
        return Keys(pa.concat_tables([self.table, other.table], promote_options="permissive").combine_chunks())

    def positions(self, other: Keys) -> npt.NDArray[np.int64]:
        """Return the row here of each key of `other`, -1 where it is not among these."""
        _, _, codes = merge_keys(self, other)
        return np.where(codes < len(self), codes, np.int64(-1))


def undictionaried(array: pa.Array) -> pa.Array:
    """Return an array with its values in rows, bit for bit: dictionaries decoded, strings with 64-bit offsets."""
    if pa.types.is_dictionary(array.type):
        return undictionaried(array.dictionary).take(array.indices)  # Arrow takes no views
    if pa.types.is_string(array.type) or pa.types.is_string_view(array.type):
        return array.cast(pa.large_string())
    return array.cast(pa.large_binary()) if pa.types.is_binary_view(array.type) else array


def plain_values(array: pa.Array) -> pa.Array:
    """Return an array that hashes by value: dictionaries decoded, -0.0 as 0.0, one NaN, strings with 64-bit offsets."""
    array = undictionaried(array)
    if pa.types.is_floating(array.type):
        if pa.types.is_float16(array.type):
            array = array.cast(pa.float32())
        # Arrow compares NaN by its bits, and a processor makes others (0/0) than NumPy.
        return pc.if_else(pc.is_nan(array), pa.scalar(float("nan"), array.type), pc.add(array, pa.scalar(0.0, array.type)))
    return array


def factorize_array(array: pa.Array) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """Return codes by first appearance (null has one too) and the distinct values in that order.

    >>> codes, values = factorize_array(pa.array(["b", None, "b", "a"]))
    >>> codes.tolist(), values.to_pylist()
    ([0, 1, 0, 2], ['b', None, 'a'])
    """
    plain = plain_values(array)
    if pa.types.is_large_string(plain.type):
        return _factorize_strings(plain)
    if pa.types.is_integer(plain.type) and not plain.null_count:
        found = _factorize_few(plain)
        if found is not None:
            return found
    encoded = plain.dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary


def _factorize_strings(array: pa.Array) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """Do the same for strings with the kernels' table: 2 to 4 times as fast as Arrow's for short ones."""
    from headrace_kernels.tables import StringTable

    table = StringTable(min(len(array), 1 << 16))
    if not array.null_count:
        codes = table.add(*string_buffers(array))
        return codes, array_of_strings(*table.keys())
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    codes = np.empty(len(array), np.int32)
    codes[valid] = table.add(*string_buffers(array.drop_null()))
    # Null takes its place by first appearance: codes of values that first appear after it move up by one.
    null_row = int(np.argmin(valid))
    null_code = int(codes[:null_row].max(initial=-1)) + 1
    codes[valid] += codes[valid] >= null_code
    codes[~valid] = null_code
    values = array_of_strings(*table.keys())
    return codes, pa.concat_arrays([values[:null_code], pa.nulls(1, values.type), values[null_code:]])


def _factorize_few(array: pa.Array) -> tuple[npt.NDArray[np.int32], pa.Array] | None:
    """Do the same for integers that are close together, as codes and days are: 3 to 6 times as fast as Arrow. None for others."""
    from headrace_kernels.column import Column
    from headrace_kernels.factorize import LARGEST_RANGE, factorize_ints

    values = array.to_numpy()
    if not len(values) or int(values.max()) - int(values.min()) >= LARGEST_RANGE:
        return None
    codes, first_rows, _ = factorize_ints(Column(values))
    return codes, array.take(pa.array(first_rows))


def is_text(type_: pa.DataType) -> bool:
    """Say whether an array of this type has the buffers that `string_buffers` takes."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def string_buffers(array: pa.Array) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Return offsets (of 32 or 64 bits) and bytes of a string or large_string array, without a copy."""
    _, offsets, data = array.buffers()
    dtype = np.dtype(np.int64 if pa.types.is_large_string(array.type) else np.int32)
    ends = np.frombuffer(offsets, dtype, len(array) + 1, array.offset * dtype.itemsize) if len(array) else np.zeros(1, dtype)
    return ends, np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)


def string_hashes(strings: pa.Array, rows: npt.NDArray[Any] | None = None) -> npt.NDArray[np.uint64]:
    """Return the hash64 of each string, or of those at `rows`, uint64 [rows]."""
    from headrace_kernels.hashing import hash64_strings

    return hash64_strings(*string_buffers(strings), rows=rows)


def array_of_strings(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> pa.Array:
    """Return a large_string array over the given offsets and bytes."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


def factorize(arrays: Sequence[pa.Array]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return a code a row over one or more columns, by first appearance, and the first row of each code."""
    from headrace_kernels.column import Column
    from headrace_kernels.factorize import factorize_ints

    codes = factorize_array(arrays[0])[0].astype(np.int64)
    for array in arrays[1:]:
        column_codes, values = factorize_array(array)
        # dense after every column, so that the product of cardinalities is within 64 bits
        codes = factorize_ints(Column(codes * max(len(values), 1) + column_codes)).codes.astype(np.int64)
    return codes, first_rows(codes)


def first_rows(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the first row of each code 0, 1, 2, ... of codes that are numbered by first appearance."""
    if not len(codes):
        return np.zeros(0, np.int64)
    new = np.empty(len(codes), bool)
    new[0] = True
    np.greater(codes[1:], np.maximum.accumulate(codes)[:-1], out=new[1:])
    return np.flatnonzero(new)


def union_keys(parts: Sequence[Keys]) -> tuple[Keys, npt.NDArray[np.int64]]:
    """Return the union of many sets of keys, by first appearance, and the code in it of every key, part after part."""
    united = parts[0].united(parts)
    if united is not None:
        return united
    both = pa.concat_tables([part.table for part in parts], promote_options="permissive").combine_chunks()
    if both.num_columns == 1:
        codes, values = factorize_array(one_chunk(both.column(0)))
        return Keys(pa.table({both.column_names[0]: values})), codes.astype(np.int64)
    codes64, firsts = factorize([one_chunk(column) for column in both.columns])
    return Keys(both.take(pa.array(firsts))), codes64


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """Return a column of keys as one array."""
    return column.chunk(0) if column.num_chunks == 1 else plain_values_of_chunks(column)


def plain_values_of_chunks(column: pa.ChunkedArray) -> pa.Array:
    """Return the chunks of a column, with 64-bit offsets for strings, as one array."""
    chunks = [plain_values(chunk) for chunk in column.chunks]
    return pa.concat_arrays(chunks) if chunks else plain_values(pa.array([], column.type))


def merge_keys(left: Keys, right: Keys) -> tuple[Keys, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the union of two sets of keys, left first, and the code in it of each left and each right key."""
    keys, codes = union_keys([left, right])
    return keys, codes[: len(left)], codes[len(left) :]
