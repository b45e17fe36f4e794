"""Encode dictionary indices: the id of each row by a table over the dictionary, nulls and unseen values counted on the way.

Where fitting has numbered the values, as a dictionary's or as those of the rows themselves, an id is found in two steps: the code of a
number, and the id of a code.

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

Numbers = NDArray[np.int32]
_ID = (1 << 32) - 1


def encode_indices(indices: Column, ids: Numbers, unseen: NDArray[np.bool_]) -> tuple[Numbers, int]:
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
    # one look a row: the id in the lower half, whether it is unseen in the upper
    return _encoded(indices, (unseen.astype(np.int64) << 32) | (ids.astype(np.int64) & _ID))


def encode_numbered_indices(indices: Column, numbers: Numbers, codes: Numbers, null_code: int, ids: Numbers) -> tuple[Numbers, int]:
    """Return what `encode_indices` returns where the dictionary's values have numbers.

    Parameters
    ----------
    indices : Column
        As of `encode_indices`.
    numbers : ndarray of int32, length n
        The number of each of the dictionary's values, below 0 for a null.
    codes : ndarray of int32
        The code of each number, -1 if it is unseen.
    null_code : int
        The code of a null, -1 if nulls are unseen.
    ids : ndarray of int32
        The id of what is unseen, then of each code.

    Raises
    ------
    IndexError
        A valid index is not in the dictionary.

    >>> indices = Column(np.array([1, 0, 1], np.int32))
    >>> encode_numbered_indices(indices, np.array([2, 0], np.int32), np.array([-1, 0, 1], np.int32), -1, np.array([7, 8, 9], np.int32))
    (array([7, 9, 7], dtype=int32), 2)
    """
    table = np.empty(len(numbers) + 1, np.int64)
    _fill_table(numbers, codes, null_code, ids, table)
    return _encoded(indices, table)


def encode_numbers(numbers: Column, codes: Numbers, null_code: int, ids: Numbers) -> tuple[Numbers, int]:
    """Return the id of each row and how many rows are unseen where rows themselves have numbers, int32, below 0 for a null too.

    As `encode_numbered_indices`; every number has a code.

    >>> encode_numbers(Column(np.array([1, -1, 0], np.int32)), np.array([-1, 0], np.int32), 1, np.array([7, 8, 9], np.int32))
    (array([8, 9, 7], dtype=int32), 1)
    """
    out = np.empty(len(numbers.values), np.int32)
    return out, _encode_numbers(numbers.values, *bits_of(numbers), codes, null_code, ids, out)


def _encoded(indices: Column, table: NDArray[np.int64]) -> tuple[Numbers, int]:
    out = np.empty(len(indices.values), np.int32)
    bits, has_null = bits_of(indices)
    counted = _encode(narrow_indices(indices.values), bits, has_null, table, out)
    if counted < 0:
        raise IndexError(f"an index is not in the dictionary of {len(table) - 1} values")
    return out, counted


@jit
def _fill_table(numbers: Any, codes: Any, null_code: int, ids: Any, table: Any) -> None:
    for i in range(len(table)):
        number = numbers[i] if i < len(numbers) else np.int32(-1)
        code = np.int64(codes[number]) if number >= 0 else null_code
        table[i] = (np.int64(code < 0) << 32) | (np.int64(ids[code + 1]) & _ID)


@jit
def _encode_numbers(numbers: Any, bits: Any, has_null: bool, codes: Any, null_code: int, ids: Any, out: Any) -> int:
    n_unseen = 0
    for i in range(len(out)):
        is_null = has_null and not bits[i >> 3] >> (i & 7) & 1
        code: Any = np.int64(codes[numbers[i]]) if numbers[i] >= 0 and not is_null else null_code
        out[i] = ids[code + 1]
        n_unseen += code < 0
    return n_unseen


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
