"""Comparisons, truth and conditions: DuckDB's order of numbers, SQL's three-valued logic.

NaN equals NaN and is greater than every other number, which IEEE's comparisons do not say. Most cases need no look
at the values for that: where the right side is no NaN, ``a < b`` is IEEE's own, and ``a > b`` is its NOT (a <= b).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.expression.operands import (
    Implementation,
    Operand,
    Values,
    alike,
    as_type,
    as_values,
    booleans,
    broadcast,
    given,
)
from headrace.expressions.nodes import Literal
from headrace.expressions.promotion import common_type


def _is_float(value: Values) -> bool:
    return bool(pa.types.is_floating(value.type))


def _never_nan(value: Values) -> bool:
    """Tell whether a NaN is ruled out without looking at an array's values."""
    return not _is_float(value) or (isinstance(value, pa.Scalar) and value.is_valid and not math.isnan(value.as_py()))


def are_equal(left: Values, right: Values) -> Values:
    """Return where two operands of one type are equal, null where one is null."""
    equal = pc.equal(left, right)
    if _never_nan(left) or _never_nan(right):
        return equal
    return pc.or_(equal, pc.and_(pc.is_nan(left), pc.is_nan(right)))


def is_less(left: Values, right: Values) -> Values:
    """Return where the left of two operands of one type is less, null where one is null."""
    if _never_nan(right):
        return pc.less(left, right)
    below = pc.invert(pc.greater_equal(left, right))
    return below if _never_nan(left) else pc.and_(pc.invert(pc.is_nan(left)), below)


def _equal(function: str, operands: Sequence[Operand]) -> Values:
    return are_equal(*broadcast(alike(function, operands)))


def _not_equal(function: str, operands: Sequence[Operand]) -> Values:
    return pc.invert(_equal(function, operands))


def _less(function: str, operands: Sequence[Operand]) -> Values:
    return is_less(*broadcast(alike(function, operands)))


def _greater(function: str, operands: Sequence[Operand]) -> Values:
    left, right = broadcast(alike(function, operands))
    return is_less(right, left)


def _less_equal(function: str, operands: Sequence[Operand]) -> Values:
    return pc.invert(_greater(function, operands))


def _greater_equal(function: str, operands: Sequence[Operand]) -> Values:
    return pc.invert(_less(function, operands))


def _is_distinct(function: str, operands: Sequence[Operand]) -> Values:
    left, right = broadcast(alike(function, operands))
    differ = pc.invert(are_equal(left, right))
    return pc.coalesce(differ, pc.not_equal(pc.is_null(left), pc.is_null(right)))


def _is_null(_function: str, operands: Sequence[Operand]) -> Values:
    return pc.is_null(broadcast(as_values(operands))[0])


def _and(function: str, operands: Sequence[Operand]) -> Values:
    return pc.and_kleene(*broadcast(booleans(function, operands)))


def _or(function: str, operands: Sequence[Operand]) -> Values:
    return pc.or_kleene(*broadcast(booleans(function, operands)))


def _not(function: str, operands: Sequence[Operand]) -> Values:
    return pc.invert(broadcast(booleans(function, operands))[0])


def _in(function: str, operands: Sequence[Operand]) -> Values:
    values = broadcast(alike(function, operands))
    tested, listed = values[0], values[1:]
    if _is_float(tested) or any(isinstance(item, pa.Array) for item in listed):
        # By hash, -0.0 is not 0.0; an array on the right differs by row.
        return reduce(pc.or_kleene, [are_equal(tested, item) for item in listed])
    known = [item for item in listed if item.is_valid]
    found = pc.is_in(tested, value_set=pa.concat_arrays([pa.repeat(item, 1) for item in known] or [pa.nulls(0, tested.type)]))
    if len(known) < len(listed):
        found = pc.if_else(found, True, pa.scalar(None, pa.bool_()))
    return pc.if_else(tested.is_valid(), found, None) if tested.null_count else found


def case(function: str, operands: Sequence[Operand]) -> Values:
    """Return the value behind the first true condition; `operands` are condition, value, ..., value if none is true."""
    conditions = booleans(function, operands[:-1:2])
    *results, result = alike(function, [*operands[1:-1:2], operands[-1]])
    for condition, value in zip(reversed(conditions), reversed(results), strict=True):
        result = pc.if_else(pc.fill_null(condition, False), value, result)
    return result


def _coalesce(function: str, operands: Sequence[Operand]) -> Values:
    return pc.coalesce(*alike(function, operands))


def _nullif(function: str, operands: Sequence[Operand]) -> Values:
    first = as_values(operands[:1])[0]
    if isinstance(operands[0], Literal):
        first = as_type(operands[0], common_type(function, given(operands)))
    return pc.if_else(pc.fill_null(_equal(function, operands), False), pa.scalar(None, first.type), first)


def _greatest(function: str, operands: Sequence[Operand]) -> Values:
    return reduce(lambda best, other: _picked(other, best, is_less(best, other)), broadcast(alike(function, operands)))


def _least(function: str, operands: Sequence[Operand]) -> Values:
    return reduce(lambda best, other: _picked(other, best, is_less(other, best)), broadcast(alike(function, operands)))


def _picked(other: Values, best: Values, wins: Values) -> Values:
    """Return `other` where it wins, `best` elsewhere, and the one that is not null where the other is."""
    return pc.coalesce(pc.if_else(wins, other, best), best, other)


COMPARISONS: dict[str, Implementation] = {
    "and": _and,
    "or": _or,
    "not": _not,
    "is_null": _is_null,
    "equal": _equal,
    "not_equal": _not_equal,
    "less": _less,
    "less_equal": _less_equal,
    "greater": _greater,
    "greater_equal": _greater_equal,
    "is_distinct": _is_distinct,
    "in": _in,
    "case": case,
    "coalesce": _coalesce,
    "nullif": _nullif,
    "greatest": _greatest,
    "least": _least,
}
