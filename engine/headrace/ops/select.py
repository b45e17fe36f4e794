"""Select, Drop and Rename: which columns go on, and by which name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from headrace.errors import JobError
from headrace.ops.base import Columns, Declaration, PlainOp, Sources, check_columns, made_in_place, operator
from headrace.schema import Schema
from headrace.table import Table


@operator
class Select(PlainOp):
    """Keep these columns only, in this order.

    Parameters
    ----------
    columns : list of str

    Examples
    --------
    >>> Select(["km", "carrier"]).settings()
    ['km', 'carrier']
    """

    name: ClassVar[str] = "select"
    makes_what_it_can: ClassVar[bool] = True
    columns: Columns

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: True, "a column")
        return Declaration(self.columns, schema.select(self.columns), made_in_place(self.columns))

    def apply(self, table: Table) -> Table:
        # Only columns that are needed were read, and unseen data has no label.
        return table.select([name for name in self.columns if name in table.columns])


@operator
class Drop(PlainOp):
    """Leave these columns out.

    Parameters
    ----------
    columns : list of str

    Examples
    --------
    >>> Drop("dep_delay").settings()
    ['dep_delay']
    """

    name: ClassVar[str] = "drop"
    columns: Columns

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: True, "a column")
        return Declaration((), schema.without(self.columns), {})

    def apply(self, table: Table) -> Table:
        return table.without(self.columns)


@operator
class Rename(PlainOp):
    """Give columns other names; they keep their places.

    Parameters
    ----------
    columns : mapping of str to str
        Old name: new name.

    Raises
    ------
    JobError
        If a new name is taken by another column.

    Examples
    --------
    >>> Rename({"dest": "destination"}).settings()
    {'dest': 'destination'}
    """

    name: ClassVar[str] = "rename"
    takes_mapping: ClassVar[bool] = True
    makes_what_it_can: ClassVar[bool] = True
    columns: dict[str, str]

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, tuple(self.columns), lambda type_: True, "a column")
        names = [self.columns.get(name, name) for name in schema]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise JobError(f"two columns would be called {twice!r}")
        renamed = Schema({self.columns.get(name, name): type_ for name, type_ in schema.columns.items()})
        return Declaration(tuple(self.columns), renamed, {new: Sources(values=(old,)) for old, new in self.columns.items()})

    def apply(self, table: Table) -> Table:
        # Only the columns that later steps need were read: names that are absent are no mistake here.
        renamed = {self.columns.get(name, name): table.columns[name] for name in table.names}
        hidden = {name: column for name, column in table.columns.items() if name.startswith("\0")}
        return Table(table.backend, {**renamed, **hidden}, table.n_rows, table.ledger)
