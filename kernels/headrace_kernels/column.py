"""A column as the kernels see it: Arrow's buffers as NumPy views, nothing copied.

A validity bitmap is Arrow's: bit i, counted from the lowest bit of the first byte, says that row i has a value. Values under nulls are
never looked at by a caller; kernels compute on whatever is there, because a test in a loop costs more than the work it saves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Bitmap = NDArray[np.uint8]


class Column(NamedTuple):
    """Values and validity of one column.

    Parameters
    ----------
    values : ndarray
        One contiguous value a row, already sliced; truth values as uint8.
    validity : ndarray of uint8, optional
        Arrow's bitmap; None if no row is null.
    offset : int
        The bit of `validity` that belongs to the first row.

    Examples
    --------
    >>> column = Column(np.array([1.0, 2.0, 3.0]), np.array([0b1010], np.uint8), 1)
    >>> count_nulls(column)
    1
    """

    values: NDArray[Any]
    validity: Bitmap | None = None
    offset: int = 0


def realigned(validity: Bitmap, offset: int, n_rows: int) -> Bitmap:
    """Return `n_rows` bits from bit `offset` on, as a bitmap that starts at bit 0; bits after the last row are 0.

    A view where no shift and no clearing is needed, else fresh.

    >>> realigned(np.array([0b1010], np.uint8), 1, 3).tolist()
    [5]
    """
    n_bytes = (n_rows + 7) // 8
    start, shift = divmod(offset, 8)
    if shift == 0:
        bits = validity[start : start + n_bytes]
    else:
        low = validity[start : start + n_bytes + 1]
        bits = low[:n_bytes] >> np.uint8(shift)
        high = low[1:]
        bits[: len(high)] |= (high << np.uint8(8 - shift))[:n_bytes]
    spare = 8 * n_bytes - n_rows
    if spare and bits[-1] >> (8 - spare):
        bits = bits.copy()
        bits[-1] &= 0xFF >> spare
    return bits


def count_nulls(column: Column) -> int:
    """Return how many rows of a column are null."""
    if column.validity is None:
        return 0
    n_rows = len(column.values)
    return n_rows - int(np.bitwise_count(realigned(column.validity, column.offset, n_rows)).sum(dtype=np.int64))


def merged_validity(columns: Sequence[Column], n_rows: int) -> Bitmap | None:
    """Return the bitmap of the rows that have a value in every column, from bit 0; None if no row is null.

    >>> a, b = (Column(np.zeros(3), np.array([bits], np.uint8)) for bits in (0b011, 0b110))
    >>> merged_validity([a, b], 3).tolist()
    [2]
    """
    merged: Bitmap | None = None
    for column in columns:
        if column.validity is not None:
            bits = realigned(column.validity, column.offset, n_rows)
            merged = bits if merged is None else merged & bits
    return merged


def is_valid(column: Column) -> NDArray[np.bool_]:
    """Return one truth value a row: it has a value.

    >>> is_valid(Column(np.zeros(3), np.array([0b011], np.uint8))).tolist()
    [True, True, False]
    """
    n_rows = len(column.values)
    if column.validity is None:
        return np.ones(n_rows, np.bool_)
    bits = realigned(column.validity, column.offset, n_rows)
    return np.unpackbits(bits, count=n_rows, bitorder="little").view(np.bool_)
