"""What one call asks for, and where the scripts of the sides and their jobs are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from headrace.bench.cases import HEADRACE
from headrace.errors import JobError, unknown_name

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Request:
    """What to run.

    Parameters
    ----------
    suite, shape : str
        Which work, on data of which shape (``dictionary``: the usual).
    rows : int
        How many rows the data have.
    runs : int
        How often each side runs, after a round that warms up.
    peers : tuple of str
        Whom to compare with.
    cases : tuple of str
        Which cases of the suite; none: all.
    device : str
        Where ours runs; with ``gpu`` it runs on the CPU too, as one more side.
    out : Path
        For results and charts; what sides write goes to a folder inside and is removed.
    data : Path
        For the generated data, which is kept.
    """

    suite: str
    rows: int
    runs: int
    peers: tuple[str, ...]
    out: Path
    data: Path
    shape: str = "dictionary"
    cases: tuple[str, ...] = ()
    device: str = "auto"

    @property
    def work(self) -> Path:
        return (self.out / ".work").absolute()

    def wanted(self, case: str) -> bool:
        """Say whether a case is asked for."""
        return not self.cases or case in self.cases

    def devices(self) -> dict[str, str]:
        """Return the sides that are ours, by name, and the device of each.

        >>> Request("criteo", 10, 1, (), Path("out"), Path("data"), device="gpu").devices()
        {'headrace': 'gpu', 'headrace-cpu': 'cpu'}
        """
        return {HEADRACE: self.device, **({f"{HEADRACE}-cpu": "cpu"} if self.device == "gpu" else {})}

    def check(self, known: tuple[str, ...]) -> None:
        """Raise JobError if a case is asked for that the suite does not have."""
        for name in self.cases:
            if name not in known:
                message, hint = unknown_name("case", name, known)
                raise JobError(f"{message} in the suite {self.suite}", hint=hint)


def headrace(*arguments: str) -> tuple[str, ...]:
    """Return the command `headrace` with arguments, of the very installation that runs this."""
    return (sys.executable, "-c", "from headrace.__main__ import command; command()", *arguments)


def script(name: str) -> Path:
    """Return the path of a side's script; that there is one is the caller's to know."""
    return _HERE / "peers" / f"{name}.py"


def config(name: str) -> str:
    """Return the path of a job file."""
    return str(_HERE / "jobs" / name)
