"""Rows kept between passes: what one pass has decoded and done to them, the next need not do again.

Rows are kept after the leading steps, those that need nothing learnt. Dictionary columns are kept as they were read, their indices
being the codes that fitting counted; of strings of which only codes are asked, the numbers stand for the strings. Within the budget rows stay in memory; beyond it they go to files of Arrow's format, which are
mapped and not decoded. One process keeps one cache; a task that lands on a worker that has not read its partition reads it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.ledger import Ledger
from headrace.pool import Numbered, Pool, Pools, Room, can_be_pooled
from headrace.profile import Profile
from headrace.scratch import new_scratch, remove_scratch

Batch = tuple[int, Mapping[str, Any]]  # rows, columns


@dataclass(frozen=True)
class CacheSettings:
    """One run's cache.

    Parameters
    ----------
    token : str
        Its name in every process.
    reads : tuple of str
        Columns to read for all passes at once. None: no rows are kept, only the numbers of strings.
    lead : int
        So many steps, from the first on, are applied before rows are kept.
    keeps : tuple of str
        Columns that are needed after them.
    codes : frozenset of str
        Of these, columns of which only codes are asked: of strings, the numbers are kept.
    memory : int
        Bytes a process.
    room : int, optional
        Bytes a process that the numbers of strings may take. Default: no limit.
    folder : Path, optional
        Where the strings beyond that go: one that all processes see.
    n_rows : int
        How many rows a process will read.
    learnt : int, optional
        Bytes a process that tasks may hold of what steps learn, categories in pools left out. Default: no limit.
    """

    token: str
    reads: tuple[str, ...] = ()
    lead: int = 0
    keeps: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()
    memory: int = 0
    room: int | None = None
    folder: Path | None = None
    n_rows: int = 0
    learnt: int | None = None


@dataclass(frozen=True, eq=False)
class KeptRows:
    """A partition's rows after the leading steps, and what these counted."""

    batches: list[Batch]
    ledger: Ledger
    profile: Profile


@dataclass
class Kept:
    """What this process keeps of a run: rows by partition, and the numbers of the strings in them."""

    pools: Pools
    room: Room  # for rows in memory, and for dictionaries whose numbers are remembered
    partitions: dict[int, KeptRows] = field(default_factory=dict)
    nbytes: int = 0
    folder: Path | None = None
    learnt: int = 0  # bytes of what tasks of this pass hold


_kept: dict[str, Kept] = {}
# A task that is at work when its run fails ends later, and must not begin a cache that nobody would drop.
_over: deque[str] = deque(maxlen=256)
_lock = threading.Lock()


def pools_of(settings: CacheSettings | None) -> Pools:
    """Return the pools of a run in this process; of work that has no cache, pools that nobody shares."""
    return Pools() if settings is None else _kept_by(settings).pools


def _kept_by(settings: CacheSettings) -> Kept:
    with _lock:
        room = Room(settings.memory)
        kept = _kept.get(settings.token) or Kept(Pools(room, settings.room, settings.folder, settings.n_rows), room)
        if settings.token not in _over:
            _kept[settings.token] = kept
        return kept


def recall(settings: CacheSettings, partition: int) -> KeptRows | None:
    """Return the rows of a partition that were kept, or None."""
    kept = _kept.get(settings.token)
    return kept.partitions.get(partition) if kept is not None else None


def keep(settings: CacheSettings, partition: int, rows: KeptRows) -> None:
    """Keep a partition's rows, in memory while the budget lasts, then in files; where the disk is full, the next pass reads them again."""
    kept = _kept_by(settings)
    rows = replace(rows, batches=[_numbered(batch, settings, kept.pools) for batch in rows.batches])
    nbytes = sum(column.nbytes for _, columns in rows.batches for column in columns.values())
    with _lock:
        if kept.room.take(nbytes):
            kept.nbytes += nbytes
            kept.partitions[partition] = rows
            return
        if settings.token in _over:
            return
        if kept.folder is None:
            kept.folder = new_scratch("rows")
    paths = [kept.folder / f"{partition}-{index}.arrow" for index in range(len(rows.batches))]
    try:
        spilled = [_spill(path, batch) for path, batch in zip(paths, rows.batches, strict=True)]
    except OSError:
        for path in paths:
            path.unlink(missing_ok=True)
        return
    with _lock:
        kept.partitions[partition] = replace(rows, batches=spilled)


def hold_learnt(settings: CacheSettings, nbytes: int) -> bool:
    """Say whether the tasks of this pass, in this process, may hold so much more of what steps learn."""
    kept = _kept_by(settings)
    with _lock:
        kept.learnt += nbytes
        return settings.learnt is None or kept.learnt <= settings.learnt


def release_learnt(token: str) -> None:
    """Count what the tasks of the next pass hold from 0."""
    with _lock:
        if token in _kept:
            _kept[token].learnt = 0


def forget(token: str) -> None:
    """Drop what a run kept in this process, files included."""
    with _lock:
        kept = _kept.pop(token, None)
        _over.append(token)
    if kept is not None and kept.folder is not None:
        remove_scratch(kept.folder)


def _numbered(batch: Batch, settings: CacheSettings, pools: Pools) -> Batch:
    """Return a batch with numbers in place of strings that were numbered and of which only codes are asked."""
    n_rows, columns = batch
    numbered = {}
    for name in settings.codes & set(columns):
        column = columns[name]
        if not can_be_pooled(column):
            continue
        is_dictionary, pool = pa.types.is_dictionary(column.type), pools.of(name)
        numbers = pool.released(column.dictionary if is_dictionary else column)
        if numbers is not None:
            found = pa.array(numbers)
            numbered[name] = Numbered(pool, pa.DictionaryArray.from_arrays(column.indices, found, safe=False) if is_dictionary else found)
    return n_rows, {**columns, **numbered}


def _spill(path: Path, batch: Batch) -> Batch:
    n_rows, columns = batch
    names = list(columns)
    pools = {name: column.pool for name, column in columns.items() if isinstance(column, Numbered)}
    arrays = [column.numbers if isinstance(column, Numbered) else column for column in columns.values()]
    record = pa.RecordBatch.from_arrays(arrays, names=names)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, record.schema) as writer:
        writer.write_batch(record)
    return n_rows, SpilledColumns(path, tuple(names), pools)


class SpilledColumns(Mapping[str, pa.Array]):
    """Columns in a file, mapped anew when they are asked for, all at once, so that no memory is held in between."""

    def __init__(self, path: Path, names: tuple[str, ...], pools: Mapping[str, Pool]) -> None:
        self._path = path
        self._names = names
        self._pools = pools  # of columns that are numbers

    def __getitem__(self, name: str) -> Any:
        return self.load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def load(self) -> dict[str, Any]:
        """Return all columns, mapped."""
        record = pa.ipc.open_file(pa.memory_map(str(self._path))).get_batch(0)
        columns: dict[str, Any] = {name: record.column(name) for name in self._names}
        return columns | {name: Numbered(pool, columns[name]) for name, pool in self._pools.items()}


def columns_of(batch: Batch) -> dict[str, Any]:
    """Return the columns of a batch, wherever they are."""
    columns = batch[1]
    loaded = columns.load() if isinstance(columns, SpilledColumns) else columns
    return {name: column.strings() if isinstance(column, Numbered) else column for name, column in loaded.items()}
