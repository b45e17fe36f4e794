"""What the steps of a pass observed, merged from batches to partitions, workers and the whole.

Each worker merges what it holds. Of many keys, all workers then merge some columns of everybody's, so that none has all the work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.cluster import Cluster, reduce_tree
from headrace.ledger import Ledger
from headrace.ops.base import FittedOp

if TYPE_CHECKING:
    from headrace.execution import Work


class Observed(NamedTuple):
    """The part of each step observed, the number of training rows, and what moved between device and host meanwhile."""

    parts: dict[int, Any]
    rows: int
    ledger: Ledger


# A part, or an item of one, by the step and the item's name.
Item = tuple[int, str | None]
# Of fewer keys it takes longer to deal them out than to merge them; the largest column bounds what more shares are good for.
_WORTH_DEALING, _MOST_SHARES = 1 << 17, 8


def merge_observed(work: Work, *observed: Observed) -> Observed:
    """Merge what several batches or tasks observed, in their order."""
    if len(observed) == 1:
        return observed[0]
    merged = {}
    for index in observed[0].parts:
        op = work.ops[index]
        assert isinstance(op, FittedOp)  # noqa: S101  (only fitted ops have parts)
        merged[index] = op.merge(*(one.parts[index] for one in observed))
    return Observed(merged, sum(one.rows for one in observed), Ledger.total(one.ledger for one in observed))


def condense_observed(work: Work, *observed: Observed) -> Observed:
    """Return what all tasks observed, merged, without what is of no more use, so that it need not leave its worker."""
    merged = merge_observed(work, *observed)
    condensed = {}
    for index, part in merged.parts.items():
        op = work.ops[index]
        assert isinstance(op, FittedOp)  # noqa: S101  (only fitted ops have parts)
        condensed[index] = op.condense(part)
    return merged._replace(parts=condensed)


def total_observed(cluster: Cluster, shared: Any, runs: Sequence[Any], last: Callable[..., Observed]) -> Observed:
    """Merge what each worker has merged, in the end by `last`: of many keys, all workers some items of everybody's."""
    sizes = _sizes(cluster, shared, runs)
    if sum(sizes.values()) < _WORTH_DEALING:
        merged: Observed = cluster.gather([reduce_tree(cluster, merge_observed, shared, runs, last, runs[0])])[0]
        return merged
    shares = deal(sizes, min(len(runs), _MOST_SHARES))
    picked = [[cluster.submit_beside(run, pick_items, items, run) for run in runs] for items in shares]
    found = cluster.gather(
        [reduce_tree(cluster, merge_observed, shared, share, last, run) for share, run in zip(picked, runs, strict=False)]
    )
    return join_items(found, sizes)


def _sizes(cluster: Cluster, shared: Any, runs: Sequence[Any]) -> Mapping[Item, int]:
    sizes: Counter[Item] = Counter()
    if len(runs) > 1 and not cluster.one_process:
        for found in cluster.gather([cluster.submit_beside(run, sizes_of_items, shared, run) for run in runs]):
            sizes.update(found)
    return sizes


def deal(sizes: Mapping[Item, int], n: int) -> list[list[Item]]:
    """Return `n` shares of about the same size, or fewer.

    >>> deal({(0, "a"): 5, (0, "b"): 9, (1, None): 3}, 2)
    [[(0, 'b')], [(0, 'a'), (1, None)]]
    """
    shares: list[list[Item]] = [[] for _ in range(min(n, len(sizes)))]
    totals = [0] * len(shares)
    for item in sorted(sizes, key=lambda item: -sizes[item]):
        least = totals.index(min(totals))
        shares[least].append(item)
        totals[least] += sizes[item]
    return shares


def sizes_of_items(work: Work, observed: Observed) -> dict[Item, int]:
    """Return how many keys each item of a part has that merges by itself; 0 for parts that merge as a whole."""
    sizes: dict[Item, int] = {}
    for index, part in observed.parts.items():
        op = work.ops[index]
        assert isinstance(op, FittedOp)  # noqa: S101  (only fitted ops have parts)
        sizes |= {(index, name): counts.n_pairs for name, counts in part.items()} if op.is_by_item and part else {(index, None): 0}
    return sizes


def pick_items(items: Sequence[Item], observed: Observed) -> Observed:
    """Return a share of what was observed."""
    return join_items([observed], items)


def join_items(shares: Sequence[Observed], items: Iterable[Item]) -> Observed:
    """Return some items, in this order, of what was observed, each out of the share that has it."""
    parts: dict[int, Any] = {}
    for index, name in items:
        held = next(share.parts[index] for share in shares if index in share.parts and (name is None or name in share.parts[index]))
        if name is None:
            parts[index] = held
        else:
            parts.setdefault(index, {})[name] = held[name]
    return shares[0]._replace(parts=parts)
