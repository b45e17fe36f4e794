"""Count and encode: dictionary indices to compact codes and counts, codes to ids by a table.

>>> codes, counts = count_codes(Column(np.array([1, 0, 1, 7], np.int32), np.array([0b0111], np.uint8)), 2)
>>> codes.dtype.name, codes.tolist(), counts.tolist()
('uint8', [1, 0, 1, 2], [1, 2, 1])
>>> look_up(np.array([10, 20, -1], np.int32), codes).tolist()
[20, 10, 20, -1]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.bitmaps import bits_of, spread_bits
from headrace_kernels.column import Column, is_valid
from headrace_kernels.compiled import jit
from headrace_kernels.scalars import Number, inlined

Codes = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32]
Counts = NDArray[np.int64]
BLOCK = 1024
# Counters of one code: a counter that was just written cannot be added to at once, so rows of a frequent code take turns. Of many codes
# few are as frequent, and the counters take longer to clear and to add up.
_COUNTERS, _MANY_CODES = 2, 1 << 12


def code_type(n_codes: int) -> np.dtype[Any]:
    """Return the smallest type for codes 0 to `n_codes`, the last one for null.

    >>> code_type(255).name, code_type(256).name
    ('uint8', 'uint16')
    """
    return np.dtype(np.uint8) if n_codes < 1 << 8 else np.dtype(np.uint16) if n_codes < 1 << 16 else np.dtype(np.uint32)


def count_codes(indices: Column, n_codes: int) -> tuple[Codes, Counts]:
    """Return compact codes of dictionary indices, and how often each occurs.

    Parameters
    ----------
    indices : Column
        Indices of any integer type, 0 <= index < `n_codes` where valid; a null's index may be anything.
    n_codes : int
        Size of the dictionary.

    Returns
    -------
    codes : ndarray of uint8, uint16 or uint32
        The index of each row, `n_codes` for a null; the smallest type that holds it.
    counts : ndarray of int64, length n_codes + 1
        Rows of each code, nulls last.

    Raises
    ------
    IndexError
        A valid index is not in the dictionary.
    """
    codes = np.empty(len(indices.values), code_type(n_codes))
    counts = np.zeros(n_codes + 1, np.int64)
    has_null = indices.validity is not None
    valid = is_valid(indices) if has_null else np.ones(1, np.bool_)
    if not _count(indices.values, valid, has_null, n_codes, codes, counts):
        raise IndexError(f"an index is not in the dictionary of {n_codes} values")
    return codes, counts


def count_indices(indices: Column, n_codes: int) -> Counts:
    """Return how often each dictionary index occurs: the counts of `count_codes` without its codes.

    >>> count_indices(Column(np.array([1, 0, 1, 7], np.int32), np.array([0b0111], np.uint8)), 2).tolist()
    [1, 2, 1]
    """
    counts = np.zeros((_COUNTERS if n_codes < _MANY_CODES else 1, n_codes + 1), np.int64)
    bits, has_null = bits_of(indices)
    if not _count_only(narrow_indices(indices.values), bits, has_null, n_codes, counts):
        raise IndexError(f"an index is not in the dictionary of {n_codes} values")
    return counts[0] if len(counts) == 1 else counts.sum(axis=0)


def occurring(counts: Counts, numbers: NDArray[np.int32], null: int) -> tuple[NDArray[np.int32], Counts]:
    """Return the numbers of the codes that occur, `null` for that of nulls, and how often each does: of `count_indices`' counts.

    >>> occurring(np.array([2, 0, 1, 3]), np.array([7, 8, 9], np.int32), -1)
    (array([ 7,  9, -1], dtype=int32), array([2, 1, 3]))
    """
    n_occurring = int(np.count_nonzero(counts))
    found = np.empty(n_occurring + 1, np.int32), np.empty(n_occurring + 1, np.int64)
    _occurring(counts, numbers, null, *found)
    return found[0][:-1], found[1][:-1]


def sum_by_code(codes: NDArray[Any], weights: Counts, n_codes: int) -> Counts:
    """Return the sum of the weights of each code, 0 <= code < `n_codes`, in integers.

    >>> sum_by_code(np.array([1, 0, 1]), np.array([5, 6, 7]), 2).tolist()
    [6, 12]
    """
    sums = np.zeros(n_codes, np.int64)
    _sum_by_code(codes, weights, sums)
    return sums


def look_up(table: NDArray[Any], codes: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return `table[codes]`, written to `out` if one is given.

    Parameters
    ----------
    table : ndarray
        A value for each code.
    codes : ndarray of unsigned integers
        Each below the table's length.
    out : ndarray, optional
        Where to write, as long as `codes`.

    Raises
    ------
    IndexError
        A code is negative or not in the table.
    """
    if out is None:
        out = np.empty(len(codes), table.dtype)
    if len(codes) and not (len(table) and _look_up(table, codes, out)):
        raise IndexError(f"a code is not in the table of {len(table)} values")
    return out


@inlined
def in_dictionary(index: Number, n_codes: Number) -> Number:
    """Return whether an index is one of a dictionary's `n_codes`."""
    return (index >= 0) & (index < n_codes)


def narrow_indices(indices: NDArray[Any]) -> NDArray[Any]:
    """Return indices in at most 32 bits; what does not fit is in no dictionary either, and becomes -1."""
    if indices.dtype.itemsize < 8:
        return indices
    return np.where((indices >= 0) & (indices < 1 << 31), indices, -1).astype(np.int32)


@inlined
def place_block(indices: Any, start: int, n_rows: int, bits: Any, has_null: bool, n_codes: int, valid: Any, places: Any) -> bool:
    """Write the codes of a block's rows, `n_codes` for a null, and return whether all are in the dictionary: a loop that vectorises."""
    unknown, null = np.int32(0), np.int32(n_codes)
    if has_null:
        spread_bits(bits, start, n_rows, valid)
    part = indices[start : start + n_rows]  # `start + i` may be negative for all that LLVM knows, and it would look
    for i in range(n_rows):
        index, filled = np.int32(part[i]), np.int32(valid[i])
        unknown |= filled & (np.int32(index < 0) | np.int32(index >= null))
        places[i] = index if filled else null
    return unknown == 0


@jit
def _count_only(indices: Any, bits: Any, has_null: bool, n_codes: int, counts: Any) -> bool:
    places, valid = np.empty(BLOCK, np.int32), np.ones(BLOCK, np.uint8)
    turns = len(counts) - 1
    for start in range(0, len(indices), BLOCK):
        n_rows = min(BLOCK, len(indices) - start)
        if not place_block(indices, start, n_rows, bits, has_null, n_codes, valid, places):
            return False
        for i in range(n_rows):
            counts[i & turns, places[i]] += 1
    return True


@jit
def _occurring(counts: Any, numbers: Any, null: int, out: Any, out_counts: Any) -> None:
    k = 0
    for code in range(len(counts)):  # without a branch: there is a place to spare for what does not occur
        out[k] = numbers[code] if code < len(numbers) else np.int32(null)
        out_counts[k] = counts[code]
        k += counts[code] != 0


@jit
def _sum_by_code(codes: Any, weights: Any, sums: Any) -> None:
    for i in range(len(codes)):
        sums[codes[i]] += weights[i]


@jit
def _count(indices: Any, valid: Any, has_null: bool, n_codes: int, codes: Any, counts: Any) -> bool:
    n_unknown = 0
    if has_null:
        for i in range(len(indices)):
            index = np.int64(indices[i])
            known = in_dictionary(index, n_codes)
            n_unknown += valid[i] & ~known
            code = index if known & valid[i] else n_codes
            codes[i] = code
            counts[code] += 1
    else:
        for i in range(len(indices)):
            index = np.int64(indices[i])
            known = in_dictionary(index, n_codes)
            n_unknown += not known
            code = index if known else n_codes
            codes[i] = code
            counts[code] += 1
    return n_unknown == 0


@jit
def _look_up(table: Any, codes: Any, out: Any) -> bool:
    n_unknown = 0
    last = len(table) - 1
    for i in range(len(codes)):
        code = np.int64(codes[i])
        known = in_dictionary(code, last + 1)
        n_unknown += not known
        out[i] = table[code if known else 0]
    return n_unknown == 0
