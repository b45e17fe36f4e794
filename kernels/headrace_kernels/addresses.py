"""Memory by its address: how one call works on many columns, each wherever it lies.

Numba takes no list of arrays whose length may vary without looking at each of them for microseconds. A table of integers costs
nothing, whatever the number of its rows. Whoever passes an address keeps the memory until the call returns.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from headrace_kernels.column import Bitmap, Column, realigned
from headrace_kernels.compiled import jit
from headrace_kernels.numba_names import carray, intrinsic, overload, types
from headrace_kernels.scalars import Number

VALUES, BITS, ROWS = range(3)
"""Places in a column's row: the addresses of its values and of its bitmap (0: no row is null), and how many rows it has."""


_NO_BITS = np.empty(0, np.uint8)


class Places(NamedTuple):
    """Where columns are: a table with a row for each, and their bitmaps from bit 0 on (empty: no row is null).

    A bitmap may be fresh, and must be kept until the kernel has returned, as the columns must.
    """

    table: NDArray[np.int64]
    kept: list[Bitmap]


def places_of(columns: Sequence[Column]) -> Places:
    """Return where columns of one type are.

    >>> places_of([Column(np.zeros(5))]).table[0, [BITS, ROWS]].tolist()
    [0, 5]
    """
    rows, kept = [], []
    for column in columns:
        n_rows = len(column.values)
        bits = _NO_BITS if column.validity is None else realigned(column.validity, column.offset, n_rows)
        rows.append((column.values.ctypes.data, bits.ctypes.data if len(bits) else 0, n_rows))
        kept.append(bits)
    return Places(np.array(rows, np.int64).reshape(-1, 3), kept)


def array_at(address: Number, n_values: Number, like: NDArray[Any]) -> NDArray[Any]:
    """Return the values at an address, of the type that those of `like` have; they can be written.

    >>> values = np.array([5, 6, 7])
    >>> array_at(values.ctypes.data + 8, 2, values).tolist()
    [6, 7]
    """
    if not n_values:
        return np.zeros(0, like.dtype)
    memory: Any = (ctypes.c_char * (int(n_values) * like.itemsize)).from_address(int(address))
    return np.frombuffer(memory, like.dtype)


def _build_pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))


@intrinsic
def _pointer(typingctx: Any, address: Any, like: Any) -> Any:
    return types.CPointer(like.dtype)(types.intp, like), _build_pointer


@overload(array_at, strict=False)
def _compile_array_at(address: Any, n_values: Any, like: Any) -> Any:
    return lambda address, n_values, like: carray(_pointer(types.intp(address), like), (n_values,))


@jit
def bits_at(place: Any) -> NDArray[np.uint8]:
    """Return the bitmap of a column, empty if no row is null; `place` is its row of `Places`."""
    none = np.empty(0, np.uint8)
    return array_at(place[BITS], (place[ROWS] + 7) // 8, none) if place[BITS] else none


CHECKSUM = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t)
"""What a function in C is that takes in more bytes: of the checksum so far, an address and a number of bytes."""


def checksum_of(function: Number, so_far: Number, data: NDArray[np.uint8]) -> Number:
    """Return the checksum of bytes by the `CHECKSUM` function at an address, after others whose checksum is `so_far`.

    >>> last_byte = CHECKSUM(lambda so_far, address, n_bytes: ctypes.string_at(address, n_bytes)[-1])
    >>> checksum_of(ctypes.cast(last_byte, ctypes.c_void_p).value, 0, np.array([1, 2, 3], np.uint8))
    3
    """
    return CHECKSUM(int(function))(int(so_far), data.ctypes.data, len(data))


def _build_call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    address, so_far, data = arguments
    array = context.make_array(signature.args[2])(context, builder, data)
    word, bytes_, size = ir.IntType(32), ir.IntType(8).as_pointer(), ir.IntType(64)
    function = builder.inttoptr(address, ir.FunctionType(word, [word, bytes_, size]).as_pointer())
    found = builder.call(function, [so_far, builder.bitcast(array.data, bytes_), array.nitems])
    return builder.zext(found, size)


@intrinsic
def _call_checksum(typingctx: Any, function: Any, so_far: Any, data: Any) -> Any:
    return types.int64(types.intp, types.uint32, data), _build_call


@overload(checksum_of, strict=False)
def _compile_checksum_of(function: Any, so_far: Any, data: Any) -> Any:
    return lambda function, so_far, data: _call_checksum(types.intp(function), types.uint32(so_far), data)


@jit
def checksums_at(function: int, places: Any, like: Any, found: Any) -> None:
    """Write the checksums of bytes, each after others; a row of `places` is their checksum, the address, and the number of bytes."""
    for i in range(len(places)):
        found[i] = checksum_of(function, places[i, 0], array_at(places[i, 1], places[i, 2], like))
