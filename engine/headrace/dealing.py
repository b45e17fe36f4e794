"""The tasks of an exchange: deal a partition's rows into buckets, scan or join a bucket, collect what was found for a partition.

They hand their rows on as pieces, held by the run's spool: in memory, or in files that the next task maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.backends import CPU, counting, open_backend
from headrace.errors import DataError
from headrace.keys import factorize, undictionaried
from headrace.ledger import Ledger
from headrace.ops.base import Grouping, OrderedOp
from headrace.ops.join import Join
from headrace.order import order_of_codes, order_of_rows, order_values
from headrace.partitions import Partition, read_partition
from headrace.spool import Pieces
from headrace.states import Ints
from headrace.table import ROW, Backend, ByRow, Device, Table, one_array

if TYPE_CHECKING:
    from headrace.execution import Work

# Rows of a bucket: small enough for many tasks, large enough for a task to be worth its overhead. The number of buckets is
# a function of the sources alone.
BUCKET_ROWS, MOST_BUCKETS = 1 << 18, 1024

# The stage of what is found: it is held to the end of the run, all others as long as their exchange lasts.
FOUND = "found"


@dataclass(frozen=True)
class Shuffle:
    """One exchange: ordered steps that look at the same rows in the same groups and order, or one step that joins a large table.

    `applied` are the steps before it that its rows need, `columns` what they read of the source. What it holds is held under
    the name `stage`. `side_keys` are the other table's keys.
    """

    stage: str
    grouping: Grouping
    indices: tuple[int, ...]
    applied: tuple[int, ...]
    columns: tuple[str, ...]
    buckets: int
    side_keys: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.grouping.inputs


def bucket_count(*n_rows: int) -> int:
    """Return how many buckets tables of so many rows are dealt into."""
    return min(max(max(n_rows) // BUCKET_ROWS, 1), MOST_BUCKETS)


@dataclass(frozen=True, eq=False)
class Dealt:
    """The rows of a partition, dealt: each batch that was read is held by itself. And what that took of a device."""

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


def deal_partition(work: Work, shuffle: Shuffle, partition: Partition) -> Dealt:
    """Deal a partition's rows into buckets by a hash of their key, in the order of the rows."""
    names = [*dict.fromkeys([*shuffle.grouping.columns, *shuffle.inputs]), ROW]
    ledger = Ledger()
    with counting(work.device, ledger):
        tables = work.rows(partition, shuffle.columns, shuffle.applied, None, ledger)
        held = tuple(work.spool.hold(shuffle.stage, _dealt(table, shuffle.grouping.keys, names, shuffle.buckets)) for table in tables)
    return Dealt(held, ledger.of_the_device())


def ledger_of(dealt: Dealt) -> Ledger:
    """Return only what was counted, so that the rows need not leave their worker."""
    return dealt.ledger


def deal_side(work: Work, shuffle: Shuffle, columns: tuple[str, ...], partition: Partition) -> Dealt:
    """Deal the rows of a partition of the table to be joined."""
    tables = read_partition(work.sides[shuffle.indices[0]], partition, columns, open_backend(CPU), Ledger())
    names = [*columns, ROW]
    return Dealt(tuple(work.spool.hold(shuffle.stage, _dealt(table, shuffle.side_keys, names, shuffle.buckets)) for table in tables))


def _dealt(table: Table, keys: Sequence[str], names: Sequence[str], buckets: int) -> list[pa.Table]:
    # No dictionaries: a slice of such a column would take its whole dictionary along to every bucket.
    with table.backend.moving("fallback"):
        arrays = [undictionaried(table.backend.to_arrow(table.columns[name])) for name in names]
    host = pa.table(arrays, names=names)
    if buckets == 1 or not keys:
        return [host, *(host.slice(0, 0) for _ in range(buckets - 1))]
    with table.backend.moving("fallback"):
        bucket = table.backend.to_numpy((table.backend.hash_rows(table.pick(keys), 0) % np.uint64(buckets)).astype(np.int64))
    order = order_of_codes(bucket)
    ends = np.cumsum(np.bincount(bucket, minlength=buckets)).tolist()
    dealt = host.take(pa.array(order))
    return [dealt.slice(start, end - start) for start, end in zip([0, *ends], ends, strict=False)]


def pick(pieces: Pieces, index: int) -> Picked:
    """Take one piece out."""
    return Picked(pieces.piece(index))


def scan_bucket(work: Work, shuffle: Shuffle, bucket: int, *dealt: Pieces) -> Pieces:
    """Sort a bucket's rows by key and order, scan them with each step, and hold the results by partition."""
    pieces = [one.piece(bucket) for one in dealt]
    lengths = [piece.num_rows for piece in pieces]
    whole = pa.concat_tables(pieces)
    arrays = {name: one_array(whole.column(name)) for name in whole.column_names}
    del pieces, whole
    order, starts = sorted_groups(arrays, shuffle.grouping)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    backend = open_backend(CPU)  # rows of an exchange are on the host
    columns = {name: backend.from_arrow(array) for name, array in arrays.items() if name != ROW}
    table = Table(backend, _InOrder(backend, columns, order), len(order))
    found: dict[str, Any] = {ROW: arrays[ROW]}
    for index in shuffle.indices:
        op = work.ops[index]
        assert isinstance(op, OrderedOp)  # noqa: S101  (only ordered ops are scanned)
        made = backend.take(op.scan(table, starts), back)
        found.update({f"{index}:{name}": backend.to_arrow(column) for name, column in made.items()})
    everything = pa.table(found)
    ends = np.cumsum([0, *lengths]).tolist()
    return work.spool.hold(shuffle.stage, [everything.slice(start, end - start) for start, end in pairwise(ends)])


def sorted_groups(arrays: dict[str, pa.Array], grouping: Grouping) -> tuple[Ints, Ints]:
    """Return the rows sorted by key, order and place, and where among them each group starts, with the number of rows at the end.

    Groups come by their first row. Rows whose order is null or NaN come last in their group.
    """
    n_rows = len(arrays[ROW])
    codes = factorize([arrays[name] for name in grouping.keys])[0] if grouping.keys else np.zeros(n_rows, np.int64)
    by_order = None if grouping.order is None else _by_order(arrays[grouping.order])
    order = order_of_codes(codes) if by_order is None else by_order[order_of_codes(codes[by_order])]
    in_order = codes[order]
    changes = np.flatnonzero(in_order[1:] != in_order[:-1]) + 1
    return order, np.concatenate([[0] if n_rows else [], changes, [n_rows]]).astype(np.int64)


def _by_order(array: pa.Array) -> Ints | None:
    """Return the rows sorted by a column, missing values last; None if they lie so, as those of times often do."""
    values, missing = order_values(array)
    if not missing.any() and (values[1:] >= values[:-1]).all():
        return None
    return np.lexsort([values, missing]).astype(np.int64)


class _InOrder(Mapping[str, Device]):
    """Columns in another order of the rows: taken when they are asked for, since few scans look at the keys."""

    def __init__(self, backend: Backend, columns: Mapping[str, Device], order: Ints) -> None:
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
class JoinedBucket:
    """What joining a bucket found, by partition; or the first row of the other table that must not be there, and why."""

    held: Pieces | None
    refused: tuple[int, DataError] | None = None

    def piece(self, index: int) -> pa.Table:
        assert self.held is not None  # noqa: S101  (a refusal ends the exchange)
        return self.held.piece(index)


def join_bucket(work: Work, shuffle: Shuffle, bucket: int, n_side: int, *dealt: Pieces) -> JoinedBucket:
    """Join a bucket: the first `n_side` of `dealt` are the other table's rows, which are held whole, the others come one by one.

    So a key that many rows have makes no bucket large: it is looked up in one piece of them after another.
    """
    op = work.ops[shuffle.indices[0]]
    assert isinstance(op, Join)  # noqa: S101  (only joins have a side)
    side = pa.concat_tables([one.piece(bucket) for one in dealt[:n_side]]).combine_chunks()
    refused = op.refused(side)
    if refused is not None:
        row, error = refused
        return JoinedBucket(None, (side.column(ROW)[row].as_py(), error))
    state = op.bind({op.table: side.drop_columns([ROW])})
    return JoinedBucket(work.spool.hold(shuffle.stage, _joined(op, state, shuffle, bucket, dealt[n_side:])))


def _joined(op: Join[Any], state: Any, shuffle: Shuffle, bucket: int, dealt: Iterable[Pieces]) -> Iterator[pa.Table]:
    backend = open_backend(CPU)
    for pieces in dealt:
        piece = pieces.piece(bucket)
        table = Table.from_arrow(backend, piece)
        made = {name: backend.to_arrow(column) for name, column in op.look_up(table, state).items()}
        yield pa.table({ROW: one_array(piece.column(ROW)), **{f"{shuffle.indices[0]}:{name}": array for name, array in made.items()}})


def refused_of(joined: JoinedBucket) -> tuple[int, DataError] | None:
    """Return only what was refused, so that the rows need not leave their worker."""
    return joined.refused


def collect_partition(work: Work, shuffle: Shuffle, place: int, partition: Partition, *scanned: Pieces) -> Partition:
    """Return a partition with the results of its rows, in the order of the rows."""
    whole = pa.concat_tables([one.piece(place) for one in scanned])
    order = pa.array(order_of_rows(whole.column(ROW).to_numpy()))
    found = {name: one_array(whole.column(name)).take(order) for name in whole.column_names}  # of chunks, take would be slow
    held = work.spool.hold(FOUND, [pa.table(found)])
    return replace(partition, found={**partition.found, **{index: FoundByStep(held, index) for index in shuffle.indices}})
