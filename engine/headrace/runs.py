"""Runs: strings and how many rows have each, in files, cut into buckets by a hash of the string.

What of a column does not fit in memory goes to runs. A string is in the same bucket of every run, so they are merged bucket after bucket,
and only one bucket of each is in memory at a time.
"""

from __future__ import annotations

import tempfile
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.keys import array_of_strings, string_buffers, string_hashes
from headrace.scratch import no_room

Counted = tuple[pa.Array, npt.NDArray[np.int64]]  # distinct strings, large_string without nulls, and the rows of each

BUCKET_BITS = 6
N_BUCKETS = 1 << BUCKET_BITS
SCHEMA = pa.schema([pa.field("key", pa.large_string(), nullable=False), pa.field("count", pa.int64(), nullable=False)])


class Run(Protocol):
    """Strings and their counts by bucket; within a run every string stands once."""

    @property
    def n_rows(self) -> int:
        """How many strings they are."""

    def bucket(self, index: int) -> pa.Table:
        """Return the strings of one bucket, read anew at each look."""


@dataclass(frozen=True)
class RunFile:
    """A run in a file of Arrow's format, a record batch a bucket: any process of the machine can read it."""

    path: Path
    n_rows: int

    def bucket(self, index: int) -> pa.Table:
        # read, not mapped: the pages of a map count as this process's memory until the map goes
        with pa.OSFile(str(self.path)) as file:
            return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(index)])


@dataclass(frozen=True, eq=False)
class NamelessRun:
    """A run in a file without a name, which is gone with the value or the process, however that ends."""

    file: Any
    n_rows: int
    _lock: Any = field(default_factory=threading.Lock)

    def bucket(self, index: int) -> pa.Table:
        with self._lock:  # its position is one
            return pa.Table.from_batches([pa.ipc.open_file(self.file).get_batch(index)])


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A run in a bundle that was read: tables over mapped memory."""

    tables: tuple[pa.Table, ...]

    @property
    def n_rows(self) -> int:
        return sum(table.num_rows for table in self.tables)

    def bucket(self, index: int) -> pa.Table:
        return self.tables[index]


@dataclass(frozen=True, eq=False)
class Bucket:
    """One bucket of a run, as the writer of bundles takes it: a table that is looked at when its turn comes."""

    run: Run
    index: int

    @property
    def schema(self) -> pa.Schema:
        return SCHEMA

    def read(self) -> pa.Table:
        return self.run.bucket(self.index)


def write_run(folder: Path, strings: pa.Array, counts: npt.NDArray[np.int64]) -> RunFile:
    """Write distinct strings and their counts as a new file of a folder that exists."""
    buckets = bucket_numbers(strings)
    order = np.argsort(buckets, kind="stable")
    ends = np.cumsum(np.bincount(buckets, minlength=N_BUCKETS)).tolist()
    sorted_strings, sorted_counts = strings.take(pa.array(order)), counts[order]
    path = folder / f"{uuid.uuid4().hex}.arrow"
    pieces = ((sorted_strings[start:end], sorted_counts[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True))
    try:
        with pa.OSFile(str(path), "wb") as sink:
            return RunFile(path, _write(sink, pieces))
    except OSError as error:
        raise no_room("categories", folder, error) from error


def nameless_run(buckets: Iterable[Counted]) -> NamelessRun:
    """Write buckets, one after another as they come, to a file that no folder shows."""
    file = tempfile.TemporaryFile(prefix="headrace-vocabulary-")  # noqa: SIM115  (it lives as long as the run)
    try:
        return NamelessRun(file, _write(file, buckets))
    except OSError as error:
        raise no_room("categories", Path(tempfile.gettempdir()), error) from error


def _write(sink: Any, buckets: Iterable[Counted]) -> int:
    n_rows = 0
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        for strings, counts in buckets:
            writer.write_batch(pa.RecordBatch.from_arrays([strings, pa.array(counts)], schema=SCHEMA))
            n_rows += len(counts)
    return n_rows


def bucket_numbers(strings: pa.Array) -> npt.NDArray[np.uint8]:
    """Return the bucket of each string, uint8 [rows]: the highest bits of its hash, so that buckets in order are hashes in order."""
    return (string_hashes(strings) >> np.uint64(64 - BUCKET_BITS)).astype(np.uint8)


def summed(parts: Iterable[Counted]) -> Counted:
    """Return the distinct strings of several sets of them, with the sums of their counts."""
    from headrace_kernels.tables import StringTable

    filled = [part for part in parts if len(part[1])]
    if len(filled) == 1:
        return filled[0]
    table = StringTable(max((len(counts) for _, counts in filled), default=0))
    for strings, counts in filled:
        table.add(*string_buffers(strings), counts)
    return array_of_strings(*table.keys()), table.counts


def counted_strings(strings: pa.Array, counts: npt.NDArray[np.int64] | None) -> Counted:
    """Return the distinct ones of strings that may repeat, and the sums of their counts (1 each if none are given)."""
    from headrace_kernels.tables import StringTable

    table = StringTable(len(strings))
    table.add(*string_buffers(strings), counts)
    return array_of_strings(*table.keys()), table.counts


def of_bucket(table: pa.Table) -> Counted:
    """Return a bucket as `summed` takes it."""
    return table.column(0).combine_chunks(), np.array(table.column(1))


def canonical(strings: pa.Array, counts: npt.NDArray[np.int64]) -> Counted:
    """Return strings in the order of their hashes; of equal hashes, which no two strings of any real column have, by value."""
    found = string_hashes(strings)
    order = np.argsort(found)
    ascending = found[order]
    if (ascending[1:] == ascending[:-1]).any():
        by_value = np.argsort(np.array(strings.to_pylist(), object), kind="stable")
        order = by_value[np.argsort(found[by_value], kind="stable")]
    return strings.take(pa.array(order)), counts[order]
