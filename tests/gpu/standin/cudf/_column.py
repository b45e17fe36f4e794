"""A column: Arrow memory of the host, with cuDF's type. Nulls stand in a mask; NaN is a value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import cupy
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from cupy._array import cast, memory_of, on_device
from tests.gpu.standin.memory import TRANSFERS, allocate

from cudf._dtypes import STRING, ListDtype, arrow_of, dtype_of


@dataclass(frozen=True, eq=False)
class Column:
    """Values of one type, in one piece that starts at its memory's start."""

    array: pa.Array
    dtype: Any

    def __len__(self) -> int:
        return len(self.array)

    @property
    def null_count(self) -> int:
        return self.array.null_count

    @cached_property
    def valid(self) -> np.ndarray:
        return self.array.is_valid().to_numpy(zero_copy_only=False)

    @cached_property
    def values(self) -> np.ndarray:
        """The memory of values of fixed width as NumPy's; under a null there is anything."""
        if isinstance(self.dtype, pd.DatetimeTZDtype):
            dtype = np.dtype(f"datetime64[{self.dtype.unit}]")
        elif isinstance(self.dtype, np.dtype):
            dtype = self.dtype
        else:
            raise TypeError(f"cupy does not support {self.dtype}")
        if dtype.kind == "b":
            return self.array.fill_null(True).to_numpy(zero_copy_only=False)
        return np.frombuffer(self.array.buffers()[1] or b"", dtype, len(self)) if len(self) else np.empty(0, dtype)

    @property
    def is_float(self) -> bool:
        return isinstance(self.dtype, np.dtype) and self.dtype.kind == "f"

    @cached_property
    def nan(self) -> np.ndarray:
        """Which rows hold NaN; a null does not."""
        return np.isnan(self.values) & self.valid if self.is_float else np.zeros(len(self), bool)

    def on_device(self) -> cupy.ndarray:
        """Return the values as CuPy sees them: integers with nulls as floats, truth values with nulls not at all."""
        if not self.null_count:
            return on_device(self.values, new=False)
        if self.dtype.kind == "b" or self.dtype.kind in "mM":
            raise ValueError(
                f"Column must have no nulls for dtype={self.dtype}" if self.dtype.kind == "b" else "cupy does not support NaT."
            )
        floats = self.values.astype(self.dtype if self.is_float else np.float64)
        return on_device(np.where(self.valid, floats, np.nan).astype(floats.dtype))

    def interface(self) -> dict[str, Any]:
        """Return the memory as other libraries see it; the mask only where there are nulls."""
        if not isinstance(self.dtype, np.dtype | pd.DatetimeTZDtype):
            raise AttributeError("__cuda_array_interface__")
        if not len(self):
            raise ValueError("__cuda_array_interface__ not supported for columns with no data buffer")
        values = self.values
        found = {"shape": values.shape, "strides": values.strides, "typestr": values.dtype.str, "version": 3}
        found["data"] = (values.ctypes.data, False)
        if self.null_count:
            bits = np.packbits(self.valid, bitorder="little")
            shown = {"shape": bits.shape, "strides": None, "typestr": "|u1", "version": 3, "data": (bits.ctypes.data, False)}
            found["mask"] = SimpleNamespace(__cuda_array_interface__=shown, owner=bits)
        return found

    def to_arrow(self) -> pa.Array:
        TRANSFERS.to_host(self.array.nbytes)
        return self.array.cast(pa.large_string()) if self.dtype == STRING else _with_null_types(self.array)

    def take(self, rows: np.ndarray) -> Column:
        return made(self.array.take(pa.array(rows)), self.dtype)

    def filter(self, mask: Column) -> Column:
        return made(self.array.filter(mask.array), self.dtype)  # a null drops the row

    def isnull(self) -> Column:
        return of_numpy(~self.valid | self.nan)

    def nans_to_nulls(self) -> Column:
        return of_numpy(self.values, self.valid & ~self.nan) if self.nan.any() else self

    def fillna(self, value: Any) -> Column:
        """Fill nulls, and NaN too."""
        if value is None or (isinstance(value, float) and np.isnan(value)):
            return self
        kind = self.dtype.kind
        whole = isinstance(value, bool | int | np.integer | np.bool_) or (isinstance(value, float) and value.is_integer())
        if (kind in "iu" and not whole) or (kind == "b") != isinstance(value, bool | np.bool_):
            raise TypeError(f"Cannot safely cast non-equivalent {type(value).__name__} to {self.dtype}")
        if kind in "iu" and not np.iinfo(self.dtype).min <= value <= np.iinfo(self.dtype).max:
            raise TypeError(f"Cannot safely cast non-equivalent {type(value).__name__} to {self.dtype}")
        column = self.nans_to_nulls()
        return made(column.array.fill_null(pa.scalar(value, column.array.type)), self.dtype)

    def astype(self, dtype: Any) -> Column:
        if dtype == self.dtype:
            return self
        if not isinstance(dtype, np.dtype) or not isinstance(self.dtype, np.dtype | pd.DatetimeTZDtype):
            raise NotImplementedError(f"the stand-in for cudf casts no column of {self.dtype} to {dtype}")
        values = self.values
        if self.dtype.kind == "M" and dtype.kind == "M":
            return of_numpy(values.astype(dtype), self.valid)  # NumPy rounds down, as libcudf does
        if self.dtype.kind in "mM":
            values = values.view(np.int64)
        return of_numpy(cast(values, dtype) if dtype.kind not in "mM" else values.astype(np.int64).view(dtype), self.valid)

    def factorize(self, *, sort: bool, use_na_sentinel: bool) -> tuple[cupy.ndarray, Column]:
        """Return the place of each row's value among the distinct ones, which come in order of appearance; -1 for null and NaN."""
        array = self.nans_to_nulls().array
        encoded = array.dictionary_encode(null_encoding="mask" if use_na_sentinel else "encode")
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        distinct = encoded.dictionary
        if sort:
            order = pc.sort_indices(distinct).to_numpy()
            codes = np.append(np.argsort(order), -1)[codes]
            distinct = distinct.take(pa.array(order))
        return on_device(codes), made(distinct, self.dtype)


def made(array: pa.Array, dtype: Any = None) -> Column:
    """Return a column that the device has made, in memory of its own."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    allocate(array.nbytes)
    return Column(array, dtype_of(array.type) if dtype is None else dtype)


def of_numpy(values: np.ndarray, valid: np.ndarray | None = None) -> Column:
    """Return computed values as a column."""
    array = pa.array(values, mask=None if valid is None or valid.all() else ~valid)
    return made(_in_one_piece(array))


def of_arrow(array: pa.Array) -> Column:
    """Take a host array to the device."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    if pa.types.is_null(array.type):
        array = array.cast(pa.string())
    dtype = dtype_of(array.type)
    TRANSFERS.to_device(array.nbytes)
    return Column(_in_one_piece(_normal(array)), dtype)


def of_anything(data: Any, dtype: Any = None, *, nan_as_null: bool = True) -> Column:
    """Return a column of what a Series is made of; by default NaN becomes null."""
    if isinstance(data, Column):
        column = data
    elif hasattr(data, "__cuda_array_interface__"):
        column = _of_interface(data)
        column = column.nans_to_nulls() if nan_as_null else column
    else:
        array = data if isinstance(data, pa.Array | pa.ChunkedArray) else pa.array(data, from_pandas=nan_as_null)
        column = of_arrow(array)
        column = column.nans_to_nulls() if nan_as_null else column
    return column if dtype is None else column.astype(dtype)


def _of_interface(data: Any) -> Column:
    interface = dict(data.__cuda_array_interface__)
    if len(interface["shape"]) > 1:
        raise ValueError("Data must be 1-dimensional")
    mask = interface.pop("mask", None)
    values = memory_of(SimpleNamespace(__cuda_array_interface__=interface, owner=data))
    valid = None
    if mask is not None:
        flags = memory_of(mask)
        valid = flags if flags.dtype.kind == "b" else np.unpackbits(flags, bitorder="little")[: len(values)].astype(bool)
    return of_numpy(values.copy(), valid)


def _in_one_piece(array: pa.Array) -> pa.Array:
    return pa.concat_arrays([array, array[:0]]) if array.offset else array


def _normal(array: pa.Array) -> pa.Array:
    """Return an array in the types that libcudf holds: dates are instants of midnight, text has offsets of 32 bits."""
    if pa.types.is_date32(array.type):
        return array.cast(pa.timestamp("s"))
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        return array.cast(pa.string())
    if pa.types.is_list(array.type):
        return array.cast(pa.list_(arrow_of(dtype_of(array.type.value_type))))
    return array


def _with_null_types(array: pa.Array) -> pa.Array:
    """As the real one: a nested array without any value, an empty one too, comes back as an array of nulls."""
    if not pa.types.is_nested(array.type):
        return array
    if array.null_count == len(array):
        return pa.nulls(len(array))
    elements = array.values
    nothing = elements.null_count == len(elements)
    if nothing and (pa.types.is_nested(elements.type) or pa.types.is_string(elements.type)):
        return array.cast(pa.list_(pa.null()))
    return array


def elements_of(column: Column) -> Column:
    """Return the elements of all lists, one after another."""
    if not isinstance(column.dtype, ListDtype):
        raise AttributeError(f"Can only use the '.list' accessor with 'list[pyarrow]' dtype, not {column.dtype}.")
    return made(_in_one_piece(column.array.flatten()), column.dtype.element_type)
