"""Read Arrow's validity bitmaps inside compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace_kernels.column import Bitmap, Column, realigned
from headrace_kernels.scalars import inlined


def bits_of(column: Column) -> tuple[Bitmap, bool]:
    """Return a bitmap from bit 0 on and whether it says anything: without nulls it is one byte that no loop reads.

    >>> bits_of(Column(np.zeros(3)))[1]
    False
    """
    if column.validity is None:
        return np.zeros(1, np.uint8), False
    return realigned(column.validity, column.offset, len(column.values)), True


@inlined
def spread_bits(bits: Any, start: int, n_rows: int, valid: Any) -> None:
    """Write one 0 or 1 a row for a block, whole bytes at a time: a test of single bits would stop a loop from vectorising.

    `start` is a multiple of 8; `valid` has room for whole bytes.
    """
    first = start >> 3
    for j in range((n_rows + 7) >> 3):
        byte = bits[first + j]
        for k in range(8):
            valid[8 * j + k] = (byte >> k) & 1
