"""Count and encode dictionary indices on a GPU: what `counting.count_codes` and `encoding.encode_indices` do on a CPU, with the same bits.

Arrays are anything with ``__cuda_array_interface__`` and stay on the device, or NumPy arrays, which are copied there. Validity is Arrow's
bitmap from bit 0 on, as cuDF keeps it. Only one number a call comes back to the host: how many rows are not as they should be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from headrace_kernels.counting import code_type, in_dictionary
from headrace_kernels.cuda import DeviceArray, compiled, device_array_of, strided_grid, with_blocks
from headrace_kernels.scalars import inlined

SHARED_CODES = 4096
"""Dictionaries up to this size are counted in shared memory: 16 KiB a block, so that eight blocks fit on a multiprocessor."""


def count_codes(indices: DeviceArray, n_codes: int, validity: DeviceArray | None = None) -> tuple[DeviceArray, DeviceArray]:
    """Return compact codes of dictionary indices, and how often each occurs.

    Parameters
    ----------
    indices : array of integers
        0 <= index < `n_codes` where valid; a null's index may be anything.
    n_codes : int
        Size of the dictionary.
    validity : array of uint8, optional
        Arrow's bitmap; None if no row is null.

    Returns
    -------
    codes : device array of uint8, uint16 or uint32
        The index of each row, `n_codes` for a null; the smallest type that holds it.
    counts : device array of int64, length n_codes + 1
        Rows of each code, nulls last.

    Raises
    ------
    IndexError
        A valid index is not in the dictionary.
    """
    indices = device_array_of(indices)
    codes = cuda.device_array(len(indices), code_type(n_codes))
    counts, n_unknown = cuda.to_device(np.zeros(n_codes + 1, np.int64)), cuda.to_device(np.zeros(1, np.int64))
    body = count_in_shared_memory if n_codes < SHARED_CODES else count_in_memory
    if len(indices):
        with_blocks(compiled(body), strided_grid(len(indices)))(indices, *bits_and_flag(validity), n_codes, codes, counts, n_unknown)
    if n_unknown.copy_to_host()[0]:
        raise IndexError(f"an index is not in the dictionary of {n_codes} values")
    return codes, counts


def encode_indices(
    indices: DeviceArray, ids: DeviceArray, unseen: DeviceArray, validity: DeviceArray | None = None
) -> tuple[DeviceArray, int]:
    """Return the id of each row on the device, and how many rows are unseen.

    Parameters
    ----------
    indices : array of integers
        Dictionary indices; a null's index may be anything.
    ids : array of int32, length n + 1
        The id of each of the dictionary's n values, and last the id of a null.
    unseen : array of bool, length n + 1
        Which of them count as unseen.
    validity : array of uint8, optional
        Arrow's bitmap; None if no row is null.

    Raises
    ------
    IndexError
        A valid index is not in the dictionary.
    """
    indices, ids = device_array_of(indices), device_array_of(ids)
    out = cuda.device_array(len(indices), np.int32)
    counted = cuda.to_device(np.zeros(2, np.int64))
    if len(indices):
        with_blocks(compiled(encode), strided_grid(len(indices)))(
            indices, *bits_and_flag(validity), ids, device_array_of(unseen), out, counted
        )
    n_unknown, n_unseen = counted.copy_to_host().tolist()
    if n_unknown:
        raise IndexError(f"an index is not in the dictionary of {len(ids) - 1} values")
    return out, n_unseen


def bits_and_flag(validity: DeviceArray | None) -> tuple[DeviceArray, bool]:
    """Return a bitmap and whether it says anything: without nulls it is one byte that no thread reads."""
    return device_array_of(np.zeros(1, np.uint8) if validity is None else validity), validity is not None


@inlined
def bit_of(bits: Any, i: Any) -> Any:
    """Return bit `i` of a bitmap as 0 or 1."""
    return (bits[i >> 3] >> (i & 7)) & 1


@inlined
def code_at(indices: Any, bits: Any, has_null: Any, n_codes: Any, i: Any) -> Any:
    """Return the code of row `i`: its index, `n_codes` for a null, -1 for what is not in the dictionary."""
    index = np.int64(indices[i])
    if has_null and bit_of(bits, i) == 0:
        return np.int64(n_codes)
    return index if in_dictionary(index, n_codes) else np.int64(-1)


def count_in_shared_memory(indices: Any, bits: Any, has_null: bool, n_codes: int, codes: Any, counts: Any, n_unknown: Any) -> None:
    """One histogram a block, added to the total at the end: a global atomic a row would queue at a frequent code."""
    held = cuda.shared.array(SHARED_CODES, np.int32)
    for k in range(cuda.threadIdx.x, n_codes + 1, cuda.blockDim.x):
        held[k] = 0
    cuda.syncthreads()
    for i in range(cuda.grid(1), len(indices), cuda.gridsize(1)):
        code = code_at(indices, bits, has_null, n_codes, i)
        if code < 0:
            cuda.atomic.add(n_unknown, 0, 1)
            code = np.int64(n_codes)
        codes[i] = code
        cuda.atomic.add(held, code, 1)
    cuda.syncthreads()
    for k in range(cuda.threadIdx.x, n_codes + 1, cuda.blockDim.x):
        if held[k] != 0:
            cuda.atomic.add(counts, k, np.int64(held[k]))


def count_in_memory(indices: Any, bits: Any, has_null: bool, n_codes: int, codes: Any, counts: Any, n_unknown: Any) -> None:
    """An atomic a row, for dictionaries that shared memory cannot hold."""
    for i in range(cuda.grid(1), len(indices), cuda.gridsize(1)):
        code = code_at(indices, bits, has_null, n_codes, i)
        if code < 0:
            cuda.atomic.add(n_unknown, 0, 1)
            code = np.int64(n_codes)
        codes[i] = code
        cuda.atomic.add(counts, code, 1)


def encode(indices: Any, bits: Any, has_null: bool, ids: Any, unseen: Any, out: Any, counted: Any) -> None:
    """A table lookup a row; `counted` gets the rows that are not in the dictionary, and those that are unseen."""
    unseen_here = cuda.shared.array(1, np.int32)
    if cuda.threadIdx.x == 0:
        unseen_here[0] = 0
    cuda.syncthreads()
    null = np.int64(len(ids) - 1)
    n_unseen = 0
    for i in range(cuda.grid(1), len(indices), cuda.gridsize(1)):
        index = np.int64(indices[i])
        if has_null and bit_of(bits, i) == 0:
            index = null
        elif not in_dictionary(index, null):
            index = null
            cuda.atomic.add(counted, 0, 1)
        out[i] = ids[index]
        n_unseen += 1 if unseen[index] else 0
    cuda.atomic.add(unseen_here, 0, n_unseen)
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        cuda.atomic.add(counted, 1, np.int64(unseen_here[0]))
