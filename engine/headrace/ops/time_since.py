"""TimeSince: how long after something else a time is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from headrace.errors import JobError, unknown_name
from headrace.expressions import Expression, parse, quoted
from headrace.ops.base import Columns, Declaration, PlainOp, Sources, check_columns, operator
from headrace.schema import FLOAT64, Schema
from headrace.table import Table

MICROSECONDS = {"seconds": 10**6, "minutes": 60 * 10**6, "hours": 3600 * 10**6, "days": 86_400 * 10**6}


@operator
class TimeSince(PlainOp):
    """Say how long after a reference a date or timestamp is: ``<column>_<unit>_since``, or ``..._since_<reference>``.

    Parameters
    ----------
    columns : list of str
        Dates or timestamps.
    reference : str
        Another date or timestamp column, whose name is then part of the new name; or a fixed time in ISO 8601, such as
        ``2013-01-01`` or ``2013-01-01T06:00:00Z``.
    unit : "seconds", "minutes", "hours" or "days"
        A day is 24 hours.

    Returns
    -------
    float64, counted in whole microseconds (exact up to 285 years); negative where the column is before the reference. A date is its midnight.

    Nulls and NaN
    -------------
    Null if either time is null.

    Raises
    ------
    JobError
        If one of the two has a time zone and the other, or a date, has none: what lies between them is not known. (A
        fixed time without a zone is UTC beside a column with one.)
    DataError
        If a time is too far from 1970 to be counted in microseconds of 64 bits.

    Examples
    --------
    >>> TimeSince("dep_time", reference="booked", unit="hours").settings()
    {'columns': ['dep_time'], 'reference': 'booked', 'unit': 'hours'}
    """

    name: ClassVar[str] = "time_since"
    columns: Columns
    reference: str
    unit: Literal["seconds", "minutes", "hours", "days"] = "days"

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_temporal, "a date or timestamp")
        if self._fixed is None:
            if self.reference not in schema:
                message, hint = unknown_name("column", self.reference, schema)
                raise JobError(f"{message}, and it is no time as 2023-01-31 or 2023-01-31T12:00", key="reference", hint=hint)
            check_columns(schema, (self.reference,), lambda type_: type_.is_temporal, "a date or timestamp", "reference")
        self._check_zones(schema)
        makes = {self._output(column): Sources(values=(column, *self._others)) for column in self.columns}
        return Declaration((*self.columns, *self._others), schema.with_columns(dict.fromkeys(makes, FLOAT64)), makes)

    def apply(self, table: Table) -> Table:
        types = {name: table.backend.type_of(table[name]) for name in (*self.columns, *self._others)}
        fine = [name for name, type_ in types.items() if type_.is_timestamp and type_.arrow.unit == "ns"]
        return table.with_columns({self._output(column): table.evaluate(self._expression(column, fine)) for column in self.columns})

    @property
    def _fixed(self) -> dt.datetime | None:
        """The fixed time of reference, None if a column is meant."""
        try:
            return dt.datetime.fromisoformat(self.reference) if self.reference[:4].isdecimal() else None
        except ValueError:
            return None

    @property
    def _others(self) -> tuple[str, ...]:
        return () if self._fixed else (self.reference,)

    def _output(self, column: str) -> str:
        return f"{column}_{self.unit}_since" + ("" if self._fixed else f"_{self.reference}")

    def _expression(self, column: str, fine: Sequence[str]) -> Expression:
        """Return the difference in whole microseconds, which reach further than nanoseconds, and what columns of `fine` have beyond them."""
        later, beyond = _whole_and_beyond(column, column in fine)
        fixed = self._fixed
        if fixed is None:
            earlier, beyond_earlier = _whole_and_beyond(self.reference, self.reference in fine)
            beyond += [f"- {seconds}" for seconds in beyond_earlier]
        else:
            utc = fixed if fixed.tzinfo is None else fixed.astimezone(dt.UTC).replace(tzinfo=None)
            earlier = f"CAST('{utc.isoformat(sep=' ')}' AS TIMESTAMP)"
        microseconds = f"date_diff('microsecond', {earlier}, {later})"
        if beyond:
            microseconds = f"({microseconds} + 1e6 * ({' '.join(beyond)}))"
        return parse(f"{microseconds} / {MICROSECONDS[self.unit]}")

    def _check_zones(self, schema: Schema) -> None:
        fixed = self._fixed
        for index, column in enumerate(self.columns):
            zoned = schema[column].zone is not None
            if fixed is not None and fixed.tzinfo is not None and not zoned:
                raise JobError(f"{self.reference!r} has a time zone, and {column!r} has none", key=f"columns[{index}]", hint=_HINT)
            if fixed is None and zoned != (schema[self.reference].zone is not None):
                with_zone, without = (column, self.reference) if zoned else (self.reference, column)
                raise JobError(f"{with_zone!r} has a time zone, and {without!r} has none", key=f"columns[{index}]", hint=_HINT)


def _whole_and_beyond(column: str, is_fine: bool) -> tuple[str, list[str]]:
    """Return the SQL of a time in whole microseconds, and of the seconds that a time in nanoseconds lies after that."""
    if not is_fine:
        return f"CAST({quoted(column)} AS TIMESTAMP)", []
    whole = f"date_trunc('microsecond', {quoted(column)})"
    return f"CAST({whole} AS TIMESTAMP)", [f"epoch({quoted(column)} - {whole})"]


_HINT = "say which clock the other shows, as in derive: {t: \"t AT TIME ZONE 'Europe/Oslo'\"}"
