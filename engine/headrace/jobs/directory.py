"""The directory of a run: written under a hidden name, made visible by one atomic step, `latest` last."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from headrace import json_text
from headrace.errors import JobError
from headrace.new_folder import remove_empty, writing
from headrace.sha256sums import sha256_of
from headrace_kernels.threads import over_items


def new_run_id(now: dt.datetime) -> str:
    """Return an id that sorts by time (UTC, to the millisecond) and is unique."""
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}-{secrets.token_hex(2)}"


@contextmanager
def run_directory(output: str, run_id: str) -> Iterator[Path]:
    """Give the hidden directory of a run to write into; at the end it is committed, or goes if anything was raised.

    Raises
    ------
    JobError
        If `output.path` cannot be written, before any work is done.
    OutputError
        If the disk takes no more, later.
    """
    runs, latest = Path(output) / "runs", Path(output) / "latest"
    hidden = runs / f".{run_id}"
    if latest.exists() and not latest.is_symlink():
        raise JobError(f"{str(latest)!r} is no link to a run", key="output.path", hint="move it away: headrace points it to the last run")
    made = [folder for folder in (runs, *runs.parents) if not folder.exists()]
    try:
        try:
            hidden.mkdir(parents=True)
        except OSError as error:
            message, hint = f"cannot write to {output!r}: {error.strerror}", "choose a folder that you may write"
            raise JobError(message, key="output.path", hint=hint) from error
        with writing(output, key="output.path"):
            yield hidden
            commit(hidden, runs / run_id, latest)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        remove_empty(made)  # leave nothing of a first run that failed
        raise


def commit(hidden: Path, final: Path, latest: Path) -> None:
    """Make a complete run visible: flush its files, rename the directory, then point `latest` at it."""
    over_items(_flush, _files(hidden), os.cpu_count() or 1)
    hidden.rename(final)
    pointer = latest.with_name(f".latest-{final.name}")
    pointer.symlink_to(Path("runs") / final.name)
    pointer.replace(latest)


def _flush(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


class Written(NamedTuple):
    """What is known of a file from writing it, so that the manifest need not read it."""

    sha256: str
    rows: int | None = None  # of a Parquet file


class Listing:
    """What the manifest says of a run's files: path, bytes, rows of Parquet files, and SHA-256.

    Files that are complete early are flushed to the disk in the background while the run goes on. Who writes the rows hashes them, too:
    on a cluster that is a worker.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="listing")
        self._flushed: dict[Path, Future[None]] = {}
        self._known: dict[Path, Written] = {}

    def __enter__(self) -> Listing:
        return self

    def know(self, written: Mapping[Path, Written]) -> None:
        """Take what somebody knows of files: they are not read again."""
        self._known.update({path.resolve(): about for path, about in written.items()})

    def __exit__(self, *raised: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def begin(self) -> None:
        """Begin with the files that are complete: names of those being written start with a dot."""
        for path in _files(self._folder):
            if path not in self._flushed and path.name[0] != ".":
                self._flushed[path] = self._pool.submit(_flush, path)

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries of all files that are there now, by path."""
        self.begin()
        for flushed in self._flushed.values():
            flushed.result()
        return [file_entry(path, self._folder, self._known.get(path)) for path in sorted(self._flushed)]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def file_entry(path: Path, folder: Path, written: Written | None = None) -> dict[str, Any]:
    """Return what the manifest says of one file."""
    about = written or Written(sha256_of(path))
    entry: dict[str, Any] = {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": about.sha256}
    return entry if about.rows is None else {**entry, "rows": about.rows}


def write_manifest(folder: Path, files: Sequence[Mapping[str, Any]]) -> None:
    """Write `manifest.json` of `files`, as `Listing.entries` returns them."""
    listed = sorted(files, key=lambda entry: str(entry["path"]))
    (folder / "manifest.json").write_text(json_text.dump({"format": 1, "files": listed}) + "\n")
