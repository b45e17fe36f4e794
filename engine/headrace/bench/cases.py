"""What is compared: a case has sides that do the same work; its result has the runs of each."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HEADRACE = "headrace"


@dataclass(frozen=True)
class Side:
    """One way to do a case's work, as a command.

    Parameters
    ----------
    name : str
        As in ``polars``.
    command : tuple of str
        Program and arguments. It may print one line of JSON with `seconds`, a list: the time of each repetition inside.
    folder : Path
        Its own; emptied before each run.
    output : str
        Where below `folder` the Parquet files are that it writes.
    environment : mapping
        Variables it gets.
    rows : int, optional
        What it goes through, if that is not what the case says.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    output: str = "out"
    environment: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None

    def files(self) -> list[Path]:
        """Return the Parquet files that it wrote, in the order of their rows."""
        return sorted((self.folder / self.output).glob("*.parquet"))


@dataclass(frozen=True)
class Case:
    """Work that several sides do.

    Parameters
    ----------
    name, title : str
        For programs and for people.
    rows : int
        What one run goes through.
    sides : tuple of Side
        The first is ours.
    times : "wall" or "last"
        What counts: the process, or the last repetition inside it.
    mismatches : float
        The share of rows whose numbers may differ by more than the tolerance; the share that did is in the result.
    compares : "seconds" or "memory"
        What ours and others are compared by. By memory, the sides have rows of their own, and what they write is not compared.
    """

    name: str
    title: str
    rows: int
    sides: tuple[Side, ...]
    times: str = "wall"
    mismatches: float = 0.0
    compares: str = "seconds"


@dataclass(frozen=True)
class SideResult:
    """The runs of one side: its `seconds` decide; CPU, memory and bytes are there where it ran as a process of its own."""

    name: str
    seconds: tuple[float, ...]
    cpu_s: tuple[float, ...] = ()
    peak_rss_bytes: tuple[int, ...] = ()
    peak_process_bytes: tuple[int, ...] = ()
    output_bytes: int | None = None
    note: str = ""
    rows: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def compared_by(self, compares: str) -> float:
        """Return the median of what a case compares: seconds, or the bytes of the largest process."""
        return self.median if compares == "seconds" else statistics.median(self.peak_process_bytes)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.seconds), max(self.seconds)


@dataclass(frozen=True)
class CaseResult:
    """A case's runs, the first side ours, and what the comparison of the outputs found."""

    name: str
    title: str
    rows: int
    sides: tuple[SideResult, ...]
    agreement: Mapping[str, Any] = field(default_factory=dict)
    compares: str = "seconds"

    def ratio(self) -> tuple[float, str] | None:
        """Return our median in units of the best peer's, and that peer's name; None without a peer.

        >>> sides = (SideResult("headrace", (1.0, 1.2, 1.1)), SideResult("polars", (2.0, 2.2, 2.4)), SideResult("duckdb", (3.0,)))
        >>> CaseResult("job", "", 10, sides).ratio()
        (0.5, 'polars')
        """
        ours, *peers = self.sides
        if not peers:
            return None
        best = min(peers, key=lambda side: side.compared_by(self.compares))
        return ours.compared_by(self.compares) / best.compared_by(self.compares), best.name


@dataclass(frozen=True)
class SuiteResult:
    """All that one call of a suite found."""

    suite: str
    shape: str
    runs: int
    started: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    cases: tuple[CaseResult, ...]

    @property
    def name(self) -> str:
        """The name of its files: the GPU if one was measured, the suite, its shape if it is not the usual, and the rows.

        >>> SuiteResult("criteo", "wide", 5, "", {}, {}, (CaseResult("job", "", 100_000, ()),)).name
        'criteo-wide-100k'
        >>> SuiteResult("taxi", "", 5, "", {"gpu": "NVIDIA H100 PCIe"}, {}, ()).name
        'gpu-nvidia-h100-pcie-taxi-0'
        """
        rows = max((case.rows for case in self.cases), default=0)
        device = [gpu_slug(self.machine["gpu"])] if "gpu" in self.machine else []
        return "-".join([*device, self.suite, *([self.shape] if self.shape else []), short_count(rows)])

    def describe(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {"format": 1, **asdict(self)}

    def write(self, folder: Path) -> Path:
        """Write it as JSON into a folder and return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(self.describe(), indent=1) + "\n")
        return path

    @classmethod
    def read(cls, path: Path) -> SuiteResult:
        """Read what `write` wrote."""
        values = json.loads(path.read_text())
        cases = tuple(_case(case) for case in values.pop("cases"))
        values.pop("format")
        return cls(**values, cases=cases)


def _case(values: dict[str, Any]) -> CaseResult:
    sides = tuple(_side(side) for side in values.pop("sides"))
    return CaseResult(**values, sides=sides)


def _side(values: dict[str, Any]) -> SideResult:
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return SideResult(**fields)


def gpu_slug(name: str) -> str:
    """Return a GPU's name for file names.

    >>> gpu_slug("NVIDIA H100 80GB HBM3")
    'gpu-nvidia-h100-80gb-hbm3'
    """
    return "-".join(["gpu", *re.findall("[a-z0-9]+", name.lower())])


def short_count(number: int) -> str:
    """Return a count for file names and headings.

    >>> [short_count(n) for n in (5_000_000, 500_000, 1_500_000, 12)]
    ['5M', '500k', '1500k', '12']
    """
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number and number % size == 0:
            return f"{number // size}{unit}"
    return str(number)
