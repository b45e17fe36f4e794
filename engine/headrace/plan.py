"""Plan: what will run, made before anything is computed. Printable, comparable."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from headrace.backends import CPU
from headrace.dealing import bucket_count
from headrace.errors import MemoryBudgetError
from headrace.fallbacks import fallbacks, refuse_fallbacks
from headrace.ops import op_name
from headrace.ops.base import OrderedOp
from headrace.partitions import Partition, Source, TableSource, cut
from headrace.side_tables import LookUp
from headrace.split import AnySplit
from headrace.steps import Steps

# Bytes in memory of one decoded byte on disk: dictionaries are unpacked into outputs of up to 8 bytes a value, and
# a step holds its input and its output at once.
EXPANSION = 4
BASE_BYTES = 300 << 20  # Python, Arrow, Numba and XGBoost themselves
PROCESS_BYTES = 150 << 20  # the same in a further process, which shares with others what is in files
LEAST_VOCABULARY_BYTES = 32 << 20  # what BASE_BYTES has to spare, for a budget that leaves nothing


@dataclass(frozen=True)
class Pass:
    """One reading of the data."""

    name: str
    columns: tuple[str, ...]
    nbytes: int
    observed: tuple[int, ...]
    applied: tuple[int, ...]

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "columns": list(self.columns), "bytes": self.nbytes, "steps": list(self.observed or self.applied)}


@dataclass(frozen=True)
class Exchange:
    """An ordered step: all rows of a key go to one worker before the first pass that needs its results."""

    step: int
    keys: tuple[str, ...]
    order: str | None

    def describe(self) -> dict[str, Any]:
        return {"step": self.step, "keys": list(self.keys), "order": self.order}


class Line(NamedTuple):
    """A line for people: what it is about, what is said, and how far it is indented."""

    label: str
    text: str
    indent: int = 0


@dataclass(frozen=True)
class Plan:
    """Passes over the data, partitions, columns read, bytes predicted, the device, and what would not run on it.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from headrace.ops.normalize import Normalize
    >>> from headrace.pipeline import Pipeline
    >>> Pipeline([Normalize(["km"])]).plan(pa.table({"km": [1.0, 2.0]}), device="cpu")
    device: cpu
    source: 2 rows of a table in memory, 16 B
    partitions: 1, the largest 16 B
    peak memory: 300.0 MiB predicted
    fit 1 of 1: reads 1 column, 16 B
      columns: km
      learns: 0 normalize
    transform: reads 1 column, 16 B
      columns: km
    """

    source: dict[str, Any]
    partitions: tuple[Partition, ...]
    passes: tuple[Pass, ...]
    device: str
    predicted_peak_bytes: int
    matrix_columns: int
    exchanges: tuple[Exchange, ...] = ()
    look_ups: tuple[LookUp, ...] = ()
    cache_bytes: int = 0  # rows kept between passes, in all processes together
    lead: int = 0  # steps, from the first on, that need nothing learnt: they are applied before rows are kept
    lead_columns: tuple[str, ...] = ()  # what must be there after them
    lead_codes: frozenset[str] = frozenset()  # of these, columns of which only codes are asked
    exchange_bytes: int = 0  # rows that exchanges may hold in memory; the others are in files
    vocabulary_bytes: int = 0  # categories while they are counted and learnt; the others are in files
    memory: int | None = None  # the budget, if one was named
    fallbacks: tuple[str, ...] = ()
    training: str | None = None  # on one worker or on all; None without a model
    ops: tuple[str, ...] = ()  # the steps' names

    @property
    def is_bounded(self) -> bool:
        return self.memory is not None

    def __str__(self) -> str:
        return "\n".join([f"device: {self.device}", *(" " * line.indent + line.label + line.text for line in self.lines())])

    def __repr__(self) -> str:
        return str(self)  # partitions and their row groups would be pages of numbers

    def lines(self) -> Iterator[Line]:
        """Return the plan for people to read."""
        source = self.source
        held = f"in {count_of(source['files'], 'file')}, {count_of(source['row_groups'], 'row group')}"
        place = held if source["files"] else f"of {source['path']}"
        yield Line("source: ", f"{count_of(source['rows'], 'row')} {place}, {human_bytes(source['bytes'])}")
        largest = max((partition.nbytes for partition in self.partitions), default=0)
        yield Line("partitions: ", f"{len(self.partitions)}, the largest {human_bytes(largest)}")
        yield Line("peak memory: ", f"{human_bytes(self.predicted_peak_bytes)} predicted")
        for one in self.passes:
            yield Line(f"{one.name}: ", f"reads {count_of(len(one.columns), 'column')}, {human_bytes(one.nbytes)}")
            yield Line("", f"columns: {', '.join(one.columns)}", 2)
            if one.observed:
                yield Line("", f"learns: {', '.join(f'{index} {self.ops[index]}' for index in one.observed)}", 2)
        for exchange in self.exchanges:
            order = f", in order of {exchange.order}" if exchange.order else ""
            met = f"rows meet by {', '.join(exchange.keys) or 'nothing: all on one worker'}{order}"
            yield Line(f"exchange for step {exchange.step}: ", met)
        for look_up in self.look_ups:
            way = f"shuffled: its rows meet the source's by {', '.join(look_up.keys)}" if look_up.shuffled else "broadcast: read whole"
            size = f"{count_of(look_up.n_rows, 'row')}, {human_bytes(look_up.nbytes)} of columns needed"
            yield Line(f"table {look_up.table} for step {look_up.step}: ", f"{way}; {size}")
        if self.fallbacks:
            yield Line("falls back to the CPU: ", "; ".join(self.fallbacks))

    def describe(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "source": self.source,
            "device": self.device,
            "partitions": len(self.partitions),
            "passes": [one.describe() for one in self.passes],
            "exchanges": [one.describe() for one in self.exchanges],
            "tables": [one.describe() for one in self.look_ups],
            "predicted_peak_bytes": self.predicted_peak_bytes,
            "cache_bytes": self.cache_bytes,
            "exchange_bytes": self.exchange_bytes,
            "vocabulary_bytes": self.vocabulary_bytes,
            "training": self.training,
            "fallbacks": list(self.fallbacks),
        }


def make_plan(
    source: Source,
    steps: Steps,
    split: AnySplit,
    outputs: Sequence[str],
    *,
    key: Sequence[str] = (),
    partition_size: int | str | None = None,
    n_workers: int = 1,
    n_processes: int = 1,
    memory: int | None = None,
    matrix_columns: int = 0,
    training: str | None = None,
    shared_rows: int = 0,
    look_ups: Sequence[LookUp] = (),
    device: str = CPU,
    strict: bool = False,
) -> Plan:
    """Return what fitting `steps` on a source and writing `outputs` will take.

    `n_processes` are those of the workers and this one, `matrix_columns` are the features of a model, `shared_rows` the rows of them that
    each worker gets beside its own.

    Raises MemoryBudgetError if the predicted peak is above `memory` and smaller partitions cannot help, and JobError with `strict`
    if the CPU would carry out a step of a plan on a GPU.
    """
    fallen = fallbacks(steps.ops, device)
    if strict:
        refuse_fallbacks(fallen)
    besides = [*split.columns(), *key]
    read = tuple(dict.fromkeys([*steps.columns_for(outputs), *besides]))
    passes = []
    for level in range(steps.n_levels):
        observed, applied, columns = steps.fit_pass(level)
        columns = tuple(dict.fromkeys([*columns, *besides]))
        passes.append(Pass(f"fit {level + 1} of {steps.n_levels}", columns, _nbytes(source, columns), observed, applied))
    passes.append(Pass("transform", read, _nbytes(source, read), (), tuple(range(len(steps.ops)))))
    fixed = BASE_BYTES + (n_processes - 1) * PROCESS_BYTES
    fixed += 3 * 4 * matrix_columns * source.n_rows  # the matrix, its blocks, XGBoost's quantised copy
    fixed += n_workers * 3 * 4 * matrix_columns * min(source.n_rows, shared_rows)
    fixed += EXPANSION * sum(one.nbytes for one in look_ups if not one.shuffled)
    fixed += n_workers * _bucket_nbytes(source, steps, look_ups)
    partitions = cut(source, read, partition_size)
    peak = fixed + _in_flight(partitions, n_workers)
    if memory is not None and peak > memory and partition_size is None:
        partitions = cut(source, read, max((memory - fixed) // (EXPANSION * n_workers), 1))
        peak = fixed + _in_flight(partitions, n_workers)
    if memory is not None and peak > memory:
        raise MemoryBudgetError(
            f"the plan needs about {human_bytes(peak)}, and run.memory is {human_bytes(memory)}",
            key="run.memory",
            hint=f"give it {human_bytes(peak)}, use fewer workers than {n_workers}, or write the source with smaller row groups",
        )
    # What the budget leaves is for rows on their way through exchanges, which go to files beyond a half of it, then for categories,
    # which do too, and then for rows kept between passes. Without a budget, each has a quarter of the machine.
    exchange = min(_exchange_nbytes(source, steps, look_ups), usual_bytes() if memory is None else (memory - peak) // 2)
    peak += exchange
    vocabulary = _vocabulary_bytes(steps, passes, None if memory is None else memory - peak)
    spare = max(memory - peak - vocabulary, 0) if memory is not None else usual_bytes()
    keeps = spare if len(passes) > 1 and not isinstance(source, TableSource) and device == CPU else 0
    made = Plan(source.describe(), partitions, tuple(passes), device, peak, matrix_columns, _exchanges(steps))
    made = replace(
        made, look_ups=tuple(look_ups), cache_bytes=keeps, exchange_bytes=exchange, vocabulary_bytes=vocabulary, fallbacks=fallen
    )
    made = replace(made, training=training, ops=tuple(op_name(op) for op in steps.ops))
    lead = steps.lead({one.step for one in look_ups if not one.shuffled})
    columns = tuple(sorted(steps.columns_after(lead, outputs)))
    return replace(made, memory=memory, lead=lead, lead_columns=columns, lead_codes=steps.coded_columns(lead, outputs))


def _vocabulary_bytes(steps: Steps, passes: Sequence[Pass], left: int | None) -> int:
    """Return the bytes for categories of text: half of what is left, a usual share without a budget.

    If no step learns from text, a budget leaves a little for what is counted for a report.
    """
    for index in (index for one in passes for index in one.observed):
        declaration, before = steps.declarations[index], steps.declarations[index - 1].schema if index else steps.source
        if any(before[name].is_string for name in (*declaration.reads, *declaration.observes)):
            return usual_bytes() if left is None else max(left // 2, LEAST_VOCABULARY_BYTES)
    is_counted = any(name in steps.source and steps.source[name].is_string for one in passes for name in one.columns)
    return LEAST_VOCABULARY_BYTES if left is not None and is_counted else 0


def usual_bytes() -> int:
    """Return the bytes that a run which names no memory keeps of one kind of rows: a quarter of the machine's."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def _exchanges(steps: Steps) -> tuple[Exchange, ...]:
    found = [(index, op.grouping()) for index, op in enumerate(steps.ops) if isinstance(op, OrderedOp)]
    return tuple(Exchange(index, grouping.keys, grouping.order) for index, grouping in found)


def _exchange_nbytes(source: Source, steps: Steps, look_ups: Sequence[LookUp]) -> int:
    """Return what exchanges hold in memory if they may: rows on their way, dealt and scanned, and all that they found.

    At 8 bytes a value, and twice that, because strings are longer.
    """
    widths = [_widths(steps, index) for index in _exchanged(steps, look_ups)]
    sides = max((one.nbytes for one in look_ups if one.shuffled), default=0)
    values = max((reads + found for reads, found in widths), default=0) + sum(found for _, found in widths)
    return 2 * (8 * source.n_rows * values + EXPANSION * sides)


def _bucket_nbytes(source: Source, steps: Steps, look_ups: Sequence[LookUp]) -> int:
    """Return what a task holds that works on a bucket, if keys are spread evenly.

    Its rows as they are mapped, as one, and sorted; the results sorted, as one, and on their way; the other table's rows.
    """
    sides = {one.step: one for one in look_ups if one.shuffled}
    largest = 0
    for index in _exchanged(steps, look_ups):
        side = sides.get(index)
        n_side, side_nbytes = (side.n_rows, side.nbytes) if side is not None else (0, 0)
        buckets = bucket_count(source.n_rows, n_side)
        rows = 8 * source.n_rows * sum(_widths(steps, index))
        largest = max(largest, (3 * rows + EXPANSION * side_nbytes) // buckets)
    return largest


def _exchanged(steps: Steps, look_ups: Sequence[LookUp]) -> list[int]:
    shuffled = {one.step for one in look_ups if one.shuffled}
    return [index for index, op in enumerate(steps.ops) if isinstance(op, OrderedOp) or index in shuffled]


def _widths(steps: Steps, index: int) -> tuple[int, int]:
    """Return how many columns an exchanged step looks at and how many it finds, the row's number included."""
    declaration = steps.declarations[index]
    return len(declaration.reads) + 1, len(declaration.makes) + 2


def _in_flight(partitions: Sequence[Partition], n_workers: int) -> int:
    largest = max((partition.nbytes for partition in partitions), default=0)
    return EXPANSION * largest * min(n_workers, max(len(partitions), 1))


def _nbytes(source: Source, columns: Sequence[str]) -> int:
    if isinstance(source, TableSource):
        return sum(int(source.table.column(name).nbytes) for name in columns)
    return sum(group.nbytes.get(name, 0) for group in source.row_groups for name in columns)


def count_of(n: int, noun: str) -> str:
    """Return how many there are of something.

    >>> count_of(1, "file"), count_of(1200, "row")
    ('1 file', '1,200 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def human_bytes(nbytes: float) -> str:
    """Return a size in binary units.

    >>> human_bytes(1536)
    '1.5 KiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(nbytes) < 1024:
            return f"{nbytes:.0f} B" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} TiB"


def parse_bytes(text: str | int) -> int:
    """Return a size such as ``8GiB``, ``500 MB`` or ``1e9`` in bytes.

    >>> parse_bytes("8GiB"), parse_bytes("1.5 MB"), parse_bytes(4096)
    (8589934592, 1500000, 4096)

    Raises
    ------
    ValueError
        If it is no size.
    """
    if isinstance(text, int):
        return text
    compact = text.replace(" ", "").lower()
    unit = next((unit for unit in _UNITS if compact.endswith(unit)), "")
    size = float(compact.removesuffix(unit)) * _UNITS.get(unit, 1)
    if not math.isfinite(size):
        raise ValueError(f"{text!r} is no size")
    return int(size)


_UNITS = {
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)},
    "b": 1,
}
