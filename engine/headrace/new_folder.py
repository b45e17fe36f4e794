"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.errors import JobError


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a hidden folder beside `path` to write into; it becomes `path` in one step at the end, or goes.

    Raises
    ------
    JobError
        If `path` is there already or cannot be written.
    """
    final = Path(path).absolute()  # a task may run in a process with another working folder
    if final.exists():
        raise JobError(f"{str(path)!r} is there already", hint="name a folder that does not exist")
    hidden = final.with_name(f".{final.name}-{uuid.uuid4().hex[:8]}")
    try:
        hidden.mkdir(parents=True)
    except OSError as error:
        raise JobError(f"cannot write {str(path)!r}: {error.strerror}", hint="choose a folder that you may write") from error
    try:
        yield hidden
        hidden.rename(final)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
