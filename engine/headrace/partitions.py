"""Partitions: the rows of one task, cut from a data set's row groups or from a table in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, groupby
from operator import itemgetter
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
SMALLEST_OF_TABLE = 4 << 20
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
    `size` may be ``file``: one partition a file. Default: partitions of about the same size, a sixteenth of the data, 1 to 256 MiB, of a
    table in memory at least 4; and not below 8,192 rows, unless they are 256 MiB.
    """
    if isinstance(source, TableSource):
        return _cut_table(source, columns, size)
    groups = source.row_groups
    sizes = [sum(group.nbytes.get(name, 0) for name in columns) for group in groups]
    if size == "file":
        places = [group.file for group in groups]
    elif isinstance(size, int):
        places = _filled(sizes, size)
    else:
        places = _even(sizes, source.n_rows)
    runs = [[at for at, _ in run] for _, run in groupby(enumerate(places), key=itemgetter(1))] or [[]]
    return tuple(_partition(index, [groups[at] for at in run], sum(sizes[at] for at in run)) for index, run in enumerate(runs))


def _filled(sizes: Sequence[int], most: int) -> list[int]:
    """Return the place of the partition that each row group is in: the next begins where one more would be too much."""
    places: list[int] = []
    place = nbytes = 0
    for size in sizes:
        if nbytes and nbytes + size > most:
            place, nbytes = place + 1, 0
        places.append(place)
        nbytes += size
    return places


def _even(sizes: Sequence[int], n_rows: int) -> list[int]:
    """Return the place of the partition that each row group is in, for partitions about as large as each other: no worker has more to do.

    How many row groups are in one is a whole number: of three in two partitions, one would be twice as large.
    """
    nbytes, n_groups = max(sum(sizes), 1), len(sizes)
    in_one = max(round(max(nbytes // SHARE, SMALLEST) * n_groups / nbytes), 1)
    pieces = max(min(-(-n_groups // in_one), n_rows // LEAST_ROWS), -(-nbytes // LARGEST), 1)
    middles = ((2 * end - size) for end, size in zip(accumulate(sizes), sizes, strict=True))
    return [middle * pieces // (2 * nbytes) for middle in middles]


def _partition(index: int, groups: list[RowGroup], nbytes: int) -> Partition:
    return Partition(index, groups[0].first_row if groups else 0, sum(group.n_rows for group in groups), nbytes, tuple(groups))


def _cut_table(source: TableSource, columns: Sequence[str], size: int | str | None) -> tuple[Partition, ...]:
    nbytes = sum(int(source.table.column(name).nbytes) for name in columns)
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
