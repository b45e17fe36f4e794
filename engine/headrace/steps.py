"""Steps: what a list of operators does to a schema, in which passes it is fitted, and where each column comes from."""

from __future__ import annotations

import time
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, TypeVar

from headrace.errors import DataError, HeadraceError, JobError, JobErrors, unknown_name
from headrace.ops import is_built_in, op_name
from headrace.ops.base import BoundOp, Declaration, FittedOp, Op, OrderedOp, PlainOp, Sources, StatefulOp
from headrace.ops.code import failure
from headrace.ops.columnwise import ColumnOp, Link, apply_chain
from headrace.ops.select import Rename, Select
from headrace.schema import Schema
from headrace.table import Table

E = TypeVar("E", JobError, DataError)


@dataclass(frozen=True)
class Lineage:
    """Where a column comes from, in columns of the source and of the job's tables.

    `values` are what it is computed of, `keys` what those were looked up by, `learnt` what a fitted step learnt from to
    make it; `steps` are the numbers of the steps that made it.
    """

    values: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    learnt: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()

    def all_columns(self) -> tuple[str, ...]:
        """Return every column of the source that a row's value depends on, what was learnt from left out."""
        return tuple(dict.fromkeys([*self.values, *self.keys]))


@dataclass(frozen=True)
class Steps:
    """Operators with their declarations against a source's schema.

    `observed_in` is the pass in which a fitted op is observed (its level), None for others; `applied_from` is the first
    pass in which an op can be applied, that is, in which all that it depends on is known.
    """

    ops: tuple[Op, ...]
    source: Schema
    declarations: tuple[Declaration, ...]
    observed_in: tuple[int | None, ...]
    applied_from: tuple[int, ...]

    @classmethod
    def of(cls, ops: Sequence[Op], source: Schema, tables: Mapping[str, Schema]) -> Steps:
        """Check every op against the schema that the ones before it leave; raise JobErrors for all mistakes together."""
        declarations: list[Declaration] = []
        errors: list[JobError] = []
        schema = source
        for index, op in enumerate(ops):
            try:
                declaration = op.declare(schema, tables)
                schema = declaration.schema
            except JobErrors as found:
                errors += [_placed(error, index, op) for error in found.errors]
                break  # what follows may need the columns that this step did not make
            except JobError as error:
                errors.append(_placed(error, index, op))
                break
            except Exception as error:
                if not is_users_fault(error, op):
                    raise
                raise _placed(JobError(f"failed: {failure(error)}"), index, op) from error
            declarations.append(declaration)
        if errors:
            raise JobErrors(errors)
        observed, applied = _passes(ops, declarations)
        return cls(tuple(ops), source, tuple(declarations), observed, applied)

    @property
    def schema(self) -> Schema:
        """The schema after the last step."""
        return self.declarations[-1].schema if self.declarations else self.source

    @property
    def n_levels(self) -> int:
        """How many passes over the data fitting takes."""
        return max((level + 1 for level in self.observed_in if level is not None), default=0)

    def fit_pass(self, level: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
        """Return the steps observed in a pass, the steps to apply for that, and the source columns to read."""
        observed = tuple(index for index, found in enumerate(self.observed_in) if found == level)
        wanted: set[str] = set()
        applied: list[int] = []
        for index in reversed(range(len(self.ops))):
            declaration = self.declarations[index]
            if index in observed:
                wanted |= _observed_columns(declaration)
            elif self.applied_from[index] <= level and (declaration.drops_rows or wanted & set(declaration.makes)):
                applied.append(index)
                wanted = (wanted - set(declaration.makes)) | set(declaration.reads)
        return observed, tuple(reversed(applied)), self._in_source(wanted)

    def before(self, index: int, among: Sequence[int]) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Return those of the steps `among` that a step needs before it, and the source columns that it and they read."""
        wanted = set(self.declarations[index].reads)
        needed = []
        for step in reversed([step for step in among if step < index]):
            declaration = self.declarations[step]
            if declaration.drops_rows or wanted & set(declaration.makes):
                needed.append(step)
                wanted = (wanted - set(declaration.makes)) | set(declaration.reads)
        return tuple(reversed(needed)), self._in_source(wanted)

    def columns_for(self, wanted: Iterable[str], steps: Sequence[int] | None = None) -> tuple[str, ...]:
        """Return the source columns that some steps (default all) and the columns `wanted` at their end need, in source order."""
        needed = set(wanted)
        for index in reversed(range(len(self.ops)) if steps is None else steps):
            declaration = self.declarations[index]
            needed = (needed - set(declaration.makes)) | set(declaration.reads)
        return self._in_source(needed)

    def passing(self, steps: Sequence[int] | None = None) -> frozenset[str]:
        """Return the columns that some steps (default all) leave as they are in the source, row by row.

        A user's own operator may do more than it declares: where there is one, none is sure to be left.
        """
        indices = range(len(self.ops)) if steps is None else steps
        declarations = [self.declarations[index] for index in indices]
        if any(one.drops_rows for one in declarations) or not all(is_built_in(self.ops[index]) for index in indices):
            return frozenset()
        made = {name for one in declarations for name in one.makes}
        return frozenset(name for name in self.schema if name in self.source and name not in made)

    def lead(self, known: Container[int]) -> int:
        """Return how many steps, from the first on, can be applied before anything is learnt; `known` are those whose state is there."""
        learning = (index for index, op in enumerate(self.ops) if self.observed_in[index] is not None or isinstance(op, OrderedOp))
        unknown = (index for index, op in enumerate(self.ops) if isinstance(op, BoundOp) and index not in known)
        return min(next(learning, len(self.ops)), next(unknown, len(self.ops)))

    def columns_after(self, n_steps: int, wanted: Iterable[str]) -> frozenset[str]:
        """Return the columns that must be there after the first steps, so that the others can be fitted and applied and leave `wanted`."""
        needed = set(wanted)
        for index in reversed(range(n_steps, len(self.ops))):
            declaration = self.declarations[index]
            needed = (needed - set(declaration.makes)) | _observed_columns(declaration)
        return frozenset(needed)

    def coded_columns(self, n_steps: int, wanted: Container[str]) -> frozenset[str]:
        """Return the columns after the first steps of which the others ask nothing but codes, and which are not `wanted` as they are."""
        open_, coded = set(self.declarations[n_steps - 1].schema if n_steps else self.source), set()
        for op, declaration in zip(self.ops[n_steps:], self.declarations[n_steps:], strict=True):
            if not op.takes_codes:
                open_ -= _observed_columns(declaration)
            coded |= open_ & set(declaration.makes)
            open_ -= coded
        return frozenset(coded | {name for name in open_ if name not in wanted})

    def label_columns(self, target: str | None = None) -> frozenset[str]:
        """Return the source columns of what is learnt from (and of `target`): unseen data need not have them."""
        learnt = {name for index, declaration in enumerate(self.declarations) for name in self._labels(index, declaration)}
        return frozenset(learnt | set(self.lineage[target].all_columns() if target is not None else ()))

    def serving(
        self, wanted: Sequence[str], available: Collection[str], target: str | None = None
    ) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Return the steps and the columns of `wanted` that can be made of the columns `available`.

        Where only the label's own columns are missing, the steps that make the label, and filters that look at it, are left
        out: that is what data from before the outcome looks like. To a step that reads them beside what features are made of they are null.

        Raises
        ------
        DataError
            If a column is missing that a feature needs, or the key of a step that makes one row of several.
        """
        missing = {name for name in self.columns_for(wanted) if name not in available}
        if not missing:
            return tuple(range(len(self.ops))), tuple(wanted)
        check_available(missing - self.label_columns(target), available)
        outputs = tuple(name for name in wanted if not missing & set(self.lineage[name].all_columns()))
        kept, wants = [], set(outputs)
        for index in reversed(range(len(self.ops))):
            declaration = self.declarations[index]
            made = [declaration.makes[name] for name in wants & set(declaration.makes)]
            if declaration.drops_rows:
                # Which rows there are goes by the keys of a step that makes one row of several, and by all that another looks at.
                keys = {key for sources in declaration.makes.values() for key in sources.keys}
                before = self._lineage_before[index]
                lacking = missing & {source for name in keys or declaration.reads for source in before[name].all_columns()}
                if lacking and not declaration.makes:
                    continue
                check_available(lacking, available)
            elif declaration.makes and not made:
                continue
            kept.append(index)
            # A step may make label and features both: unless it makes what it can, it gets nulls for what is missing.
            reads = {name for sources in made for name in (*sources.values, *sources.keys)}
            if (made or declaration.drops_rows) and not self.ops[index].makes_what_it_can:
                reads = set(declaration.reads)
            wants = (wants - set(declaration.makes)) | reads
        return tuple(reversed(kept)), outputs

    def _labels(self, index: int, declaration: Declaration) -> set[str]:
        learnt = {name for sources in declaration.makes.values() for name in sources.learnt}
        return {source for name in learnt for source in self._lineage_before[index][name].all_columns()}

    def made_by(self, column: str) -> tuple[int, str] | None:
        """Return the last step that made a column after the last step, and its name there; None for a column of the source.

        Steps that only pass a column on, by its own or another name, make none.
        """
        self.schema.require([column])
        for index in reversed(range(len(self.ops))):
            sources = self.declarations[index].makes.get(column)
            if sources is not None and not isinstance(self.ops[index], Rename | Select):
                return index, column
            column = sources.values[0] if sources is not None else column
        return None

    @property
    def lineage(self) -> dict[str, Lineage]:
        """Where each column after the last step comes from."""
        return self._lineage_before[len(self.ops)]

    @property
    def touched(self) -> frozenset[str]:
        """Columns that some step made, changed or selected."""
        names = {name for declaration in self.declarations for name in declaration.makes}
        return frozenset(names & set(self.schema))

    @cached_property
    def _lineage_before(self) -> tuple[dict[str, Lineage], ...]:
        """The lineage of every column before each step, and after the last."""
        lineages = [{name: Lineage(values=(name,)) for name in self.source}]
        for index, declaration in enumerate(self.declarations):
            before = lineages[-1]
            made = {name: _traced(sources, before, index) for name, sources in declaration.makes.items()}
            after = {**before, **made}
            lineages.append({name: after[name] for name in declaration.schema})
        return tuple(lineages)

    def _in_source(self, names: set[str]) -> tuple[str, ...]:
        return tuple(name for name in self.source if name in names)


def check_available(needed: Iterable[str], available: Collection[str]) -> None:
    """Raise DataError if columns that are needed are not among those that rows have."""
    missing = sorted(set(needed) - set(available))
    if missing:
        message, hint = unknown_name("column", missing[0], available)
        more = f" (and {len(missing) - 1} more: {', '.join(missing[1:6])})" if len(missing) > 1 else ""
        raise DataError(message + more, hint=hint)


def apply_steps(table: Table, ops: Sequence[Op], states: Mapping[int, Any], steps: Sequence[int]) -> Table:
    """Apply some steps in order; rows and seconds of each go to the table's ledger."""
    for _, group in groupby(steps, key=lambda index: "chain" if isinstance(ops[index], ColumnOp) else index):
        started = time.perf_counter()
        indices = list(group)
        tallies = []
        for index in indices:
            table.ledger.step = index
            tallies.append(table.ledger.tally())
            tallies[-1].rows_in += table.n_rows
        try:
            if len(indices) > 1:
                table = apply_chain(table, [_link(ops[index], index, states) for index in indices])
            else:
                table = apply_op(table, ops[indices[0]], states.get(indices[0]))
        except Exception as error:
            _raise_at(error, table.ledger.step, ops[table.ledger.step])
            raise
        seconds = (time.perf_counter() - started) / len(indices)  # what runs in one loop cannot be told apart
        for tally in tallies:
            tally.rows_out += table.n_rows
            tally.seconds += seconds
    return table


def _link(op: Op, index: int, states: Mapping[int, Any]) -> Link:
    assert isinstance(op, ColumnOp)  # noqa: S101  (only these are chained)
    return Link(index, op, states.get(index))


def apply_op(table: Table, op: Op, state: Any) -> Table:
    """Apply one op, with its state if it has one."""
    if isinstance(op, StatefulOp | OrderedOp):
        made = op.apply(table, state)
    else:
        assert isinstance(op, PlainOp)  # noqa: S101  (there is no other kind)
        made = op.apply(table)
    if not isinstance(made, Table):
        raise TypeError(f"`apply` returned a {type(made).__name__}, not a Table")
    return made


@contextmanager
def at_step(index: int, op: Op) -> Iterator[None]:
    """Give the errors that are raised inside the step's place in the pipeline."""
    try:
        yield
    except Exception as error:
        _raise_at(error, index, op)
        raise


def _raise_at(error: Exception, index: int, op: Op) -> None:
    """Raise an error about data with the step's place, and what a user's own operator raised as such an error; else return."""
    if isinstance(error, DataError):
        raise _placed(error, index, op) from error
    if is_users_fault(error, op):
        raise _placed(DataError(f"failed: {failure(error)}"), index, op) from error


def is_users_fault(error: Exception, op: Op) -> bool:
    """Say whether an error is one of a user's own operator, and not of what it was given."""
    return not is_built_in(op) and not isinstance(error, HeadraceError | MemoryError)


def _placed(error: E, index: int, op: Op) -> E:
    return error.at(key=f"pipeline[{index}].{op_name(op)}" + (f".{error.key}" if error.key else ""))


def _observed_columns(declaration: Declaration) -> set[str]:
    learnt = {name for sources in declaration.makes.values() for name in sources.learnt}
    return {*declaration.reads, *declaration.observes, *learnt}


def _passes(ops: Sequence[Op], declarations: Sequence[Declaration]) -> tuple[tuple[int | None, ...], tuple[int, ...]]:
    """Number the passes: a fitted op's level is the longest chain of fitted ops before it, through columns and through rows."""
    column_known: dict[str, int] = {}
    rows_known = 0
    observed: list[int | None] = []
    applied: list[int] = []
    for op, declaration in zip(ops, declarations, strict=True):
        fitted = isinstance(op, FittedOp) and op.learns
        columns = _observed_columns(declaration) if fitted else set(declaration.reads)
        known = max([rows_known, *(column_known.get(name, 0) for name in columns)])
        observed.append(known if fitted else None)
        known += fitted
        applied.append(known)
        column_known.update(dict.fromkeys(declaration.makes, known))
        if declaration.drops_rows:
            rows_known = known
    return tuple(observed), tuple(applied)


def _traced(sources: Sources, before: Mapping[str, Lineage], step: int) -> Lineage:
    """Follow a column's sources back through what is known of them; a name with no lineage is another table's column."""
    own = Lineage(steps=(step,))
    parts = [before.get(name, Lineage(values=(name,))) for name in sources.values]
    keys = [before[name] for name in sources.keys]
    learnt = [before[name] for name in sources.learnt]
    return Lineage(
        values=_union([part.values for part in parts]),
        keys=_union([*(part.keys for part in parts), *(part.all_columns() for part in keys)]),
        learnt=_union([*(part.learnt for part in [*parts, *keys]), *(part.all_columns() for part in learnt)]),
        steps=tuple(sorted({*own.steps, *(step for part in [*parts, *keys] for step in part.steps)})),
    )


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
