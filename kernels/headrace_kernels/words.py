"""Write eight bytes at once, wherever they begin, copy many, and have memory fetched before it is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from headrace_kernels.numba_names import cgutils, intrinsic, overload, types
from headrace_kernels.scalars import Number

AHEAD_BYTES = 1 << 10
"""So far ahead the bytes of strings are fetched: with more work a string than a few cycles, the processor by itself comes too late at
each new page. 5M strings of 32 bytes in memory are hashed in 7 ns each in place of 17."""

_BYTE_POINTER = ir.IntType(8).as_pointer()


def store_word(data: NDArray[np.uint8], start: Number, word: Number) -> None:
    """Write a uint64 to the 8 bytes from `start` on, the lowest first.

    >>> data = np.zeros(9, np.uint8)
    >>> store_word(data, 1, np.uint64(0x0201))
    >>> data.tolist()
    [0, 1, 2, 0, 0, 0, 0, 0, 0]
    """
    data[start : start + 8] = np.frombuffer(int(word).to_bytes(8, "little"), np.uint8)


def _build_store(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    address = builder.gep(array.data, [arguments[1]])
    builder.store(arguments[2], builder.bitcast(address, ir.IntType(64).as_pointer()), align=1)
    return context.get_dummy_value()


@intrinsic
def _store_unaligned(typingctx: Any, data: Any, start: Any, word: Any) -> Any:
    return types.void(data, types.intp, types.uint64), _build_store


@overload(store_word, strict=False)
def _compile_store_word(data: Any, start: Any, word: Any) -> Any:
    return lambda data, start, word: _store_unaligned(data, types.intp(start), types.uint64(word))


def copy_bytes(source: NDArray[np.uint8], start: Number, n_bytes: Number, target: NDArray[np.uint8], at: Number) -> None:
    """Copy bytes between arrays that do not overlap, as the C library does: of long ones 32 and more at once.

    >>> target = np.zeros(4, np.uint8)
    >>> copy_bytes(np.array([1, 2, 3], np.uint8), 1, 2, target, 0)
    >>> target.tolist()
    [2, 3, 0, 0]
    """
    target[at : at + n_bytes] = source[start : start + n_bytes]


def _build_copy(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    source, start, n_bytes, target, at = arguments
    read = context.make_array(signature.args[0])(context, builder, source)
    written = context.make_array(signature.args[3])(context, builder, target)
    cgutils.raw_memcpy(builder, builder.gep(written.data, [at]), builder.gep(read.data, [start]), n_bytes, 1)
    return context.get_dummy_value()


@intrinsic
def _copy(typingctx: Any, source: Any, start: Any, n_bytes: Any, target: Any, at: Any) -> Any:
    return types.void(source, types.intp, types.intp, target, types.intp), _build_copy


@overload(copy_bytes, strict=False)
def _compile_copy_bytes(source: Any, start: Any, n_bytes: Any, target: Any, at: Any) -> Any:
    return lambda source, start, n_bytes, target, at: _copy(source, types.intp(start), types.intp(n_bytes), target, types.intp(at))


def prefetch(array: NDArray[Any], i: Any) -> None:
    """Have the processor fetch `array[i]`, which will be needed soon; nothing in plain Python."""


def _build_prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    address = builder.bitcast(builder.gep(array.data, [arguments[1]]), _BYTE_POINTER)  # wherever it is: what is not there is not fetched
    kind = ir.FunctionType(ir.VoidType(), [_BYTE_POINTER, *[ir.IntType(32)] * 3])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    builder.call(function, [address, *(ir.Constant(ir.IntType(32), flag) for flag in (0, 3, 1))])  # to read, keep, data
    return context.get_dummy_value()


@intrinsic
def _prefetch(typingctx: Any, array: Any, i: Any) -> Any:
    return types.void(array, types.uintp), _build_prefetch


@overload(prefetch, strict=False)
def _compile_prefetch(array: Any, i: Any) -> Any:
    return lambda array, i: _prefetch(array, np.uintp(i))
