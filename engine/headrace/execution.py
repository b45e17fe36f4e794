"""Execution: fit passes and the transform pass as tasks of a cluster.

A fit task reads one partition, applies what is known, observes what is to be learnt, and returns parts; parts merge in
canonical order. A transform task reads one partition, applies every step, writes a file or hands over its rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from headrace.backends import CPU, counting, open_backend
from headrace.bad_rows import naming_the_file
from headrace.cache import Batch, CacheSettings, KeptRows, columns_of, forget, hold_learnt, keep, pools_of, recall, release_learnt
from headrace.cluster import Cluster, start_merges
from headrace.errors import DataError, MemoryBudgetError
from headrace.exchange import Rows, exchange_steps
from headrace.fallbacks import within_memory
from headrace.ledger import Ledger
from headrace.observed import Observed, condense_observed, merge_observed, total_observed
from headrace.ops import op_name
from headrace.ops.base import FittedOp, Op
from headrace.partitions import Partition, Source, TableSource, read_partition
from headrace.plan import Pass, Plan, human_bytes, usual_bytes
from headrace.pool import Room
from headrace.profile import MOST_DETAILED, Profile, merge_profiles, profile_table
from headrace.schema import Schema, Type
from headrace.scratch import new_scratch, remove_scratch
from headrace.split import AnySplit
from headrace.spool import Spool
from headrace.states import nbytes_of
from headrace.steps import Steps, apply_steps, at_step
from headrace.table import TRAINING, Backend, Table, in_type


class Progress(Protocol):
    """Where long work says how far it is."""

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` tasks begins."""

    def advance(self) -> None:
        """One of its tasks is done."""


class Silent:
    """Progress that nobody watches."""

    def start(self, stage: str, total: int) -> None:
        """Say nothing."""

    def advance(self) -> None:
        """Say nothing."""


class Sample(NamedTuple):
    """Which rows are profiled: so many of each partition whose number `every` divides, or for None all of them."""

    rows: int | None = 0
    every: int = 1

    def of(self, partition: Partition) -> int:
        """Return how many of a partition's rows are profiled."""
        if self.rows is None:
            return partition.n_rows
        return 0 if partition.index % self.every else self.rows


@dataclass(frozen=True)
class Work:
    """What every task of a run needs to know; shared with the workers once a pass."""

    source: Source
    ops: tuple[Op, ...]
    split: AnySplit
    states: Mapping[int, Any] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    cache: CacheSettings | None = None
    expects: Schema | None = None  # the types a pipeline was fitted on, for data that may differ
    absent: Mapping[str, Type] = field(default_factory=dict)  # columns of the label that steps read and these rows do not have
    sides: Mapping[int, Source] = field(default_factory=dict)  # tables too large for a state, by the step that joins them
    spool: Spool = field(default_factory=Spool)  # where exchanges hold rows
    sample: Sample = field(default_factory=Sample)
    device: str = CPU
    strict: bool = False  # nothing that a GPU was asked for may run on the CPU

    def backend(self) -> Backend:
        """Return the verbs of the device, with what this process knows of the run's strings."""
        return open_backend(self.device, pools_of(self.cache))

    def read(self, partition: Partition, columns: Sequence[str], ledger: Ledger) -> Iterator[Table]:
        """Yield a partition's rows in the types that the steps expect; columns that are absent are null."""
        for table in read_partition(self.source, partition, columns, self.backend(), ledger, self.key):
            found = table if self.expects is None else naming_the_file(self.source, table, partial(conform, schema=self.expects))
            nulls = {name: pa.nulls(table.n_rows, type_.arrow) for name, type_ in self.absent.items()}
            yield found.with_columns({name: table.backend.from_arrow(column) for name, column in nulls.items()})

    def apply(self, table: Table, states: Mapping[int, Any], steps: Sequence[int]) -> Table:
        """Return rows after some steps; rows that have just been read are first marked as those that train and those that test."""
        marked = table if TRAINING in table.columns else self.split.mark(table)
        return naming_the_file(self.source, marked, lambda rows: apply_steps(rows, self.ops, states, steps))

    def begin(
        self, partition: Partition, columns: Sequence[str], profiles: list[Profile] | None, ledger: Ledger
    ) -> Iterator[tuple[Table, int]]:
        """Yield a partition's rows with the number of steps that are done: the leading ones where rows are kept, else none.

        What these counted goes to the ledger, and the profile of the rows as they were read to `profiles`, if that is given.
        """
        if self.cache is None or not set(columns) <= set(self.cache.reads):
            counting = self._counting(self.read(partition, columns, ledger), partition, profiles, ledger)
            yield from ((table, 0) for table in counting)
            return
        kept = recall(self.cache, partition.index)
        if kept is not None:
            ledger.add(kept.ledger)
            if profiles is not None:
                profiles.append(kept.profile)
            backend = self.backend()
            yield from ((Table(backend, columns_of(batch), batch[0], ledger), self.cache.lead) for batch in kept.batches)
            return
        batches: list[Batch] = []
        found: list[Profile] = []
        own, states = Ledger(), self.states_of(partition)
        for table in self._counting(self.read(partition, self.cache.reads, own), partition, found, own):
            done = self.apply(table, states, range(self.cache.lead)).only(self.cache.keeps)
            batches.append((done.n_rows, done.columns))
            yield replace(done, ledger=ledger), self.cache.lead
        keep(self.cache, partition.index, KeptRows(batches, own, merge_profiles(found)))
        ledger.add(own)
        if profiles is not None:
            profiles += found

    def rows(
        self, partition: Partition, columns: Sequence[str], steps: Sequence[int], profiles: list[Profile] | None, ledger: Ledger
    ) -> Iterator[Table]:
        """Yield a partition's rows after `steps`."""
        states = self.states_of(partition)
        for table, done in self.begin(partition, columns, profiles, ledger):
            apply = partial(self.apply, states=states, steps=[step for step in steps if step >= done])
            yield from within_memory(table, apply, strict=self.strict)

    def _counting(self, tables: Iterator[Table], partition: Partition, profiles: list[Profile] | None, ledger: Ledger) -> Iterator[Table]:
        """Count rows as they were read, and profile them or, of much data, a sample."""
        takes_all, wanted = self.sample.rows is None, self.sample.of(partition)
        for table in tables:
            if profiles is not None and (wanted > 0 or (takes_all and not profiles)):
                profile = partial(profile_table, most_detailed=MOST_DETAILED)
                profiles.extend(within_memory(table.first(wanted), profile, strict=self.strict))
                wanted -= table.n_rows
            ledger.rows_in += table.n_rows
            yield table

    def states_of(self, partition: Partition) -> dict[int, Any]:
        """Return the states for one partition's rows: what was learnt, and what exchanges found for these rows."""
        return {**self.states, **{step: found.load() for step, found in partition.found.items()}}


@contextmanager
def keeping_rows(cluster: Cluster, work: Work, plan: Plan) -> Iterator[Work]:
    """Give the work a cache for as long as its passes run: what the first reads and numbers, the others need not."""
    # The strings of a table in memory are there anyway: what is kept of them is numbers.
    left = usual_bytes() if isinstance(work.source, TableSource) else plan.cache_bytes
    settings = CacheSettings("", memory=_of_a_process(cluster, left, is_bounded=plan.is_bounded))
    if plan.memory is not None:  # to merge keys takes several times what they take
        settings = replace(settings, learnt=_of_a_process(cluster, plan.memory // 8, is_bounded=True))
    # On a GPU rows are not kept: its memory is for the pass at work, and a device decodes faster than a host hands rows back.
    if len(plan.passes) > 1 and plan.cache_bytes and work.device == CPU:
        reads = tuple(dict.fromkeys(name for one in plan.passes for name in one.columns))
        settings = replace(settings, reads=reads, lead=plan.lead, keeps=plan.lead_columns, codes=plan.lead_codes)
    with keeping(cluster, work, settings, plan.vocabulary_bytes, is_bounded=plan.is_bounded) as kept:
        yield kept


@contextmanager
def keeping(cluster: Cluster, work: Work, settings: CacheSettings, vocabulary_bytes: int, *, is_bounded: bool = False) -> Iterator[Work]:
    """Give the work a cache of its own, and the processes of one machine a folder for strings that do not fit in memory.

    Half of the vocabularies' share is for strings while they are counted, the other for what is learnt of them.
    """
    room: int | None = _of_a_process(cluster, vocabulary_bytes // 2, is_bounded=is_bounded)
    # Where no step learns from text, nothing goes there.
    folder = new_scratch("vocabulary") if cluster.one_machine and vocabulary_bytes else None
    if folder is None and not is_bounded:
        room = None
    n_rows = work.source.n_rows // (1 if cluster.one_process else cluster.n_workers)
    settings = replace(settings, token=uuid.uuid4().hex, room=room, folder=folder, n_rows=n_rows)
    try:
        yield replace(work, cache=settings)
    finally:
        cluster.everywhere(forget, settings.token)
        if folder is not None:
            remove_scratch(folder)


def _of_a_process(cluster: Cluster, nbytes: int, *, is_bounded: bool) -> int:
    """Return what each process may take of a run's share: a part of it, unless it is this machine's memory and the workers have others."""
    return nbytes // cluster.n_workers if not cluster.one_process and (cluster.one_machine or is_bounded) else nbytes


@dataclass(frozen=True)
class Fitted:
    """The states of all stateful steps, the parts they were made of, what fitting counted, and what it found for single rows."""

    states: dict[int, Any]
    parts: dict[int, Any]
    training_rows: int
    rows: Rows
    ledger: Ledger = field(default_factory=Ledger)


def fit_steps(cluster: Cluster, work: Work, steps: Steps, plan: Plan, progress: Progress) -> Fitted:
    """Fit all fitted steps, level by level: one pass over the data for each level, however many steps it has."""
    known, parts, training_rows, rows = dict(work.states), {}, 0, Rows.of(plan.partitions)
    ledger, room = Ledger(), Room(plan.vocabulary_bytes // 2)
    for level in range(steps.n_levels):
        one = plan.passes[level]
        ready = replace(work, states=known)
        rows = exchange_steps(cluster, ready, steps, rows, range(len(steps.ops)), progress, level)
        found, training_rows, counted = observe_pass(cluster, ready, one, rows.partitions, progress, is_all=True)
        ledger.add(counted)
        if not training_rows:
            raise DataError(
                "no training row is left",
                file=str(plan.source["path"]),
                hint="look at the filters and at split: they leave nothing to learn from",
            )
        for index in one.observed:
            op = steps.ops[index]
            assert isinstance(op, FittedOp)  # noqa: S101  (only fitted ops are observed)
            with at_step(index, op):
                parts[index] = op.settle(found[index], room)
                known[index] = op.finish(parts[index])
    return Fitted(known, parts, training_rows, rows, ledger)


def observe_pass(cluster: Cluster, work: Work, one: Pass, partitions: Sequence[Any], progress: Progress, *, is_all: bool) -> Observed:
    """Read the data once and return the merged part of each step observed, condensed if these are all rows that its state is made of."""
    shared = cluster.share(work)
    progress.start(one.name, len(partitions))
    cluster.spread(len(partitions))  # neighbours on one worker: their parts are merged before anything crosses
    handles = [cluster.submit_about(place, observe_partition, shared, one, partition) for place, partition in enumerate(partitions)]
    merged = start_merges(cluster, merge_observed, shared, handles)  # whoever is done first need not wait for the others
    cluster.wait(handles, progress.advance)
    cluster.wait(merged)
    total = total_observed(cluster, shared, merged, condense_observed if is_all else merge_observed)
    if work.cache is not None and work.cache.learnt is not None:
        cluster.everywhere(release_learnt, work.cache.token)
    return total


def observe_partition(work: Work, one: Pass, partition: Partition) -> Observed:
    """Return what one partition's training rows say to each step observed, and how many they are."""
    states = work.states_of(partition)
    ledger = Ledger()
    with counting(work.device, ledger):
        merged = merge_observed(
            work,
            *(
                found
                for table, done in work.begin(partition, one.columns, None, ledger)
                for found in within_memory(table, partial(_observe, done=done, work=work, states=states, one=one), strict=work.strict)
            ),
        )
    _hold(work, merged.parts)
    return merged._replace(ledger=ledger.of_the_device())


def _hold(work: Work, parts: Mapping[int, Any]) -> None:
    """Raise MemoryBudgetError if what the steps learn, before it is merged, is more than this process may take."""
    if work.cache is None or work.cache.learnt is None:
        return
    sizes = {index: nbytes_of(part) for index, part in parts.items()}
    if not hold_learnt(work.cache, sum(sizes.values())):
        largest = max(sizes, key=lambda index: sizes[index])
        raise MemoryBudgetError(
            f"what step {largest}, {op_name(work.ops[largest])}, learns takes more than {human_bytes(work.cache.learnt)}, an eighth of a worker's memory",
            key="run.memory",
            hint="give run.memory more, or fewer keys: hash_bucket puts many into few",
        )


def _observe(table: Table, done: int, work: Work, states: Mapping[int, Any], one: Pass) -> Observed:
    parts = {}
    n_rows = 0
    for index in one.observed:
        table = work.apply(table, states, [step for step in one.applied if done <= step < index])
        done = index
        training = table.training_rows()
        n_rows = training.n_rows
        op = work.ops[index]
        assert isinstance(op, FittedOp)  # noqa: S101  (only fitted ops are observed)
        with at_step(index, op):
            parts[index] = op.observe(training)
    return Observed(parts, n_rows, Ledger())


def transform_partition(
    work: Work, columns: Sequence[str], steps: Sequence[int], partition: Partition, ledger: Ledger, profiles: list[Profile] | None = None
) -> Iterator[Table]:
    """Yield the rows of a partition after `steps`, batch by batch; what was done to them goes to the ledger."""
    for done in work.rows(partition, columns, steps, profiles, ledger):
        ledger.rows_out += done.n_rows
        yield done


def conform(table: Table, schema: Schema) -> Table:
    """Return a table with its columns in the types of `schema`; raise DataError where that would change a value."""
    converted = {}
    for name, given in table.schema.columns.items():
        wanted = schema[name]
        if given == wanted:
            continue
        if not given.is_like(wanted):
            raise DataError(f"is {given}, and the pipeline was fitted on {wanted}", column=name, hint="cast it before")
        try:
            converted[name] = table.backend.cast(table[name], wanted)
        except DataError as error:
            raise DataError(error.message, column=name, hint=f"the pipeline was fitted on {wanted}") from error
    return table.with_columns(converted)


def transform_to_tables(
    cluster: Cluster,
    work: Work,
    columns: Sequence[str],
    steps: Sequence[int],
    partitions: Sequence[Any],
    schema: Schema,
    progress: Progress,
    passing: Collection[str] = (),
) -> tuple[pa.Table, Ledger]:
    """Transform all partitions, or handles of them, and return the rows, in order, as one table on the host.

    `passing` are columns of a source in memory that no step changes and no task need see: they are handed on as they are.
    """
    made = schema.select([name for name in schema.names if name not in passing])
    results = _map(cluster, transform_to_table, work, (tuple(columns), tuple(steps), made), partitions, progress)
    table = pa.concat_tables([table for table, _ in results])
    if passing:
        assert isinstance(work.source, TableSource)  # noqa: S101  (of files, what is not read is not there)
        wanted = schema.to_arrow()
        origins = (work.source.table if name in passing else table for name in wanted.names)
        columns = [origin.column(name).cast(type_) for origin, name, type_ in zip(origins, wanted.names, wanted.types, strict=True)]
        table = pa.Table.from_arrays(columns, schema=wanted)
    return table, Ledger.total(ledger for _, ledger in results)


def transform_to_files(
    cluster: Cluster,
    work: Work,
    columns: Sequence[str],
    steps: Sequence[int],
    partitions: Sequence[Any],
    schema: Schema,
    folder: Path,
    progress: Progress,
) -> Ledger:
    """Transform all partitions, each into its own Parquet file of a folder."""
    return Ledger.total(_map(cluster, transform_to_file, work, (tuple(columns), tuple(steps), schema, folder), partitions, progress))


def transform_to_table(work: Work, what: tuple[Any, ...], partition: Partition) -> tuple[pa.Table, Ledger]:
    """Return a partition's rows after `steps` as a table on the host."""
    columns, steps, schema = what
    ledger = Ledger()
    with counting(work.device, ledger):
        tables = [host_table(table, schema) for table in transform_partition(work, columns, steps, partition, ledger)]
    return pa.concat_tables(tables), ledger


def transform_to_file(work: Work, what: tuple[Any, ...], partition: Partition) -> Ledger:
    """Write a partition's rows after `steps` to its file."""
    from headrace.backends.arrow.write import write_batches  # loads Numba

    columns, steps, schema, folder = what
    ledger = Ledger()
    with counting(work.device, ledger):
        tables = transform_partition(work, columns, steps, partition, ledger)
        write_batches(folder / part_name(partition), (_kept_table(table, schema) for table in tables), schema.to_arrow())
    return ledger


def host_table(table: Table, schema: Schema) -> pa.Table:
    """Return some columns of a table on the host, with the types of `schema`."""
    with table.backend.moving("output"):
        arrays = [table.backend.to_arrow(table[name]) for name in schema.names]
    wanted = schema.to_arrow()
    columns = [in_type(array, type_) for array, type_ in zip(arrays, wanted.types, strict=True)]
    return pa.Table.from_arrays(columns, schema=wanted) if columns else pa.table({}).select([])


def _kept_table(table: Table, schema: Schema) -> pa.Table:
    """Return some columns of a table on the host as they are kept, numbers as codes where they are: a file has them so."""
    from headrace.backends.arrow.coded import is_coded

    with table.backend.moving("output"):
        arrays = {name: table.backend.to_arrow(column) for name, column in table.pick_kept(schema.names).items()}
    return pa.table({name: array if is_coded(array) else in_type(array, schema[name].arrow) for name, array in arrays.items()})


def part_name(partition: Partition) -> str:
    """Return the name of a partition's output file."""
    return f"part-{partition.index:05d}.parquet"


def _map(cluster: Cluster, function: Any, work: Work, what: Any, partitions: Sequence[Any], progress: Progress) -> list[Any]:
    progress.start("transform", len(partitions))
    if cluster.one_process and len(partitions) == 1 and isinstance(partitions[0], Partition):
        done = function(work, what, partitions[0])  # to start a thread takes longer than a few rows
        progress.advance()
        return [done]
    shared, shared_what = cluster.share(work), cluster.share(what)
    handles = [cluster.submit_about(place, function, shared, shared_what, partition) for place, partition in enumerate(partitions)]
    cluster.wait(handles, progress.advance)
    return cluster.gather(handles)
