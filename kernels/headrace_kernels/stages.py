"""A chain of steps on one column in one loop: fill, clip, logarithm, standardise, each counting what it changed.

A block of values is loaded once, goes through all stages while it lies in the first-level cache, and is stored once. Each
stage is a loop of its own over the block, so it vectorises; the chain is data, so no chain is compiled anew.

>>> stages = [Stage(FILL, 0.0), Stage(CLIP, 0.0, 10.0), Stage(LOG1P, 1.0)]
>>> column, changed = run_stages(Column(np.array([-1.0, 7.0, 0.0]), np.array([0b101], np.uint8)), stages, np.float64)
>>> column.values.tolist(), changed
([0.0, 0.0, 0.0], (1, 1, 0))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from headrace_kernels.bitmaps import bits_of, spread_bits
from headrace_kernels.column import Column
from headrace_kernels.compiled import jit
from headrace_kernels.elementary import like, log, log1p

# first: value              -> nulls and NaN become `first`; counts them
# first, second: bounds     -> values outside become the bound; counts them; NaN stays
# first: unit               -> log(1 + x) / unit; x <= -1 becomes null and is counted
# first, second: plus, unit -> log(x + plus) / unit; x <= -plus becomes null and is counted
# first, second: mean, std  -> (x - mean) / std in float64; counts nothing
FILL, CLIP, LOG1P, LOG, SCALE = range(5)
_BLOCK = 1024


class Stage(NamedTuple):
    """One step of a chain: what it does (`FILL`, `CLIP`, `LOG1P`, `LOG`, `SCALE`) and its two constants."""

    does: int
    first: float = 0.0
    second: float = math.inf


def run_stages(column: Column, stages: Sequence[Stage], dtype: DTypeLike) -> tuple[Column, tuple[int, ...]]:
    """Take a column through all stages in one loop.

    The arithmetic is float64, or float32 for a float32 column (its logarithms are single precision ones); `SCALE` computes in
    float64 for both. The result is rounded to `dtype` once, at the end.

    Parameters
    ----------
    column : Column
        float32, float64, or integers of at most 32 bits (float64 does not hold all wider ones).
    stages : sequence of Stage
    dtype : dtype
        Of the result.

    Returns
    -------
    tuple of Column and of int
        The new column, and for each stage how many rows it filled, clipped, or found to have no logarithm.

    Raises
    ------
    TypeError
        For integers of 64 bits.
    """
    values = column.values
    if values.dtype.kind != "f" and values.dtype.itemsize > 4:
        raise TypeError(f"{values.dtype} does not fit float64, in which stages compute")
    bits, has_null = bits_of(column)
    work = np.empty(_BLOCK, np.float32 if values.dtype == np.float32 else np.float64)
    chain = np.array(stages, np.float64).reshape(-1, 3)
    counts = np.zeros(len(stages), np.int64)
    out = np.empty(len(values), dtype)
    does = {stage.does for stage in stages}
    makes_null = LOG1P in does or LOG in does
    valid = np.empty(len(values) if makes_null else 0, np.uint8)
    _run(values, bits, has_null, chain, work, out, valid, counts)
    changed: tuple[int, ...] = tuple(counts.tolist())
    if makes_null and any(n_rows for stage, n_rows in zip(stages, changed, strict=True) if stage.does in (LOG1P, LOG)):
        return Column(out, np.packbits(valid, bitorder="little")), changed
    return Column(out, bits if has_null and FILL not in does else None), changed


@jit
def _copy(values: Any, out: Any) -> None:
    for i in range(len(out)):  # over slices: a place that is added up may be negative, and stops the loop from vectorising
        out[i] = values[i]


@jit
def _fill(x: Any, valid: Any, n_rows: int, value: float) -> int:
    fill = like(value, x[0])
    changed = 0
    for i in range(n_rows):
        missing = (valid[i] == 0) | (x[i] != x[i])
        x[i] = fill if missing else x[i]
        changed += missing
        valid[i] = 1
    return changed


@jit
def _clip(x: Any, valid: Any, n_rows: int, low_bound: float, high_bound: float) -> int:
    low, high = like(low_bound, x[0]), like(high_bound, x[0])
    changed = 0
    for i in range(n_rows):
        value = x[i]
        changed += (valid[i] != 0) & ((value < low) | (value > high))
        raised = low if value < low else value
        x[i] = high if raised > high else raised
    return changed


@jit
def _without_logarithm(x: Any, valid: Any, n_rows: int, plus: float) -> int:
    """Make null, and count, what has no logarithm; NaN is none of these."""
    border = -like(plus, x[0])
    changed = 0
    for i in range(n_rows):
        wrong = (valid[i] != 0) & (x[i] <= border)
        changed += wrong
        valid[i] = 0 if wrong else valid[i]
        x[i] = like(1.0, x[i]) if x[i] <= border else x[i]  # whatever stands under a null, it has a logarithm
    return changed


@jit
def _log1p(x: Any, n_rows: int, unit_value: float) -> None:
    unit = like(unit_value, x[0])
    for i in range(n_rows):
        x[i] = log1p(x[i]) / unit


@jit
def _log(x: Any, n_rows: int, plus_value: float, unit_value: float) -> None:
    plus, unit = like(plus_value, x[0]), like(unit_value, x[0])
    for i in range(n_rows):
        x[i] = log(x[i] + plus) / unit


@jit
def _scale(x: Any, n_rows: int, mean: float, std: float) -> None:
    for i in range(n_rows):
        x[i] = (np.float64(x[i]) - mean) / std


@jit
def _run(values: Any, bits: Any, has_null: bool, chain: Any, work: Any, out: Any, out_valid: Any, counts: Any) -> None:
    valid = np.ones(_BLOCK, np.uint8)
    for start in range(0, len(values), _BLOCK):
        n_rows = min(_BLOCK, len(values) - start)
        if not has_null:
            valid[:] = 1  # a logarithm may have left nulls of the block before
        else:
            spread_bits(bits, start, n_rows, valid)
        _copy(values[start : start + n_rows], work[:n_rows])
        for stage in range(len(chain)):
            does, first, second = np.int64(chain[stage, 0]), chain[stage, 1], chain[stage, 2]
            if does == FILL:
                counts[stage] += _fill(work, valid, n_rows, first)
            elif does == CLIP:
                counts[stage] += _clip(work, valid, n_rows, first, second)
            elif does == LOG1P:
                counts[stage] += _without_logarithm(work, valid, n_rows, 1.0)
                _log1p(work, n_rows, first)
            elif does == LOG:
                counts[stage] += _without_logarithm(work, valid, n_rows, first)
                _log(work, n_rows, first, second)
            else:
                _scale(work, n_rows, first, second)
        _copy(work, out[start : start + n_rows])
        if len(out_valid):
            out_valid[start : start + n_rows] = valid[:n_rows]
