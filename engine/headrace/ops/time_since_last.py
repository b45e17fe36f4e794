"""TimeSinceLast: how long ago a key was seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from headrace.expressions import parse
from headrace.ops.base import Declaration, Grouping, OrderedOp, Sources, default, operator
from headrace.ops.ordering import By, check_grouping, per_second, per_tick
from headrace.schema import FLOAT64, Schema
from headrace.states import Ints
from headrace.table import Device, Table


@operator
class TimeSinceLast(OrderedOp):
    """Say how many seconds after the row before of its key a row comes, as ``<order>_since_last``.

    Parameters
    ----------
    order : str
        A date, timestamp or number; of a number the result has its units. Rows of one time come in the order of the source.
    by : list of str, optional
        The key. Default: all rows are one group.

    Returns
    -------
    float64, never negative; null at a key's first row.

    Nulls and NaN
    -------------
    Null where the order is null or NaN; such a row is no row before for others.

    Examples
    --------
    >>> TimeSinceLast("time", by=["card"]).settings()
    {'order': 'time', 'by': ['card']}
    """

    name: ClassVar[str] = "time_since_last"
    shorthand: ClassVar[str] = "order"
    order: str
    by: By = default(())

    def grouping(self) -> Grouping:
        return Grouping(self.by, self.order, ())

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_grouping(schema, self.grouping())
        makes = {self._output: Sources(values=(self.order,), keys=self.by)}
        return Declaration(self.grouping().reads, schema.with_columns({self._output: FLOAT64}), makes)

    def scan(self, table: Table, starts: Ints) -> dict[str, Device]:
        type_ = table.backend.type_of(table[self.order])
        (since,) = table.scan("since_last", [self.order], starts, {})
        seconds = parse(f"since * {per_tick(type_)} / {per_second(type_)}")
        return {self._output: table.backend.evaluate(seconds, {"since": since}, table.n_rows)}

    @property
    def _output(self) -> str:
        return f"{self.order}_since_last"
