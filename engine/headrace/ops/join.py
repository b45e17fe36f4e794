"""What joins have in common: partners by key in one of the job's tables, whose columns every row is given."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

from pydantic import BeforeValidator, Field

from headrace.errors import DataError, JobError, JobErrors, unknown_name
from headrace.keys import Keys
from headrace.ops.base import BoundOp, Setting
from headrace.schema import Schema
from headrace.states import Ints
from headrace.table import Backend, ByRow, Device, Table

if TYPE_CHECKING:
    import pyarrow as pa


class Partners(Protocol):
    """What is kept of the other table: its distinct keys, and the columns that it brings."""

    @property
    def keys(self) -> Keys: ...

    @property
    def values(self) -> pa.Table: ...


S = TypeVar("S", bound=Partners)

MATCHED = "\0matched"


def _as_mapping(value: Any) -> Any:
    if isinstance(value, str):
        return {value: value}
    if isinstance(value, list | tuple):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("names of columns are needed")
        return {name: name for name in value}
    return value


Names = Setting[Annotated[dict[str, str], BeforeValidator(_as_mapping), Field(min_length=1)], str | Sequence[str] | Mapping[str, str]]


@dataclass(frozen=True)
class Apart:
    """The state of a join whose table was too large to be kept: how many rows it had, and its fingerprint."""

    n_rows: int
    fingerprint: str


class Join(BoundOp[S | Apart]):
    """An op that brings columns of another table to every row: of the one row there, if any, that is its partner.

    The other table is either held whole as a state, or both are dealt into buckets by their keys and joined bucket by
    bucket; the state is then what was found for each row. Both ways bring the same values.
    """

    table: str
    columns: Mapping[str, str]

    @abstractmethod
    def key_pairs(self) -> Mapping[str, str]:
        """Return the columns in which a row equals its partner: this table's name: the other's. Without any, nothing can be dealt."""

    @abstractmethod
    def looks_at(self) -> tuple[str, ...]:
        """Return the columns of this table that partners are found by."""

    @abstractmethod
    def find(self, table: Table, state: S) -> Ints:
        """Return the partner of each row, -1 where there is none, as a row of the columns that are brought."""

    def refused(self, other: pa.Table) -> tuple[int, DataError] | None:
        """Return the first row of the other table that must not be there, and the error that says so; None if all may."""
        return None

    def tables_read(self) -> Mapping[str, tuple[str, ...]]:
        return {self.table: tuple(dict.fromkeys([*self.others(), *self.columns.values()]))}

    @abstractmethod
    def others(self) -> Iterable[str]:
        """Return the other table's columns that partners are found by."""

    def look_up(self, table: Table, state: S) -> dict[str, Device]:
        """Return the columns brought for a table's rows, and which of them have a partner."""
        rows = self.find(table, state)
        return {**table.backend.take(_brought(state, table.backend), rows), MATCHED: table.backend.from_numpy(rows >= 0)}

    def apply(self, table: Table, state: Any) -> Table:
        found = state.of(table) if isinstance(state, ByRow) else self.look_up(table, state)
        unmatched = table.n_rows - table.backend.count_true(found.pop(MATCHED))
        for name in self.columns:
            table.count("unmatched", name, unmatched)
        return table.with_columns(found)

    def learnt(self, state: Any) -> str:
        if isinstance(state, Apart):
            return f"{state.n_rows:,} rows of {self.table}, which are not kept here"
        return self.kept(state)

    @abstractmethod
    def kept(self, state: S) -> str:
        """Return in one line for people what is kept of the other table."""

    def check_table(self, tables: Mapping[str, Schema]) -> Schema:
        """Return the other table's schema; raise JobError if the job has no such table."""
        if self.table not in tables:
            message, hint = unknown_name("table", self.table, tables)
            raise JobError(message, key="table", hint=hint)
        return tables[self.table]

    def check_columns_of(self, other: Schema, schema: Schema, settings: Mapping[str, Mapping[str, str]]) -> None:
        """Raise JobErrors for columns that the other table does not have, and for partners of unlike kinds.

        `settings` are the names by setting; what is not under ``columns`` is compared with this table's columns.
        """
        errors = [
            JobError(f"table {self.table!r}: {message}", key=key, hint=hint)
            for key, names in settings.items()
            for message, hint in (unknown_name("column", name, other) for name in names.values() if name not in other)
        ]
        errors += [
            JobError(f"{left!r} is {schema[left]}, but {self.table}.{right} is {other[right]}", key=key, hint="cast one of them first")
            for key, names in settings.items()
            if key != "columns"
            for left, right in names.items()
            if right in other and key_kind(schema, left) != key_kind(other, right)
        ]
        if errors:
            raise JobErrors(errors)


def _brought(state: Partners, backend: Backend) -> Mapping[str, Device]:
    """Return the columns that are brought, on the device: taken there once, and kept with what is made ready of the keys."""
    prepared, place = state.keys.prepared, (backend.name, "brought")
    if place not in prepared:
        prepared[place] = Table.from_arrow(backend, state.values).columns
    columns: Mapping[str, Device] = prepared[place]
    return columns


def short_names(names: Mapping[str, str]) -> list[str] | dict[str, str]:
    """Return names as a job writes them: a list where both tables have the same."""
    return list(names) if all(new == old for new, old in names.items()) else dict(names)


def key_kind(schema: Schema, name: str) -> str:
    """Return what keys of a type can be equal to: widths and units do not matter, meanings do."""
    type_ = schema[name]
    if type_.is_timestamp:
        return "timestamp with a zone" if type_.zone else "timestamp without a zone"
    return "integer" if type_.is_integer else "float" if type_.is_float else str(type_)
