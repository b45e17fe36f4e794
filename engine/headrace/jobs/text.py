"""The text of a job: a YAML file and what `--set` replaces of it, read but not yet checked; it places errors in the file.

What starts beside the imports of a job is known from here: nothing heavy is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from headrace import yaml_text
from headrace.errors import DataError, HeadraceError, JobError, JobErrors, MemoryBudgetError

E = TypeVar("E", bound=HeadraceError)


@dataclass(frozen=True, eq=False)
class JobText:
    """The values of a job file, and the line of every key path.

    Examples
    --------
    >>> JobText.of("job: demo", ["run.cluster=processes"]).cluster
    'processes'
    """

    values: Any
    lines: dict[str, int] = field(default_factory=dict)
    file: str | None = None

    @classmethod
    def read(cls, path: str | Path, overrides: Sequence[str] = ()) -> JobText:
        """Read a file; raise JobErrors where it is not YAML, or an override is none."""
        values, lines = yaml_text.read(path)
        return cls(values, lines, str(path))._overridden(overrides)

    @classmethod
    def of(cls, text: str, overrides: Sequence[str] = ()) -> JobText:
        """Read YAML text."""
        return cls(*yaml_text.load(text))._overridden(overrides)

    @property
    def cluster(self) -> str | None:
        """What `run.cluster` says, right or wrong."""
        run = self.values.get("run") if isinstance(self.values, dict) else None
        cluster = run.get("cluster") if isinstance(run, dict) else None
        return cluster if isinstance(cluster, str) else None

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Give the errors raised inside the file and the lines of their keys."""
        try:
            yield
        except JobErrors as found:
            raise JobErrors(sorted(map(self._at, found.errors), key=lambda one: one.line or 0)) from None
        except (DataError, JobError, MemoryBudgetError) as error:
            if error.key is None or (isinstance(error, DataError) and error.file is not None):  # such a one names a file of the data
                raise
            raise self._at(error) from None

    def _at(self, error: E) -> E:
        if error.line is not None:
            return error
        return error.at(file=error.file or self.file, line=yaml_text.line_of(error.key, self.lines))

    def _overridden(self, overrides: Sequence[str]) -> JobText:
        values = self.values
        with self.placed():
            for override in overrides:
                values = _overridden(values, override)
        return JobText(values, self.lines, self.file)


def _overridden(values: Any, override: str) -> Any:
    """Return the job's values with one ``a.b[0].c=value`` applied."""
    path, mark, text = override.partition("=")
    if not mark or not re.fullmatch(r"[^.\[\]]+(\.[^.\[\]]+|\[\d+\])*", path.strip()):
        raise JobError(f"--set {override!r} is not of the form a.b=value", hint="as in --set run.seed=7 or --set pipeline[0].clip.min=1")
    try:
        value, _ = yaml_text.load(text)
    except JobError as error:
        raise JobError(f"--set {path}: {text!r} {error.message}") from None
    keys: list[str | int] = [int(item[1:-1]) if item.startswith("[") else item for item in re.findall(r"\[\d+\]|[^.\[\]]+", path.strip())]
    copied = _copy(values)
    place = copied
    for index, key in enumerate(keys):
        in_list = isinstance(place, list) and isinstance(key, int) and key < len(place)
        if not in_list and not (isinstance(place, dict) and isinstance(key, str)):
            above = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in keys[:index]).removeprefix(".")
            hint = f"{above} is a list: name a position from 0 to {len(place) - 1}, as {above}[0]" if isinstance(place, list) else None
            raise JobError(f"--set {path}: there is no {key!r} to set", hint=hint)
        if index == len(keys) - 1:
            place[key] = value
        else:
            place = place[key] if in_list else place.setdefault(key, {})
    return copied


def _copy(value: Any) -> Any:
    """Return a copy in which an alias is a value of its own: `copy.deepcopy` would go on sharing it, and both places be set."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
