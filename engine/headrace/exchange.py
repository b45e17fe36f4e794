"""Exchange: bring all rows of a key together, scan them in order, and give each row its results back.

What one row gets depends here on other rows, wherever they are: so each partition's rows are dealt into buckets by a hash
of their key (one task a partition), each bucket gathers its pieces from all partitions, sorts and scans them (one task a
bucket), and each partition collects its rows from all buckets. The tasks hand their results to each other: on a Dask
cluster pieces go from worker to worker. Neither the partitions nor the number of buckets can change a result, because a
scan sees a key's rows all together and always in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.backends.arrow.backend import ArrowBackend
from headrace.cluster import Cluster
from headrace.keys import factorize, plain_values
from headrace.ledger import Ledger
from headrace.ops.base import Grouping, OrderedOp
from headrace.order import order_values
from headrace.partitions import Partition
from headrace.states import Ints
from headrace.steps import Steps, apply_steps
from headrace.table import ROW, ByRow, Table, one_array

if TYPE_CHECKING:
    from headrace.execution import Progress, Work

# Rows of a bucket: small enough for many tasks, large enough for a task to be worth its overhead. The number of buckets is
# a function of the source alone.
BUCKET_ROWS, MOST_BUCKETS = 1 << 18, 256


@dataclass(frozen=True)
class Rows:
    """A source's partitions on their way through a run, and the ordered steps whose results they hold already.

    Each of `partitions` is a `Partition` or the handle of one.
    """

    partitions: tuple[Any, ...]
    done: frozenset[int] = frozenset()

    @classmethod
    def of(cls, partitions: Sequence[Partition]) -> Rows:
        """Return partitions that no step has been exchanged for."""
        return cls(tuple(partitions))


@dataclass(frozen=True)
class Shuffle:
    """Ordered steps that one exchange serves: they look at the same rows in the same groups and order."""

    grouping: Grouping
    indices: tuple[int, ...]
    applied: tuple[int, ...]
    columns: tuple[str, ...]
    buckets: int

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.grouping.inputs


def exchange_steps(
    cluster: Cluster, work: Work, steps: Steps, rows: Rows, applied: Sequence[int], progress: Progress, level: int | None = None
) -> Rows:
    """Exchange rows for the ordered steps that have no results yet; what the steps before them learnt must be known.

    Parameters
    ----------
    applied : sequence of int
        The steps that will be applied to these rows, in order.
    level : int, optional
        Only for steps that are known before this pass. Default: for all of them.
    """
    for shuffle in _shuffles(steps, tuple(applied), rows, work, level):
        progress.start(f"exchange by {', '.join(shuffle.grouping.keys) or 'order'}", len(rows.partitions))
        rows = _exchange(cluster, work, shuffle, rows, progress)
    return rows


def _shuffles(steps: Steps, asked: Sequence[int], rows: Rows, work: Work, level: int | None) -> list[Shuffle]:
    """Put ordered steps together that need the same grouping, and nothing made or dropped after the first of them."""
    shuffles: list[Shuffle] = []
    for index in asked:
        op = steps.ops[index]
        if not isinstance(op, OrderedOp) or index in rows.done or (level is not None and steps.applied_from[index] > level):
            continue
        grouping = op.grouping()
        applied, columns = steps.before(index, asked)
        # A label's columns may be missing from rows that are served: no step that is asked for needs them.
        columns = tuple(name for name in _union(columns, work.split.columns(), work.key) if name in work.source.schema)
        last = shuffles[-1] if shuffles else None
        if last is not None and last.grouping.same_groups(grouping) and all(step < last.indices[0] for step in applied):
            shuffles[-1] = replace(
                last,
                grouping=replace(grouping, inputs=_union(last.inputs, grouping.inputs)),
                indices=(*last.indices, index),
                applied=tuple(sorted({*last.applied, *applied})),
                columns=_union(last.columns, columns),
            )
        else:
            n_rows = work.source.n_rows
            shuffles.append(Shuffle(grouping, (index,), applied, columns, min(max(n_rows // BUCKET_ROWS, 1), MOST_BUCKETS)))
    return shuffles


def _exchange(cluster: Cluster, work: Work, shuffle: Shuffle, rows: Rows, progress: Progress) -> Rows:
    shared, shared_shuffle = cluster.share(work), cluster.share(shuffle)
    dealt = [cluster.submit(deal_partition, shared, shared_shuffle, partition) for partition in rows.partitions]
    scanned = []
    for bucket in range(shuffle.buckets):
        pieces = [cluster.submit(pick, pieces, bucket) for pieces in dealt]
        scanned.append(cluster.submit(scan_bucket, shared, shared_shuffle, *pieces))
    collected = []
    for place, partition in enumerate(rows.partitions):
        results = [cluster.submit(pick, found, place) for found in scanned]
        collected.append(cluster.submit(collect_partition, shared_shuffle, partition, *results))
    cluster.wait(collected, progress.advance)
    return Rows(tuple(collected), rows.done | set(shuffle.indices))


def deal_partition(work: Work, shuffle: Shuffle, partition: Partition) -> list[pa.Table]:
    """Return a partition's rows dealt into buckets by a hash of their key, in the order of the rows."""
    names = [*_union(shuffle.grouping.columns, shuffle.inputs), ROW]
    pieces = [_dealt(table, shuffle, names) for table in _before(work, shuffle, partition)]
    return [pa.concat_tables([piece[bucket] for piece in pieces]) for bucket in range(shuffle.buckets)]


def _before(work: Work, shuffle: Shuffle, partition: Partition) -> Iterator[Table]:
    states = work.states_of(partition)
    for table in work.read(partition, shuffle.columns, Ledger()):
        yield apply_steps(work.split.mark(table), work.ops, states, shuffle.applied)


def _dealt(table: Table, shuffle: Shuffle, names: Sequence[str]) -> list[pa.Table]:
    # Plain values: a slice of a dictionary column would take its whole dictionary along to every bucket.
    arrays = [plain_values(table.backend.to_arrow(table.columns[name])) for name in names]
    host = pa.table(arrays, names=names)
    keys = shuffle.grouping.keys
    if shuffle.buckets == 1 or not keys:
        return [host, *(host.slice(0, 0) for _ in range(shuffle.buckets - 1))]
    bucket = (table.backend.hash_rows(table.pick(keys), 0) % np.uint64(shuffle.buckets)).astype(np.int64)
    order = np.argsort(bucket, kind="stable")
    ends = np.cumsum(np.bincount(bucket, minlength=shuffle.buckets)).tolist()
    dealt = host.take(pa.array(order))
    return [dealt.slice(start, end - start) for start, end in zip([0, *ends], ends, strict=False)]


def pick(pieces: list[Any], index: int) -> Any:
    """Return one of many results of a task, so that only it need leave its worker."""
    return pieces[index]


def scan_bucket(work: Work, shuffle: Shuffle, *pieces: pa.Table) -> list[pa.Table]:
    """Sort a bucket's rows by key and order, scan them with each step, and return the results by partition."""
    whole = pa.concat_tables(pieces)
    arrays = {name: one_array(whole.column(name)) for name in whole.column_names}
    order, starts = sorted_groups(arrays, shuffle.grouping)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    backend = ArrowBackend()
    columns = {name: backend.from_arrow(array) for name, array in arrays.items()}
    table = Table(backend, backend.take(columns, order), len(order))
    found: dict[str, Any] = {ROW: arrays[ROW]}
    for index in shuffle.indices:
        op = work.ops[index]
        assert isinstance(op, OrderedOp)  # noqa: S101  (only ordered ops are exchanged for)
        made = backend.take(op.scan(table, starts), back)
        found.update({f"{index}:{name}": backend.to_arrow(column) for name, column in made.items()})
    results, start = [], 0
    everything = pa.table(found)
    for piece in pieces:
        results.append(everything.slice(start, piece.num_rows))
        start += piece.num_rows
    return results


def sorted_groups(arrays: dict[str, pa.Array], grouping: Grouping) -> tuple[Ints, Ints]:
    """Return the rows sorted by key, order and place, and where among them each group starts, with the number of rows at the end.

    Groups come by their first row. Rows whose order is null or NaN come last in their group.
    """
    n_rows = len(arrays[ROW])
    codes = factorize([arrays[name] for name in grouping.keys])[0] if grouping.keys else np.zeros(n_rows, np.int64)
    sort_keys: list[Any] = [codes]
    if grouping.order is not None:
        values, missing = order_values(arrays[grouping.order])
        sort_keys = [values, missing, codes]
    order = np.lexsort(sort_keys).astype(np.int64)
    in_order = codes[order]
    changes = np.flatnonzero(in_order[1:] != in_order[:-1]) + 1
    return order, np.concatenate([[0] if n_rows else [], changes, [n_rows]]).astype(np.int64)


def collect_partition(shuffle: Shuffle, partition: Partition, *results: pa.Table) -> Partition:
    """Return a partition with the results of its rows, in the order of the rows."""
    whole = pa.concat_tables(results)
    rows = whole.column(ROW).to_numpy()
    order = np.argsort(rows, kind="stable")
    whole = whole.take(pa.array(order))
    ordered = dict(partition.ordered)
    for index in shuffle.indices:
        names = [name for name in whole.column_names if name.partition(":")[0] == str(index)]
        columns = {name.partition(":")[2]: one_array(whole.column(name)) for name in names}
        ordered[index] = ByRow(rows[order], columns)
    return replace(partition, ordered=ordered)


def _union(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
