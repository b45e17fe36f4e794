"""Functions of lists on a device: length, and the element at a place."""

from __future__ import annotations

from collections.abc import Sequence

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.cudf.column import Coded, Column, Lists, Plain, is_valid, take
from headrace.backends.cudf.expression.operands import Implementation, Operand, as_values, given


def _length(_function: str, operands: Sequence[Operand]) -> Column | None:
    lists = operands[0]
    return Plain(lists.lengths, lists.valid, pa.int64()) if isinstance(lists, Lists) else None


def _element(function: str, operands: Sequence[Operand]) -> Column | None:
    lists, index = as_values(operands)
    if not isinstance(lists, Lists) or not pa.types.is_integer(given([index])[0]):
        return None
    if isinstance(index, Plain):
        place, known = index.values.astype(np.int64), is_valid(index)
    else:
        assert not isinstance(index, Coded | Lists)  # noqa: S101  (an integer)
        known = cupy.full(len(lists), index.is_valid, bool)
        place = cupy.full(len(lists), index.as_py() or 0, np.int64)
    known = known & is_valid(lists)
    ends = cupy.cumsum(lists.lengths)
    inside = known & (place != 0) & (cupy.abs(place) <= lists.lengths)
    rows = cupy.where(place > 0, ends - lists.lengths + place - 1, ends + place)
    return take(lists.elements, cupy.where(inside, rows, np.int64(-1)))


LISTS: dict[str, Implementation] = {"length": _length, "element": _element}
