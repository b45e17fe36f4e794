"""Filter: keep the rows for which a SQL condition holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from headrace.errors import JobError
from headrace.expressions import infer_type, parse
from headrace.ops.base import Declaration, PlainOp, operator
from headrace.schema import Schema
from headrace.table import Table


@operator
class Filter(PlainOp):
    """Keep the rows for which a condition is true.

    Parameters
    ----------
    condition : str
        A SQL condition (`docs/expressions.md`).

    Nulls and NaN
    -------------
    A row whose condition is null is left out, as in SQL.

    Examples
    --------
    >>> Filter("arr_delay IS NOT NULL").settings()
    'arr_delay IS NOT NULL'
    """

    name: ClassVar[str] = "filter"
    shorthand: ClassVar[str] = "condition"
    condition: str

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        expression = parse(self.condition)
        type_ = infer_type(expression, schema)
        if not type_.is_boolean:
            raise JobError(f"a condition is needed, and {self.condition!r} is {type_}", hint="compare it with something, as in x > 0")
        return Declaration(expression.columns, schema, {}, drops_rows=True)

    def apply(self, table: Table) -> Table:
        return table.filter(table.evaluate(parse(self.condition)))
