"""Statistics of the recent past within sorted groups on a GPU: what `rolling.rolling` does on a CPU, with the same bits.

Nothing but powers of two is multiplied on the way, so the compiler for CUDA, which contracts a * b + c, rounds as the CPU's does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from headrace_kernels.cuda import DeviceArray, compiled, device_array_of, grid, with_blocks
from headrace_kernels.rolling import Rolling, roll_group


def rolling(
    values: DeviceArray,
    counted: DeviceArray,
    times: DeviceArray,
    timed: DeviceArray,
    starts: DeviceArray,
    window: float,
    *,
    include_current: bool = True,
) -> Rolling:
    """Return statistics of the rows of times in (t - window, t] that come before a row in its group, and of the row itself.

    Parameters
    ----------
    values : array of float64, float32 or any integer
        Sorted by group and time.
    counted : array of truth values
        Which values take part: not those of nulls, NaN and infinities.
    times : array of integers or floats
    timed : array of truth values
        Which rows have a time; those without stand last in their group.
    starts : array of int64, length n_groups + 1
        First row of each group, and the number of rows.
    window : float
        Its length in the times' units, above 0.
    include_current : bool
        False leaves the row itself out.

    Returns
    -------
    Rolling
        Of arrays on the device.

    Raises
    ------
    ValueError
        A window that is not above 0.
    """
    if not window > 0:
        raise ValueError(f"window must be above 0: {window}")
    values, counted, times, timed, starts = (device_array_of(array) for array in (values, counted, times, timed, starts))
    n_rows, n_groups = len(values), len(starts) - 1
    dtypes = (np.dtype(np.int64), np.dtype(np.float64), values.dtype, values.dtype)
    found = Rolling(*(cuda.device_array(n_rows, dtype) for dtype in dtypes))
    queues = (cuda.device_array(n_rows, np.int64), cuda.device_array(n_rows, np.int64))
    if n_groups:
        with_blocks(compiled(roll), grid(n_groups))(values, counted, times, timed, starts, float(window), include_current, *found, *queues)
    return found


def roll(
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
    low_rows: Any,
    high_rows: Any,
) -> None:
    """One thread a group; its queues are where its rows are."""
    group = cuda.grid(1)
    if group < len(starts) - 1:
        start, end = starts[group], starts[group + 1]
        roll_group(values, counted, times, timed, start, end, window, include, counts, sums, lows, highs, low_rows, high_rows, start)
