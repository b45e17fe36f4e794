"""Evaluates a tree of `headrace.expressions` over columns on a device.

A part of the tree that reads one coded column and constants is computed by the CPU's evaluator on the column's distinct values,
as it does with dictionaries. Of the rest, functions of numbers and times run on the device; what the device has no
implementation of runs on the host, once for each distinct row of its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.arrow.expression.evaluator import _as_case
from headrace.backends.arrow.expression.evaluator import _Evaluation as EvaluationOnHost
from headrace.backends.arrow.expression.operands import typed_constant
from headrace.backends.cudf.by_value import by_value
from headrace.backends.cudf.column import Coded, Column, Lists, Plain, concat, take
from headrace.backends.cudf.expression.arithmetic import NUMBERS
from headrace.backends.cudf.expression.comparison import COMPARISONS
from headrace.backends.cudf.expression.host import on_the_host
from headrace.backends.cudf.expression.lists import LISTS
from headrace.backends.cudf.expression.operands import Implementation, Operand, Values, as_rows, as_type, given, is_true
from headrace.backends.cudf.expression.times import TIMES
from headrace.errors import DataError, HeadraceError, JobError, unknown_name
from headrace.expressions.nodes import Call, Cast, Expression, Literal, Node, columns_of
from headrace.expressions.nodes import Column as Named
from headrace.expressions.promotion import common_type

NATIVE: dict[str, Implementation] = {**COMPARISONS, **NUMBERS, **TIMES, **LISTS}


def evaluate(expression: Expression, columns: Mapping[str, Column], n_rows: int) -> Column:
    """Return the values of `expression`, one a row: what `headrace.backends.arrow.expression.evaluate` makes of the same columns.

    Raises
    ------
    DataError
        If an integer overflows or a CAST meets a value that it cannot convert, with the value.
    JobError
        If a function does not take the types of its arguments.
    """
    missing = [name for name in expression.columns if name not in columns]
    if missing:
        message, hint = unknown_name("column", missing[0], columns)
        raise JobError(f"{message}, in the expression {expression.sql!r}", hint=hint)
    try:
        return as_rows(_Evaluation(columns, n_rows).values(expression.root), n_rows)
    except DataError as error:
        raise DataError(f"{_told(error)} in the expression {expression.sql!r}", hint=error.hint) from None
    except JobError as error:
        raise JobError(f"{_told(error)} in the expression {expression.sql!r}", hint=error.hint) from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{error} in the expression {expression.sql!r}") from error


def _told(error: HeadraceError) -> str:
    """Return an error's message in the words of the schema, to which texts of every width are one type."""
    return error.message.replace("large_string", "string")


class _Evaluation:
    """One evaluation over the same rows; what occurs twice in the tree is computed once."""

    def __init__(self, columns: Mapping[str, Column], n_rows: int) -> None:
        self._columns = columns
        self._n_rows = n_rows
        self._done: dict[Node, Values] = {}

    def values(self, node: Node) -> Values:
        """Return the values of a part of the tree; a constant stands for all rows."""
        operand = self._operand(node)
        return typed_constant(operand) if isinstance(operand, Literal) else operand

    def _operand(self, node: Node) -> Operand:
        if isinstance(node, Literal):
            return node
        if node not in self._done:
            self._done[node] = self._computed(node)
        return self._done[node]

    def _computed(self, node: Named | Call | Cast) -> Values:
        if isinstance(node, Named):
            return _computable(self._columns[node.name])
        names = columns_of(node)
        if len(names) == 1 and isinstance(self._columns[names[0]], Coded):
            return _of_distinct(node, names[0], self._columns[names[0]])
        if isinstance(node, Cast):
            return as_type(self._operand(node.arg), node.type.arrow, strict=node.strict)
        return self._call(node)

    def _call(self, node: Call) -> Values:
        try:
            return _applied(node.function, [self._operand(arg) for arg in node.args])
        except DataError:
            if node.function not in ("case", "coalesce"):
                raise
            return self._branch_by_branch(_as_case(node))

    def _branch_by_branch(self, node: Call) -> Values:
        """Return a CASE whose branches see only the rows that they are for: what a condition keeps away must not raise."""
        rows = cupy.arange(self._n_rows, dtype=np.int64)
        operands: list[Operand] = []
        places = []
        for condition, value in zip(node.args[:-1:2], node.args[1:-1:2], strict=True):
            chosen = is_true(as_rows(as_type(self._at(rows, condition), pa.bool_()), len(rows)))
            operands.append(self._at(rows[chosen], value))
            places.append(rows[chosen])
            rows = rows[~chosen]
        operands.append(self._at(rows, node.args[-1]))
        places.append(rows)
        type_ = common_type("case", given(operands))
        pieces = [as_rows(as_type(operand, type_), len(place)) for operand, place in zip(operands, places, strict=True)]
        return take(concat(pieces), cupy.argsort(cupy.concatenate(places)))

    def _at(self, rows: Any, node: Node) -> Operand:
        if isinstance(node, Literal):
            return node
        columns = {name: take(self._columns[name], rows) for name in columns_of(node)}
        return _Evaluation(columns, len(rows)).values(node)


def _applied(function: str, operands: list[Operand]) -> Values:
    if any(isinstance(operand, Plain | Coded | Lists) for operand in operands) and function in NATIVE:
        found = NATIVE[function](function, operands)
        if found is not None:
            return found
    return on_the_host(function, operands)


def _of_distinct(node: Node, name: str, column: Column) -> Values:
    """Return a part that reads one coded column alone, computed once for each of its distinct values."""

    def of_arrays(arrays: list[pa.Array]) -> pa.Array:
        found = EvaluationOnHost({name: arrays[0]}, len(arrays[0])).values(node)
        return found if isinstance(found, pa.Array) else pa.repeat(found, len(arrays[0]))

    return by_value(of_arrays, [column])


def _computable(column: Column) -> Column:
    """Return a column in a type that functions know: half floats as float32, dates of milliseconds as days."""
    wanted = {pa.float16(): pa.float32(), pa.date64(): pa.date32()}.get(column.type)
    if wanted is None or not isinstance(column, Plain):
        return column
    values = column.values // 86_400_000 if wanted == pa.date32() else column.values
    return Plain(values.astype(wanted.to_pandas_dtype() if wanted != pa.date32() else np.int32), column.valid, wanted)
