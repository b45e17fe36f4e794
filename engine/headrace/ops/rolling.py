"""Rolling: statistics of a key's recent past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from headrace.group_stats import statistic_type
from headrace.ops.base import Columns, Declaration, Grouping, OrderedOp, Setting, Sources, check_columns, default, operator
from headrace.ops.ordering import By, Length, check_grouping, check_length, length, ticks
from headrace.schema import Schema
from headrace.states import Ints
from headrace.table import Device, Table

Statistic = Literal["count", "sum", "mean", "min", "max"]


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Statistics = Setting[Annotated[tuple[Statistic, ...], BeforeValidator(_as_tuple), Field(min_length=1)], Statistic | Sequence[Statistic]]


@operator
class Rolling(OrderedOp):
    """Sum up each key's rows of a window of time up to the row, as ``<column>_<stat>_<window>``.

    A row of time t sees the rows of its key that come before it and have times in (t - window, t], the older end left out,
    and itself. Rows of one time come in the order of the source; a row never sees one after it.

    Parameters
    ----------
    columns : list of str
        Numbers or booleans.
    window : str or number
        A length such as ``30m``, ``1h``, ``7d``; a number is seconds, or for an order that is a number, its units.
    order : str
        A date, timestamp or number.
    by : list of str, optional
        The key. Default: all rows are one group.
    stats : list of str
        Any of ``count``, ``sum``, ``mean``, ``min``, ``max``. Default sum.
    include_current : bool
        False leaves the row itself out: what was known before it.

    Returns
    -------
    ``count`` is int64, ``sum`` and ``mean`` are float64, ``min`` and ``max`` have the column's type (decimals: float64).
    Sums take integers beyond 2**53 as the nearest float64.

    Nulls and NaN
    -------------
    Nulls, NaN and infinities of the columns take no part. In an empty window the count and the sum are 0 and the others
    null. A row whose order is null or NaN gets nulls and is seen by no other.

    Examples
    --------
    >>> Rolling(["amount"], window="7d", order="time", by=["card"], stats=["sum", "count"]).settings()
    {'columns': ['amount'], 'window': '7d', 'order': 'time', 'by': ['card'], 'stats': ['sum', 'count']}
    """

    name: ClassVar[str] = "rolling"
    columns: Columns
    window: Length
    order: str
    by: By = default(())
    stats: Statistics = default(("sum",))
    include_current: bool = True

    def grouping(self) -> Grouping:
        return Grouping(self.by, self.order, self.columns)

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_feature, "a number or boolean")
        check_grouping(schema, self.grouping())
        check_length(self.window, schema[self.order], "window")
        made = {self._output(column, stat): statistic_type(stat, schema[column]) for column in self.columns for stat in self.stats}
        keys = (*self.by, self.order)
        makes = {self._output(column, stat): Sources(values=(column,), keys=keys) for column in self.columns for stat in self.stats}
        return Declaration(self.grouping().reads, schema.with_columns(made), makes)

    def scan(self, table: Table, starts: Ints) -> dict[str, Device]:
        window = ticks(length(self.window), table.backend.type_of(table[self.order]))
        constants = {"window": window, "include_current": self.include_current}
        made = {}
        for column in self.columns:
            counts, sums, lows, highs = table.scan("rolling", [column, self.order], starts, constants)
            parts = {"count": counts, "sum": sums, "min": lows, "max": highs}
            for stat in self.stats:
                found = _mean(table, counts, sums) if stat == "mean" else parts[stat]
                wanted = statistic_type(stat, table.backend.type_of(table[column]))
                made[self._output(column, stat)] = table.backend.cast(found, wanted)
        return made

    def _output(self, column: str, stat: str) -> str:
        return f"{column}_{stat}_{self.window}"


def _mean(table: Table, counts: Device, sums: Device) -> Device:
    from headrace.expressions import parse

    return table.backend.evaluate(parse("total / nullif(n, 0)"), {"n": counts, "total": sums}, table.n_rows)
