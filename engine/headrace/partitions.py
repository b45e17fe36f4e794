"""Partitions: the rows of one task, cut from a data set's row groups or from a table in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import pyarrow as pa

from headrace.dataset import Dataset, RowGroup
from headrace.ledger import Ledger
from headrace.schema import Schema
from headrace.table import KEY, ROW, Backend, ByRow, Table

# A sixteenth of the data, within these bounds, is one task unless the job says otherwise. It is no function of the
# number of workers: the same job cuts its output files in the same places everywhere.
SHARE, SMALLEST, LARGEST = 16, 1 << 20, 256 << 20
# Nothing is read of a table in memory: what a task costs besides its rows weighs more.
SMALLEST_OF_TABLE = 8 << 20
# Nor is a task of fewer rows worth having, unless they are of the largest size: each of its columns costs what some thousand values do.
LEAST_ROWS = 1 << 13


class Found(Protocol):
    """Columns that an exchange found for the rows of a partition, wherever they are held."""

    def load(self) -> ByRow:
        """Return them, mapped where they are in a file."""


@dataclass(frozen=True)
class Partition:
    """Consecutive rows of a source: row groups of files, or a slice of a table in memory.

    `found` holds by step what an exchange found for these rows.
    """

    index: int
    first_row: int
    n_rows: int
    nbytes: int
    row_groups: tuple[RowGroup, ...] = ()
    found: Mapping[int, Found] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class TableSource:
    """A table in memory as a source: what a data set is for files."""

    table: pa.Table

    @cached_property
    def schema(self) -> Schema:
        return Schema.from_arrow(self.table.schema)

    @property
    def n_rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the table's Arrow stream."""
        digest = hashlib.sha256()
        for batch in self.table.to_batches():
            digest.update(batch.serialize())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what a run records of its source."""
        return {"path": "a table in memory", "files": 0, "row_groups": 0, "rows": self.n_rows, "bytes": int(self.table.nbytes)}


Source = Dataset | TableSource


def cut(source: Source, columns: Sequence[str], size: int | str | None = None) -> tuple[Partition, ...]:
    """Cut a source into partitions of about `size` decoded bytes of the columns read; row groups are never cut.

    There is always one at least, so that a source without rows has output files and errors like any other.
    `size` may be ``file``: one partition a file. Default: a sixteenth of the data, 1 to 256 MiB, of a table in memory at
    least 8; and not below 8,192 rows, unless they are 256 MiB.
    """
    if isinstance(source, TableSource):
        return _cut_table(source, size)
    sizes = [sum(group.nbytes.get(name, 0) for name in columns) for group in source.row_groups]
    target = size if isinstance(size, int) else min(max(sum(sizes) // SHARE, SMALLEST), LARGEST)
    least_rows = LEAST_ROWS if size is None else 0
    partitions: list[Partition] = []
    groups: list[RowGroup] = []
    nbytes = n_rows = 0
    for group, group_bytes in zip(source.row_groups, sizes, strict=True):
        if size == "file":
            ends = bool(groups) and group.file != groups[-1].file
        else:
            ends = nbytes + group_bytes > (target if n_rows >= least_rows else LARGEST)
        if groups and ends:
            partitions.append(_partition(len(partitions), groups, nbytes))
            groups, nbytes, n_rows = [], 0, 0
        groups.append(group)
        nbytes += group_bytes
        n_rows += group.n_rows
    if groups or not partitions:
        partitions.append(_partition(len(partitions), groups, nbytes))
    return tuple(partitions)


def _partition(index: int, groups: list[RowGroup], nbytes: int) -> Partition:
    return Partition(index, groups[0].first_row if groups else 0, sum(group.n_rows for group in groups), nbytes, tuple(groups))


def _cut_table(source: TableSource, size: int | str | None) -> tuple[Partition, ...]:
    nbytes = int(source.table.nbytes)
    target = size if isinstance(size, int) else min(max(nbytes // SHARE, SMALLEST_OF_TABLE), LARGEST)
    pieces = min(max(-(-nbytes // target), 1), max(source.n_rows, 1))
    if size is None:
        pieces = min(pieces, max(source.n_rows // LEAST_ROWS, -(-nbytes // LARGEST), 1))
    edges = [source.n_rows * index // pieces for index in range(pieces + 1)]
    return tuple(Partition(i, edges[i], edges[i + 1] - edges[i], nbytes // pieces) for i in range(pieces))


def read_partition(
    source: Source,
    partition: Partition,
    columns: Sequence[str],
    backend: Backend,
    ledger: Ledger,
    key: Sequence[str] = (),
) -> Iterator[Table]:
    """Yield the rows of a partition as tables on the device, with each row's number in the source and its `key`."""
    if isinstance(source, TableSource):
        piece = source.table.select(list(columns)).slice(partition.first_row, partition.n_rows)
        yield _identified(Table.from_arrow(backend, piece, ledger), partition.first_row, key)
        return
    if not partition.row_groups:
        yield _identified(Table.from_arrow(backend, source.schema.select(columns).to_arrow().empty_table(), ledger), 0, key)
        return
    for first_row, n_rows, arrays in backend.read(source, partition.row_groups, columns):
        yield _identified(Table(backend, arrays, n_rows, ledger), first_row, key)


def _identified(table: Table, first_row: int, key: Sequence[str]) -> Table:
    rows = table.backend.row_numbers(table.n_rows)
    rows += first_row
    return table.with_columns({ROW: table.backend.from_numpy(rows), **{KEY + name: table[name] for name in key}})
