"""One operator on one table: fitted, applied, and held to what it declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.ledger import Ledger
from headrace.ops.base import BoundOp, FittedOp, Op, PlainOp, StatefulOp
from headrace.schema import Schema
from headrace.table import ROW, TRAINING, Backend, Table


@dataclass(frozen=True)
class Applied:
    """What an operator made of a table, what it learnt, and what it counted, by (event, column)."""

    table: pa.Table
    state: Any
    counts: Counter[tuple[str, str]]

    def __getitem__(self, column: str) -> list[Any]:
        return self.table[column].to_pylist()


def applied(
    backend: Backend,
    op: Op,
    data: pa.Table,
    *,
    learnt_from: pa.Table | None = None,
    tables: Mapping[str, pa.Table] | None = None,
    training: bool = False,
) -> Applied:
    """Fit an operator (on `data` itself unless told otherwise), apply it, and check its output against its declaration.

    `training`: the rows are those it was fitted on, so that target encodings are out of fold.
    """
    others = dict(tables or {})
    declared = op.declare(Schema.from_arrow(data.schema), {name: Schema.from_arrow(table.schema) for name, table in others.items()})
    state = learnt(backend, op, data if learnt_from is None else learnt_from, others)
    table = as_training(backend, data) if training else Table.from_arrow(backend, data, Ledger())
    if isinstance(op, StatefulOp):
        made = op.apply(table, state)
    else:
        assert isinstance(op, PlainOp)
        made = op.apply(table)
    assert made.schema == declared.schema, f"{op.name} declared {declared.schema} and made {made.schema}"
    assert list(made.names) == list(declared.schema.names)
    result = made.to_arrow()
    result.validate(full=True)
    return Applied(result, state, made.ledger.tally().counts)


def learnt(backend: Backend, op: Op, data: pa.Table, tables: Mapping[str, pa.Table] | None = None) -> Any:
    """Return the state that an operator learns from a table, None if it has none."""
    if isinstance(op, BoundOp):
        return op.bind(dict(tables or {}))
    if isinstance(op, FittedOp):
        return op.finish(op.observe(as_training(backend, data)) if op.learns else {})
    return None


def as_training(backend: Backend, data: pa.Table, first_row: int = 0) -> Table:
    """Return a table whose rows are all training rows, numbered from `first_row`."""
    table = Table.from_arrow(backend, data, Ledger())
    rows = pa.array(np.arange(first_row, first_row + data.num_rows, dtype=np.int64))
    every = pa.array(np.ones(data.num_rows, bool))
    return table.with_columns({ROW: backend.from_arrow(rows), TRAINING: backend.from_arrow(every)})
