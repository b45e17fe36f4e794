"""What a GPU was asked for and the CPU does, known before anything runs; and what becomes of rows that a device has no room for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from headrace.backends import CPU, GPU, open_backend
from headrace.errors import JobError, MemoryBudgetError
from headrace.ledger import Ledger
from headrace.ops import op_name
from headrace.ops.apply import Apply
from headrace.ops.base import Op
from headrace.table import Backend, Table

R = TypeVar("R")

# Rows of a batch that is not split any further: what does not fit then is no matter of rows.
FEWEST_ROWS = 1 << 10
_SPLIT, _ON_CPU = "batches_split_for_memory", "batches_on_the_cpu_for_memory"


def fallbacks(ops: Sequence[Op], device: str) -> tuple[str, ...]:
    """Return the steps of a plan on a GPU that the CPU carries out, each with the reason; none of a plan on the CPU."""
    if device != GPU:
        return ()
    on_the_host = ((index, op) for index, op in enumerate(ops) if isinstance(op, Apply))
    return tuple(f"step {index} ({op_name(op)}): your function is given frames of the host" for index, op in on_the_host)


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
        out_of_memory = str(error)  # not the error: its traceback would keep all that the try has put on the device
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
            half = part(table, rows)
        except MemoryError as error:
            out_of_memory = str(error)
        else:
            yield from within_memory(half, use, strict=strict)
            continue
        yield _on_the_cpu(table, rows, use, out_of_memory, strict=strict)


def whole_within_memory(device: str, n_rows: int, use: Callable[[Backend], R], ledger: Ledger, *, strict: bool) -> R:
    """Return what `use` makes of rows of the host that cannot be split, with a device's verbs; where it has no room, with the CPU's.

    Raises
    ------
    MemoryBudgetError
        With `strict`, if the rows do not fit the device.
    """
    try:
        return use(open_backend(device))
    except MemoryError as error:
        if device == CPU:
            raise
        out_of_memory = str(error)
    _take_over(ledger, f"{n_rows:,} rows of keys that meet in an exchange", "fewer workers a GPU", out_of_memory, strict=strict)
    return use(open_backend(CPU))


def part(table: Table, rows: slice) -> Table:
    """Return consecutive rows of a table."""
    columns = table.backend.take(table.columns, table.backend.row_numbers(table.n_rows)[rows])
    return replace(table, columns=columns, n_rows=rows.stop - rows.start)


def _on_the_cpu(table: Table, rows: slice, use: Callable[[Table], R], out_of_memory: str, *, strict: bool) -> R:
    n_rows = rows.stop - rows.start
    remedy = "smaller row groups or `run.partition`, fewer workers a GPU"
    _take_over(table.ledger, f"a batch of {n_rows:,} rows", remedy, out_of_memory, strict=strict)
    host = open_backend(CPU)
    with table.backend.moving("fallback"):
        arrays = {name: table.backend.to_arrow(column) for name, column in table.columns.items()}
    columns = {name: host.from_arrow(array.slice(rows.start, n_rows)) for name, array in arrays.items()}
    return _back(use(Table(host, columns, n_rows, table.ledger)), table.backend)


def _take_over(ledger: Ledger, what: str, remedy: str, out_of_memory: str, *, strict: bool) -> None:
    """Count a batch that the CPU takes over; raise MemoryBudgetError where it must not."""
    if strict:
        raise MemoryBudgetError(
            f"the GPU has no room for {what}: {out_of_memory}",
            key="run.strict",
            hint=f"{remedy}, or leave `strict` out: such a batch then runs on the CPU",
        )
    ledger.device[_ON_CPU] += 1


def _back(made: R, backend: Backend) -> R:
    """Return a table that the CPU made on the device; anything else as it is."""
    if not isinstance(made, Table):
        return made
    return replace(made, backend=backend, columns={name: backend.from_arrow(made.backend.to_arrow(c)) for name, c in made.columns.items()})


def _with_ledger(made: R, ledger: Ledger) -> R:
    return replace(made, ledger=ledger) if isinstance(made, Table) else made
