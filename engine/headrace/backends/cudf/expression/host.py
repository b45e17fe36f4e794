"""A function of an expression by the CPU's own implementation, once for each distinct row of its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from headrace.backends.arrow.expression.evaluator import _applied
from headrace.backends.cudf.by_value import by_value
from headrace.backends.cudf.column import Coded, Column, Lists, Plain


def on_the_host(function: str, operands: Sequence[Any]) -> Column | pa.Scalar:
    """Return what the CPU makes of operands (columns, scalars, constants); it raises what it raises on the CPU."""
    columns = [operand for operand in operands if isinstance(operand, Plain | Coded | Lists)]
    if not columns:
        found = _applied(function, list(operands))
        return found[0] if isinstance(found, pa.Array) else found

    def apply(arrays: list[pa.Array]) -> pa.Array:
        given = iter(arrays)
        found = _applied(function, [next(given) if isinstance(operand, Plain | Coded | Lists) else operand for operand in operands])
        return found if isinstance(found, pa.Array) else pa.repeat(found, len(arrays[0]))

    return by_value(apply, columns)
