"""Statistics of the recent past within sorted groups: counts, sums and extremes of a window of time, sums that decay.

Rows come sorted by group and time, `starts` as in `segments`. Every row with a time gets a result, whether it has a value or not:
what it says is about the rows before it, and about the row itself if it is to be included. Nulls, NaN and infinities among the values
take no part. Sums take integers as the nearest float64.

>>> values, times = Column(np.array([1.0, 2.0, 4.0])), Column(np.array([0, 5, 12]))
>>> past = rolling(values, times, np.array([0, 3]), window=10)
>>> past.counts.tolist(), past.sums.tolist(), past.highs.tolist()
([1, 2, 2], [1.0, 3.0, 6.0], [1.0, 2.0, 4.0])
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Column, is_valid
from headrace_kernels.compiled import jit
from headrace_kernels.scalars import inlined
from headrace_kernels.segments import CHUNK_GROUPS, Starts, check_starts, decayed_sum, decayed_sum_before, elapsed
from headrace_kernels.threads import over_chunks
from headrace_kernels.windows import _add_twice_precise


class Rolling(NamedTuple):
    """What `rolling` found for each row; where the count is 0, so are the others, and where there is no time, all are."""

    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    lows: NDArray[Any]
    highs: NDArray[Any]


def rolling(values: Column, times: Column, starts: Starts, window: float, *, include_current: bool = True, threads: int = 1) -> Rolling:
    """Return statistics of the rows of times in (t - window, t] that come before a row in its group, and of the row itself.

    Sums are kept in twice float64's precision, so what leaves the window leaves no rounding behind (T. J. Dekker, *A floating-point
    technique for extending the available precision*, Numer. Math. 18, 1971); extremes in a monotone queue (D. Lemire, *Streaming
    maximum-minimum filter using no more than three comparisons per element*, Nordic Journal of Computing 13, 2006).

    Parameters
    ----------
    values : Column
        float64, float32, any integer, or truth values, sorted by group and time.
    times : Column
        Integers or floats.
    starts : ndarray of int64, length n_groups + 1
        First row of each group, and the number of rows.
    window : float
        Its length in the times' units, above 0.
    include_current : bool
        False leaves the row itself out.
    threads : int
        Threads to use, a group never cut.

    Raises
    ------
    ValueError
        A window that is not above 0, or starts that do not rise from 0 to the number of rows.
    """
    check_starts(starts, len(times.values))
    if not window > 0:
        raise ValueError(f"window must be above 0: {window}")
    numbers, counted = _counted(values)
    timed = is_valid(times)
    n_rows = len(timed)
    found = Rolling(np.empty(n_rows, np.int64), np.empty(n_rows), np.empty(n_rows, numbers.dtype), np.empty(n_rows, numbers.dtype))
    arguments = (numbers, counted, times.values, timed, starts, float(window), include_current)
    over_chunks(lambda first, last: _roll(*arguments, *found, first, last), len(starts) - 1, threads, CHUNK_GROUPS)
    return found


def decayed_past(
    values: Column, times: Column, starts: Starts, half_life: float, *, include_current: bool = True, threads: int = 1
) -> NDArray[np.float64]:
    """Return the sum of a group's values so far, each halved for every `half_life` that has passed since.

    Formula: sum of value * 2**(-(t - t_value) / half_life), over the rows before, and the row itself if it is to be included. 0 before
    the first value. Parameters and errors as for `rolling`.

    >>> decayed_past(Column(np.array([8.0, 1.0])), Column(np.array([0, 20])), np.array([0, 2]), half_life=10).tolist()
    [8.0, 3.0]
    """
    check_starts(starts, len(times.values))
    if not half_life > 0:
        raise ValueError(f"half_life must be above 0: {half_life}")
    numbers, counted = _counted(values)
    added = Column(np.where(counted, numbers, numbers.dtype.type(0)), times.validity, times.offset)
    scan = decayed_sum if include_current else decayed_sum_before
    return scan.launch([added, times], starts, {"half_life": float(half_life)}, threads).values


def _counted(values: Column) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return numbers, and which of them take part."""
    numbers = values.values.view(np.uint8) if values.values.dtype == np.bool_ else values.values
    valid = is_valid(values)
    return numbers, valid & np.isfinite(numbers) if numbers.dtype.kind == "f" else valid


@jit
def _longest(starts: Any, first: int, last: int) -> int:
    longest = 0
    for group in range(first, last):
        longest = max(longest, starts[group + 1] - starts[group])
    return longest


@inlined
def _large_sum_of(values: Any, counted: Any, first: int, last: int) -> tuple[float, float]:
    """Add up values with room above: none is so small that it would be lost below."""
    total, rest = 0.0, 0.0
    for i in range(first, last):
        if counted[i]:
            total, rest = _add_twice_precise(total, rest, np.float64(values[i]) * 2.0**-64)
    return total * 2.0**64, rest * 2.0**64


@inlined
def roll_group(
    values: Any,
    counted: Any,
    times: Any,
    timed: Any,
    start: int,
    end: int,
    window: float,
    include: bool,
    counts: Any,
    sums: Any,
    lows: Any,
    highs: Any,
    low_rows: Any,
    high_rows: Any,
    first_place: int,
) -> None:
    """Write what `rolling` says of each row of one group; a CPU's loop and a thread of a GPU call it.

    From `first_place` on, `low_rows` and `high_rows` have room for a place a row. They are rows that may yet be the lowest (the highest) of
    a window: their values rise (fall) from the head of the queue to its end.
    """
    oldest, n, total, rest = start, 0, 0.0, 0.0
    low_head, low_end, high_head, high_end = first_place, first_place, first_place, first_place
    for i in range(start, end):
        counts[i], sums[i], lows[i], highs[i] = 0, 0.0, 0, 0
        if not timed[i]:
            continue
        while oldest < i and (not timed[oldest] or elapsed(times[i], times[oldest]) >= window):
            if timed[oldest] and counted[oldest]:
                n -= 1
                total, rest = _add_twice_precise(total, rest, -np.float64(values[oldest]))
            oldest += 1
        if n == 0:
            total, rest = 0.0, 0.0
        while low_head < low_end and low_rows[low_head] < oldest:
            low_head += 1
        while high_head < high_end and high_rows[high_head] < oldest:
            high_head += 1
        for turn in range(2):
            if (turn == 1) == include:
                if not abs(total) < np.inf:  # it went beyond float64 on its way; that may not hold for the end, nor for later rows
                    total, rest = _large_sum_of(values, counted, oldest, i + turn)
                counts[i], sums[i] = n, total + rest
                if n:
                    lows[i], highs[i] = values[low_rows[low_head]], values[high_rows[high_head]]
            if turn == 0 and counted[i]:
                n += 1
                total, rest = _add_twice_precise(total, rest, np.float64(values[i]))
                while low_end > low_head and values[low_rows[low_end - 1]] >= values[i]:
                    low_end -= 1
                low_rows[low_end] = i
                low_end += 1
                while high_end > high_head and values[high_rows[high_end - 1]] <= values[i]:
                    high_end -= 1
                high_rows[high_end] = i
                high_end += 1


@jit
def _roll(
    values: Any,
    counted: Any,
    times: Any,
    timed: Any,
    starts: Any,
    window: float,
    include: bool,
    counts: Any,
    sums: Any,
    lows: Any,
    highs: Any,
    first: int,
    last: int,
) -> None:
    size = _longest(starts, first, last)
    low_rows, high_rows = np.empty(size, np.int64), np.empty(size, np.int64)
    for group in range(first, last):
        start, end = starts[group], starts[group + 1]
        roll_group(values, counted, times, timed, start, end, window, include, counts, sums, lows, highs, low_rows, high_rows, 0)
