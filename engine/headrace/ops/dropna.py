"""Dropna: leave out rows with missing values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from headrace import expressions as sql
from headrace.ops.base import Columns, Declaration, PlainOp, check_columns, operator
from headrace.schema import Schema
from headrace.table import Table


@operator
class Dropna(PlainOp):
    """Leave out rows in which values are missing; how many of each column is counted as `missing`.

    Parameters
    ----------
    columns : list of str
        Columns to look at.
    how : "any" or "all"
        Leave a row out if any of them is missing (default), or only if all are.

    Nulls and NaN
    -------------
    Null and NaN are missing.

    Examples
    --------
    >>> Dropna(["temp", "visib"], how="all").settings()
    {'columns': ['temp', 'visib'], 'how': 'all'}
    """

    name: ClassVar[str] = "dropna"
    columns: Columns
    how: Literal["any", "all"] = "any"

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: True, "a column")
        return Declaration(self.columns, schema, {}, drops_rows=True)

    def apply(self, table: Table) -> Table:
        present: list[sql.Node] = []
        for column in self.columns:
            is_float = table.backend.type_of(table[column]).is_float
            table.count(
                "missing", column, table.backend.missing_count(table[column]) if is_float else table.backend.null_count(table[column])
            )
            present.append(_has_value(column, is_float=is_float))
        kept = present[0]
        for one in present[1:]:
            kept = sql.Call("and" if self.how == "any" else "or", (kept, one))
        return table.filter(table.evaluate(sql.Expression("dropna", kept)))


def _has_value(column: str, *, is_float: bool) -> sql.Node:
    named = sql.Column(column)
    missing: sql.Node = sql.Call("is_null", (named,))
    if is_float:
        missing = sql.Call("or", (missing, sql.Call("isnan", (named,))))
    return sql.Call("not", (missing,))
