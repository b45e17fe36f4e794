"""Arrow arrays as the plain values that kernels and NumPy take, without copies where the layout allows."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.decimals import nearest_floats
from headrace.errors import DataError
from headrace.keys import is_text, string_buffers
from headrace.schema import Type
from headrace_kernels.column import Column

# The hash of a null: any odd constant that no XXH64 of a short value is known to give (the golden ratio's 64 bits).
NULL_HASH = np.uint64(0x9E3779B97F4A7C15)
# A column of a batch takes microseconds here, and there may be thousands.
_NUMBERS = {
    pa.from_numpy_dtype(np.dtype(name)).id: np.dtype(name)
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
}


def standard_layout(array: pa.Array) -> pa.Array:
    """Return an array as this backend keeps columns: only strings are dictionary-encoded, and no value of a dictionary is null.

    float16 and the narrow decimals, for which Arrow has few functions, are widened. A UUID is its bytes, JSON its text. What lists,
    structs and maps hold is kept in its logical type: Arrow takes no rows of lists of views.
    """
    if array.type.id in _NUMBERS:
        return array
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    if pa.types.is_dictionary(array.type):
        values = standard_layout(array.dictionary)
        if not is_text(values.type) or values.null_count:
            return values.take(array.indices)
        return array if values is array.dictionary else pa.DictionaryArray.from_arrays(array.indices, values)
    if pa.types.is_string_view(array.type):
        return array.cast(pa.large_string())
    if pa.types.is_binary_view(array.type):
        return array.cast(pa.large_binary())
    if pa.types.is_float16(array.type) or pa.types.is_decimal32(array.type) or pa.types.is_decimal64(array.type):
        return array.cast(Type.from_arrow(array.type).arrow)
    if pa.types.is_nested(array.type):
        logical = Type.from_arrow(array.type).arrow
        return array if _inside(array.type) == _inside(logical) else array.cast(logical)
    return array


def _inside(nested: pa.DataType) -> list[pa.DataType]:
    """Return the types of what a list, a struct or a map holds."""
    return [nested.field(index).type for index in range(nested.num_fields)]


def kernel_column(array: pa.Array) -> Column:
    """Return the values, validity bits and bit offset of a number, boolean or temporal array; decimals become float64."""
    dtype = _NUMBERS.get(array.type.id)
    if dtype is None:
        if pa.types.is_decimal(array.type):
            array = nearest_floats(array)
        if pa.types.is_null(array.type):
            array = array.cast(pa.float64())
        if pa.types.is_boolean(array.type):
            array = array.cast(pa.uint8())
        dtype = _numpy_dtype(array.type)
    validity, data = array.buffers()
    values = np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize) if data else np.zeros(len(array), dtype)
    if not array.null_count or validity is None:
        return Column(values, None, 0)
    return Column(values, np.frombuffer(validity, np.uint8), array.offset)


@cache
def _arrow_type(dtype: np.dtype[Any]) -> pa.DataType:
    return pa.from_numpy_dtype(dtype)


def to_array(column: Column) -> pa.Array:
    """Return a kernel's column as an Arrow array over the same buffers."""
    validity = None if column.validity is None else pa.py_buffer(column.validity)
    return pa.Array.from_buffers(_arrow_type(column.values.dtype), len(column.values), [validity, pa.py_buffer(column.values)])


def array_of(values: npt.NDArray[Any]) -> pa.Array:
    """Return numbers as an Arrow array over the same memory, truth values as a new one.

    `pa.array` would import pandas, to look whether it was given one of its objects.
    """
    contiguous = np.ascontiguousarray(values)
    if contiguous.dtype == np.bool_:
        bits = np.packbits(contiguous, bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), len(contiguous), [None, pa.py_buffer(bits)])
    return pa.Array.from_buffers(_arrow_type(contiguous.dtype), len(contiguous), [None, pa.py_buffer(contiguous)])


def float_values(array: pa.Array) -> npt.NDArray[Any]:
    """Return a number or boolean array as floats [rows]: float32 as it is, all else float64; null becomes NaN."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    if pa.types.is_decimal(array.type):
        array = nearest_floats(array)
    if not pa.types.is_float32(array.type) and not pa.types.is_float64(array.type):
        array = array.cast(pa.float64(), safe=False)
    if array.null_count:
        array = array.fill_null(pa.scalar(float("nan"), array.type))
    return array.to_numpy(zero_copy_only=False)


def cast_safely(array: pa.Array, type_: Type) -> pa.Array:
    """Return an array in another type; raise DataError for a value that does not fit. Decimals become the nearest floats."""
    given = Type.from_arrow(array.type)
    try:
        if pa.types.is_decimal(array.type) and type_.is_float:
            array = nearest_floats(array)
        elif given.is_integer and pa.types.is_decimal(type_.arrow):  # Arrow asks for digits that all integers of the type would need
            array = array.cast(pa.decimal256(76, type_.arrow.scale))
        return array.cast(type_.arrow)
    except pa.ArrowException as error:
        raise DataError(f"cannot be cast from {given} to {type_}: {error}") from error


def hash_array(array: pa.Array, seed: int) -> npt.NDArray[np.uint64]:
    """Return XXH64 of each value: of its 8 bytes for numbers (every width and layout of a number hashes alike), of its UTF-8 for strings."""
    from headrace_kernels.hashing import hash64_ints, hash64_strings

    if pa.types.is_dictionary(array.type):
        of_values = np.append(hash_array(array.dictionary, seed), NULL_HASH)
        indices = array.indices.cast(pa.int64()).fill_null(len(array.dictionary))
        return of_values[indices.to_numpy(zero_copy_only=False)]
    nulls = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    type_ = Type.from_arrow(array.type)
    if type_.is_integer or type_.is_boolean:
        hashes = hash64_ints(_int64_bits(array), seed)
    elif type_.is_float:
        values = float_values(array).astype(np.float64) + 0.0
        values[np.isnan(values)] = np.nan  # one NaN, whatever its bits
        hashes = hash64_ints(values.view(np.int64), seed)
    elif type_.is_temporal or type_.is_span:
        hashes = hash64_ints(_microseconds(array), seed)
    else:
        hashes = hash64_strings(*_string_buffers(array), seed)
    return hashes if nulls is None else np.where(nulls, NULL_HASH, hashes)


def _int64_bits(array: pa.Array) -> npt.NDArray[np.int64]:
    filled = array.fill_null(pa.scalar(False if pa.types.is_boolean(array.type) else 0, array.type))
    if pa.types.is_uint64(array.type):
        return filled.to_numpy(zero_copy_only=False).view(np.int64)
    if pa.types.is_boolean(array.type):
        filled = filled.cast(pa.uint8())
    return filled.cast(pa.int64()).to_numpy(zero_copy_only=False)


def _microseconds(array: pa.Array) -> npt.NDArray[np.int64]:
    if pa.types.is_date(array.type):  # a hash may wrap, where Arrow's cast to microseconds refuses a date that is far off
        is_days = pa.types.is_date32(array.type)
        counts = array.cast(pa.int32() if is_days else pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        return counts.astype(np.int64) * (86_400_000_000 if is_days else 1000)
    if pa.types.is_timestamp(array.type) and array.type.unit == "ns":  # Arrow's cast cuts towards 1970, from both sides
        return array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False) // 1000
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp("us", array.type.tz), safe=False)
    elif pa.types.is_time(array.type):
        array = array.cast(pa.time64("us"), safe=False)
    return array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)


def _string_buffers(array: pa.Array) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    if is_text(array.type):
        return string_buffers(array)
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type) or pa.types.is_fixed_size_binary(array.type):
        array = array.cast(pa.large_binary())  # bytes need not be UTF-8
    else:
        array = pc.cast(array, pa.large_string())
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64, len(array) + 1, array.offset * 8)
    return ends, np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)


def _numpy_dtype(type_: pa.DataType) -> np.dtype[Any]:
    if pa.types.is_temporal(type_):
        return np.dtype(np.int32 if type_.bit_width == 32 else np.int64)
    return np.dtype(type_.to_pandas_dtype())
