"""Opened: a source and the tables that a pipeline looks things up in, with its steps checked against their schemas."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from headrace.backends import CPU
from headrace.cluster import Cluster
from headrace.dataset import Dataset
from headrace.errors import DataError
from headrace.execution import Fitted, Work
from headrace.fitted import FittedSteps
from headrace.frames import is_path, to_arrow
from headrace.ops.base import Op
from headrace.partitions import Source, TableSource
from headrace.plan import Plan, make_plan
from headrace.side_tables import SideTables
from headrace.split import NoSplit
from headrace.steps import Steps
from headrace.table import counts_within_32_bits

Tables = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Opened:
    """A source and the job's tables, opened, and the pipeline's steps checked against their schemas."""

    source: Source
    back: Callable[[pa.Table], Any]
    steps: Steps
    tables: SideTables

    @classmethod
    def of(cls, ops: Sequence[Op], source: Any, tables: Tables | None, memory: int | None = None) -> Opened:
        """Open a source and the tables that `ops` look things up in."""
        opened, back = open_source(source)
        sides = SideTables.open(ops, tables or {}, memory)
        return cls(opened, back, Steps.of(ops, opened.schema, sides.schemas), sides)

    def plan(self, cluster: Cluster, *, fit_only: bool = False, device: str = CPU, passing: Collection[str] = ()) -> Plan:
        """Return the passes of fitting and, unless only that is asked for, of transforming, which need not see the columns `passing`."""
        plan = make_plan(
            self.source,
            self.steps,
            NoSplit(),
            () if fit_only else [name for name in self.steps.schema.names if name not in passing],
            n_workers=cluster.n_workers,
            look_ups=self.tables.look_ups,
            device=device,
        )
        return replace(plan, passes=plan.passes[:-1]) if fit_only and len(plan.passes) > 1 else plan

    def work(self, device: str = CPU) -> Work:
        """Return what the tasks need to know before anything is learnt; small tables are read."""
        states = self.tables.states(self.steps.ops)
        return Work(self.source, self.steps.ops, NoSplit(), states, sides=self.tables.shuffled, device=device)

    def fitted(self, found: Fitted) -> FittedSteps:
        """Return the steps with what fitting found."""
        return FittedSteps(self.steps.ops, self.source.schema, self.tables.schemas, found.states, found.parts)


def open_source(source: Any, wanted: Collection[str] | None = None) -> tuple[Source, Callable[[pa.Table], Any]]:
    """Return files as a data set, or a frame as a source in memory, of which `wanted` are read, and what turns Arrow into the frame's kind."""
    if isinstance(source, Dataset):
        return source, lambda table: table
    if is_path(source):
        return Dataset.open(source), lambda table: table
    table, back = to_arrow(source, wanted)
    return TableSource(table), back


def passing_by(source: Source, steps: Steps, outputs: Collection[str], indices: Sequence[int] | None = None) -> frozenset[str]:
    """Return those of the columns `outputs` that a table in memory can hand on as they are: no task need see them.

    Of files every column is read by tasks. And these bring most columns of another layout than the usual one into that.
    """
    if not isinstance(source, TableSource):
        return frozenset()
    columns = ((name, source.table.column(name)) for name in steps.passing(indices) & set(outputs))
    return frozenset(name for name, column in columns if _is_usual(column, steps.schema[name].arrow))


def _is_usual(column: pa.ChunkedArray, type_: pa.DataType) -> bool:
    """Say whether a column has a type, or one that differs only in the width of the offsets to its texts, if these need no wide ones."""
    if column.type in (pa.large_string(), pa.large_binary()):
        return all(counts_within_32_bits(chunk) for chunk in column.chunks)
    return bool(column.type == type_)


@contextmanager
def naming(source: Source) -> Iterator[None]:
    """Give the errors about a source's columns that are raised inside the name of its files."""
    try:
        yield
    except DataError as error:
        if not isinstance(source, Dataset) or error.file is not None:
            raise
        raise error.at(file=source.source) from error
