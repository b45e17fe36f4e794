"""Scans over sorted groups by their names: columns in, columns out, whatever the kernel behind them.

>>> scan = get_scan("session_id")
>>> (sessions,) = scan([Column(np.array([0, 10, 99, 5]))], np.array([0, 3, 4]), {"gap": 30})
>>> sessions.values.tolist()
[0, 0, 1, 0]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Column, is_valid
from headrace_kernels.rolling import decayed_past, rolling
from headrace_kernels.segments import Starts, seconds_since, session_id

Scan = Callable[[Sequence[Column], Starts, Mapping[str, Any]], tuple[Column, ...]]


def get_scan(name: str) -> Scan:
    """Return a scan; raise KeyError if there is none of this name. A time of NaN is a null.

    | name | columns | constants | makes |
    |---|---|---|---|
    | ``rolling`` | values, times | window, include_current | counts, sums, lows, highs |
    | ``decayed_past`` | values, times | half_life, include_current | sums |
    | ``session_id`` | times | gap | sessions |
    | ``since_last`` | times | | time since the row before, null at a group's first |
    """
    return _SCANS[name]


def _rolling(columns: Sequence[Column], starts: Starts, constants: Mapping[str, Any]) -> tuple[Column, ...]:
    values, times = columns[0], _timed(columns[1])
    found = rolling(values, times, starts, **constants)
    timed, filled = is_valid(times), found.counts > 0
    return _column(found.counts, timed), _column(found.sums, timed), _column(found.lows, filled), _column(found.highs, filled)


def _decayed_past(columns: Sequence[Column], starts: Starts, constants: Mapping[str, Any]) -> tuple[Column, ...]:
    values, times = columns[0], _timed(columns[1])
    return (_column(decayed_past(values, times, starts, **constants), is_valid(times)),)


def _session_id(columns: Sequence[Column], starts: Starts, constants: Mapping[str, Any]) -> tuple[Column, ...]:
    return (session_id.launch([_timed(columns[0])], starts, constants),)


def _since_last(columns: Sequence[Column], starts: Starts, constants: Mapping[str, Any]) -> tuple[Column, ...]:
    found = seconds_since.launch([_timed(columns[0])], starts, constants)
    return (_column(found.values, is_valid(found) & ~np.isnan(found.values)),)


def _timed(times: Column) -> Column:
    """Return times with NaN as null."""
    if times.values.dtype.kind != "f":
        return times
    return _column(times.values, is_valid(times) & ~np.isnan(times.values))


def _column(values: NDArray[Any], valid: NDArray[np.bool_]) -> Column:
    return Column(values, None if valid.all() else np.packbits(valid, bitorder="little"))


_SCANS: Mapping[str, Scan] = {
    "decayed_past": _decayed_past,
    "rolling": _rolling,
    "session_id": _session_id,
    "since_last": _since_last,
}
