"""What a GPU was asked for and the CPU does, known before anything runs; and what becomes of rows that a device has no room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from headrace.backends import CPU, GPU, open_backend
from headrace.errors import JobError, MemoryBudgetError
from headrace.ledger import Ledger
from headrace.ops import op_name
from headrace.ops.apply import Apply
from headrace.ops.base import Op, OrderedOp
from headrace.table import Backend, Table

R = TypeVar("R")

# Rows of a batch that is not split any further: what does not fit then is no matter of rows.
FEWEST_ROWS = 1 << 10
_SPLIT, _ON_CPU = "batches_split_for_memory", "batches_on_the_cpu_for_memory"


def fallbacks(ops: Sequence[Op], shuffled: Iterable[int], device: str) -> tuple[str, ...]:
    """Return the steps of a plan on a GPU that the CPU carries out, each with the reason; none of a plan on the CPU."""
    if device != GPU:
        return ()
    joined = set(shuffled)
    found = []
    for index, op in enumerate(ops):
        reason = _reason(op, exchanged=index in joined)
        if reason is not None:
            found.append(f"step {index} ({op_name(op)}): {reason}")
    return tuple(found)


def _reason(op: Op, *, exchanged: bool) -> str | None:
    if isinstance(op, Apply):
        return "your function is given frames of the host"
    if isinstance(op, OrderedOp):
        return "rows of a key meet in an exchange, which holds them on the host, and are scanned there"
    return "the table is joined by an exchange, which holds rows on the host" if exchanged else None


def refuse_fallbacks(found: Sequence[str]) -> None:
    """Raise JobError for a plan that would not run on the GPU alone: `run.strict` asks for that."""
    if found:
        listed = "; ".join(found)
        raise JobError(
            f"a GPU was asked for, and the CPU would carry out {listed}",
            key="run.strict",
            hint="leave `strict` out, or leave the steps out",
        )


def within_memory(table: Table, use: Callable[[Table], R], *, strict: bool) -> Iterator[R]:
    """Yield what `use` makes of a table; where a device has no room for that, of each half of it, and then on the CPU.

    On the CPU the table is used as it is. `use` counts in the table's own ledger, which takes in what a try that succeeded
    counted and nothing of one that did not. What the CPU made comes back to the device: `use` returns a table, or values.

    Raises
    ------
    MemoryBudgetError
        With `strict`, if a batch of the fewest rows does not fit the device.
    """
    if table.backend.name != "cudf":
        yield use(table)
        return
    attempt = Ledger(step=table.ledger.step)
    try:
        made = use(replace(table, ledger=attempt))
    except MemoryError as error:
        out_of_memory: MemoryError = error
    else:
        table.ledger.add(attempt)
        yield _with_ledger(made, table.ledger)
        return
    rows = slice(0, table.n_rows)
    if table.n_rows <= FEWEST_ROWS:
        yield _on_the_cpu(table, rows, use, out_of_memory, strict=strict)
        return
    table.ledger.device[_SPLIT] += 1
    middle = table.n_rows // 2
    for rows in (slice(0, middle), slice(middle, table.n_rows)):
        try:
            half = _part(table, rows)
        except MemoryError as error:
            yield _on_the_cpu(table, rows, use, error, strict=strict)
        else:
            yield from within_memory(half, use, strict=strict)


def _part(table: Table, rows: slice) -> Table:
    columns = table.backend.take(table.columns, table.backend.row_numbers(table.n_rows)[rows])
    return replace(table, columns=columns, n_rows=rows.stop - rows.start)


def _on_the_cpu(table: Table, rows: slice, use: Callable[[Table], R], error: MemoryError, *, strict: bool) -> R:
    n_rows = rows.stop - rows.start
    if strict:
        raise MemoryBudgetError(
            f"the GPU has no room for a batch of {n_rows:,} rows: {error}",
            key="run.strict",
            hint="smaller row groups or `run.partition`, fewer workers a GPU, or leave `strict` out: such a batch then runs on the CPU",
        ) from error
    table.ledger.device[_ON_CPU] += 1
    host = open_backend(CPU)
    with table.backend.moving("fallback"):
        arrays = {name: table.backend.to_arrow(column) for name, column in table.columns.items()}
    columns = {name: host.from_arrow(array.slice(rows.start, n_rows)) for name, array in arrays.items()}
    return _back(use(Table(host, columns, n_rows, table.ledger)), table.backend)


def _back(made: R, backend: Backend) -> R:
    """Return a table that the CPU made on the device; anything else as it is."""
    if not isinstance(made, Table):
        return made
    return replace(made, backend=backend, columns={name: backend.from_arrow(made.backend.to_arrow(c)) for name, c in made.columns.items()})


def _with_ledger(made: R, ledger: Ledger) -> R:
    return replace(made, ledger=ledger) if isinstance(made, Table) else made
