"""Ordered operators on one table: through the pipeline, since execution brings their rows together."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from headrace.ops.base import Op
from headrace.pipeline import Pipeline
from headrace.schema import Schema


class Scanned:
    """What an ordered operator made of a table, and what it counted, by (event, column)."""

    def __init__(self, table: pa.Table, counts: Counter[tuple[str, str]]) -> None:
        self.table = table
        self.counts = counts

    def __getitem__(self, column: str) -> list[Any]:
        return self.table[column].to_pylist()


def scanned(op: Op, data: pa.Table) -> Scanned:
    """Apply an operator to a table and check its output against its declaration."""
    done = Pipeline([op]).fit_transform(data)
    declared = op.declare(Schema.from_arrow(data.schema), {}).schema
    assert Schema.from_arrow(done.table.schema) == declared
    assert done.table.column_names == list(declared.names)
    done.table.validate(full=True)
    return Scanned(done.table, done.ledger.tallies[0].counts)
