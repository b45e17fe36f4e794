"""What one call asks for, and where the scripts of the peers are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import JobError, MissingLibraryError, nearest

ROOT = Path(__file__).parents[2]


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

    @property
    def work(self) -> Path:
        return (self.out / ".work").absolute()

    def wanted(self, case: str) -> bool:
        """Say whether a case is asked for."""
        return not self.cases or case in self.cases

    def check(self, known: tuple[str, ...]) -> None:
        """Raise JobError if a case is asked for that the suite does not have."""
        for name in self.cases:
            if name not in known:
                near = nearest(name, known)
                listed = f"Cases: {', '.join(known)}"
                raise JobError(f"no case {name!r} in the suite {self.suite}", hint=f"nearest: {near!r}. {listed}" if near else listed)


def headrace(*arguments: str) -> tuple[str, ...]:
    """Return the command `headrace` with arguments, of the very installation that runs this."""
    return (sys.executable, "-c", "from headrace.cli import main; main()", *arguments)


def script(name: str) -> Path:
    """Return a peer's script.

    Raises
    ------
    MissingLibraryError
        If the package was installed without the source tree around it.
    """
    path = ROOT / "benchmarks" / "peers" / f"{name}.py"
    if not path.exists():
        raise MissingLibraryError(
            f"there is no {path.name}", hint="the peers' scripts are in the source tree: run the harness from a whole clone"
        )
    return path


def config(name: str) -> str:
    """Return a job file of the source tree."""
    return str(ROOT / "configs" / name)
