"""Cut a struct in Thrift's compact protocol into its fields, each as the bytes that it is written with.

So fields can be copied into another struct without being understood.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.scalars import Number
from headrace_kernels.thrift import DEEPEST, END, read_varint, step

_MOST_FIELDS = 32  # no struct of a Parquet footer has as many


class StructField(NamedTuple):
    """A field's number, its kind as the protocol numbers them, and where its value begins and ends."""

    number: int
    kind: int
    start: int
    stop: int


def struct_fields(data: NDArray[np.uint8], at: int) -> tuple[list[StructField], int]:
    """Return the fields of the struct at `at`, and the place after it.

    Raises
    ------
    ValueError
        These bytes are no such struct.

    Examples
    --------
    >>> struct_fields(np.array([0x15, 2, 0x18, 1, 97, 0], np.uint8), 0)
    ([StructField(number=1, kind=5, start=1, stop=2), StructField(number=2, kind=8, start=3, stop=5)], 6)
    """
    table = np.zeros((_MOST_FIELDS, 4), np.int64)
    n_fields, end = _scan(data, at, table)
    if n_fields < 0:
        raise ValueError("not a struct in Thrift's compact protocol")
    return [StructField(*row) for row in table[:n_fields].tolist()], int(end)


def list_starts(data: NDArray[np.uint8], field: StructField) -> list[int]:
    """Return where each struct in a list of structs begins.

    >>> list_starts(np.array([0x2C, 0x15, 2, 0, 0x15, 4, 0], np.uint8), StructField(1, 9, 0, 7))
    [1, 4]
    """
    n_items, at = int(data[field.start]) >> 4, field.start + 1
    if n_items == 15:
        n_items, at = (int(number) for number in read_varint(data, at, len(data)))
    starts = []
    for _ in range(n_items):
        starts.append(at)
        _, at = struct_fields(data, at)
    return starts


@jit
def _scan(data: Any, at: Number, table: Any) -> tuple[Number, Number]:
    """Fill the table; return the number of fields, -1 if they are none or too many, and the place after the struct."""
    walk = np.zeros((DEEPEST, 3), np.int64)
    at, depth = np.int64(at), np.int64(0)
    n_fields = np.int64(0)
    while True:
        begin, outside = at, depth == 0
        at, depth, kind, _ = step(data, at, depth, walk)
        if at < 0:
            return np.int64(-1), at
        if depth < 0:
            return n_fields, at
        if outside:
            if n_fields == len(table):
                return np.int64(-1), at
            begin += 1
            if data[begin - 1] >> 4 == 0:
                _, begin = read_varint(data, begin, len(data))
            table[n_fields, 0], table[n_fields, 1], table[n_fields, 2] = walk[0, 2], kind, begin
            n_fields += 1
        if depth == 0 and (outside or kind == END):
            table[n_fields - 1, 3] = at
