"""Exact sums on the device: the same limbs as `headrace_kernels` makes of the same values on a CPU.

A value is an integer times a power of two. It is cut into pieces of 32 bits, each added to its limb as an integer, so neither
the order of the additions nor the number of threads can change a bit. Carries wait until the limbs are on the host, where the
kernels' own normal form ends the sum: equal sums are then equal bits, whichever device they come from.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cupy
import numpy as np

from headrace.backends.cudf.column import Column, Rows
from headrace.backends.cudf.transfers import STATE, to_host
from headrace.backends.cudf.values import as_float64, numbers
from headrace.group_stats import ColumnStats, column_stats
from headrace.schema import Type
from headrace.states import MAX_BINS, Ints, Moments, Quantiles
from headrace_kernels.group_stats import GroupStats
from headrace_kernels.group_sums import GroupSums, _normal_form, no_sums
from headrace_kernels.limbs import LIMB_BITS, SQUARES_LIMBS, SQUARES_UNIT, TOTAL_LIMBS, TOTAL_UNIT, normalise

_MASK = np.int64(0xFFFFFFFF)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_FRACTION = np.int64(0xFFFFFFFFFFFFF)
_ALL_BUT_SIGN = np.int64(0x7FFFFFFFFFFFFFFF)


class Piece(NamedTuple):
    """Integers (int64), each times 2**exponent (int64 of rows, or one for all)."""

    amount: Rows
    exponent: Rows


class Kept(NamedTuple):
    """The values of a column that take part in a sum, the group of each (None: there is one), and what the others are."""

    values: Rows
    groups: Rows | None
    nulls: int
    nans: int
    positive: int
    negative: int


def moments(column: Column) -> Moments:
    """Return count, extremes and exact sums of a number or boolean column."""
    kept = _kept(column, None)
    n = len(kept.values)
    low = high = None
    if n:
        low, high = (end.item() for end in (kept.values.min(), kept.values.max()))
        if kept.values.dtype.kind == "f":
            low, high = low + 0.0, high + 0.0
    total = _sum_of_all(_pieces(kept.values), TOTAL_UNIT, TOTAL_LIMBS)
    squares = _sum_of_all(_square_pieces(kept.values), SQUARES_UNIT, SQUARES_LIMBS)
    return Moments(n, kept.nulls, kept.nans, kept.positive + kept.negative, low, high, total, squares)


def total(values: Rows) -> Ints:
    """Return the exact sum of floats, of which NaN and infinities take no part: a sixth of the work of all `moments`."""
    wide = as_float64(values)
    return _sum_of_all(_pieces(wide[cupy.isfinite(wide)]), TOTAL_UNIT, TOTAL_LIMBS)


def group_sums(column: Column, groups: Rows, n_groups: int) -> GroupSums:
    """Return the exact sum and the number of the finite values of each group; rows of a negative group are left out."""
    kept = _kept(column, groups)
    assert kept.groups is not None  # noqa: S101  (groups were given)
    return _sum_by_group(_pieces(kept.values), kept.groups, n_groups)


def group_stats(column: Column, groups: Rows, n_groups: int, type_: Type, *, squared: bool) -> ColumnStats:
    """Return count, exact sums of values and, if they are asked for, of squares, and extremes of each group."""
    kept = _kept(column, groups)
    assert kept.groups is not None  # noqa: S101  (groups were given)
    sums = _sum_by_group(_pieces(kept.values), kept.groups, n_groups)
    squares = _sum_by_group(_square_pieces(kept.values), kept.groups, n_groups) if squared else no_sums(n_groups)
    lows, highs = _extremes(kept.values, kept.groups, n_groups)
    return column_stats(GroupStats(sums, squares, lows, highs), type_)


def quantiles(values: Rows) -> Quantiles:
    """Return the counts of floats by bins; NaN is left out."""
    wide = as_float64(values[~cupy.isnan(values)]) + 0.0
    bins, counts = cupy.unique(_turned(wide.view(np.int64)), return_counts=True)
    precision = 52
    while len(bins) > MAX_BINS:  # neighbours share a bin from here on, as `Quantiles.within` has it
        precision -= 1
        starts = bins & (np.int64(-1) << np.int64(52 - precision))
        bins, inverse = cupy.unique(starts, return_inverse=True)
        counts = cupy.bincount(inverse, counts.astype(np.float64), len(bins)).astype(np.int64)
    return Quantiles(precision, to_host(bins, STATE), to_host(counts.astype(np.int64), STATE))


def _kept(column: Column, groups: Rows | None) -> Kept:
    plain = numbers(column)
    values, valid = plain.values, plain.valid
    if values.dtype.kind == "f":
        values = as_float64(values)
    chosen = cupy.ones(len(values), bool) if valid is None else valid
    nulls = len(values) - int(cupy.count_nonzero(chosen))
    nans = positive = negative = 0
    if values.dtype.kind == "f":
        nans = int(cupy.count_nonzero(cupy.isnan(values) & chosen))
        positive = int(cupy.count_nonzero((values == np.inf) & chosen))
        negative = int(cupy.count_nonzero((values == -np.inf) & chosen))
        chosen = chosen & cupy.isfinite(values)
    if groups is not None:
        chosen = chosen & (groups >= 0)
    rows = cupy.flatnonzero(chosen)
    return Kept(values[rows], None if groups is None else groups[rows].astype(np.int64), nulls, nans, positive, negative)


def _mantissas(values: Rows) -> tuple[Rows, Rows]:
    """Return finite floats as integers (int64) and their powers of two, of a 0 that of the largest: by its own, sums would have 36 limbs."""
    bits = values.view(np.int64)
    biased = (bits >> np.int64(52)) & np.int64(0x7FF)
    mantissa = (bits & _FRACTION) | ((biased > 0).astype(np.int64) << np.int64(52))
    exponent = cupy.maximum(biased, 1) - 1075
    if len(values):
        exponent = cupy.where(mantissa == 0, exponent.max(), exponent)
    return cupy.where(bits < 0, -mantissa, mantissa), exponent


def _pieces(values: Rows) -> list[Piece]:
    if values.dtype.kind == "f":
        return [Piece(*_mantissas(values))]
    zero = cupy.zeros(len(values), np.int64)
    if values.dtype == np.uint64:
        return [Piece((values & _LOW_HALF).astype(np.int64), zero), Piece((values >> np.uint64(32)).astype(np.int64), zero + LIMB_BITS)]
    return [Piece(values.astype(np.int64), zero)]


def _square_pieces(values: Rows) -> list[Piece]:
    """Return the squares of values by the halves of each number: (high * 2**32 + low)**2."""
    if values.dtype.kind == "f":
        integers, exponent = _mantissas(values)
    else:
        integers = values.view(np.int64) if values.dtype == np.uint64 else values.astype(np.int64)
        exponent = cupy.zeros(len(values), np.int64)
    size = integers.view(np.uint64)
    if values.dtype != np.uint64:
        size = cupy.where(integers < 0, np.uint64(0) - size, size)
    high, low = size >> np.uint64(32), size & _LOW_HALF
    pieces = []
    for product, place in ((low * low, 0), (high * low, 33), (high * high, 64)):
        pieces.append(Piece((product & _LOW_HALF).astype(np.int64), 2 * exponent + place))
        pieces.append(Piece((product >> np.uint64(32)).astype(np.int64), 2 * exponent + (place + 32)))
    return pieces


def _deposits(piece: Piece, base: int) -> list[tuple[Rows, Rows]]:
    """Return what is added to which limb, counted from 2**base: `headrace_kernels.limbs.deposit` of all rows at once."""
    position = piece.exponent - base
    limb, shift = position >> np.int64(5), position & np.int64(31)
    low = (piece.amount & _MASK) << shift
    high = (piece.amount >> np.int64(32)) << shift
    upper = low.view(np.uint64) >> np.uint64(32)
    return [(limb, low & _MASK), (limb + 1, upper.view(np.int64) + (high & _MASK)), (limb + 2, high >> np.int64(32))]


def _sum_of_all(pieces: list[Piece], unit: int, n_limbs: int) -> Ints:
    """Return the sum of all pieces in units of 2**-unit, in normal form: limb by limb, each a sum of integers."""
    limbs = np.zeros(n_limbs, np.int64)
    for piece in pieces:
        if not len(piece.amount):
            continue
        for places, amounts in _deposits(piece, -unit):
            first, last = int(places.min()), int(places.max())
            for place in range(first, last + 1):
                limbs[place] += int(cupy.where(places == place, amounts, np.int64(0)).sum())
        normalise(limbs)
    return limbs


def _sum_by_group(pieces: list[Piece], groups: Rows, n_groups: int) -> GroupSums:
    counts = to_host(cupy.bincount(groups, minlength=n_groups).astype(np.int64), STATE)
    ends = [(int(piece.exponent.min()), int(piece.exponent.max())) for piece in pieces if len(piece.amount)]
    base = min((low for low, _ in ends), default=0) // LIMB_BITS * LIMB_BITS
    n_limbs = (max((high for _, high in ends), default=0) + 64 - base) // LIMB_BITS + 3
    limbs = cupy.zeros(n_groups * n_limbs, np.int64)
    for piece in pieces:
        for places, amounts in _deposits(piece, base):
            cupy.add.at(limbs, groups * n_limbs + places, amounts)
    return _normal_form(to_host(limbs, STATE).reshape(n_groups, n_limbs), base, counts)


def _extremes(values: Rows, groups: Rows, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest value of each group; where there is none, the type's greatest and least. Never -0.0."""
    dtype = values.dtype
    # Types that atomic extremes exist for, wide enough for all. Of doubles there are none: CuPy has them by way of float32.
    wide = np.dtype(np.uint64) if dtype == np.uint64 else np.dtype(np.int64)
    if dtype.kind == "f":
        values = _turned(values.view(np.int64))
        lowest, highest = _turned(np.array([-np.inf, np.inf]).view(np.int64))
    else:
        lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
    lows, highs = cupy.full(n_groups, wide.type(highest), wide), cupy.full(n_groups, wide.type(lowest), wide)
    cupy.minimum.at(lows, groups, values.astype(wide))
    cupy.maximum.at(highs, groups, values.astype(wide))
    low, high = (to_host(ends, STATE) for ends in (lows, highs))
    if dtype.kind == "f":
        return _turned(low).view(dtype) + 0.0, _turned(high).view(dtype) + 0.0
    return low.astype(dtype), high.astype(dtype)


def _turned(bits: Any) -> Any:
    """Return the bits of float64 as integers in the order of the numbers; and the other way round."""
    return bits ^ ((bits >> np.int64(63)) & _ALL_BUT_SIGN)
