"""Scratch: folders for what does not fit in memory, which go when a run is over."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from headrace.errors import MemoryBudgetError


def new_scratch(kind: str) -> Path:
    """Make an empty folder among the system's temporary ones (``TMPDIR``).

    >>> folder = new_scratch("example")
    >>> folder.name.startswith("headrace-example-")
    True
    >>> remove_scratch(folder)
    """
    return Path(tempfile.mkdtemp(prefix=f"headrace-{kind}-"))


def remove_scratch(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there."""
    # By another name first: a task that still runs after an error then finds no folder, and cannot write into one that goes.
    gone = folder.with_name(f"{folder.name}.gone")
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone, ignore_errors=True)


def no_room(what: str, folder: Path, error: OSError) -> MemoryBudgetError:
    """Return the error that says that `what` does not fit in memory, and why not on the disk."""
    return MemoryBudgetError(
        f"{what} that do not fit in memory cannot be written to {folder}: {error.strerror or error}",
        key="run.memory",
        hint="set the environment variable TMPDIR to a folder with more room, or give run.memory more",
    )
