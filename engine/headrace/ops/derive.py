"""Derive: new columns from SQL expressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from headrace.errors import JobError, JobErrors
from headrace.expressions import infer_type, parse
from headrace.ops.base import Declaration, PlainOp, Sources, operator
from headrace.schema import Schema
from headrace.table import Table


@operator
class Derive(PlainOp):
    """Make columns of SQL expressions, each of which sees the columns before this step.

    Parameters
    ----------
    expressions : mapping of str to str
        New (or replaced) column: SQL expression (`docs/expressions.md`).

    Examples
    --------
    >>> Derive({"late": "CAST(arr_delay > 15 AS INT)"}).settings()
    {'late': 'CAST(arr_delay > 15 AS INT)'}
    """

    name: ClassVar[str] = "derive"
    shorthand: ClassVar[str] = "expressions"
    takes_mapping: ClassVar[bool] = True
    makes_what_it_can: ClassVar[bool] = True
    expressions: dict[str, str]

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        types, makes, errors = {}, {}, []
        for column, sql in self.expressions.items():
            try:
                expression = parse(sql)
                types[column] = infer_type(expression, schema)
                makes[column] = Sources(values=expression.columns)
            except JobError as error:
                errors.append(JobError(error.message, key=column, hint=error.hint))
        if errors:
            raise JobErrors(errors)
        reads = tuple(dict.fromkeys(name for sources in makes.values() for name in sources.values))
        return Declaration(reads, schema.with_columns(types), makes)

    def apply(self, table: Table) -> Table:
        parsed = {column: parse(sql) for column, sql in self.expressions.items()}
        # Only columns that are needed were read, and unseen data has no label: what has no inputs here is not asked for.
        makeable = {column: one for column, one in parsed.items() if all(name in table.columns for name in one.columns)}
        return table.with_columns({column: table.evaluate(one) for column, one in makeable.items()})
