"""Side tables: the job's other tables, opened by their footers; small ones are read as states, large ones joined by exchange."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from headrace.backends import CPU, open_backend
from headrace.dataset import Dataset
from headrace.errors import DataError, JobError, unknown_name
from headrace.frames import is_path, to_arrow
from headrace.keys import undictionaried
from headrace.ledger import Ledger
from headrace.ops.base import BoundOp, FittedOp, Op
from headrace.ops.join import Apart, Join
from headrace.partitions import Partition, Source, TableSource, cut, read_partition
from headrace.schema import Schema
from headrace.table import one_array

# Side tables that are read whole may take this share of the run's memory, in decoded bytes by their footers: what is made of
# them, and an index of their keys, takes several times as much. A job that names no memory is treated as one of 4 GiB on any
# machine, so that a bundle holds the same tables wherever it was made.
SHARE, USUAL_MEMORY = 16, 4 << 30


@dataclass(frozen=True)
class LookUp:
    """A step that looks things up in a side table: the table's rows, decoded bytes of the columns needed, and the way it is joined."""

    step: int
    table: str
    keys: tuple[str, ...]
    n_rows: int
    nbytes: int
    shuffled: bool

    def describe(self) -> dict[str, Any]:
        way = "shuffled" if self.shuffled else "broadcast"
        return {"step": self.step, "table": self.table, "join": way, "keys": list(self.keys), "rows": self.n_rows, "bytes": self.nbytes}


@dataclass(frozen=True, eq=False)
class SideTables:
    """The tables that a pipeline's steps look things up in, by name, and how each step does."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    look_ups: tuple[LookUp, ...] = ()

    @classmethod
    def open(
        cls, ops: Sequence[Op], tables: Mapping[str, Any], memory: int | None = None, steps: Sequence[int] | None = None
    ) -> SideTables:
        """Read the footers of those of the tables, given as paths or frames, that some steps (default all) need, and choose who joins how.

        The smallest are read whole as long as they fit their share of `memory` together.

        Raises
        ------
        JobError
            If a step's table is not among them.
        """
        sources: dict[str, Source] = {}
        bound = {step: op for step, op in enumerate(ops) if isinstance(op, BoundOp) and (steps is None or step in steps)}
        for step, op in bound.items():
            for name in op.tables_read():
                if name not in tables:
                    message, hint = unknown_name("table", name, tables)
                    raise JobError(message, key=f"pipeline[{step}].{op.name}.table", hint=hint)
                if name not in sources:
                    sources[name] = _opened(tables[name])
        return cls(sources, _choose(bound, sources, (memory or USUAL_MEMORY) // SHARE))

    @property
    def schemas(self) -> dict[str, Schema]:
        return {name: source.schema for name, source in self.sources.items()}

    @property
    def shuffled(self) -> dict[int, Source]:
        """The table of each step that joins by exchange."""
        return {one.step: self.sources[one.table] for one in self.look_ups if one.shuffled}

    def states(self, ops: Sequence[Op]) -> dict[int, Any]:
        """Return the states that are known before any row of the source is read, by step: tables are read here."""
        bound = {step: Apart(source.n_rows, source.fingerprint) for step, source in self.shuffled.items()}
        for one in self.look_ups:
            op = ops[one.step]
            if isinstance(op, BoundOp) and not one.shuffled:
                bound[one.step] = op.bind({name: read_side(self.sources[name], columns) for name, columns in op.tables_read().items()})
        constant = {step: op.finish({}) for step, op in enumerate(ops) if isinstance(op, FittedOp) and not op.learns}
        return {**bound, **constant}


def serve_tables(
    ops: Sequence[Op], schemas: Mapping[str, Schema], states: Mapping[int, Any], steps: Sequence[int], tables: Mapping[str, Any]
) -> tuple[dict[int, Any], dict[int, Source]]:
    """Return the states for new rows, and the tables to exchange them with, by step.

    A table that is given takes the place of the one that the pipeline was fitted with. One that was too large to be kept must
    be given.

    Raises
    ------
    JobError
        If no step looks things up in a table of that name.
    DataError
        If a table that is needed is not given, or lacks a column or has it in another type than when the pipeline was fitted.
    """
    for name in tables:
        if name not in schemas:
            message, hint = unknown_name("table", name, schemas)
            raise JobError(message, hint=hint)
    for step in steps:
        op, state = ops[step], states.get(step)
        if isinstance(state, Apart) and isinstance(op, Join) and op.table not in tables:
            raise DataError(
                f"the table {op.table!r} of step {step} ({op.name}) was too large to be kept with the pipeline: {state.n_rows:,} rows, "
                f"fingerprint {state.fingerprint[:12]}",
                hint=f"give it again: tables={{{op.table!r}: path}} in Python, --table {op.table}=PATH on the command line",
            )
    given = {step: op for step in steps if isinstance(op := ops[step], BoundOp) and set(op.tables_read()) & set(tables)}
    sides = SideTables.open(ops, tables, steps=tuple(given))
    for op in given.values():
        _check_like(op, sides.schemas, schemas)
    return {**states, **sides.states(ops)}, sides.shuffled


def read_side(source: Source, columns: Sequence[str]) -> pa.Table:
    """Read some columns of a source whole, row group by row group, as plain (not dictionary-encoded) values.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    schema = source.schema.select(columns).to_arrow()
    if isinstance(source, TableSource):
        backend = open_backend(CPU)
        whole = (backend.to_arrow(backend.from_arrow(one_array(source.table.column(name)))) for name in columns)
        return pa.table([undictionaried(array) for array in whole], names=list(columns)).cast(schema)
    tables = [schema.empty_table()]
    for partition in cut(source, columns):
        tables += [pa.table(arrays, names=list(columns)).cast(schema) for arrays in _plain_batches(source, partition, columns)]
    return pa.concat_tables(tables).combine_chunks()


def _plain_batches(source: Source, partition: Partition, columns: Sequence[str]) -> Iterator[list[pa.Array]]:
    for table in read_partition(source, partition, columns, open_backend(CPU), Ledger()):
        yield [undictionaried(table.backend.to_arrow(table[name])) for name in columns]


def _opened(value: Any) -> Source:
    if isinstance(value, Dataset):
        return value
    return Dataset.open(value) if is_path(value) else TableSource(to_arrow(value)[0])


def _choose(bound: Mapping[int, BoundOp[Any]], sources: Mapping[str, Source], limit: int) -> tuple[LookUp, ...]:
    """Read tables whole, smallest first, while they fit `limit` bytes together; the others are joined by exchange if that can be."""
    found = []
    for step, op in bound.items():
        read = op.tables_read()
        nbytes = sum(_decoded_nbytes(sources[name], columns) for name, columns in read.items())
        keys = tuple(op.key_pairs()) if isinstance(op, Join) else ()
        found.append(LookUp(step, ", ".join(read), keys, sum(sources[name].n_rows for name in read), nbytes, shuffled=False))
    chosen, taken = [], 0
    for one in sorted(found, key=lambda one: (bool(one.keys), one.nbytes, one.step)):  # what cannot be dealt comes first
        taken += one.nbytes
        chosen.append(replace(one, shuffled=taken > limit and bool(one.keys)))
    return tuple(sorted(chosen, key=lambda one: one.step))


def _decoded_nbytes(source: Source, columns: Sequence[str]) -> int:
    if isinstance(source, TableSource):
        return sum(int(source.table.column(name).nbytes) for name in columns if name in source.table.column_names)
    return sum(group.nbytes.get(name, 0) for group in source.row_groups for name in columns)


def _check_like(op: BoundOp[Any], given: Mapping[str, Schema], fitted: Mapping[str, Schema]) -> None:
    for table, columns in op.tables_read().items():
        for name in columns:
            if name not in given[table]:
                message, hint = unknown_name("column", name, given[table])
                raise DataError(message, file=table, hint=hint)
            if given[table][name] != fitted[table][name]:
                raise DataError(
                    f"is {given[table][name]}, and the pipeline was fitted on {fitted[table][name]}",
                    file=table,
                    column=name,
                    hint="cast it before",
                )
