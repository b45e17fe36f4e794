"""Functions given by a sorted list of points: the bucket that a number falls into, and straight lines between points.

The lists are constants of the launch (float64 arrays); a lookup is a binary search, about log2(points) steps a value.
"""

from __future__ import annotations

import math

import numpy as np

from headrace_kernels.kernel import kernel
from headrace_kernels.scalars import Number, inlined

_NONE = np.zeros(0)


@kernel(output="int32")
def bucketize(x: Number, edges: Number = _NONE) -> Number:
    """Return how many of the sorted `edges` are at most x: bucket i holds edges[i - 1] <= x < edges[i]. NaN gives -1."""
    return -1 if x != x else _count_at_most(x, edges)


@kernel(output="float32")
def interpolate_float32(x: Number, xs: Number = _NONE, ys: Number = _NONE) -> Number:
    """Return y at x on the straight lines between the points (xs, ys), rounded to float32; see `interpolate_float64`."""
    return _interpolated(x, xs, ys)


@kernel(output="float64")
def interpolate_float64(x: Number, xs: Number = _NONE, ys: Number = _NONE) -> Number:
    """Return y at x on the straight lines between the points (xs, ys); the first or last y outside of them.

    `xs` is strictly ascending and not empty. NaN stays NaN; an infinity gets the last y of its side.
    """
    return _interpolated(x, xs, ys)


@inlined
def _count_at_most(x: Number, sorted_values: Number) -> Number:
    # No branch depends on x, so none is guessed wrongly: 42 ns a value became 12 with three edges.
    first, left = 0, len(sorted_values)
    while left > 0:
        half = (left + 1) >> 1
        first += half if sorted_values[first + half - 1] <= x else 0
        left -= half
    return first


@inlined
def _interpolated(x: Number, xs: Number, ys: Number) -> Number:
    if x != x:
        return math.nan
    above = _count_at_most(x, xs)
    if above == 0:
        return ys[0]
    if above == len(xs):
        return ys[above - 1]
    low, high = xs[above - 1], xs[above]
    # Of halves where the distance of two large numbers of unlike sign is beyond float64; the half of the smallest number is 0.
    scale = 0.5 if high - low == math.inf else 1.0
    share = (scale * x - scale * low) / (scale * high - scale * low)
    return ys[above - 1] + share * (ys[above] - ys[above - 1])
