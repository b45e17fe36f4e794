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
from numpy.typing import DTypeLike, NDArray

from headrace_kernels.addresses import ROWS, VALUES, array_at, bits_at, places_of
from headrace_kernels.bitmaps import spread_bits
from headrace_kernels.column import Bitmap, Column
from headrace_kernels.compiled import jit
from headrace_kernels.elementary import log, log1p
from headrace_kernels.scalars import like

# first: value              -> nulls and NaN become `first`; counts them
# first, second: bounds     -> values outside become the bound; counts them; NaN stays
# first: unit               -> log(1 + x) / unit; x <= -1 becomes null and is counted
# first, second: plus, unit -> log(x + plus) / unit; x <= -plus becomes null and is counted
# first, second: mean, std  -> (x - mean) / std in float64; counts nothing
FILL, CLIP, LOG1P, LOG, SCALE = range(5)
_BLOCK = 1024
_NO_WEIGHTS = np.empty(0, np.int64)


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
    return run_chains([column], [stages], dtype)[0]


def run_chains(
    columns: Sequence[Column], chains: Sequence[Sequence[Stage]], dtype: DTypeLike, weights: Sequence[NDArray[np.int64] | None] = ()
) -> list[tuple[Column, tuple[int, ...]]]:
    """Take each of many columns of one type through a chain of its own, as `run_stages` does, in one call.

    `weights` say of some columns how many rows each value stands for: so many are counted where it changes.
    """
    given = columns[0].values.dtype
    if given.kind != "f" and given.itemsize > 4:
        raise TypeError(f"{given} does not fit float64, in which stages compute")
    places = places_of(columns)
    work = np.empty(_BLOCK, np.float32 if given == np.float32 else np.float64)
    ends = np.cumsum([len(chain) for chain in chains])
    chain = np.array([stage for chain in chains for stage in chain], np.float64).reshape(-1, 3)
    counts = np.zeros(len(chain), np.int64)
    outs = [np.empty(len(column.values), dtype) for column in columns]
    valids = [np.empty(len(column.values) if _makes_null(stages) else 0, np.uint8) for column, stages in zip(columns, chains, strict=True)]
    of_columns = [_NO_WEIGHTS if one is None else one for one in weights or [None] * len(columns)]
    addresses = [
        (out.ctypes.data, valid.ctypes.data, len(valid), weight.ctypes.data, len(weight))
        for out, valid, weight in zip(outs, valids, of_columns, strict=True)
    ]
    made = np.array(addresses, np.int64)
    _run_columns(places.table, np.empty(0, given), ends, chain, work, made, np.empty(0, dtype), counts)
    changed = np.split(counts, ends[:-1])
    return [_made(*of_column) for of_column in zip(chains, places.kept, outs, valids, changed, strict=True)]


def _makes_null(stages: Sequence[Stage]) -> bool:
    return any(stage.does in (LOG1P, LOG) for stage in stages)


def _made(
    stages: Sequence[Stage], bits: Bitmap, out: NDArray[Any], valid: NDArray[np.uint8], counts: NDArray[np.int64]
) -> tuple[Column, tuple[int, ...]]:
    changed: tuple[int, ...] = tuple(counts.tolist())
    if any(n_rows for stage, n_rows in zip(stages, changed, strict=True) if stage.does in (LOG1P, LOG)):
        return Column(out, np.packbits(valid, bitorder="little")), changed
    return Column(out, bits if len(bits) and all(stage.does != FILL for stage in stages) else None), changed


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
def _weigh_changed(before: Any, valid_before: Any, x: Any, valid: Any, weights: Any, by_value: bool) -> int:
    """Return the weight of what a stage changed: of a logarithm, what it made null."""
    changed = 0
    for i in range(len(weights)):
        another = by_value and valid[i] != 0 and before[i] != x[i] and x[i] == x[i]  # what is NaN now was NaN before
        if another or valid_before[i] != valid[i]:
            changed += weights[i]
    return changed


@jit
def _run_columns(places: Any, like: Any, ends: Any, chain: Any, work: Any, made: Any, made_like: Any, counts: Any) -> None:
    """Run for each column its part of the chain; `made` has the addresses of its new values, of their validity and of its weights, and how many."""
    first = 0
    weight_like = np.empty(0, np.int64)
    for c in range(len(places)):
        values, bits = array_at(places[c, VALUES], places[c, ROWS], like), bits_at(places[c])
        out, valid = array_at(made[c, 0], places[c, ROWS], made_like), array_at(made[c, 1], made[c, 2], bits)
        weights = array_at(made[c, 3], made[c, 4], weight_like)
        _run(values, bits, len(bits) > 0, chain[first : ends[c]], work, out, valid, weights, counts[first : ends[c]])
        first = ends[c]


@jit
def _run(values: Any, bits: Any, has_null: bool, chain: Any, work: Any, out: Any, out_valid: Any, weights: Any, counts: Any) -> None:
    valid = np.ones(_BLOCK, np.uint8)
    before, valid_before = work.copy(), valid.copy()
    for start in range(0, len(values), _BLOCK):
        n_rows = min(_BLOCK, len(values) - start)
        if not has_null:
            valid[:] = 1  # a logarithm may have left nulls of the block before
        else:
            spread_bits(bits, start, n_rows, valid)
        _copy(values[start : start + n_rows], work[:n_rows])
        for stage in range(len(chain)):
            does, first, second = np.int64(chain[stage, 0]), chain[stage, 1], chain[stage, 2]
            if len(weights):
                before[:] = work
                valid_before[:] = valid
            n_changed = 0
            if does == FILL:
                n_changed = _fill(work, valid, n_rows, first)
            elif does == CLIP:
                n_changed = _clip(work, valid, n_rows, first, second)
            elif does == LOG1P:
                n_changed = _without_logarithm(work, valid, n_rows, 1.0)
                _log1p(work, n_rows, first)
            elif does == LOG:
                n_changed = _without_logarithm(work, valid, n_rows, first)
                _log(work, n_rows, first, second)
            else:
                _scale(work, n_rows, first, second)
            if n_changed and len(weights):
                by_value = does in (FILL, CLIP)
                n_changed = _weigh_changed(before, valid_before, work, valid, weights[start : start + n_rows], by_value)
            counts[stage] += n_changed
        _copy(work, out[start : start + n_rows])
        if len(out_valid):
            _copy(valid, out_valid[start : start + n_rows])  # Numba would compile words for shapes that differ (1.5 s)
