"""JoinExternal: columns of another table, looked up by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from headrace.errors import DataError
from headrace.keys import Keys, factorize
from headrace.ops.base import Declaration, Sources, check_columns, operator
from headrace.ops.join import Apart, Join, Names, short_names
from headrace.schema import Schema
from headrace.states import Ints
from headrace.table import Table, one_array


@dataclass(frozen=True)
class Joined:
    """The other table: its distinct keys, and by new name the columns that go with them."""

    keys: Keys
    values: pa.Table


@operator
class JoinExternal(Join[Joined]):
    """Look up columns of one of the job's tables by key (a left join: every row stays, once).

    Parameters
    ----------
    table : str
        A name under the job's ``tables:``.
    on : list of str, or mapping of str to str
        Key columns: the same names in both, or this table's name: the other's.
    columns : list of str, or mapping of str to str
        Columns to bring: by their names, or new name: the other's.

    Nulls and NaN
    -------------
    A row without a partner gets nulls and is counted as `unmatched`. Null keys find a null key, if the table has one.

    A table of up to a sixteenth of `run.memory` (256 MiB where the job names none) is read whole and becomes part of the state.
    A larger one is joined by an exchange: the rows of both are dealt into buckets by their keys. The values are the same; but
    the table is no part of the state, and whoever transforms or predicts new rows gives it again.

    Raises
    ------
    DataError
        If the other table has a key twice: the join would multiply rows.

    Examples
    --------
    >>> JoinExternal(table="airports", on={"dest": "faa"}, columns={"dlat": "lat"}).settings()
    {'table': 'airports', 'on': {'dest': 'faa'}, 'columns': {'dlat': 'lat'}}
    >>> JoinExternal("weather", on=["origin"], columns=["temp"]).settings()
    {'table': 'weather', 'on': ['origin'], 'columns': ['temp']}
    """

    name: ClassVar[str] = "join_external"
    shorthand: ClassVar[str] = "table"
    table: str
    on: Names
    columns: Names

    def settings(self) -> Any:
        return {"table": self.table, "on": short_names(self.on), "columns": short_names(self.columns)}

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        other = self.check_table(tables)
        check_columns(schema, tuple(self.on), lambda type_: not type_.is_nested, "a key", "on")
        self.check_columns_of(other, schema, {"on": self.on, "columns": self.columns})
        makes = {new: Sources(values=(f"{self.table}.{old}",), keys=tuple(self.on)) for new, old in self.columns.items()}
        types = {new: other[old] for new, old in self.columns.items()}
        return Declaration(tuple(self.on), schema.with_columns(types), makes)

    def state_type(self) -> Any:
        return Joined | Apart

    def key_pairs(self) -> Mapping[str, str]:
        return self.on

    def looks_at(self) -> tuple[str, ...]:
        return tuple(self.on)

    def others(self) -> Iterable[str]:
        return self.on.values()

    def bind(self, tables: Mapping[str, pa.Table]) -> Joined:
        other = tables[self.table]
        refused = self.refused(other)
        if refused is not None:
            raise refused[1]
        keys = other.select(list(self.on.values())).rename_columns(list(self.on))
        return Joined(Keys(keys), other.select(list(self.columns.values())).rename_columns(list(self.columns)))

    def refused(self, other: pa.Table) -> tuple[int, DataError] | None:
        """Refuse the first row whose key stands in a row before it."""
        keys = other.select(list(self.on.values()))
        _, firsts = factorize([one_array(column) for column in keys.columns])
        if len(firsts) == other.num_rows:
            return None
        repeated = np.ones(other.num_rows, bool)
        repeated[firsts] = False
        row = int(np.argmax(repeated))
        error = DataError(
            f"has the key {keys.slice(row, 1).to_pylist()[0]} more than once: the join would multiply rows",
            file=self.table,
            column=", ".join(self.on.values()),
            hint="make the table's keys unique, or add the column that tells its rows apart to `on`",
        )
        return row, error

    def find(self, table: Table, state: Joined) -> Ints:
        return table.find(tuple(self.on), state.keys).astype(np.int64)

    def kept(self, state: Joined) -> str:
        return f"{len(state.keys):,} keys of {self.table}"
