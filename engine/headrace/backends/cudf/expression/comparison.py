"""Comparisons, truth and conditions on a device: DuckDB's order of numbers, SQL's three-valued logic.

What each means stands in `headrace.backends.arrow.expression.comparison`; NaN equals NaN and is greater than every other number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.arrow.expression.operands import booleans as check_booleans
from headrace.backends.cudf.column import Column, Plain, Rows, concat, is_valid, null_count, take
from headrace.backends.cudf.expression.operands import (
    Implementation,
    Operand,
    Side,
    as_rows,
    as_type,
    computed,
    device_type,
    given,
    is_column,
    is_true,
    length_of,
    on_device,
    side,
)
from headrace.backends.cudf.values import comparable
from headrace.expressions.nodes import Literal
from headrace.expressions.promotion import common_type


def _sides(function: str, operands: Sequence[Operand]) -> list[Side] | None:
    """Return operands in the one type in which they are compared, None if the device has no such type."""
    type_ = common_type(function, given(operands))
    return [side(operand, type_) for operand in operands] if device_type(type_) and on_device(operands) else None


def _is_float(one: Side) -> bool:
    return bool(one.values.dtype.kind == "f")


def are_equal(left: Side, right: Side) -> Any:
    """Return where two sides are equal."""
    equal = comparable(left.values) == comparable(right.values)
    return equal | (cupy.isnan(left.values) & cupy.isnan(right.values)) if _is_float(left) else equal


def is_less(left: Side, right: Side) -> Any:
    """Return where the left side is less."""
    less = comparable(left.values) < comparable(right.values)
    return less | (cupy.isnan(right.values) & ~cupy.isnan(left.values)) if _is_float(left) else less


def _compared(holds: Callable[[Side, Side], Any]) -> Implementation:
    def compare(function: str, operands: Sequence[Operand]) -> Column | None:
        sides = _sides(function, operands)
        return None if sides is None else computed(holds(*sides), sides, pa.bool_())

    return compare


def _is_distinct(function: str, operands: Sequence[Operand]) -> Column | None:
    sides = _sides(function, operands)
    if sides is None:
        return None
    left, right = (_null(one) for one in sides)
    differ = ~are_equal(*sides)
    return Plain(cupy.where(left | right, left != right, differ), None, pa.bool_())


def _null(one: Side) -> Any:
    return cupy.asarray(one.null) if one.valid is None else ~one.valid


def _is_null(_function: str, operands: Sequence[Operand]) -> Column | None:
    column = operands[0]
    assert not isinstance(column, Literal)  # noqa: S101  (a call of constants is computed on the host)
    return Plain(~is_valid(column), None, pa.bool_())


def _truths(function: str, operands: Sequence[Operand]) -> list[Side] | None:
    """Return operands as truth values; raise JobError as the host does if one is none."""
    check_booleans(function, [_host_form(operand) for operand in operands])
    return [side(operand, pa.bool_()) for operand in operands] if on_device(operands) else None


def _host_form(operand: Operand) -> Any:
    """Return an operand without its rows: what it is of is all that a check of types looks at."""
    return pa.array([], operand.type) if is_column(operand) and not isinstance(operand, Literal) else operand


def _and(function: str, operands: Sequence[Operand]) -> Column | None:
    sides = _truths(function, operands)
    if sides is None:
        return None
    left, right = sides
    no = (~left.values & ~_null(left)) | (~right.values & ~_null(right))
    yes = left.values & ~_null(left) & right.values & ~_null(right)
    return _three_valued(yes, no)


def _or(function: str, operands: Sequence[Operand]) -> Column | None:
    sides = _truths(function, operands)
    if sides is None:
        return None
    left, right = sides
    yes = (left.values & ~_null(left)) | (right.values & ~_null(right))
    no = ~left.values & ~_null(left) & ~right.values & ~_null(right)
    return _three_valued(yes, no)


def _three_valued(yes: Rows, no: Rows) -> Column:
    known = yes | no
    return Plain(yes, None if bool(known.all()) else known, pa.bool_())


def _not(function: str, operands: Sequence[Operand]) -> Column | None:
    sides = _truths(function, operands)
    return None if sides is None else computed(~sides[0].values, sides, pa.bool_())


def _in(function: str, operands: Sequence[Operand]) -> Column | None:
    sides = _sides(function, operands)
    if sides is None:
        return None
    tested, *listed = sides
    n_rows = length_of(operands)
    yes = unknown = cupy.zeros(n_rows, bool)
    for one in listed:
        null = _null(tested) | _null(one)
        yes = yes | (are_equal(tested, one) & ~null)
        unknown = unknown | null
    known = yes | ~unknown
    return Plain(yes, None if bool(known.all()) else known, pa.bool_())


def chosen(columns: Sequence[Column], which: Rows) -> Column:
    """Return of each row the value that column `which` has for it, -1 for null; a column of one row has it for all."""
    n_rows = len(which)
    row = cupy.arange(n_rows, dtype=np.int64)
    places, start = cupy.full(n_rows, -1, np.int64), 0
    for index, column in enumerate(columns):
        at = start if len(column) == 1 and n_rows != 1 else start + row
        places = cupy.where(which == index, at, places)
        start += len(column)
    return take(concat(list(columns)), places)


def _pieces(function: str, operands: Sequence[Operand]) -> list[Column]:
    """Return operands as columns of one type, constants as columns of one row."""
    type_ = common_type(function, given(operands))
    return [as_rows(as_type(operand, type_), 1) for operand in operands]


def _case(function: str, operands: Sequence[Operand]) -> Column | None:
    n_rows = length_of(operands)
    check_booleans(function, [_host_form(operand) for operand in operands[:-1:2]])
    conditions = [as_rows(as_type(operand, pa.bool_()), n_rows) for operand in operands[:-1:2]]
    pieces = _pieces(function, [*operands[1:-1:2], operands[-1]])
    which = cupy.full(n_rows, len(pieces) - 1, np.int64)
    for index, condition in reversed(list(enumerate(conditions))):
        which = cupy.where(is_true(condition), np.int64(index), which)
    return chosen(pieces, which)


def _coalesce(function: str, operands: Sequence[Operand]) -> Column | None:
    n_rows = length_of(operands)
    pieces = _pieces(function, operands)
    which = cupy.full(n_rows, -1, np.int64)
    for index, piece in reversed(list(enumerate(pieces))):
        which = cupy.where(is_valid(piece), np.int64(index), which)  # of a constant: one truth for all rows
    return chosen(pieces, which)


def _nullif(function: str, operands: Sequence[Operand]) -> Column | None:
    sides = _sides(function, operands)
    if sides is None:
        return None
    equal = are_equal(*sides) & ~_null(sides[0]) & ~_null(sides[1])
    own = common_type(function, given(operands)) if isinstance(operands[0], Literal) else operands[0].type
    first = as_rows(as_type(operands[0], own), len(equal))
    return chosen([first], cupy.where(equal, np.int64(-1), np.int64(0)))


def _best(wins: Callable[[Side, Side], Any]) -> Implementation:
    def best(function: str, operands: Sequence[Operand]) -> Column | None:
        type_ = common_type(function, given(operands))
        if not device_type(type_) or not on_device(operands):
            return None
        n_rows = length_of(operands)
        columns = [as_rows(as_type(operand, type_), n_rows) for operand in operands]
        return reduce(lambda held, other: _better(held, other, wins), columns)

    return best


def _better(held: Column, other: Column, wins: Callable[[Side, Side], Any]) -> Column:
    """Return `other` where it wins or the one held is null, and the one held elsewhere."""
    assert isinstance(held, Plain)  # noqa: S101
    assert isinstance(other, Plain)  # noqa: S101
    better = wins(Side(held.values, held.valid), Side(other.values, other.valid))
    takes = is_valid(other) & (better | ~is_valid(held))
    valid = None if not null_count(held) or not null_count(other) else is_valid(held) | is_valid(other)
    return Plain(cupy.where(takes, other.values, held.values), valid, held.type)


COMPARISONS: dict[str, Implementation] = {
    "and": _and,
    "or": _or,
    "not": _not,
    "is_null": _is_null,
    "equal": _compared(are_equal),
    "not_equal": _compared(lambda left, right: ~are_equal(left, right)),
    "less": _compared(is_less),
    "less_equal": _compared(lambda left, right: ~is_less(right, left)),
    "greater": _compared(lambda left, right: is_less(right, left)),
    "greater_equal": _compared(lambda left, right: ~is_less(left, right)),
    "is_distinct": _is_distinct,
    "in": _in,
    "case": _case,
    "coalesce": _coalesce,
    "nullif": _nullif,
    "greatest": _best(is_less),
    "least": _best(lambda held, other: is_less(other, held)),
}
