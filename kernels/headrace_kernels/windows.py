"""Look back within sorted groups: the value some rows ago, the sum over a window of time.

Rows come sorted by group and time, `starts` as in `segments`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace_kernels.column import Column, is_valid
from headrace_kernels.compiled import jit
from headrace_kernels.scalars import inlined
from headrace_kernels.segments import CHUNK_GROUPS, Starts, check_starts
from headrace_kernels.threads import over_chunks


def lag(column: Column, starts: Starts, n: int = 1) -> Column:
    """Return the value `n` rows earlier in the same group (later, if `n` is negative).

    Parameters
    ----------
    column : Column
        Values of any type, sorted by group and time.
    starts : ndarray of int64
        First row of each group, and the number of rows.
    n : int
        Rows to look back.

    Returns
    -------
    Column
        Of the same type; null where the group has no such row, or that row is null.

    Examples
    --------
    >>> lagged = lag(Column(np.array([1, 2, 3, 9])), np.array([0, 3, 4]))
    >>> lagged.values[is_valid(lagged)].tolist(), is_valid(lagged).tolist()
    ([1, 2], [False, True, True, False])
    """
    n_rows = len(column.values)
    check_starts(starts, n_rows)
    source = np.empty(n_rows, np.int64)
    _lag_rows(starts, n, source)
    inside = source >= 0
    rows = np.where(inside, source, 0)
    if n_rows == 0:
        return column
    return Column(column.values[rows], np.packbits(inside & is_valid(column)[rows], bitorder="little"))


def rolling_sum(value: Column, seconds: Column, starts: Starts, window: float, threads: int = 1) -> Column:
    """Return the sum of the values of the last `window` seconds in the group: rows of times in (t - window, t], up to the row itself.

    Rows of the same time count in their order. What leaves the window leaves no rounding behind: sums are kept in twice float64's
    precision (T. J. Dekker, *A floating-point technique for extending the available precision*, Numer. Math. 18, 1971).

    Parameters
    ----------
    value, seconds : Column
        Numbers, sorted by group and time.
    starts : ndarray of int64
        First row of each group, and the number of rows.
    window : float
        Seconds, above 0.
    threads : int
        Threads to use.

    Returns
    -------
    Column of float64
        Null where the row's value or time is null; such rows count for no other.

    Nulls and NaN: NaN and infinities count as long as they are in the window, and leave with their row.

    Raises
    ------
    ValueError
        A window that is not above 0, or starts that do not rise from 0 to the number of rows.

    Examples
    --------
    >>> rolling_sum(Column(np.array([1.0, 2.0, 4.0])), Column(np.array([0, 5, 12])), np.array([0, 3]), window=10).values.tolist()
    [1.0, 3.0, 6.0]
    """
    n_rows = len(value.values)
    check_starts(starts, n_rows)
    if not window > 0:
        raise ValueError(f"window must be above 0 seconds: {window}")
    valid = is_valid(value) & is_valid(seconds)
    out = np.zeros(n_rows)

    def compute(first: int, last: int) -> None:
        _rolling_sum(value.values, seconds.values, valid, starts, float(window), out, first, last)

    over_chunks(compute, len(starts) - 1, threads, CHUNK_GROUPS)
    return Column(out, None if valid.all() else np.packbits(valid, bitorder="little"))


@jit
def _lag_rows(starts: Any, n: int, source: Any) -> None:
    for group in range(len(starts) - 1):
        for i in range(starts[group], starts[group + 1]):
            row = i - n
            source[i] = row if starts[group] <= row < starts[group + 1] else -1


@inlined
def _add_twice_precise(high: float, low: float, x: float) -> tuple[float, float]:
    total = high + x
    part = total - high
    low += (high - (total - part)) + (x - part)
    rounded = total + low
    return rounded, low - (rounded - total)


@inlined
def _kind(x: float) -> int:
    """0 for a finite number, 1 for NaN, 2 and 3 for the infinities."""
    if abs(x) < np.inf:
        return 0
    if x != x:
        return 1
    return 2 if x > 0 else 3


@jit
def _rolling_sum(values: Any, seconds: Any, valid: Any, starts: Any, window: float, out: Any, first: int, last: int) -> None:
    for group in range(first, last):
        high, low, oldest = 0.0, 0.0, starts[group]
        kinds = np.zeros(4, np.int64)
        for i in range(starts[group], starts[group + 1]):
            if not valid[i]:
                continue
            while oldest < i and (not valid[oldest] or seconds[i] - seconds[oldest] >= window):
                x = np.float64(values[oldest])
                if valid[oldest]:
                    kinds[_kind(x)] -= 1
                    if abs(x) < np.inf:
                        high, low = _add_twice_precise(high, low, -x)
                oldest += 1
            x = np.float64(values[i])
            kinds[_kind(x)] += 1
            if abs(x) < np.inf:
                high, low = _add_twice_precise(high, low, x)
            if kinds[1] > 0 or (kinds[2] > 0 and kinds[3] > 0):
                out[i] = np.nan
            elif kinds[2] + kinds[3] > 0:
                out[i] = np.inf if kinds[2] > 0 else -np.inf
            else:
                out[i] = high + low if kinds[0] > 0 else 0.0
