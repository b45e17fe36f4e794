"""DateParts: calendar parts of timestamps, in a time zone that is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from headrace.expressions import Expression, parse
from headrace.ops.base import Columns, Declaration, PlainOp, Sources, check_columns, operator
from headrace.schema import INT32, Schema
from headrace.table import Table

Part = Literal["year", "quarter", "month", "week", "day", "day_of_year", "day_of_week", "hour", "minute", "second"]
# Monday is 1 and Sunday 7, weeks are numbered as in ISO 8601.
SQL_PARTS = {"day_of_year": "doy", "day_of_week": "isodow"}


@operator
class DateParts(PlainOp):
    """Make calendar parts of date or timestamp columns, named ``<column>_<part>``, int32.

    Parameters
    ----------
    columns : list of str
    parts : list of str
        Of year, quarter, month, week (ISO 8601), day, day_of_year, day_of_week (1 Monday to 7 Sunday), hour, minute, second.
    zone : str, optional
        The IANA time zone whose clock is read, such as ``America/New_York``. Default: the column as it is stored (UTC).

    Nulls and NaN
    -------------
    Null gives null.

    Examples
    --------
    >>> DateParts("time_hour", parts=["hour"], zone="America/New_York").text()
    'columns: time_hour, parts: hour, zone: America/New_York'
    """

    name: ClassVar[str] = "date_parts"
    columns: Columns
    parts: tuple[Part, ...] = ("month", "day", "day_of_week", "hour")
    zone: str | None = None

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_temporal, "a date or timestamp")
        for expression in self._expressions().values():
            _ = expression.columns  # an unknown zone is refused by the parser
        makes = {f"{column}_{part}": Sources(values=(column,)) for column in self.columns for part in self.parts}
        return Declaration(self.columns, schema.with_columns(dict.fromkeys(makes, INT32)), makes)

    def apply(self, table: Table) -> Table:
        made = {name: table.backend.cast(table.evaluate(expression), INT32) for name, expression in self._expressions().items()}
        return table.with_columns(made)

    def _expressions(self) -> dict[str, Expression]:
        zone = "" if self.zone is None else f" AT TIME ZONE '{self.zone}'"
        return {
            f"{column}_{part}": parse(f'extract({SQL_PARTS.get(part, part)} FROM ("{column}"{zone}))')
            for column in self.columns
            for part in self.parts
        }
