"""DecayedSum: what a key did lately, old events counting less and less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from headrace.ops.base import Columns, Declaration, Grouping, OrderedOp, Sources, check_columns, default, operator
from headrace.ops.ordering import By, Length, check_grouping, check_length, length, ticks
from headrace.schema import FLOAT64, Schema
from headrace.states import Ints
from headrace.table import Device, Table


@operator
class DecayedSum(OrderedOp):
    """Sum up each key's rows so far, each halved for every half-life that has passed since, as ``<column>_decayed_<half_life>``.

    For a row of time t: the sum of ``value * 2**(-(t - time) / half_life)`` over the rows of its key before it, and itself.

    Parameters
    ----------
    columns : list of str
        Numbers or booleans.
    half_life : str or number
        A length such as ``30m``, ``1h``, ``7d``; a number is seconds, or for an order that is a number, its units.
    order : str
        A date, timestamp or number. Rows of one time come in the order of the source.
    by : list of str, optional
        The key. Default: all rows are one group.
    include_current : bool
        False leaves the row itself out: what was known before it.

    Returns
    -------
    float64.

    Nulls and NaN
    -------------
    Nulls, NaN and infinities of the columns count as 0. A row whose order is null or NaN gets null and is seen by no other.

    Source
    ------
    Cormode, Shkapenyuk, Srivastava, Xu, *Forward Decay: A Practical Time Decay Model for Streaming Systems*, ICDE 2009,
    section 2 (backward exponential decay).

    Examples
    --------
    >>> DecayedSum(["amount"], half_life="1d", order="time", by=["card"]).settings()
    {'columns': ['amount'], 'half_life': '1d', 'order': 'time', 'by': ['card']}
    """

    name: ClassVar[str] = "decayed_sum"
    columns: Columns
    half_life: Length
    order: str
    by: By = default(())
    include_current: bool = True

    def grouping(self) -> Grouping:
        return Grouping(self.by, self.order, self.columns)

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_feature, "a number or boolean")
        check_grouping(schema, self.grouping())
        check_length(self.half_life, schema[self.order], "half_life")
        makes = {self._output(column): Sources(values=(column,), keys=(*self.by, self.order)) for column in self.columns}
        return Declaration(self.grouping().reads, schema.with_columns(dict.fromkeys(makes, FLOAT64)), makes)

    def scan(self, table: Table, starts: Ints) -> dict[str, Device]:
        half_life = ticks(length(self.half_life), table.backend.type_of(table[self.order]))
        constants = {"half_life": half_life, "include_current": self.include_current}
        return {self._output(column): table.scan("decayed_past", [column, self.order], starts, constants)[0] for column in self.columns}

    def _output(self, column: str) -> str:
        return f"{column}_decayed_{self.half_life}"
