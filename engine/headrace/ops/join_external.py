"""JoinExternal: columns of another table, looked up by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pyarrow as pa
from pydantic import BeforeValidator, Field

from headrace.errors import DataError, JobError, JobErrors, unknown_name
from headrace.keys import Keys, factorize
from headrace.ops.base import BoundOp, Declaration, Sources, check_columns, operator
from headrace.schema import Schema
from headrace.table import Table, one_array


def _as_mapping(value: Any) -> Any:
    if isinstance(value, str):
        return {value: value}
    if isinstance(value, list | tuple):
        return {name: name for name in value if isinstance(name, str)}
    return value


Names = Annotated[dict[str, str], BeforeValidator(_as_mapping), Field(min_length=1)]


@dataclass(frozen=True)
class Joined:
    """The other table: its distinct keys, and by new name the columns that go with them."""

    keys: Keys
    values: pa.Table


@operator
class JoinExternal(BoundOp[Joined]):
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
        if self.table not in tables:
            message, hint = unknown_name("table", self.table, tables)
            raise JobError(message, key="table", hint=hint)
        other = tables[self.table]
        check_columns(schema, tuple(self.on), lambda type_: not type_.is_list, "a key", "on")
        errors = [
            JobError(f"table {self.table!r}: {message}", key=key, hint=hint)
            for key, names in (("on", self.on), ("columns", self.columns))
            for message, hint in (unknown_name("column", name, other) for name in names.values() if name not in other)
        ]
        errors += [
            JobError(f"{left!r} is {schema[left]}, but {self.table}.{right} is {other[right]}", key="on", hint="cast one of them first")
            for left, right in self.on.items()
            if right in other and key_kind(schema, left) != key_kind(other, right)
        ]
        if errors:
            raise JobErrors(errors)
        makes = {new: Sources(values=(f"{self.table}.{old}",), keys=tuple(self.on)) for new, old in self.columns.items()}
        types = {new: other[old] for new, old in self.columns.items()}
        return Declaration(tuple(self.on), schema.with_columns(types), makes)

    def state_type(self) -> Any:
        return Joined

    def tables_read(self) -> Mapping[str, tuple[str, ...]]:
        return {self.table: tuple(dict.fromkeys([*self.on.values(), *self.columns.values()]))}

    def bind(self, tables: Mapping[str, pa.Table]) -> Joined:
        other = tables[self.table]
        keys = other.select(list(self.on.values()))
        _, firsts = factorize([one_array(column) for column in keys.columns])
        if len(firsts) < other.num_rows:
            repeated = _first_repeated(keys)
            raise DataError(
                f"has the key {repeated} more than once: the join would multiply rows",
                file=self.table,
                column=", ".join(self.on.values()),
                hint="make the table's keys unique, or add the column that tells its rows apart to `on`",
            )
        values = other.select(list(self.columns.values())).rename_columns(list(self.columns))
        return Joined(Keys(keys.rename_columns(list(self.on))), values)

    def apply(self, table: Table, state: Joined) -> Table:
        rows = table.find(tuple(self.on), state.keys)
        unmatched = int((rows < 0).sum())
        brought = Table.from_arrow(table.backend, state.values)
        for name in self.columns:
            table.count("unmatched", name, unmatched)
        return table.with_columns(table.backend.take(brought.columns, rows.astype("int64")))

    def learnt(self, state: Joined) -> str:
        return f"{len(state.keys):,} keys of {self.table}"


def short_names(names: Mapping[str, str]) -> list[str] | dict[str, str]:
    """Return names as a job writes them: a list where both tables have the same."""
    return list(names) if all(new == old for new, old in names.items()) else dict(names)


def key_kind(schema: Schema, name: str) -> str:
    """Return what keys of a type can be equal to: widths and units do not matter, meanings do."""
    type_ = schema[name]
    if type_.is_timestamp:
        return "timestamp with a zone" if type_.zone else "timestamp without a zone"
    return "integer" if type_.is_integer else "float" if type_.is_float else str(type_)


def _first_repeated(keys: pa.Table) -> dict[str, Any]:
    codes, _ = factorize([one_array(column) for column in keys.columns])
    seen: set[int] = set()
    for row, code in enumerate(codes.tolist()):
        if code in seen:
            found: dict[str, Any] = keys.slice(row, 1).to_pylist()[0]
            return found
        seen.add(code)
    return {}
