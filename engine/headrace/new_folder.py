"""A folder that appears whole or not at all; and what is said where a disk takes no more."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headrace.errors import JobError, OutputError

# What a disk may say in the middle of a run; all else that a system refuses has a place of its own.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE})


@contextmanager
def writing(output: str | os.PathLike[str], key: str | None = None) -> Iterator[None]:
    """Raise OutputError, which names `output`, where the disk takes no more of what is written inside.

    Examples
    --------
    >>> with writing("out"):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
        ...
    headrace.errors.OutputError: 'out' cannot be written: No space left on device
      nothing of it is kept; make room there, or write elsewhere
    """
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        reason, hint = os.strerror(error.errno), "nothing of it is kept; make room there, or write elsewhere"
        raise OutputError(f"{os.fspath(output)!r} cannot be written: {reason}", key=key, hint=hint) from error


def check_new(path: Path) -> None:
    """Raise JobError if there is a file already: what a user has is replaced only if that was asked for."""
    if path.exists():
        hint = "name another, or replace it by --overwrite (in Python `overwrite=True`)"
        raise JobError(f"{os.fspath(path)!r} is there already", hint=hint)


@contextmanager
def new_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden name beside the file `path`, with the folders above it; it becomes the file in one step at the end, or goes.

    Raises
    ------
    JobError
        If the file is there already, unless it is to be overwritten, or cannot be written.
    OutputError
        If the disk takes no more.
    """
    final = Path(os.path.expanduser(path))  # noqa: PTH111
    if not overwrite:
        check_new(final)
    hidden = final.with_name(f".{final.name}-{uuid.uuid4().hex[:8]}")
    made = [folder for folder in final.parents if not folder.exists()]
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with writing(path):
            yield hidden
            hidden.replace(final)
    except BaseException as error:
        with suppress(OSError):
            hidden.unlink()
        remove_empty(made)
        if isinstance(error, OSError):
            hint = "choose a path that you may write"
            raise JobError(f"cannot write {os.fspath(path)!r}: {error.strerror or error}", hint=hint) from error
        raise


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of the folders, the deepest first, that are there and hold nothing."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a hidden folder beside `path` to write into; it becomes `path` in one step at the end, or goes.

    Raises
    ------
    JobError
        If `path` is there already or cannot be written.
    OutputError
        If the disk takes no more.
    """
    final = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  (a task may run in a process with another working folder)
    if final.exists():
        raise JobError(f"{str(path)!r} is there already", hint="name a folder that does not exist")
    hidden = final.with_name(f".{final.name}-{uuid.uuid4().hex[:8]}")
    made = [folder for folder in final.parents if not folder.exists()]
    try:
        try:
            hidden.mkdir(parents=True)
        except OSError as error:
            raise JobError(f"cannot write {str(path)!r}: {error.strerror}", hint="choose a folder that you may write") from error
        with writing(path):
            yield hidden
            hidden.rename(final)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        remove_empty(made)
        raise
