"""AsOfJoin: columns of another table as they were at each row's time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from headrace.as_of import AsOfTable
from headrace.ops.base import Declaration, Sources, check_columns, default, operator
from headrace.ops.join import Apart, Join, Names, short_names
from headrace.ops.ordering import Length, check_length, length, ticks
from headrace.schema import Schema
from headrace.states import Ints
from headrace.table import Table

if TYPE_CHECKING:
    import pyarrow as pa


@operator
class AsOfJoin(Join[AsOfTable]):
    """Look up columns of one of the job's tables as of a time: its last row of the same key at or before the row's time.

    A row never sees a later one of the other table, so nothing of the future reaches it. Every row stays, once.

    Parameters
    ----------
    table : str
        A name under the job's ``tables:``.
    on : str, or mapping of str to str
        The time: one column, the same name in both, or this table's name: the other's. Dates, timestamps or numbers.
    columns : list of str, or mapping of str to str
        Columns to bring: by their names, or new name: the other's.
    by : list of str, or mapping of str to str, optional
        Key columns, as in `JoinExternal`. Default: the other table is one series.
    tolerance : str or number, optional
        A row further back is none: a length such as ``30m``, ``1h``, ``7d``; a number is seconds, or for numbers in `on`,
        their units.
    allow_exact_matches : bool
        False takes rows before the row's time only.

    Nulls and NaN
    -------------
    A row without a partner gets nulls and is counted as `unmatched`; so does one whose time is null or NaN. Rows of the
    other table without a time are left out. Of several with one key and time the last in the table counts. Null keys find
    null keys.

    Examples
    --------
    >>> AsOfJoin("prices", on="time", columns=["bid"], by=["ticker"], tolerance="5m").settings()
    {'table': 'prices', 'on': ['time'], 'columns': ['bid'], 'by': ['ticker'], 'tolerance': '5m'}
    """

    name: ClassVar[str] = "as_of_join"
    shorthand: ClassVar[str] = "table"
    table: str
    on: Annotated[Names, Field(max_length=1)]
    columns: Names
    by: Annotated[Names, Field(min_length=0)] = default(Field(default_factory=dict))
    tolerance: Length | None = None
    allow_exact_matches: bool = True

    def settings(self) -> Any:
        plain: dict[str, Any] = {"table": self.table, "on": short_names(self.on), "columns": short_names(self.columns)}
        plain |= {"by": short_names(self.by)} if self.by else {}
        plain |= {"tolerance": self.tolerance} if self.tolerance is not None else {}
        return plain | ({} if self.allow_exact_matches else {"allow_exact_matches": False})

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        other = self.check_table(tables)
        check_columns(schema, tuple(self.by), lambda type_: not type_.is_nested, "a key", "by")
        check_columns(schema, (self._time,), lambda type_: type_.is_number or type_.is_temporal, "a date, timestamp or number", "on")
        self.check_columns_of(other, schema, {"on": self.on, "by": self.by, "columns": self.columns})
        if self.tolerance is not None:
            check_length(self.tolerance, schema[self._time], "tolerance")
        looked_up_by = (*self.by, self._time)
        makes = {new: Sources(values=(f"{self.table}.{old}",), keys=looked_up_by) for new, old in self.columns.items()}
        types = {new: other[old] for new, old in self.columns.items()}
        return Declaration(looked_up_by, schema.with_columns(types), makes)

    def state_type(self) -> Any:
        return AsOfTable | Apart

    def key_pairs(self) -> Mapping[str, str]:
        return self.by

    def looks_at(self) -> tuple[str, ...]:
        return (*self.by, self._time)

    def others(self) -> Iterable[str]:
        return (*self.by.values(), *self.on.values())

    def bind(self, tables: Mapping[str, pa.Table]) -> AsOfTable:
        other = tables[self.table]
        by = other.select(list(self.by.values())).rename_columns(list(self.by))
        values = other.select(list(self.columns.values())).rename_columns(list(self.columns))
        return AsOfTable.of(by, other.column(self.on[self._time]), values)

    def find(self, table: Table, state: AsOfTable) -> Ints:
        tolerance = math.inf
        if self.tolerance is not None:
            tolerance = ticks(length(self.tolerance), table.backend.type_of(table[self._time]))
        return state.rows_for(table, tuple(self.by), self._time, tolerance, allow_exact=self.allow_exact_matches)

    def kept(self, state: AsOfTable) -> str:
        return f"{state.values.num_rows:,} rows of {self.table}"

    @property
    def _time(self) -> str:
        return next(iter(self.on))
