"""DateParts: calendar parts of timestamps, in a time zone that is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from headrace.errors import JobError, JobErrors
from headrace.expressions import Expression, parse, quoted
from headrace.ops.base import Columns, Declaration, PlainOp, Setting, Sources, check_columns, default, operator
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
        The IANA time zone whose clock is read, such as ``America/New_York``; the columns must be timestamps with a zone.
        Default: UTC for these, and for dates and timestamps without a zone what they say.

    Nulls and NaN
    -------------
    Null gives null.

    Raises
    ------
    JobError
        If `zone` is given for a date or a timestamp without a zone: it is not known which instant it is.

    Examples
    --------
    >>> DateParts("time_hour", parts=["hour"], zone="America/New_York").text()
    'columns: time_hour, parts: hour, zone: America/New_York'
    """

    name: ClassVar[str] = "date_parts"
    columns: Columns
    parts: Setting[tuple[Part, ...], Sequence[Part]] = default(("month", "day", "day_of_week", "hour"))
    zone: str | None = None

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_temporal, "a date or timestamp")
        if self.zone is not None:
            self._check_zones(schema)
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
            f"{column}_{part}": parse(f"extract({SQL_PARTS.get(part, part)} FROM ({quoted(column)}{zone}))")
            for column in self.columns
            for part in self.parts
        }

    def _check_zones(self, schema: Schema) -> None:
        hint = "leave `zone` out if it shows that zone's clock; else say which it shows, as in derive: {t: \"t AT TIME ZONE 'UTC'\"}"
        errors = [
            JobError(
                f"{column!r} is {schema[column]}, without a zone: its clock cannot be moved to {self.zone}",
                key=f"columns[{index}]",
                hint=hint,
            )
            for index, column in enumerate(self.columns)
            if schema[column].zone is None
        ]
        if errors:
            raise JobErrors(errors)
