"""SessionId: which visit of a key a row belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from headrace.ops.base import Declaration, Grouping, OrderedOp, Sources, default, operator
from headrace.ops.ordering import By, Length, check_grouping, check_length, length, ticks
from headrace.schema import INT64, Schema
from headrace.states import Ints
from headrace.table import Device, Table


@operator
class SessionId(OrderedOp):
    """Number each key's sessions from 0: a row more than `gap` after the one before begins a new one.

    The number is unique within the key: sessions of all keys are told apart by key and number together.

    Parameters
    ----------
    order : str
        A date, timestamp or number. Rows of one time come in the order of the source.
    by : list of str, optional
        The key. Default: all rows are one group.
    gap : str or number
        A length such as ``30m``, ``1h``; a number is seconds, or for an order that is a number, its units. Default 30 minutes
        (1,800).
    output : str
        The column's name.

    Returns
    -------
    int64.

    Nulls and NaN
    -------------
    Null where the order is null or NaN; such a row parts no session.

    Examples
    --------
    >>> SessionId("time", by=["user"], gap="1h").settings()
    {'order': 'time', 'by': ['user'], 'gap': '1h'}
    """

    name: ClassVar[str] = "session_id"
    shorthand: ClassVar[str] = "order"
    order: str
    by: By = default(())
    gap: Length = 1800
    output: str = "session_id"

    def grouping(self) -> Grouping:
        return Grouping(self.by, self.order, ())

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_grouping(schema, self.grouping())
        check_length(self.gap, schema[self.order], "gap")
        makes = {self.output: Sources(values=(self.order,), keys=self.by)}
        return Declaration(self.grouping().reads, schema.with_columns({self.output: INT64}), makes)

    def scan(self, table: Table, starts: Ints) -> dict[str, Device]:
        gap = ticks(length(self.gap), table.backend.type_of(table[self.order]))
        return {self.output: table.scan("session_id", [self.order], starts, {"gap": gap})[0]}
