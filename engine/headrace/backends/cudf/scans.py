"""Scans over sorted groups on the device, a thread a group: the same functions as on a CPU, and the same rows take part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import cupy
import pyarrow as pa

from headrace.backends.cudf.column import Column, Plain, Rows, is_valid
from headrace.backends.cudf.values import as_float64, numbers

Constants = Mapping[str, Any]


def scan(name: str, columns: Sequence[Column], starts: Rows, constants: Constants) -> tuple[Column, ...]:
    """Return what a scan of `headrace_kernels.scans` makes of columns, sorted by group and time."""
    return _SCANS[name]([numbers(column) for column in columns], starts, constants)


def _rolling(columns: Sequence[Plain], starts: Rows, constants: Constants) -> tuple[Column, ...]:
    from headrace_kernels.cuda_rolling import rolling

    values, (times, timed) = columns[0], _timed(columns[1])
    made = rolling(values.values, _counted(values), times, timed, starts, **constants)
    counts, *others = (cupy.asarray(array) for array in made)
    sums, lows, highs = others
    return _column(counts, timed), _column(sums, timed), _column(lows, counts > 0), _column(highs, counts > 0)


def _decayed_past(columns: Sequence[Plain], starts: Rows, constants: Constants) -> tuple[Column, ...]:
    values, (times, timed) = columns[0], _timed(columns[1])
    added = cupy.where(_counted(values), _wide(values.values), 0)
    name = "decayed_sum" if constants["include_current"] else "decayed_sum_before"
    return (_column(_launch(name, [added, times], starts, timed, {"half_life": constants["half_life"]}), timed),)


def _session_id(columns: Sequence[Plain], starts: Rows, constants: Constants) -> tuple[Column, ...]:
    times, timed = _timed(columns[0])
    return (_column(_launch("session_id", [times], starts, timed, constants), timed),)


def _since_last(columns: Sequence[Plain], starts: Rows, constants: Constants) -> tuple[Column, ...]:
    times, timed = _timed(columns[0])
    since = _launch("seconds_since", [times], starts, timed, constants)
    return (_column(since, timed & ~cupy.isnan(since)),)


def _launch(name: str, inputs: Sequence[Rows], starts: Rows, valid: Rows, constants: Constants) -> Rows:
    return cupy.asarray(_on_device(name).launch(list(inputs), starts, valid, constants))


@cache
def _on_device(name: str) -> Any:
    from headrace_kernels import segments
    from headrace_kernels.cuda import on_device

    return on_device(getattr(segments, name))


def _timed(times: Plain) -> tuple[Rows, Rows]:
    """Return times, and which rows have one: NaN is none."""
    values, valid = _wide(times.values), is_valid(times)
    return values, valid & ~cupy.isnan(values) if values.dtype.kind == "f" else valid


def _counted(values: Plain) -> Rows:
    """Return which values take part: nulls, NaN and infinities do not."""
    return is_valid(values) & cupy.isfinite(values.values) if values.values.dtype.kind == "f" else is_valid(values)


def _wide(values: Rows) -> Rows:
    return as_float64(values) if values.dtype.kind == "f" else values


def _column(values: Rows, valid: Rows) -> Plain:
    return Plain(values, None if bool(valid.all()) else valid, pa.from_numpy_dtype(values.dtype))


_SCANS: Mapping[str, Callable[[Sequence[Plain], Rows, Constants], tuple[Column, ...]]] = {
    "decayed_past": _decayed_past,
    "rolling": _rolling,
    "session_id": _session_id,
    "since_last": _since_last,
}
