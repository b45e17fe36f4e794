"""The tasks of an exchange: deal a partition's rows into buckets, scan or join a bucket, collect what was found for a partition.

They hand their rows on as pieces, held by the run's spool: in memory, or in files that the next task maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.backends import CPU, counting, open_backend
from headrace.errors import DataError
from headrace.fallbacks import whole_within_memory, within_memory
from headrace.keys import undictionaried
from headrace.ledger import Ledger
from headrace.ops.base import Grouping, Op, OrderedOp, ThinningOp
from headrace.ops.join import Join
from headrace.order import order_of_codes, order_of_rows
from headrace.partitions import Partition, read_partition
from headrace.spool import Pieces
from headrace.states import Ints
from headrace.steps import at_step
from headrace.table import ROW, Backend, ByRow, Device, Table, one_array, remainders

if TYPE_CHECKING:
    from headrace.execution import Work

# Rows of a bucket: small enough for many tasks, large enough for a task to be worth its overhead. The number of buckets is
# a function of the sources alone.
BUCKET_ROWS, MOST_BUCKETS = 1 << 18, 1024

# The stage of what is found: it is held to the end of the run, all others as long as their exchange lasts.
FOUND = "found"

# Why rows move from a device to the host here, and back: no device holds the rows of all partitions.
EXCHANGE = "exchange"


@dataclass(frozen=True)
class Shuffle:
    """One exchange: ordered steps that look at the same rows in the same groups and order, or one step that joins a large table.

    `applied` are the steps before it that its rows need, `columns` what they read of the source. What it holds is held under
    the name `stage`. `side_keys` are the other table's keys. An exchange that `thins` is of one step, which keeps one row of each key.
    """

    stage: str
    grouping: Grouping
    indices: tuple[int, ...]
    applied: tuple[int, ...]
    columns: tuple[str, ...]
    buckets: int
    side_keys: tuple[str, ...] = ()
    thins: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.grouping.inputs


def bucket_count(*n_rows: int) -> int:
    """Return how many buckets tables of so many rows are dealt into."""
    return min(max(max(n_rows) // BUCKET_ROWS, 1), MOST_BUCKETS)


@dataclass(frozen=True, eq=False)
class Held:
    """What a task made, by piece: each of its batches is held by itself. And what that took of a device."""

    batches: tuple[Pieces, ...]
    ledger: Ledger = field(default_factory=Ledger)

    def piece(self, index: int) -> pa.Table:
        return pa.concat_tables([batch.piece(index) for batch in self.batches])


@dataclass(frozen=True, eq=False)
class Picked:
    """One piece, taken out of the others so that only it need leave its worker."""

    table: pa.Table

    def piece(self, index: int) -> pa.Table:
        return self.table


@dataclass(frozen=True, eq=False)
class FoundByStep:
    """What was found for a partition's rows, sorted by row: columns named by step. `load` returns those of one step."""

    held: Pieces
    step: int

    def load(self) -> ByRow:
        whole = self.held.piece(0)
        names = [name for name in whole.column_names if name.partition(":")[0] == str(self.step)]
        columns = {name.partition(":")[2]: one_array(whole.column(name)) for name in names}
        return ByRow(one_array(whole.column(ROW)).to_numpy(), columns)


def deal_partition(work: Work, shuffle: Shuffle, partition: Partition) -> Held:
    """Deal a partition's rows into buckets by a hash of their key, in the order of the rows."""
    names = [*dict.fromkeys([*shuffle.grouping.columns, *shuffle.inputs]), ROW]
    deal = partial(_dealt, keys=shuffle.grouping.keys, names=names, buckets=shuffle.buckets)
    ledger = Ledger()
    with counting(work.device, ledger):
        tables = work.rows(partition, shuffle.columns, shuffle.applied, None, ledger)
        dealt = (pieces for table in tables for pieces in within_memory(table, deal, strict=work.strict))
        held = tuple(work.spool.hold(shuffle.stage, pieces) for pieces in dealt)
    return Held(held, ledger.of_the_device())


def ledger_of(held: Held) -> Ledger:
    """Return only what was counted, so that the rows need not leave their worker."""
    return held.ledger


def deal_side(work: Work, shuffle: Shuffle, columns: tuple[str, ...], partition: Partition) -> Held:
    """Deal the rows of a partition of the table to be joined: on the host, as other tables are read."""
    tables = read_partition(work.sides[shuffle.indices[0]], partition, columns, open_backend(CPU), Ledger())
    names = [*columns, ROW]
    return Held(tuple(work.spool.hold(shuffle.stage, _dealt(table, shuffle.side_keys, names, shuffle.buckets)) for table in tables))


def _dealt(table: Table, keys: Sequence[str], names: Sequence[str], buckets: int) -> list[pa.Table]:
    backend = table.backend
    columns = table.pick(names)
    sizes = [table.n_rows] + [0] * (buckets - 1)
    if buckets > 1 and keys:
        bucket = remainders(backend.hash_rows(table.pick(keys), 0), buckets).astype(np.int64)
        columns = backend.take(columns, order_of_codes(bucket))
        with backend.moving(EXCHANGE):
            sizes = backend.to_numpy(np.bincount(bucket, minlength=buckets)).tolist()
    return _cut(pa.table({name: _on_host(backend, column) for name, column in columns.items()}), sizes)


def _on_host(backend: Backend, column: Device) -> pa.Array:
    """Return a column as an exchange holds it: without a dictionary, of which each slice would take all along to its bucket."""
    with backend.moving(EXCHANGE):
        return undictionaried(backend.to_arrow(column))


def _cut(table: pa.Table, sizes: Sequence[int]) -> list[pa.Table]:
    """Return a table in pieces of so many rows each."""
    return [table.slice(end - size, size) for end, size in zip(accumulate(sizes), sizes, strict=True)]


def pick(pieces: Pieces, index: int) -> Picked:
    """Take one piece out."""
    return Picked(pieces.piece(index))


def scan_bucket(work: Work, shuffle: Shuffle, bucket: int, *dealt: Pieces) -> Held:
    """Sort a bucket's rows by key and order, scan them with each step, and hold the results by partition: of all rows, or of those kept."""
    pieces = [one.piece(bucket) for one in dealt]
    lengths = [piece.num_rows for piece in pieces]
    whole = pa.concat_tables(pieces)
    arrays = {name: one_array(whole.column(name)) for name in whole.column_names}
    del pieces, whole
    ledger = Ledger()
    scan = partial(_scanned, work, shuffle, arrays)
    with counting(work.device, ledger):
        kept, found = whole_within_memory(work.device, sum(lengths), scan, ledger, strict=work.strict)
    rows = arrays[ROW]
    if kept is not None:
        rows = rows.take(pa.array(kept))
        lengths = np.diff(np.searchsorted(kept, np.cumsum([0, *lengths]))).tolist()
    return Held((work.spool.hold(shuffle.stage, _cut(pa.table({ROW: rows, **found}), lengths)),), ledger.of_the_device())


def _scanned(work: Work, shuffle: Shuffle, arrays: Mapping[str, pa.Array], backend: Backend) -> tuple[Ints | None, dict[str, pa.Array]]:
    """Return what each step finds in a bucket's rows, in their order; before it which of them are kept, ascending, None for all."""
    grouping, n_rows = shuffle.grouping, len(arrays[ROW])
    columns = {name: backend.from_arrow(array) for name, array in arrays.items() if name != ROW}
    by = None if grouping.order is None else columns[grouping.order]
    order, starts = backend.sorted_groups([columns[name] for name in grouping.keys], by, n_rows)
    kept, back = _kept(work.ops[shuffle.indices[0]], backend, order, starts) if shuffle.thins else (None, _inverse(backend, order))
    table = Table(backend, _InOrder(backend, columns, order), n_rows)
    found = {}
    for index in shuffle.indices:
        op = work.ops[index]
        assert isinstance(op, OrderedOp)  # noqa: S101  (only ordered ops are scanned)
        with at_step(index, op):
            made = backend.take(op.scan(table, starts), back)
        found.update({f"{index}:{name}": _on_host(backend, column) for name, column in made.items()})
    return kept, found


def _inverse(backend: Backend, order: Ints) -> Ints:
    """Return the place of each row in an order of all rows."""
    back = np.empty_like(order)
    back[order] = backend.row_numbers(len(order))
    return back


def _kept(op: Op, backend: Backend, order: Ints, starts: Ints) -> tuple[Ints, Ints]:
    """Return the rows that a step keeps of the groups, ascending, on the host, and the group of each."""
    assert isinstance(op, ThinningOp)  # noqa: S101  (no other thins)
    rows = order[op.kept(starts)]
    groups = np.argsort(rows)
    with backend.moving(EXCHANGE):
        return backend.to_numpy(rows[groups]), groups


class _InOrder(Mapping[str, Device]):
    """Columns in another order of the rows: taken when they are asked for, since few scans look at the keys."""

    def __init__(self, backend: Backend, columns: Mapping[str, Device], order: Any) -> None:
        self._backend, self._columns, self._order = backend, columns, order
        self._taken: dict[str, Device] = {}

    def __getitem__(self, name: str) -> Device:
        if name not in self._taken:
            self._taken |= self._backend.take({name: self._columns[name]}, self._order)
        return self._taken[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


@dataclass(frozen=True, eq=False)
class Joined(Held):
    """What joining a bucket found, by partition; or the first row of the other table that must not be there, and why."""

    refused: tuple[int, DataError] | None = None


def join_bucket(work: Work, shuffle: Shuffle, bucket: int, n_side: int, *dealt: Pieces) -> Joined:
    """Join a bucket: the first `n_side` of `dealt` are the other table's rows, which are held whole, the others come one by one.

    So a key that many rows have makes no bucket large: it is looked up in one piece of them after another.
    """
    op = work.ops[shuffle.indices[0]]
    assert isinstance(op, Join)  # noqa: S101  (only joins have a side)
    side = pa.concat_tables([one.piece(bucket) for one in dealt[:n_side]]).combine_chunks()
    refused = op.refused(side)
    if refused is not None:
        row, error = refused
        return Joined((), refused=(side.column(ROW)[row].as_py(), error))
    state = op.bind({op.table: side.drop_columns([ROW])})
    ledger = Ledger()

    def joined() -> Iterator[pa.Table]:
        for one in dealt[n_side:]:
            piece = one.piece(bucket)
            look_up = partial(_looked_up, op, state, piece)
            found = whole_within_memory(work.device, piece.num_rows, look_up, ledger, strict=work.strict)
            yield pa.table({ROW: piece.column(ROW), **{f"{shuffle.indices[0]}:{name}": array for name, array in found.items()}})

    with counting(work.device, ledger):
        held = work.spool.hold(shuffle.stage, joined())
    return Joined((held,), ledger.of_the_device())


def _looked_up(op: Join[Any], state: Any, piece: pa.Table, backend: Backend) -> dict[str, pa.Array]:
    """Return the columns brought for some rows."""
    found = op.look_up(Table.from_arrow(backend, piece.drop_columns([ROW])), state)
    return {name: _on_host(backend, column) for name, column in found.items()}


def refused_of(joined: Joined) -> tuple[int, DataError] | None:
    """Return only what was refused, so that the rows need not leave their worker."""
    return joined.refused


def collect_partition(work: Work, shuffle: Shuffle, place: int, partition: Partition, *scanned: Pieces) -> Partition:
    """Return a partition with the results of its rows, in the order of the rows."""
    whole = pa.concat_tables([one.piece(place) for one in scanned])
    order = pa.array(order_of_rows(whole.column(ROW).to_numpy()))
    found = {name: one_array(whole.column(name)).take(order) for name in whole.column_names}  # of chunks, take would be slow
    held = work.spool.hold(FOUND, [pa.table(found)])
    return replace(partition, found={**partition.found, **{index: FoundByStep(held, index) for index in shuffle.indices}})
