"""One value in, one value out: the dense columns' fill, clip, log and standardise in one loop; cyclical features.

>>> steps = DenseSteps(fill=0.0, low=0.0, transform="log1p", mean=1.0, std=2.0)
>>> dense = dense_transform(Column(np.array([np.e - 1, -5.0, 7.0]), np.array([0b011], np.uint8)), steps)
>>> dense.column.values.tolist(), dense.n_filled, dense.n_clipped
([0.0, -0.5, -0.5], 1, 1)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from headrace_kernels.angles import cos_turns, sin_turns
from headrace_kernels.bitmaps import bits_of, spread_bits
from headrace_kernels.column import Column
from headrace_kernels.compiled import jit
from headrace_kernels.elementary import log, log1p
from headrace_kernels.kernel import kernel
from headrace_kernels.scalars import Number, inlined
from headrace_kernels.threads import over_chunks

_BLOCK = 1024


class DenseSteps(NamedTuple):
    """What to do to a numeric column, in this order; each step's default leaves the values as they are.

    Parameters
    ----------
    fill : float, optional
        Value for nulls; None keeps them null.
    low, high : float
        Clip to these bounds.
    transform : {"", "log", "log1p"}
        Function of the clipped value.
    mean, std : float
        Standardise: (x - mean) / std.
    """

    fill: float | None = None
    low: float = -math.inf
    high: float = math.inf
    transform: str = ""
    mean: float = 0.0
    std: float = 1.0


class Dense(NamedTuple):
    """The transformed column, how many nulls were filled, and how many values (fills not counted) were clipped."""

    column: Column
    n_filled: int
    n_clipped: int


@inlined
def unchanged(x: Number) -> Number:
    """Return a value as it is."""
    return x


@inlined
def clipped(x: Number, low: Number, high: Number) -> Number:
    """Return a value taken into [low, high]; NaN stays NaN."""
    x = low if x < low else x
    return high if x > high else x


@inlined
def standardised(x: Number, mean: Number, std: Number) -> Number:
    """Return (x - mean) / std."""
    return (x - mean) / std


@inlined
def is_clipped(x: Number, valid: Number, low: Number, high: Number) -> Number:
    """Return whether a value, and not a fill, lies outside [low, high]."""
    return (valid != 0) & ((x < low) | (x > high))


def dense_function(transform: Callable[[Number], Number]) -> Callable[..., Number]:
    """Return the function of one row: fill, clip, transform, standardise; the CPU's loop and the CUDA kernel call it."""

    def dense_value(x: Number, valid: Number, fill: float, low: float, high: float, mean: float, std: float) -> Number:
        filled = x if valid != 0 else fill
        return standardised(transform(clipped(filled, low, high)), mean, std)

    result: Callable[..., Number] = inlined(dense_value)
    return result


def _dense_loop(transform: Callable[[Number], Number]) -> Callable[..., int]:
    """Return the compiled loop for one transform: fill, clip, transform and standardise a chunk; it returns the number clipped."""
    dense_value = dense_function(transform)

    def loop(values: Any, bits: Any, has_null: bool, fill: float, low: float, high: float, mean: float, std: float, out: Any) -> int:
        valid = np.ones(_BLOCK, np.uint8)
        n_clipped = 0
        for start in range(0, len(values), _BLOCK):
            part, target = values[start : start + _BLOCK], out[start : start + _BLOCK]
            if has_null:
                spread_bits(bits, start, len(part), valid)
            for i in range(len(part)):
                x = np.float64(part[i])
                n_clipped += is_clipped(x, valid[i], low, high)
                target[i] = dense_value(x, valid[i], fill, low, high, mean, std)
        return n_clipped

    return jit(loop)


TRANSFORMS: dict[str, Callable[[Number], Number]] = {"": unchanged, "log": log, "log1p": log1p}
_LOOPS: dict[str, Callable[..., int]] = {}


def dense_constants(steps: DenseSteps) -> tuple[float, float, float, float, float]:
    """Return fill, low, high, mean and std as the loops take them; raise ValueError where the steps are wrong."""
    if steps.transform not in TRANSFORMS:
        raise ValueError(f"no transform {steps.transform!r}; transforms: {', '.join(filter(None, TRANSFORMS))}")
    if not steps.std > 0:
        raise ValueError(f"std is {steps.std}: a constant column has no standard deviation to divide by")
    fill = 0.0 if steps.fill is None else float(steps.fill)
    return fill, float(steps.low), float(steps.high), float(steps.mean), float(steps.std)


def dense_transform(column: Column, steps: DenseSteps, dtype: DTypeLike = np.float64, threads: int = 1) -> Dense:
    """Fill, clip, transform and standardise a column in one loop.

    Formula: (transform(min(max(x or fill, low), high)) - mean) / std, computed in float64, then rounded to `dtype`.

    Parameters
    ----------
    column : Column
        Integers, truth values or floats; int64 beyond 2**53 is rounded.
    steps : DenseSteps
        What to do.
    dtype : dtype
        float64 or float32.
    threads : int
        Threads to use; the result does not depend on it.

    Returns
    -------
    Dense
        The new column without nulls if they are filled, with the same ones otherwise; the counts.

    Nulls and NaN: NaN stays NaN and is neither filled nor clipped.

    Raises
    ------
    ValueError
        An unknown transform, or a std of 0 or NaN.
    """
    constants = dense_constants(steps)
    if steps.transform not in _LOOPS:
        _LOOPS[steps.transform] = _dense_loop(TRANSFORMS[steps.transform])
    loop = _LOOPS[steps.transform]
    values = column.values.view(np.uint8) if column.values.dtype == np.bool_ else column.values
    bits, has_null = bits_of(column)
    out = np.empty(len(values), dtype)

    def compute(start: int, stop: int) -> int:
        return loop(values[start:stop], bits[start // 8 :], has_null, *constants, out[start:stop])

    n_clipped = sum(over_chunks(compute, len(values), threads))
    if steps.fill is None or not has_null:
        return Dense(Column(out, column.validity, column.offset), 0, n_clipped)
    n_filled = len(values) - int(np.bitwise_count(bits).sum(dtype=np.int64))
    return Dense(Column(out), n_filled, n_clipped)


@kernel(outputs={"sin": "float32", "cos": "float32"})
def cyclical(value: Number, period: Number = 1.0) -> tuple[Number, Number]:
    """Sine and cosine of a value that comes round after `period`: sin and cos of 2 pi value / period.

    Hours with period 24, months with 12, degrees with 360. A null gives nulls; NaN and infinite give NaN.
    """
    turns = value / np.float64(period)
    return sin_turns(turns), cos_turns(turns)
