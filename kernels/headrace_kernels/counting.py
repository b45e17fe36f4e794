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

from headrace_kernels.column import Column, is_valid
from headrace_kernels.compiled import jit
from headrace_kernels.elementary import Number, inlined

Codes = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32]
Counts = NDArray[np.int64]


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
