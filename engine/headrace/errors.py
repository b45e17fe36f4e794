r"""Every error a user may see: what is wrong, where, the nearest right name, what to do.

The classes are few and follow what the caller can do about it. Each keeps its place as fields, so that a
program can act on it without reading the text.

>>> str(JobError("no column 'tmep'", file="flights.yaml", line=17, key="pipeline[4].fill_missing.columns[1]", hint="nearest: 'temp'"))
"flights.yaml:17: pipeline[4].fill_missing.columns[1]: no column 'tmep'\n  nearest: 'temp'"
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Self


class HeadraceError(Exception):
    """Base of all errors that Headrace raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence, with the value shown.
    file : str, optional
        The data file or job file it was found in.
    line : int, optional
        The 1-based line of a job file.
    key : str, optional
        The key path in a job, as in ``pipeline[4].fill_missing.columns[1]``.
    row_group : int, optional
        The 0-based row group of a Parquet file.
    column : str, optional
        The column's name.
    hint : str, optional
        What to do about it; the nearest right name.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
        row_group: int | None = None,
        column: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.key = key
        self.row_group = row_group
        self.column = column
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        place = self.file or ""
        if self.line is not None:
            place += f":{self.line}" if place else f"line {self.line}"
        if self.row_group is not None:
            place += f", row group {self.row_group}"
        if self.column is not None:
            place += f"{', ' if place else ''}column {self.column!r}"
        parts = [part for part in (place, self.key) if part]
        head = ": ".join([*parts, self.message])
        return head if not self.hint else head + "".join(f"\n  {line}" for line in self.hint.splitlines())

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (Dask workers); Exception's own way would lose the keyword fields.
        return _rebuild, (type(self), self.message, self.fields())

    def at(self, **place: str | int | None) -> Self:
        """Return the same error with another place.

        >>> str(DataError("is text", column="km").at(file="trips.parquet"))
        "trips.parquet, column 'km': is text"
        """
        fields: dict[str, Any] = {**self.fields(), **place}
        return type(self)(self.message, **fields)

    def fields(self) -> dict[str, str | int | None]:
        """Return the place and the hint as a dictionary, for ``--json`` and for other programs."""
        return {
            "file": self.file,
            "line": self.line,
            "key": self.key,
            "row_group": self.row_group,
            "column": self.column,
            "hint": self.hint,
        }


class JobError(HeadraceError):
    """The job file, the arguments or the pipeline are wrong: mend them. Nothing was computed."""

    exit_code = 2


class JobErrors(JobError):
    """All mistakes of one job file together, in the order of the file."""

    def __init__(self, errors: Iterable[JobError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))

    def __reduce__(self) -> tuple[object, ...]:
        return JobErrors, (self.errors,)


class DataError(HeadraceError):
    """The data are wrong: mend or leave out the file, row group or value named."""


class BundleError(DataError):
    """A bundle is altered, incomplete, or of another kind than expected."""


class MemoryBudgetError(HeadraceError):
    """The work cannot be split to fit ``run.memory``: give it more, or ask for less."""


class OutputError(HeadraceError):
    """What was asked for cannot be written: the disk is full, or gone. Make room, or write elsewhere."""


class MissingLibraryError(HeadraceError):
    """A library or a device that the job asks for is not on this machine."""


class ClusterError(HeadraceError):
    """The Dask cluster cannot be reached, or lost its workers."""


def _rebuild(cls: type[HeadraceError], message: str, fields: dict[str, object]) -> HeadraceError:
    return cls(message, **fields)  # type: ignore[arg-type]


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name most like `name`, or None if none is near.

    >>> nearest("tmep", ["temp", "visib"])
    'temp'
    """
    by_lower = {candidate.lower(): candidate for candidate in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def unknown_name(kind: str, name: str, names: Iterable[str]) -> tuple[str, str]:
    """Return the message and the hint for a name that does not exist.

    >>> unknown_name("column", "tmep", ["temp", "visib"])
    ("no column 'tmep'", "nearest: 'temp'. Columns: temp, visib")
    """
    known = sorted(name for name in names if not name.startswith("\0"))  # which are a table's own columns
    near = nearest(name, known)
    shown = ", ".join(known[:40]) + (f", ... ({len(known)} in all)" if len(known) > 40 else "")
    listed = f"{kind.capitalize()}s: {shown or 'none'}"
    return f"no {kind} {name!r}", f"nearest: {near!r}. {listed}" if near else listed
