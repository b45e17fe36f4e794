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
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Column, is_valid, merged_validity
from headrace_kernels.compiled import jit
from headrace_kernels.elementary import Number, exp2
from headrace_kernels.kernel import row_of
from headrace_kernels.threads import over_chunks

Scalar = Callable[..., Any]
Starts = NDArray[np.int64]
CHUNK_GROUPS = 1 << 12


class SegmentKernel:
    """A scan over sorted groups; made by `segment_kernel`.

    Parameters
    ----------
    function : callable
        `function(state, *inputs, **constants) -> (output, state)`; parameters with a default are constants.
    output : str
        NumPy type of the output.
    start : tuple of int or float
        The state at each group's first row; later states have the same types.
    """

    def __init__(self, function: Scalar, output: str, start: tuple[float, ...]) -> None:
        _, *parameters = inspect.signature(function).parameters.values()
        self.name = function.__name__
        self.reference = function
        self.inputs = tuple(p.name for p in parameters if p.default is p.empty)
        self.constants: Mapping[str, float] = MappingProxyType({p.name: p.default for p in parameters if p.default is not p.empty})
        self.output = np.dtype(output)
        self.start = start
        self.__doc__ = function.__doc__
        self._loop: Scalar | None = None

    def __repr__(self) -> str:
        return f"SegmentKernel({self.name}: {', '.join(self.inputs)} -> {self.output})"

    def launch(self, columns: Sequence[Column], starts: Starts, constants: Mapping[str, float] | None = None, threads: int = 1) -> Column:
        """Compute the output of all rows.

        Parameters
        ----------
        columns : sequence of Column
            One for each of `inputs`, sorted by group and time.
        starts : ndarray of int64, length n_groups + 1
            First row of each group, and the number of rows.
        constants : mapping of str to number, optional
            Values that replace defaults.
        threads : int
            Threads to use, a group never cut; the result does not depend on it.

        Raises
        ------
        TypeError
            Another number of columns than inputs, or an unknown constant.
        ValueError
            Columns of different lengths, or starts that do not rise from 0 to the number of rows.
        """
        n_rows, values = self.check(columns, starts), self.constant_values(constants)
        inputs = tuple(column.values for column in columns)
        validity = merged_validity(columns, n_rows)
        has_null = validity is not None
        valid = is_valid(Column(np.empty(n_rows, np.uint8), validity)) if has_null else np.ones(1, np.bool_)
        out = np.zeros(n_rows, self.output)
        if self._loop is None:
            self._loop = _scan_of(jit(self.reference, inline=True), self.start)
        loop = self._loop
        over_chunks(
            lambda first, last: loop(inputs, values, valid, has_null, starts, out, first, last), len(starts) - 1, threads, CHUNK_GROUPS
        )
        return Column(out, validity)

    def plain(self, columns: Sequence[Column], starts: Starts, constants: Mapping[str, float] | None = None) -> Column:
        """Compute the same in plain Python: the reference."""
        n_rows, values = self.check(columns, starts), self.constant_values(constants)
        validity = merged_validity(columns, n_rows)
        valid = is_valid(Column(np.empty(n_rows, np.uint8), validity))
        out = np.zeros(n_rows, self.output)
        for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            state: Any = self.start
            for i in range(first, last):
                if valid[i]:
                    out[i], state = self.reference(state, *(column.values[i].item() for column in columns), *values)
        return Column(out, validity)

    def check(self, columns: Sequence[Column], starts: Starts) -> int:
        """Return the number of rows; raise if the columns do not fit the inputs or the starts."""
        if len(columns) != len(self.inputs):
            raise TypeError(f"scan {self.name!r} takes {len(self.inputs)} columns ({', '.join(self.inputs)}), {len(columns)} given")
        n_rows = len(columns[0].values)
        if any(len(column.values) != n_rows for column in columns):
            raise ValueError(f"scan {self.name!r}: columns of different lengths {sorted({len(c.values) for c in columns})}")
        check_starts(starts, n_rows)
        return n_rows

    def constant_values(self, constants: Mapping[str, float] | None) -> tuple[float, ...]:
        """Return the constants in order, defaults filled in."""
        unknown = sorted(set(constants or {}) - set(self.constants))
        if unknown:
            raise TypeError(f"scan {self.name!r} has no constant {unknown[0]!r}; constants: {', '.join(self.constants) or 'none'}")
        return tuple({**self.constants, **(constants or {})}.values())


def segment_kernel(output: str, start: tuple[float, ...]) -> Callable[[Scalar], SegmentKernel]:
    """Make a scan over sorted groups of the decorated scalar function; see `SegmentKernel`."""
    return lambda function: SegmentKernel(function, output, start)


def check_starts(starts: Starts, n_rows: int) -> None:
    """Raise ValueError unless `starts` rises from 0 to `n_rows`."""
    if len(starts) == 0 or starts[0] != 0 or starts[-1] != n_rows or (starts[1:] < starts[:-1]).any():
        raise ValueError(f"group starts must rise from 0 to the number of rows, {n_rows}: {starts[:20].tolist()}")


def group_starts(groups: NDArray[Any]) -> Starts:
    """Return the first row of each run of equal values, and the number of rows.

    >>> group_starts(np.array([4, 4, 9])).tolist()
    [0, 2, 3]
    """
    changes = np.flatnonzero(groups[1:] != groups[:-1]) + 1
    head = [0] if len(groups) else []
    return np.concatenate([head, changes, [len(groups)]]).astype(np.int64)


def group_function(scalar: Scalar, start: tuple[float, ...]) -> Scalar:
    """Return the function that scans one group, for `scalar` compiled for whichever device; the CPU's loop and CUDA kernels call it."""

    def scan_group(inputs: Any, constants: Any, valid: Any, has_null: bool, starts: Any, out: Any, group: int) -> None:
        state = start
        for i in range(starts[group], starts[group + 1]):
            if not has_null or valid[i]:
                out[i], state = scalar(state, *(row_of(inputs, i) + constants))

    return scan_group


def _scan_of(scalar: Scalar, start: tuple[float, ...]) -> Scalar:
    """Return the compiled scan of groups `first` to `last`, the scalar function inlined by LLVM."""
    scan_group = jit(group_function(scalar, start), inline=True)

    def scan(inputs: Any, constants: Any, valid: Any, has_null: bool, starts: Any, out: Any, first: int, last: int) -> None:
        for group in range(first, last):
            scan_group(inputs, constants, valid, has_null, starts, out, group)

    return jit(scan)


@segment_kernel(output="float64", start=(0.0, -math.inf))
def decayed_sum(state: Any, value: Number, seconds: Number, half_life: Number = 86400.0) -> Any:
    """Sum of the values so far, each halved every `half_life` seconds since: total * 2**(-(t - t_last) / half_life) + value."""
    total = state[0] * exp2((state[1] - seconds) / half_life) + value
    return total, (total, float(seconds))


@segment_kernel(output="int64", start=(-1, -math.inf))
def session_id(state: Any, seconds: Number, gap: Number = 1800.0) -> Any:
    """Number of the session within its group, from 0: a row more than `gap` seconds after the last one begins a new one."""
    session = state[0] + (1 if seconds - state[1] > gap else 0)
    return session, (session, float(seconds))


@segment_kernel(output="float64", start=(math.nan,))
def seconds_since(state: Any, seconds: Number) -> Any:
    """Seconds since the row before in the group; NaN at a group's first."""
    return seconds - state[0], (float(seconds),)


@segment_kernel(output="int64", start=(0,))
def row_in_group(state: Any, value: Number) -> Any:
    """Number of the row within its group, from 0, of those that have a value."""
    return state[0], (state[0] + 1,)
