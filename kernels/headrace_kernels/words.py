"""Write eight bytes at once, wherever they begin."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from headrace_kernels.elementary import Number


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
