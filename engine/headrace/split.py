"""Which rows train and which test: by a point on a column, or by a hash of each row's key."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from headrace.errors import JobError, unknown_name
from headrace.expressions import infer_type, parse, quoted
from headrace.schema import Schema
from headrace.table import TRAINING, Table

# A row that the split cannot place (its column is null) neither trains nor tests.
TEST = "\0test"


@dataclass(frozen=True)
class Split:
    """Rows before a point train, the others test.

    Parameters
    ----------
    by : str
        A column of the source.
    test_from : str, number or date
        The first value that tests. For timestamps: an ISO date or time on the clock of `zone`.
    zone : str, optional
        IANA time zone of `test_from`; default UTC.
    """

    by: str
    test_from: Any
    zone: str | None = None

    def columns(self) -> tuple[str, ...]:
        return (self.by,)

    def check(self, schema: Schema) -> None:
        """Raise JobError if the column is not there or cannot be compared with `test_from`."""
        if self.by not in schema:
            raise _no_column(schema, self.by, "split.by")
        if isinstance(self.test_from, float) and not math.isfinite(self.test_from):
            raise JobError(f"a finite number is needed, not {self.test_from}", key="split.test_from")
        type_ = schema[self.by]
        if not (type_.is_number or type_.is_string or type_.is_temporal):
            raise JobError(f"{self.by!r} is {type_}, and a number, string, date or timestamp is needed", key="split.by")
        if self.zone is not None and type_.zone is None:
            hint = "leave `zone` out: `test_from` is read on the clock that the column shows"
            raise JobError(f"{self.by!r} is {type_}, without a zone", key="split.zone", hint=hint)
        try:
            infer_type(parse(self._condition(schema)), schema)
        except JobError as error:
            message = f"{self.by!r} is {type_}, and does not compare with {self.test_from!r}"
            raise error if error.key else JobError(message, key="split.test_from") from error

    def mark(self, table: Table) -> Table:
        """Return the table with each row known as a training row, a test row, or neither."""
        expression = parse(self._condition(table.schema))
        before = table.evaluate(expression)
        return _marked(table, table.backend.is_true(before), ~table.backend.is_null(before))

    def text(self) -> str:
        zone = f" ({self.zone})" if self.zone else ""
        return f"rows with {self.by} before {self.test_from}{zone} train, the others test"

    def _condition(self, schema: Schema) -> str:
        column, type_ = quoted(self.by), schema[self.by]
        if type_.is_timestamp:
            point = _instant(self.test_from, self.zone, aware=type_.zone is not None)
            return f"{column} < CAST('{point}' AS {'TIMESTAMPTZ' if type_.zone else 'TIMESTAMP'})"
        if type_.is_temporal:
            return f"{column} < CAST('{_day(self.test_from)}' AS DATE)"
        if isinstance(self.test_from, int | float):
            return f"{column} < {self.test_from!r}"
        text = "'" + str(self.test_from).replace("'", "''") + "'"
        return f"{column} < {text}"


@dataclass(frozen=True)
class HashSplit:
    """A share of the rows tests, chosen by a hash of their key: the same rows on every machine and in any order.

    Parameters
    ----------
    key : tuple of str
        Columns of the source; rows of one key stay together.
    test : float
        The share that tests, 0 to 1.
    seed : int
    """

    key: tuple[str, ...]
    test: float
    seed: int = 0

    def columns(self) -> tuple[str, ...]:
        return self.key

    def check(self, schema: Schema) -> None:
        """Raise JobError if a key column is not there or cannot be a key."""
        for index, name in enumerate(self.key):
            if name not in schema:
                raise _no_column(schema, name, f"split.key[{index}]")
            check_key(schema, name, f"split.key[{index}]")

    def mark(self, table: Table) -> Table:
        """Return the table with each row known as a training or a test row."""
        hashes = table.backend.hash_rows(table.pick(self.key), self.seed + 1)
        tests = hashes < np.uint64(min(int(self.test * 2.0**64), 2**64 - 1))
        return _marked(table, ~tests, np.ones_like(tests))

    def text(self) -> str:
        return f"{self.test:.0%} of the rows test, by a hash of {', '.join(self.key)}"


@dataclass(frozen=True)
class NoSplit:
    """All rows train."""

    def columns(self) -> tuple[str, ...]:
        return ()

    def check(self, schema: Schema) -> None:
        """Accept any schema."""

    def mark(self, table: Table) -> Table:
        """Return the table with every row known as a training row."""
        every = np.ones_like(table.backend.row_numbers(0), dtype=bool, shape=table.n_rows)
        return _marked(table, every, every)

    def text(self) -> str:
        return "all rows train"


@dataclass(frozen=True)
class Serving:
    """No row trains: unseen data."""

    def columns(self) -> tuple[str, ...]:
        return ()

    def check(self, schema: Schema) -> None:
        """Accept any schema."""

    def mark(self, table: Table) -> Table:
        """Return the table as it is: it knows of no training rows."""
        return table

    def text(self) -> str:
        return "no row trains"


AnySplit = Serving | Split | HashSplit | NoSplit


def make_split(settings: Mapping[str, Any] | None, seed: int) -> AnySplit:
    """Return the split of a job's `split:`."""
    if settings is None:
        return NoSplit()
    if settings.get("by") == "hash":
        return HashSplit(tuple(settings["key"]), settings["test"], seed)
    return Split(settings["by"], settings["test_from"], settings.get("zone"))


def check_key(schema: Schema, name: str, key: str) -> None:
    """Raise JobError if a column cannot name a row: a list, a struct or a map."""
    if schema[name].is_nested:
        raise JobError(f"{name!r} is {schema[name]}, and a number, string, date or time is needed", key=key)


def _no_column(schema: Schema, name: str, key: str) -> JobError:
    message, hint = unknown_name("column", name, schema)
    return JobError(message, key=key, hint=f"{hint}\nit must be a column of the source: the split comes before all steps")


def _marked(table: Table, training: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> Table:
    return table.with_columns({TRAINING: table.backend.from_numpy(training), TEST: table.backend.from_numpy(~training & known)})


def _day(value: Any) -> str:
    """Return a date as an ISO text."""
    point = _point(value)
    if point.time() != dt.time():
        raise JobError(f"{value!r} is a time, and the column holds dates", key="split.test_from", hint="write it as 2013-11-01")
    return point.date().isoformat()


def _point(value: Any) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(str(value))
    except ValueError:
        hint = "write it as 2013-11-01 or 2013-11-01T06:00"
        raise JobError(f"{value!r} is no ISO date or time", key="split.test_from", hint=hint) from None


def _instant(value: Any, zone: str | None, *, aware: bool) -> str:
    """Return a point in time as an ISO text in UTC (or on no clock, for timestamps without a zone)."""
    point = _point(value)
    if not aware:
        return point.isoformat(sep=" ")
    try:
        clock = ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        raise JobError(f"no time zone {zone!r}", key="split.zone", hint="write an IANA name such as America/New_York") from None
    point = point.replace(tzinfo=clock) if point.tzinfo is None else point
    return point.astimezone(dt.UTC).replace(tzinfo=None).isoformat(sep=" ") + "+00:00"
