"""Dedupe: keep one row of each key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from headrace.ops.base import Columns, Declaration, Grouping, ThinningOp, operator
from headrace.ops.ordering import check_grouping
from headrace.schema import Schema
from headrace.states import Ints
from headrace.table import ByRow, Device, Table


@operator
class Dedupe(ThinningOp):
    """Keep the first or the last row of each key and drop the others, which are counted as `duplicates`.

    Parameters
    ----------
    keys : list of str
        Rows that are equal in all of them are one.
    keep : "first" or "last"
        By `order`; rows of one order, or without it all rows, by their place in the source.
    order : str, optional
        A date, timestamp or number.

    Nulls and NaN
    -------------
    Null equals null, NaN equals NaN, -0.0 equals 0.0. Rows whose order is null or NaN come last.

    Examples
    --------
    >>> Dedupe(["order_id"], keep="last", order="updated_at").settings()
    {'keys': ['order_id'], 'keep': 'last', 'order': 'updated_at'}
    """

    name: ClassVar[str] = "dedupe"
    shorthand: ClassVar[str] = "keys"
    keys: Columns
    keep: Literal["first", "last"] = "first"
    order: str | None = None

    def grouping(self) -> Grouping:
        return Grouping(self.keys, self.order, ())

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_grouping(schema, self.grouping(), "keys")
        return Declaration(self.grouping().reads, schema, {}, drops_rows=True)

    def kept(self, starts: Ints) -> Ints:
        return starts[:-1] if self.keep == "first" else starts[1:] - 1

    def scan(self, table: Table, starts: Ints) -> dict[str, Device]:
        return {}

    def apply(self, table: Table, found: ByRow) -> Table:
        left = found.kept(table)
        table.count("duplicates", ", ".join(self.keys), table.n_rows - left.n_rows)
        return left
