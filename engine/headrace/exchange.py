"""Exchange: bring all rows of a key together, scan or join them, and give each row its results back.

What one row gets depends here on other rows, wherever they are: so each partition's rows are dealt into buckets by a hash
of their key (one task a partition), each bucket gathers its pieces from all partitions and works on them (one task a
bucket), and each partition collects its rows from all buckets. Threads and processes of one machine hand pieces on through
the run's spool, within its memory; on a scheduler's workers they go from worker to worker. Neither the partitions nor the
number of buckets nor where pieces are held can change a result, because a task sees a key's rows all together and always
in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from headrace.backends import CPU
from headrace.cluster import Cluster
from headrace.dealing import (
    Shuffle,
    bucket_count,
    collect_partition,
    deal_partition,
    deal_side,
    join_bucket,
    ledger_of,
    pick,
    refused_of,
    scan_bucket,
)
from headrace.ledger import Ledger
from headrace.ops.base import Grouping, OrderedOp, ThinningOp
from headrace.ops.join import Join
from headrace.partitions import Partition, cut
from headrace.spool import spooling
from headrace.steps import Steps

if TYPE_CHECKING:
    from headrace.execution import Progress, Work


@dataclass(frozen=True)
class Rows:
    """A source's partitions on their way through a run, and the exchanged steps whose results they hold already.

    Each of `partitions` is a `Partition` or the handle of one. `ledger` is what the exchanges took of a device.
    """

    partitions: tuple[Any, ...]
    done: frozenset[int] = frozenset()
    ledger: Ledger = field(default_factory=Ledger)

    @classmethod
    def of(cls, partitions: Sequence[Partition]) -> Rows:
        """Return partitions that no step has been exchanged for."""
        return cls(tuple(partitions))


@contextmanager
def exchanging(cluster: Cluster, work: Work, memory: int) -> Iterator[Work]:
    """Give the work a place for rows on their way, for as long as its passes run, if any of its steps is exchanged.

    Parameters
    ----------
    memory : int
        Bytes that may be held in memory; see `spooling`.
    """
    if not work.sides and not any(isinstance(op, OrderedOp) for op in work.ops):
        yield work
        return
    with spooling(cluster, memory) as spool:
        yield replace(work, spool=spool)


def exchange_steps(
    cluster: Cluster, work: Work, steps: Steps, rows: Rows, applied: Sequence[int], progress: Progress, level: int | None = None
) -> Rows:
    """Exchange rows for the ordered steps and large joins that have no results yet; what the steps before them learnt must be known.

    Parameters
    ----------
    applied : sequence of int
        The steps that will be applied to these rows, in order.
    level : int, optional
        Only for steps that are known before this pass. Default: for all of them.

    Raises
    ------
    DataError
        If a table to be joined has a key twice: the first such row, as a join that reads the table whole would say.
    """
    for shuffle in _shuffles(steps, tuple(applied), rows, work, level):
        progress.start(_title(work, shuffle), len(rows.partitions))
        rows = _exchange(cluster, work, shuffle, rows, progress)
    return rows


def _title(work: Work, shuffle: Shuffle) -> str:
    by = ", ".join(shuffle.grouping.keys) or "order"
    op = work.ops[shuffle.indices[0]]
    return f"join {op.table} by {by}" if isinstance(op, Join) else f"exchange by {by}"


def _shuffles(steps: Steps, asked: Sequence[int], rows: Rows, work: Work, level: int | None) -> list[Shuffle]:
    """Put ordered steps together that need the same grouping, and nothing made or dropped after the first of them."""
    shuffles: list[Shuffle] = []
    for index in asked:
        if index in rows.done or (level is not None and steps.applied_from[index] > level):
            continue
        made = _shuffle(steps, asked, work, index)
        if made is not None and shuffles and _can_share(shuffles[-1], made):
            last = shuffles[-1]
            shuffles[-1] = replace(
                last,
                grouping=replace(last.grouping, inputs=_union(last.inputs, made.inputs)),
                indices=(*last.indices, index),
                applied=tuple(sorted({*last.applied, *made.applied})),
                columns=_union(last.columns, made.columns),
            )
        elif made is not None:
            shuffles.append(made)
    return shuffles


def _shuffle(steps: Steps, asked: Sequence[int], work: Work, index: int) -> Shuffle | None:
    """Return the exchange of one step, None if it needs none."""
    op = steps.ops[index]
    side_keys: tuple[str, ...] = ()
    n_side = 0
    if isinstance(op, OrderedOp):
        grouping = op.grouping()
    elif isinstance(op, Join) and index in work.sides:
        pairs = op.key_pairs()
        grouping = Grouping(tuple(pairs), None, tuple(name for name in op.looks_at() if name not in pairs))
        side_keys, n_side = tuple(pairs.values()), work.sides[index].n_rows
    else:
        return None
    applied, columns = steps.before(index, asked)
    # A label's columns may be missing from rows that are served.
    read = set(work.source.schema) - set(work.absent)
    columns = tuple(name for name in _union(columns, work.split.columns(), work.key) if name in read)
    buckets = bucket_count(work.source.n_rows, n_side)
    return Shuffle(f"step-{index}", grouping, (index,), applied, columns, buckets, side_keys, thins=isinstance(op, ThinningOp))


def _can_share(last: Shuffle, made: Shuffle) -> bool:
    if last.side_keys or made.side_keys or made.thins or not last.grouping.same_groups(made.grouping):
        return False
    return all(step < last.indices[0] for step in made.applied)


def _exchange(cluster: Cluster, work: Work, shuffle: Shuffle, rows: Rows, progress: Progress) -> Rows:
    shared, told = cluster.share(work), cluster.share(shuffle)
    dealt = [cluster.submit_about(place, deal_partition, shared, told, partition) for place, partition in enumerate(rows.partitions)]
    if shuffle.side_keys:
        scanned = _join(cluster, work, shuffle, dealt, shared, told)
    else:
        scanned = [cluster.submit(scan_bucket, shared, told, bucket, *_pieces(cluster, dealt, bucket)) for bucket in range(shuffle.buckets)]
    collected = []
    for place, partition in enumerate(rows.partitions):
        collected.append(cluster.submit(collect_partition, shared, told, place, partition, *_pieces(cluster, scanned, place)))
    cluster.wait(collected, progress.advance)
    taken = cluster.gather([cluster.submit(ledger_of, one) for one in (*dealt, *scanned)]) if work.device != CPU else []
    del dealt, scanned
    work.spool.release(shuffle.stage)
    return Rows(tuple(collected), rows.done | set(shuffle.indices), Ledger.total([rows.ledger, *taken]))


def _join(cluster: Cluster, work: Work, shuffle: Shuffle, dealt: Sequence[Any], shared: Any, told: Any) -> list[Any]:
    op, source = work.ops[shuffle.indices[0]], work.sides[shuffle.indices[0]]
    assert isinstance(op, Join)  # noqa: S101  (only joins have a side)
    columns = tuple(op.tables_read()[op.table])
    side = [cluster.submit(deal_side, shared, told, columns, partition) for partition in cut(source, columns)]
    joined = [
        cluster.submit(join_bucket, shared, told, bucket, len(side), *_pieces(cluster, [*side, *dealt], bucket))
        for bucket in range(shuffle.buckets)
    ]
    refused = [found for found in cluster.gather([cluster.submit(refused_of, one) for one in joined]) if found is not None]
    if refused:
        raise min(refused, key=lambda found: found[0])[1]
    return joined


def _pieces(cluster: Cluster, held: Sequence[Any], index: int) -> list[Any]:
    """Return what holds a piece: all of them on one machine, where no row moves by that; else the piece alone, picked by its worker."""
    return list(held) if cluster.one_machine else [cluster.submit(pick, one, index) for one in held]


def _union(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
