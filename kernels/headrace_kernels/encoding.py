"""Encode dictionary indices: the id of each row by a table over the dictionary, nulls and unseen values counted on the way.

>>> ids, n_unseen = encode_indices(Column(np.array([1, 0, 1], np.int32)), np.array([7, 1, 0], np.int32), np.array([False, True, False]))
>>> ids.tolist(), n_unseen
([1, 7, 1], 2)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.bitmaps import bits_of
from headrace_kernels.column import Column
from headrace_kernels.compiled import jit
from headrace_kernels.counting import BLOCK, narrow_indices, place_block

_ID = (1 << 32) - 1


def encode_indices(indices: Column, ids: NDArray[np.int32], unseen: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Return the id of each row and how many rows are unseen.

    Parameters
    ----------
    indices : Column
        Dictionary indices of any integer type; a null's index may be anything.
    ids : ndarray of int32, length n + 1
        The id of each of the dictionary's n values, and last the id of a null.
    unseen : ndarray of bool, length n + 1
        Which of them count as unseen.

    Raises
    ------
    IndexError
        A valid index is not in the dictionary.
    """
    out = np.empty(len(indices.values), np.int32)
    bits, has_null = bits_of(indices)
    # one look a row: the id in the lower half, whether it is unseen in the upper
    table = (unseen.astype(np.int64) << 32) | (ids.astype(np.int64) & _ID)
    counted = _encode(narrow_indices(indices.values), bits, has_null, table, out)
    if counted < 0:
        raise IndexError(f"an index is not in the dictionary of {len(ids) - 1} values")
    return out, counted


@jit
def _encode(indices: Any, bits: Any, has_null: bool, table: Any, out: Any) -> int:
    counted = 0
    places, valid = np.empty(BLOCK, np.int32), np.ones(BLOCK, np.uint8)
    for start in range(0, len(indices), BLOCK):
        n_rows = min(BLOCK, len(indices) - start)
        if not place_block(indices, start, n_rows, bits, has_null, len(table) - 1, valid, places):
            return -1
        part = out[start : start + n_rows]
        for i in range(n_rows):
            entry = table[places[i]]
            part[i] = np.int32(entry & _ID)
            counted += entry >> 32
    return counted
