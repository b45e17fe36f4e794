"""Rows kept between passes: what one pass has decoded, the next need not decode again.

Dictionary columns are kept as they were read: their indices are the codes that fitting counted. Within the budget rows
stay in memory; beyond it they go to files of Arrow's format, which are mapped and not decoded; what would not pay is read
again. One process keeps one cache; a task that lands on a worker that has not read its partition reads it.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.pool import Pools

Batch = tuple[int, int, Mapping[str, pa.Array]]


@dataclass(frozen=True)
class CacheSettings:
    """One run's cache: its name in every process, the columns to read for all passes at once, and bytes of memory a process.

    Without columns no rows are kept, only the numbers of strings.
    """

    token: str
    columns: tuple[str, ...]
    memory: int


@dataclass
class Kept:
    """The batches of a run's partitions that this process holds, and the numbers of the strings in them."""

    pools: Pools
    batches: dict[int, list[Batch]] = field(default_factory=dict)
    nbytes: int = 0
    spilled_nbytes: int = 0
    folder: Path | None = None


_kept: dict[str, Kept] = {}
_lock = threading.Lock()


def pools_of(settings: CacheSettings | None) -> Pools:
    """Return the pools of a run in this process; of work that has no cache, pools that nobody shares."""
    return Pools() if settings is None else _kept_by(settings).pools


def _kept_by(settings: CacheSettings) -> Kept:
    with _lock:
        return _kept.setdefault(settings.token, Kept(Pools(settings.memory)))


def recall(settings: CacheSettings, partition: int) -> list[Batch] | None:
    """Return the batches of a partition that were kept, or None."""
    kept = _kept.get(settings.token)
    return kept.batches.get(partition) if kept is not None else None


def keep(settings: CacheSettings, partition: int, batches: list[Batch]) -> None:
    """Keep a partition's batches, in memory while the budget lasts, then in files."""
    nbytes = sum(array.nbytes for _, _, columns in batches for array in columns.values())
    kept = _kept_by(settings)
    with _lock:
        fits = kept.nbytes + nbytes <= settings.memory
        if fits:
            kept.nbytes += nbytes
            kept.batches[partition] = batches
            return
        if kept.folder is None:
            kept.folder = Path(tempfile.mkdtemp(prefix="headrace-rows-"))
    spilled = [_spill(kept.folder / f"{partition}-{index}.arrow", batch) for index, batch in enumerate(batches)]
    with _lock:
        kept.spilled_nbytes += nbytes
        kept.batches[partition] = spilled


def forget(token: str) -> None:
    """Drop what a run kept in this process, files included."""
    with _lock:
        kept = _kept.pop(token, None)
    if kept is not None and kept.folder is not None:
        shutil.rmtree(kept.folder, ignore_errors=True)


def kept_nbytes(token: str) -> tuple[int, int]:
    """Return the bytes that a run keeps in this process: in memory, in files."""
    kept = _kept.get(token)
    return (kept.nbytes, kept.spilled_nbytes) if kept is not None else (0, 0)


def _spill(path: Path, batch: Batch) -> Batch:
    first_row, n_rows, columns = batch
    names = list(columns)
    record = pa.RecordBatch.from_arrays([columns[name] for name in names], names=names)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, record.schema) as writer:
        writer.write_batch(record)
    return first_row, n_rows, SpilledColumns(path, tuple(names))


class SpilledColumns(Mapping[str, pa.Array]):
    """Columns in a file, mapped anew at each look so that no memory is held in between."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._path = path
        self._names = names

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self._record().column(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def pick(self, names: tuple[str, ...]) -> dict[str, pa.Array]:
        """Return some columns with one opening of the file."""
        record = self._record()
        return {name: record.column(name) for name in names}

    def _record(self) -> Any:
        return pa.ipc.open_file(pa.memory_map(str(self._path))).get_batch(0)
