"""Find the last row at or before a time, by binary search within sorted groups.

>>> times, starts = np.array([1, 5, 9, 4]), np.array([0, 3, 4])
>>> last_at_or_before(times, starts, np.array([0, 0, 1, 1, -1]), np.array([5, 8, 3, 7, 7])).tolist()
[1, 1, -1, 3, -1]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.segments import elapsed
from headrace_kernels.threads import over_chunks


def last_at_or_before(
    times: NDArray[Any],
    starts: NDArray[np.int64],
    groups: NDArray[Any],
    wanted: NDArray[Any],
    *,
    tolerance: float = np.inf,
    allow_exact: bool = True,
    threads: int = 1,
) -> NDArray[np.int64]:
    """Return for each time wanted the last row of its group that is not after it, -1 where there is none.

    Parameters
    ----------
    times : ndarray of integers or floats
        Sorted by group and time, no NaN.
    starts : ndarray of int64, length n_groups + 1
        First row of each group, and the number of rows.
    groups : ndarray of integers
        The group of each time wanted; negative for none.
    wanted : ndarray
        Of the same type as `times`.
    tolerance : float
        A row further back than this, in the times' units, is none.
    allow_exact : bool
        False takes rows before the time wanted only.
    threads : int
        Threads to use.
    """
    rows = np.empty(len(wanted), np.int64)
    over_chunks(lambda first, last: _search(times, starts, groups, wanted, tolerance, allow_exact, rows, first, last), len(wanted), threads)
    return rows


@jit
def _search(
    times: Any, starts: Any, groups: Any, wanted: Any, tolerance: float, allow_exact: bool, rows: Any, first: int, last: int
) -> None:
    for i in range(first, last):
        rows[i] = -1
        group = groups[i]
        if group < 0:
            continue
        low, high = starts[group], starts[group + 1]
        while low < high:  # rows before `low` are not after the time, rows from `high` on are
            middle = (low + high) // 2
            if times[middle] < wanted[i] or (allow_exact and times[middle] == wanted[i]):
                low = middle + 1
            else:
                high = middle
        if low > starts[group] and elapsed(wanted[i], times[low - 1]) <= tolerance:
            rows[i] = low - 1
