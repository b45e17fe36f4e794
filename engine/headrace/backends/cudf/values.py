"""Columns from Arrow and to it, and as the plain values that kernels, models and hashes take."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.values import NULL_HASH, hash_array, standard_layout
from headrace.backends.cudf.column import Coded, Column, Lists, Plain, Rows, both, storage
from headrace.backends.cudf.transfers import ROWS, to_host
from headrace.decimals import nearest_floats
from headrace.errors import DataError
from headrace.keys import factorize_array

_NAN_BITS = np.int64(0x7FF8000000000000)
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def from_arrow(array: pa.Array) -> Column:
    """Return a host column on the device.

    Raises
    ------
    DataError
        If it is of a type that no column on a GPU can hold: a struct, a map.
    """
    array = standard_layout(array)
    type_ = array.type
    if pa.types.is_dictionary(type_):
        return _from_dictionary(array)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        lengths = pc.list_value_length(array).fill_null(0).cast(pa.int64())
        return Lists(_uploaded(lengths), _valid(array), from_arrow(pc.list_flatten(array)))
    if pa.types.is_nested(type_):
        raise DataError(f"a column of {type_} cannot be taken to a GPU", hint="run.device: cpu, or leave the column out")
    if storage(type_) is None:
        return _from_coded(array)
    values = array.fill_null(pa.scalar(0, type_) if not pa.types.is_boolean(type_) else False) if array.null_count else array
    if pa.types.is_temporal(type_):
        values = values.view(pa.int32() if type_.bit_width == 32 else pa.int64())
    return Plain(_uploaded(values), _valid(array), type_)


def _uploaded(array: pa.Array) -> Rows:
    return cupy.asarray(np.ascontiguousarray(array.to_numpy(zero_copy_only=False)))


def _valid(array: pa.Array) -> Rows | None:
    return _uploaded(array.is_valid()) if array.null_count else None


def _from_dictionary(array: pa.DictionaryArray) -> Coded:
    codes, distinct = factorize_array(array.dictionary)  # a dictionary may repeat a value
    indices = array.indices.fill_null(0).to_numpy(zero_copy_only=False)
    found = codes[indices] if len(codes) else np.zeros(len(array), np.int32)
    return Coded(cupy.asarray(np.ascontiguousarray(found, np.int32)), _valid(array), distinct)


def _from_coded(array: pa.Array) -> Coded:
    codes, distinct = factorize_array(array)
    if array.null_count:
        kept = distinct.is_valid().to_numpy(zero_copy_only=False)
        codes, distinct = np.maximum(np.cumsum(kept) - 1, 0).astype(np.int32)[codes], distinct.drop_null()
    return Coded(cupy.asarray(np.ascontiguousarray(codes, np.int32)), _valid(array), distinct)


def to_arrow(column: Column, reason: str = ROWS) -> pa.Array:
    """Return a column on the host; texts stay dictionaries."""
    nulls = None if column.valid is None else ~to_host(column.valid, reason)
    if isinstance(column, Lists):
        ends = np.append(0, np.cumsum(to_host(column.lengths, reason)))
        kind, offsets = (pa.ListArray, pa.int32()) if ends[-1] < 2**31 else (pa.LargeListArray, pa.int64())
        elements = to_arrow(column.elements, reason)
        if pa.types.is_dictionary(elements.type):
            elements = elements.dictionary.take(elements.indices)
        return kind.from_arrays(pa.array(ends, offsets), elements, mask=None if nulls is None else pa.array(nulls))
    values = pa.array(to_host(column.values, reason), mask=nulls)
    if isinstance(column, Coded):
        if pa.types.is_large_string(column.type) or pa.types.is_string(column.type):
            return pa.DictionaryArray.from_arrays(values, column.distinct)
        return column.distinct.take(values)
    return values.view(column.type) if pa.types.is_temporal(column.type) else values


def numbers(column: Column) -> Plain:
    """Return what a kernel takes of a column: truth values as uint8, decimals as float64, times as integers."""
    if isinstance(column, Coded):
        of_distinct = nearest_floats(column.distinct).to_numpy(zero_copy_only=False)
        values = cupy.asarray(np.ascontiguousarray(of_distinct))[column.values] if len(of_distinct) else cupy.zeros(len(column))
        return Plain(values, column.valid, pa.float64())
    assert isinstance(column, Plain)  # noqa: S101  (ops refuse lists before any row is read)
    values = column.values.view(np.uint8) if column.values.dtype == bool else column.values
    return Plain(values, column.valid, pa.from_numpy_dtype(values.dtype))


def float_values(column: Column) -> Rows:
    """Return a number or boolean column as floats [rows]: float32 as it is, all else float64; null becomes NaN."""
    plain = numbers(column)
    values = plain.values if plain.values.dtype == np.float32 else plain.values.astype(np.float64)
    return values if plain.valid is None else cupy.where(plain.valid, values, values.dtype.type(np.nan))


def as_float64(values: Rows) -> Rows:
    """Return floats as float64, to the last bit: CuPy's own conversion takes a float32 below the normal numbers for 0."""
    if values.dtype != np.float32:
        return values.astype(np.float64)
    bits = values.view(np.int32)
    fraction = bits & np.int32(0x7FFFFF)
    small = (((bits >> np.int32(23)) & np.int32(0xFF)) == 0) & (fraction != 0)
    size = fraction.astype(np.float64) * 2.0**-149
    return cupy.where(small, cupy.where(bits < 0, -size, size), values.astype(np.float64))


def converted(values: Rows, dtype: np.dtype[Any]) -> Rows:
    """Return numbers in another type, float32 as float64 to the last bit."""
    return as_float64(values) if dtype == np.float64 else values.astype(dtype)


def comparable(values: Rows) -> Rows:
    """Return values as they compare on a CPU: a float32 below the normal numbers is no 0."""
    return as_float64(values) if values.dtype == np.float32 else values


def words(column: Plain) -> Rows:
    """Return 64 bits of each value as int64, equal where values are: NaN equals NaN and -0.0 is 0.0. What is null has any."""
    values = column.values
    if values.dtype.kind == "f":
        wide = as_float64(values) + 0.0
        return cupy.where(cupy.isnan(wide), _NAN_BITS, wide.view(np.int64))
    return values.view(np.int64) if values.dtype == np.uint64 else values.astype(np.int64)


def hash_column(column: Column, seed: int) -> Rows:
    """Return the hash of each row: the same bits as `headrace.backends.arrow.values.hash_array`."""
    if isinstance(column, Coded):
        of_distinct = np.append(hash_array(column.distinct, seed), NULL_HASH)
        codes = column.values if column.valid is None else cupy.where(column.valid, column.values, np.int32(len(column.distinct)))
        return cupy.asarray(of_distinct)[codes]
    assert isinstance(column, Plain)  # noqa: S101  (ops refuse lists before any row is read)
    from headrace.backends.cudf.kernels import launch

    (hashes,) = launch("hash64", [_hashed_integers(column)], {"seed": seed})
    return hashes if column.valid is None else cupy.where(column.valid, hashes, NULL_HASH)


def _hashed_integers(column: Plain) -> Rows:
    """Return the numbers that are hashed: integers and floats as they are, dates and instants in microseconds."""
    type_ = column.type
    values = column.values
    if pa.types.is_date32(type_):
        return values.astype(np.int64) * 86_400_000_000
    if pa.types.is_date64(type_):
        return values * 1_000
    if pa.types.is_timestamp(type_):
        return values // 1_000 if type_.unit == "ns" else values * _MICROSECONDS[type_.unit]
    if values.dtype.kind == "f":
        return as_float64(values)
    return values.view(np.int64) if values.dtype == np.uint64 else values.astype(np.int64)


def towards_zero(values: Rows, divisor: int) -> Rows:
    """Return integers divided, the rest cut off."""
    quotient = values // divisor
    return quotient + ((values < 0) & (quotient * divisor != values))


def of_rows(values: Any, valid: Any = None) -> Column:
    """Return computed values of rows, from either side, as a column."""
    if isinstance(values, np.ndarray) and values.dtype == object:
        return from_arrow(pa.array(values.tolist()))
    array = cupy.asarray(values)
    mask = None if valid is None else cupy.asarray(valid)
    return Plain(array, mask, pa.from_numpy_dtype(array.dtype))


def merged_valid(columns: list[Plain]) -> Rows | None:
    """Return where all of some columns have a value; None for everywhere."""
    valid: Rows | None = None
    for column in columns:
        valid = both(valid, column.valid)
    return valid
