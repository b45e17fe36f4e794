"""A chain of steps on one column: fill, clip, logarithm, standardise, in the precision of the CPU's one loop.

The formulas, and which rows count as changed, are those of `headrace_kernels.stages`: the arithmetic is float64 (float32 for a
float32 column) from the first stage to the last, and the result is rounded once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.cudf.column import Column, Plain, Rows, both
from headrace.backends.cudf.kernels import launch
from headrace.backends.cudf.values import as_float64, comparable
from headrace.schema import FLOAT32
from headrace.table import Stage

# Values, where they are valid (None: everywhere), and how many rows a stage changed.
Staged = tuple[Rows, Rows | None, int]


def run_stages(column: Column, stages: Sequence[Stage]) -> tuple[Column, tuple[int, ...]] | None:
    """Take a column through stages; return it and how many rows each changed. None for what float64 does not hold."""
    after = stages[-1].type
    if not isinstance(column, Plain) or column.values.dtype.kind not in "fiu" or not _holds(column, after.arrow):
        return None
    values = column.values.astype(np.float32 if column.values.dtype == np.float32 else np.float64)
    valid, counts = column.valid, []
    for stage in stages:
        values, valid, n_changed = _STAGES[stage.does](values, valid, stage)
        counts.append(n_changed)
    return Plain(values.astype(after.arrow.to_pandas_dtype()), valid, after.arrow), tuple(counts)


def _holds(column: Plain, after: pa.DataType) -> bool:
    if pa.types.is_temporal(column.type) or column.values.dtype == np.float16:
        return False
    if column.values.dtype == np.float32:
        return bool(after == FLOAT32.arrow)
    return bool(column.values.dtype == np.float64 or column.values.dtype.itemsize <= 4)


def _fill(values: Rows, valid: Rows | None, stage: Stage) -> Staged:
    missing = cupy.isnan(values) if valid is None else ~valid | cupy.isnan(values)
    return cupy.where(missing, values.dtype.type(stage.first), values), None, int(cupy.count_nonzero(missing))


def _clip(values: Rows, valid: Rows | None, stage: Stage) -> Staged:
    low, high = values.dtype.type(stage.first), values.dtype.type(stage.second)
    compared = comparable(values)
    under, over = compared < low, compared > high
    n_changed = int(cupy.count_nonzero(under | over if valid is None else (under | over) & valid))
    return cupy.where(under, low, cupy.where(over, high, values)), valid, n_changed


def _logarithm(plus: float, values: Rows, valid: Rows | None) -> Staged:
    """Return values that all have a logarithm, null where they had none; NaN is none of these."""
    none = comparable(values) <= -values.dtype.type(plus)
    n_changed = int(cupy.count_nonzero(none if valid is None else none & valid))
    return cupy.where(none, values.dtype.type(1), values), both(valid, ~none) if n_changed else valid, n_changed


def _log1p(values: Rows, valid: Rows | None, stage: Stage) -> Staged:
    positive, kept, n_changed = _logarithm(1.0, values, valid)
    return launch("log_plus_one", [positive], {"unit": stage.first})[0], kept, n_changed


def _log(values: Rows, valid: Rows | None, stage: Stage) -> Staged:
    positive, kept, n_changed = _logarithm(stage.first, values, valid)
    return launch("log_plus", [positive], {"plus": stage.first, "unit": stage.second})[0], kept, n_changed


def _scale(values: Rows, valid: Rows | None, stage: Stage) -> Staged:
    return ((as_float64(values) - stage.first) / stage.second).astype(values.dtype), valid, 0


_STAGES: dict[str, Callable[[Rows, Rows | None, Stage], Staged]] = {
    "FILL": _fill,
    "CLIP": _clip,
    "LOG1P": _log1p,
    "LOG": _log,
    "SCALE": _scale,
}
