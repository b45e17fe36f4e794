"""Running a pipeline on data cut as a law wants it, and comparing what was learnt."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.exchange import exchange_steps, exchanging
from headrace.execution import Silent, fit_steps, transform_to_tables
from headrace.keys import Keys
from headrace.ledger import Ledger
from headrace.local_cluster import LocalCluster
from headrace.opened import Opened
from headrace.ops.base import Op
from headrace.packing import pack, write_streams
from headrace.plan import make_plan
from headrace.split import NoSplit


@dataclass(frozen=True)
class Outcome:
    """What a pipeline made of its training rows, what it learnt, and what it counted."""

    table: pa.Table
    states: Mapping[int, Any]
    ledger: Ledger
    partitions: int

    def counts(self) -> dict[int, list[dict[str, Any]]]:
        return {step: self.ledger.step_counts(step) for step in sorted(self.ledger.tallies)}


def run(
    ops: Sequence[Op],
    source: Any,
    tables: Mapping[str, Any],
    *,
    partition_size: int | str | None = 1,
    workers: int = 1,
    exchange_bytes: int = 1 << 40,
    device: str = "cpu",
) -> Outcome:
    """Fit and transform; a partition size of 1 makes every row group a partition."""
    opened = Opened.of(ops, source, tables)
    outputs = opened.steps.schema.names
    plan = make_plan(opened.source, opened.steps, NoSplit(), outputs, partition_size=partition_size)
    cluster = LocalCluster(workers)
    try:
        with exchanging(cluster, opened.work(device), exchange_bytes) as work:
            found = fit_steps(cluster, work, opened.steps, plan, Silent())
            ready = replace(work, states=found.states)
            steps = range(len(ops))
            exchanged = exchange_steps(cluster, ready, opened.steps, found.rows, steps, Silent())
            table, ledger = transform_to_tables(
                cluster, ready, plan.passes[-1].columns, steps, exchanged.partitions, opened.steps.schema, Silent()
            )
    finally:
        cluster.close()
    ledger.add(found.ledger)
    ledger.add(exchanged.ledger)
    return Outcome(table, found.states, ledger, len(plan.partitions))


def batches(data: pa.Table, pieces: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield a table in so many pieces, each with the number of its first row; one of them is empty."""
    edges = [data.num_rows * index // pieces for index in range(pieces + 1)]
    for start, end in itertools.pairwise(edges):
        yield start, data.slice(start, end - start)
    yield data.num_rows, data.slice(0, 0)


def content(value: Any) -> Any:
    """Return a state so that equal ones are equal: its JSON form and the bytes of its arrays."""
    streams: list[pa.Table] = []
    structure = pack(value, streams)
    sink = pa.BufferOutputStream()
    write_streams(streams, sink)
    return structure, sink.getvalue().to_pybytes()


def canonical(value: Any) -> Any:
    """Return a state as `content` does, with what goes by key in the order of the keys.

    Which key stands in which row of a table of keys depends on which was seen first, and means nothing
    (where it does mean something, in a vocabulary, the order is part of the state: see `Vocabulary`).
    """
    if isinstance(value, Mapping):
        return {key: canonical(item) for key, item in value.items()}
    fields = dict(vars(value)) if hasattr(value, "__dict__") else {}
    keys = fields.get("keys")
    if not isinstance(keys, Keys) or type(value).__name__ == "Vocabulary":
        return content(value)
    order = keys.order(np.arange(len(keys)), np.zeros(len(keys), np.int64))
    sorted_fields = {name: content(item) for name, item in fields.items() if not _goes_by_key(item, len(keys))}
    by_key = {name: content(item[_with_rest(order, len(item))]) for name, item in fields.items() if _goes_by_key(item, len(keys))}
    return {**sorted_fields, **by_key, "keys": content(keys.take(order).table)}


def _goes_by_key(item: Any, n_keys: int) -> bool:
    return isinstance(item, np.ndarray) and len(item) in (n_keys, n_keys + 1)


def _with_rest(order: Any, length: int) -> Any:
    return np.append(order, np.arange(len(order), length))
