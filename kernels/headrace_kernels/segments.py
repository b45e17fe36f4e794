"""Scans over sorted groups: a scalar function that carries a state from row to row and begins anew at each group.

>>> @segment_kernel(output="float64", start=(0.0,))
... def running_total(state, value, weight=1.0):
...     total = state[0] + value * weight
...     return total, (total,)
>>> starts = np.array([0, 2, 3])
>>> running_total.launch([Column(np.array([1.0, 2.0, 5.0]))], starts).values.tolist()
[1.0, 3.0, 5.0]
>>> running_total.plain([Column(np.array([1.0, 2.0, 5.0]))], starts).values.tolist()
[1.0, 3.0, 5.0]

Rows come sorted by group and, within it, by time; `starts` has the first row of each group and, at its end, the number of rows. A row
with a null in any input is null in the output and leaves the state alone.

What a row and the one before it say by themselves, as what is left of a sum after the time between them, need not wait for the state: a
function `between` of both is computed for a block of rows at a time, in a loop that LLVM vectorises (decayed sums: 5 ns a row, not 13).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Column, is_valid, merged_validity
from headrace_kernels.compiled import jit
from headrace_kernels.elementary import exp2
from headrace_kernels.kernel import row_of
from headrace_kernels.numba_names import overload, types
from headrace_kernels.scalars import Number, fma, inlined
from headrace_kernels.signature import Scalar, Signature, number_type
from headrace_kernels.threads import over_chunks, over_items

Starts = NDArray[np.int64]
CHUNK_GROUPS = 1 << 12
_BLOCK = 1024
# Rows in which a thread looks for groups at a time: what it finds stays in its cache.
_CHANGE_ROWS = 1 << 17


class SegmentKernel(Signature):
    """A scan over sorted groups; made by `segment_kernel`.

    Parameters
    ----------
    function : callable
        `function(state, *inputs, **constants) -> (output, state)`; parameters with a default are constants.
    output : str
        NumPy type of the output.
    start : tuple of int or float
        The state at each group's first row; later states have the same types.
    between : callable, optional
        `between(*inputs of the row before, *inputs, *constants) -> number`, where the row before is the last without a null in its group;
        a group's first row is given itself. `function` gets the number after its state.
    """

    kind = "scan"

    def __init__(self, function: Scalar, output: str, start: tuple[float, ...], between: Scalar | None = None) -> None:
        super().__init__(function, n_before=1 if between is None else 2)
        self.output = number_type(output, self._told)
        self.start = start
        self.between = between
        self._loop: Scalar | None = None

    @property
    def _made_of(self) -> tuple[Any, ...]:
        return self.reference, self.output.name, self.start, self.between

    def __repr__(self) -> str:
        return f"SegmentKernel({self.name}: {', '.join(self.inputs)} -> {self.output})"

    def launch(self, columns: Sequence[Column], starts: Starts, constants: Mapping[str, float] | None = None, threads: int = 1) -> Column:
        """Compute the output of all rows.

        Parameters
        ----------
        columns : sequence of Column
            One for each of `inputs`, sorted by group and time: integers, float32, float64 or truth values.
        starts : ndarray of int64, length n_groups + 1
            First row of each group, and the number of rows: what `group_starts` returns.
        constants : mapping of str to number, optional
            Values that replace defaults.
        threads : int
            Threads to use, a group never cut; the result does not depend on it.

        Raises
        ------
        TypeError
            Another number of columns than inputs, one that is no Column of numbers, an unknown constant, or a function that cannot be
            compiled for the columns' types.
        ValueError
            Columns of different lengths, a bitmap with fewer bits than rows, or starts that do not rise from 0 to the number of rows.
        """
        n_rows, values = self.check_columns(columns), self.constant_values(constants)
        check_starts(starts, n_rows)
        inputs = tuple(column.values for column in columns)
        validity = merged_validity(columns, n_rows)
        has_null = validity is not None
        valid = is_valid(Column(np.empty(n_rows, np.uint8), validity)) if has_null else np.ones(1, np.bool_)
        out = np.zeros(n_rows, self.output) if has_null else np.empty(n_rows, self.output)
        if self._loop is None:
            self._loop = _scan_of(self)
        loop = self._loop
        with self.compiling([values.dtype for values in inputs]):
            over_chunks(
                lambda first, last: loop(inputs, values, valid, has_null, starts, out, first, last), len(starts) - 1, threads, CHUNK_GROUPS
            )
        return Column(out, validity)

    def plain(self, columns: Sequence[Column], starts: Starts, constants: Mapping[str, float] | None = None) -> Column:
        """Compute the same in plain Python: the reference."""
        n_rows, values = self.check_columns(columns), self.constant_values(constants)
        check_starts(starts, n_rows)
        validity = merged_validity(columns, n_rows)
        valid = is_valid(Column(np.empty(n_rows, np.uint8), validity))
        out = np.zeros(n_rows, self.output)
        for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            state: Any = self.start
            before: tuple[Any, ...] | None = None
            for i in np.flatnonzero(valid[first:last]) + first:
                row = tuple(column.values[i].item() for column in columns)
                known = () if self.between is None else (self.between(*(before or row), *row, *values),)
                out[i], state = self.reference(state, *known, *row, *values)
                before = row
        return Column(out, validity)


def segment_kernel(output: str, start: tuple[float, ...], between: Scalar | None = None) -> Callable[[Scalar], SegmentKernel]:
    """Make a scan over sorted groups of the decorated scalar function; see `SegmentKernel`."""
    return lambda function: SegmentKernel(function, output, start, between)


def check_starts(starts: Starts, n_rows: int) -> None:
    """Raise ValueError unless `starts` rises from 0 to `n_rows`, TypeError if it holds no integers."""
    if not isinstance(starts, np.ndarray) or starts.dtype.kind not in "iu":
        raise TypeError(f"group starts are an array of integers, as group_starts returns them, not {starts!r}")
    if len(starts) == 0 or starts[0] != 0 or starts[-1] != n_rows or (starts[1:] < starts[:-1]).any():
        raise ValueError(f"group starts must rise from 0 to the number of rows, {n_rows}: {starts[:20].tolist()}")


def group_starts(groups: NDArray[Any], threads: int = 1) -> Starts:
    """Return the first row of each run of equal values, and the number of rows.

    >>> group_starts(np.array([4, 4, 9])).tolist()
    [0, 2, 3]
    """
    if groups.dtype.kind not in "iuf":
        changes = [np.flatnonzero(groups[1:] != groups[:-1]) + 1]
    else:
        firsts = range(0, len(groups), _CHANGE_ROWS)
        changes = over_items(
            lambda first: _changes_in(groups[max(first - 1, 0) : first + _CHANGE_ROWS], max(first - 1, 0)), firsts, threads
        )
    head = [0] if len(groups) else []
    return np.concatenate([head, *changes, [len(groups)]]).astype(np.int64)


def _changes_in(groups: NDArray[Any], first_row: int) -> Starts:
    found = np.empty(len(groups), np.int64)
    return found[: _find_changes(groups, first_row, found)].copy()


@jit
def _find_changes(groups: Any, first_row: int, found: Any) -> int:
    """Write the rows that differ from the one before; without a branch, so that a processor need not guess."""
    n = 0
    for i in range(1, len(groups)):
        found[n] = first_row + i
        n += groups[i] != groups[i - 1]
    return n


def group_function(scalar: Scalar, start: tuple[float, ...], between: Scalar | None = None) -> Scalar:
    """Return the function that scans one group, for functions compiled for whichever device; the CPU's loop and CUDA kernels call it."""

    def scan_group(inputs: Any, constants: Any, valid: Any, has_null: bool, starts: Any, out: Any, group: int) -> None:
        state = start
        for i in range(starts[group], starts[group + 1]):
            if not has_null or valid[i]:
                out[i], state = scalar(state, *(row_of(inputs, i) + constants))

    if between is None:
        return scan_group
    pair = between

    def scan_group_in_pairs(inputs: Any, constants: Any, valid: Any, has_null: bool, starts: Any, out: Any, group: int) -> None:
        state, before = start, -1
        for i in range(starts[group], starts[group + 1]):
            if not has_null or valid[i]:
                before = i if before < 0 else before
                known = pair(*(row_of(inputs, before) + row_of(inputs, i) + constants))
                out[i], state = scalar(state, known, *(row_of(inputs, i) + constants))
                before = i

    return scan_group_in_pairs


def _scan_of(kernel: SegmentKernel) -> Scalar:
    """Return the compiled scan of groups `first` to `last`, the scalar functions inlined by LLVM."""
    scalar = jit(kernel.reference, inline=True)
    between = None if kernel.between is None else jit(kernel.between, inline=True)
    scan_group = jit(group_function(scalar, kernel.start, between), inline=True)

    def scan(inputs: Any, constants: Any, valid: Any, has_null: bool, starts: Any, out: Any, first: int, last: int) -> None:
        for group in range(first, last):
            scan_group(inputs, constants, valid, has_null, starts, out, group)

    return jit(scan) if between is None else _scan_in_blocks(scalar, between, kernel.start, jit(scan))


def _scan_in_blocks(scalar: Scalar, between: Scalar, start: tuple[float, ...], by_group: Scalar) -> Scalar:
    """Return the compiled scan that computes `between` for a block of rows, whatever their groups, and then goes through their states.

    That needs the row before to be the one that stands before: where there are nulls, groups are gone through one by one.
    """

    def scan(inputs: Any, constants: Any, valid: Any, has_null: bool, starts: Any, out: Any, first: int, last: int) -> None:
        if has_null:
            by_group(inputs, constants, valid, has_null, starts, out, first, last)
            return
        known = np.empty(_BLOCK)
        state, group, end = start, first, starts[last]
        for block in range(starts[first], end, _BLOCK):
            stop = min(block + _BLOCK, end)
            head = 1 if block == starts[first] else 0  # the first row of all has none before it
            earlier, rows, target = slice_of(inputs, block + head - 1, stop - 1), slice_of(inputs, block + head, stop), known[head:]
            for i in range(stop - block - head):
                target[i] = between(*(row_of(earlier, i) + row_of(rows, i) + constants))
            while group < last and starts[group] < stop:
                if starts[group] >= block:
                    state, i = start, starts[group]
                    known[i - block] = between(*(row_of(inputs, i) + row_of(inputs, i) + constants))
                for i in range(max(starts[group], block), min(starts[group + 1], stop)):
                    out[i], state = scalar(state, known[i - block], *(row_of(inputs, i) + constants))
                if starts[group + 1] > stop:
                    break
                group += 1

    return jit(scan)


def slice_of(columns: tuple[NDArray[Any], ...], start: int, stop: int) -> tuple[NDArray[Any], ...]:
    """Return rows `start` to `stop` of several arrays."""
    return tuple(column[start:stop] for column in columns)


@overload(slice_of, strict=False)
def _compile_slice_of(columns: Any, start: Any, stop: Any) -> Any:
    if len(columns) == 0:
        return lambda columns, start, stop: ()
    return lambda columns, start, stop: (columns[0][start:stop], *slice_of(columns[1:], start, stop))


def elapsed(later: Any, earlier: Any) -> float:
    """Return later - earlier as a float, exact before it is rounded once, also between the ends of int64.

    >>> elapsed(2**63 - 1, -(2**63)) == 2.0**64
    True
    """
    if isinstance(later, int | np.integer):
        return float(int(later) - int(earlier))
    return float(later) - float(earlier)


@overload(elapsed, strict=False)
def _compile_elapsed(later: Any, earlier: Any) -> Any:
    if isinstance(later, types.Integer):  # times do not fall, so the difference is what 64 bits without a sign say
        return lambda later, earlier: np.float64(np.uint64(np.int64(later)) - np.uint64(np.int64(earlier)))
    return lambda later, earlier: np.float64(later) - np.float64(earlier)


@inlined
def share_left(value_before: Number, seconds_before: Number, value: Number, seconds: Number, half_life: Number) -> Number:
    """Return what is left of a sum after the time between two rows: 2**(-(t - t_before) / half_life)."""
    return exp2(-elapsed(seconds, seconds_before) / half_life)


@segment_kernel(output="float64", start=(0.0,), between=share_left)
def decayed_sum(state: Any, left: Number, value: Number, seconds: Number, half_life: Number = 86400.0) -> Any:
    """Sum of the values so far, each halved every `half_life` seconds since: total * 2**(-(t - t_last) / half_life) + value."""
    total = fma(state[0], left, value)
    return total, (total,)


@segment_kernel(output="float64", start=(0.0,), between=share_left)
def decayed_sum_before(state: Any, left: Number, value: Number, seconds: Number, half_life: Number = 86400.0) -> Any:
    """What `decayed_sum` is just before a row's own value is added."""
    return state[0] * left, (fma(state[0], left, value),)


@inlined
def is_parted(seconds_before: Number, seconds: Number, gap: Number) -> Number:
    """Return 1 where more than `gap` seconds lie between two rows, else 0."""
    return 1.0 if elapsed(seconds, seconds_before) > gap else 0.0


@segment_kernel(output="int64", start=(-1,), between=is_parted)
def session_id(state: Any, parted: Number, seconds: Number, gap: Number = 1800.0) -> Any:
    """Number of the session within its group, from 0: a row more than `gap` seconds after the last one begins a new one."""
    session = state[0] + (1 if parted > 0.0 or state[0] < 0 else 0)
    return session, (session,)


@inlined
def time_between(seconds_before: Number, seconds: Number) -> Number:
    """Return the time between two rows."""
    return elapsed(seconds, seconds_before)


@segment_kernel(output="float64", start=(math.nan,), between=time_between)
def seconds_since(state: Any, since: Number, seconds: Number) -> Any:
    """Seconds since the row before in the group; NaN at a group's first."""
    return since + state[0], (0.0,)


@segment_kernel(output="int64", start=(0,))
def row_in_group(state: Any, value: Number) -> Any:
    """Number of the row within its group, from 0, of those that have a value."""
    return state[0], (state[0] + 1,)
