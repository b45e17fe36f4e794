"""Spool: the rows that exchanges hold, in memory within a budget, and beyond it in files that are mapped back.

Files need a folder that all tasks see: the threads and processes of one machine have one. The workers of a scheduler may
be on many machines, so what they hold stays in their memory, where Dask moves it and, beyond a worker's limit, spills it.
"""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from headrace.cluster import Cluster
from headrace.scratch import new_scratch, no_room, remove_scratch
from headrace.table import one_array


class Pieces(Protocol):
    """Tables that are held somewhere, by number."""

    def piece(self, index: int) -> pa.Table:
        """Return one of them."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """Tables in the memory of a process."""

    tables: Sequence[pa.Table]

    def piece(self, index: int) -> pa.Table:
        return self.tables[index]


@dataclass(frozen=True)
class InFile:
    """Tables in a file of Arrow's format, a record batch each: mapped anew at each look, so no memory is held in between."""

    path: Path

    def piece(self, index: int) -> pa.Table:
        with pa.memory_map(str(self.path)) as mapped:
            return pa.Table.from_batches([pa.ipc.open_file(mapped).get_batch(index)])


@dataclass
class Budget:
    """Bytes that the exchanges of a run may hold in this process, and those they do hold, by stage."""

    memory: int
    held: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, stage: str, nbytes: int) -> bool:
        """Count bytes to a stage if they fit, and say whether they do."""
        with self._lock:
            total = sum(self.held.values()) + nbytes
            if total > self.memory:
                return False
            self.held[stage] = self.held.get(stage, 0) + nbytes
            self.peak = max(self.peak, total)
            return True

    def give_back(self, stage: str, nbytes: int | None = None) -> None:
        """Take bytes, or all of them, off a stage."""
        with self._lock:
            self.held[stage] = 0 if nbytes is None else self.held[stage] - nbytes


@dataclass(frozen=True)
class Spool:
    """Where one run's exchanges hold rows.

    Parameters
    ----------
    folder : Path, optional
        Where files go. Default: nowhere, all is held in memory.
    budget : Budget, optional
        What may be held in memory before anything goes to files. Default: with a folder, nothing.
    """

    folder: Path | None = None
    budget: Budget | None = None

    def hold(self, stage: str, pieces: Iterable[pa.Table]) -> Pieces:
        """Keep tables of one schema: all in memory if they fit, else all in one file, written as they come."""
        kept: list[pa.Table] = []
        taken = 0
        left = iter(pieces)
        for piece in left:
            if self.folder is not None and not (self.budget is not None and self.budget.take(stage, piece.nbytes)):
                path = _write(self.folder / stage, itertools.chain(kept, [piece], left))
                if self.budget is not None and kept:
                    self.budget.give_back(stage, taken)
                return InFile(path)
            taken += piece.nbytes
            kept.append(piece)
        return InMemory(kept)

    def release(self, stage: str) -> None:
        """Forget a stage that is over: its files go, its memory is free for the next."""
        if self.folder is not None:
            remove_scratch(self.folder / stage)
        if self.budget is not None:
            self.budget.give_back(stage)


@contextmanager
def spooling(cluster: Cluster, memory: int) -> Iterator[Spool]:
    """Give a spool for as long as a run needs it; its files are gone at the end, however that comes.

    Parameters
    ----------
    memory : int
        Bytes that threads of this process may hold between them. Worker processes of this machine hand rows to each other by
        files alone: the system keeps those in memory while there is room, and no row is sent twice.
    """
    if not cluster.one_machine:
        yield Spool()
        return
    folder = new_scratch("exchange")
    try:
        yield Spool(folder, Budget(memory) if cluster.one_process else None)
    finally:
        remove_scratch(folder)


def _write(folder: Path, pieces: Iterable[pa.Table]) -> Path:
    """Write tables as the record batches of a new file; the next is asked for when the one before is written."""
    path = folder / f"{uuid.uuid4().hex}.arrow"
    left = iter(pieces)
    first = next(left)
    try:
        folder.mkdir(exist_ok=True)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, first.schema) as writer:
            for piece in itertools.chain([first], left):
                writer.write_batch(pa.RecordBatch.from_arrays([one_array(column) for column in piece.columns], schema=piece.schema))
    except OSError as error:
        raise no_room("rows", folder.parent, error) from error
    return path
