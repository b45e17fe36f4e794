"""Count, extremes, exact sum and exact sum of squares of a column, in one pass at memory speed.

How: a block of 512 values is cut into three or four layers, each a multiple of one power of two of at most 22 bits, by adding and taking
away a large constant (x + c) - c. Sums of 512 layers, and of 512 products of two layers, stay below 2**53: floating-point arithmetic is
exact and LLVM may vectorise it. Each block's few sums are then added to wide integers (see `limbs`). A block whose values span more
than four layers (88 bits) or lie near the ends of float64's range goes value by value instead, with integer arithmetic.

Sources: S. M. Rump, T. Ogita, S. Oishi, *Accurate floating-point summation*, SIAM J. Sci. Comput. 31 (2008), section 3 (ExtractVector);
R. M. Neal, arXiv:1505.05571, 2015.

>>> moments = exact_moments(Column(np.array([1e300, 1.0, -1e300, np.nan])))
>>> moments.n, moments.n_nan, mean_and_variance(moments.n, moments.total, moments.squares)[0]
(3, 1, 0.3333333333333333)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.addresses import ROWS, VALUES, Places, array_at, bits_at, places_of
from headrace_kernels.bitmaps import spread_bits
from headrace_kernels.column import Column
from headrace_kernels.compiled import jit
from headrace_kernels.limbs import (
    SQUARES_LIMBS,
    SQUARES_UNIT,
    TOTAL_LIMBS,
    TOTAL_UNIT,
    Limbs,
    deposit,
    limbs_to_int,
    mean_and_variance,
    merge_limbs,
    normalise,
)
from headrace_kernels.scalars import Number, from_bits, inlined, to_bits

__all__ = [
    "ExactMoments",
    "exact_moments",
    "exact_moments_of_counts",
    "limbs_to_int",
    "mean_and_variance",
    "merge_limbs",
    "merge_moments",
]

_BLOCK = 512
_LAYER_BITS = 22  # 2 * 22 bits a product and 512 = 2**9 of them: at most 2**53
_LAYERS = 4
_LAYER_MASK = (1 << _LAYER_BITS) - 1
_HIGHEST, _LOWEST = 500, -400  # exponents within which layers' products neither overflow nor lose bits
_BLOCKS_TO_CARRY = 1 << 16  # a block makes at most 2**11 deposits of less than 2**33: limbs stay below 2**60
_VALUES_TO_CARRY = 1 << 20  # a value makes at most 14 deposits of less than 2**33: limbs stay below 2**57
_LARGEST = float(np.finfo(np.float64).max)
_KEY_HIGHEST, _KEY_LOWEST = (1 << 63) - 1, -(1 << 63)


class ExactMoments(NamedTuple):
    """What `exact_moments` found; merge two with `merge_moments`.

    `n` counts the finite values; only they enter `low`, `high`, `total` and `squares`. `low` and `high` are None if there is none, ints
    for integer columns, never -0.0. `total` and `squares` are limbs in normal form.
    """

    n: int
    n_null: int
    n_nan: int
    n_posinf: int
    n_neginf: int
    low: int | float | None
    high: int | float | None
    total: Limbs
    squares: Limbs


def exact_moments(column: Column) -> ExactMoments:
    """Return count, extremes, exact sum and exact sum of squares of a column.

    Parameters
    ----------
    column : Column
        float64, float32, any integer, or truth values.

    Returns
    -------
    ExactMoments
        The same for any order of the rows; merged parts of a column equal the whole column's, bit for bit.

    Nulls and NaN: counted and left out, as are infinities.
    """
    return exact_moments_of([column])[0]


def exact_moments_of(columns: Sequence[Column]) -> list[ExactMoments]:
    """Return the `exact_moments` of each of many columns; those of one type take one call, however few rows they have."""
    by_type: dict[str, list[int]] = {}
    for index, column in enumerate(columns):
        by_type.setdefault(column.values.dtype.char, []).append(index)
    found: dict[int, ExactMoments] = {}
    for type_, indices in by_type.items():
        dtype = np.dtype(np.uint8 if type_ == "?" else type_)
        of_type = _moments_of(places_of([columns[index] for index in indices]), dtype)
        found.update(zip(indices, of_type, strict=True))
    return [found[index] for index in range(len(columns))]


def _moments_of(places: Places, dtype: np.dtype[Any]) -> list[ExactMoments]:
    n_columns = len(places.table)
    counts = np.zeros((n_columns, 5), np.int64)
    extremes = np.empty((n_columns, 2), np.float64 if dtype.kind == "f" else dtype)
    totals, squares = np.zeros((n_columns, TOTAL_LIMBS), np.int64), np.zeros((n_columns, SQUARES_LIMBS), np.int64)
    if dtype.kind == "f":
        _take_in_columns_of_floats(places.table, np.empty(0, dtype), counts, extremes, totals, squares)
    else:
        info = np.iinfo(dtype)
        extremes[:] = info.max, info.min
        n_layers = {1: 1, 2: 1, 4: 2, 8: 3}[dtype.itemsize]
        _take_in_columns_of_integers(places.table, n_layers, counts, extremes, totals, squares)
    return [
        ExactMoments(n, n_null, n_nan, n_posinf, n_neginf, low if n else None, high if n else None, totals[c], squares[c])
        for c, ((n, n_null, n_nan, n_posinf, n_neginf), (low, high)) in enumerate(zip(counts.tolist(), extremes.tolist(), strict=True))
    ]


def exact_moments_of_counts(values: NDArray[Any], counts: NDArray[np.int64], n_null: int = 0) -> ExactMoments:
    """Return the `exact_moments` of a column that has each value so many times: bit for bit what its rows would give.

    Parameters
    ----------
    values : ndarray
        float64, float32, or integers of at most 32 bits; they may repeat.
    counts : ndarray of int64
        How often each occurs, less than 2**31 times.
    n_null : int
        How many rows are null.

    Examples
    --------
    >>> moments = exact_moments_of_counts(np.array([0.5, 7.0, np.nan]), np.array([2, 0, 1]))
    >>> moments.n, moments.n_nan, moments.high, mean_and_variance(moments.n, moments.total, moments.squares)
    (2, 1, 0.5, (0.5, 0.0))
    """
    total, squares = np.zeros(TOTAL_LIMBS, np.int64), np.zeros(SQUARES_LIMBS, np.int64)
    n, n_nan, n_posinf, n_neginf, low, high = _take_in_counted(values.astype(np.float64), counts, total, squares)
    as_given = float if values.dtype.kind == "f" else int
    return ExactMoments(n, n_null, n_nan, n_posinf, n_neginf, as_given(low) if n else None, as_given(high) if n else None, total, squares)


def merge_moments(left: ExactMoments, right: ExactMoments) -> ExactMoments:
    """Return the moments of both parts together."""
    lows = [part.low for part in (left, right) if part.low is not None]
    highs = [part.high for part in (left, right) if part.high is not None]
    return ExactMoments(
        n=left.n + right.n,
        n_null=left.n_null + right.n_null,
        n_nan=left.n_nan + right.n_nan,
        n_posinf=left.n_posinf + right.n_posinf,
        n_neginf=left.n_neginf + right.n_neginf,
        low=min(lows, default=None),
        high=max(highs, default=None),
        total=merge_limbs(left.total, right.total),
        squares=merge_limbs(left.squares, right.squares),
    )


@inlined
def _fill_floats(part: Any, valid: Any, block: Any) -> tuple[np.int64, int, int]:
    """Copy finite, valid values, 0 for others; return their number and the extremes as integers of the same order.

    A value is left out by a mask of 64 bits, not by a truth value: LLVM does not vectorise minima of selects (2.0 ns a value, and 0.3 so).
    """
    n_kept, low, high = np.int64(0), _KEY_HIGHEST, _KEY_LOWEST
    for i in range(len(part)):
        x = np.float64(part[i])
        bits = to_bits(x)
        is_kept = np.int64(abs(x) <= _LARGEST) & np.int64(valid[i])
        kept = -is_kept
        block[i] = from_bits(bits & kept, x)
        key = (bits ^ ((bits >> 63) & _KEY_HIGHEST)) & kept
        n_kept += is_kept
        low = min(low, key | (_KEY_HIGHEST & ~kept))
        high = max(high, key | (_KEY_LOWEST & ~kept))
    return n_kept, low, high


@jit
def _count_others(part: Any, valid: Any) -> tuple[Number, ...]:
    """Return how many are null, NaN, infinite, and negative and infinite."""
    n_null, n_nan, n_positive, n_negative = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for i in range(len(part)):
        x, filled = part[i], np.int64(valid[i])
        n_null += 1 - filled
        n_nan += filled & np.int64(x != x)
        n_positive += filled & np.int64(x == np.inf)
        n_negative += filled & np.int64(x == -np.inf)
    return n_null, n_nan, n_positive, n_negative


@inlined
def _value_of(key: Number) -> float:
    """Return the float64 that an integer of the same order stands for, 0.0 for both zeros."""
    return from_bits(key ^ ((key >> 63) & _KEY_HIGHEST), 0.0) + 0.0


@inlined
def _cut_layer(block: Any, n_rows: int, unit: int, layer: Any) -> bool:
    """Move the multiples of 2**unit from the block to a layer; return whether anything is left."""
    constant = from_bits((unit + 52 + 1023) << 52, 0.0) * 1.5
    left = 0
    for i in range(n_rows):
        x = block[i]
        q = (x + constant) - constant
        rest = x - q
        layer[i] = q
        block[i] = rest
        left |= to_bits(rest) & _KEY_HIGHEST
    return left != 0


@jit
def _cut_floats(block: Any, n_rows: int, exponent: int, layers: Any, units: Any) -> int:
    """Cut a block whose values are below 2**exponent into layers; return how many, or -1 if that is not enough."""
    if exponent > _HIGHEST or exponent < _LOWEST:
        return -1
    for j in range(_LAYERS):
        units[j] = exponent - _LAYER_BITS * (j + 1)
        if not _cut_layer(block, n_rows, units[j], layers[j]):
            return j + 1
    return -1


def _sum_of(layer: Any, n_rows: int) -> float:
    total = 0.0
    for i in range(n_rows):
        total += layer[i]
    return total


def _dot(left: Any, right: Any, n_rows: int) -> float:
    total = 0.0
    for i in range(n_rows):
        total += left[i] * right[i]
    return total


_exact_sum_of, _exact_dot = jit(_sum_of, exact_order=False), jit(_dot, exact_order=False)


@jit
def _add_layers(layers: Any, n_layers: int, units: Any, n_rows: int, total: Any, squares: Any) -> None:
    """Add the sums of a block's layers, and of the products of each two, to the wide integers."""
    for a in range(n_layers):
        amount = _exact_sum_of(layers[a], n_rows) * from_bits((1023 - units[a]) << 52, 0.0)
        deposit(total, np.int64(amount), units[a] + TOTAL_UNIT)
        for b in range(a, n_layers):
            unit = units[a] + units[b]
            amount = _exact_dot(layers[a], layers[b], n_rows) * from_bits((1023 - unit) << 52, 0.0)
            deposit(squares, np.int64(amount), unit + SQUARES_UNIT + (b > a))


@inlined
def _mantissa_of(bits: Number) -> tuple[Number, Number]:
    """Return the magnitude of a finite float64, given by its bits, as an integer of at most 53 bits and the exponent of its unit."""
    biased = (bits >> 52) & 0x7FF
    return (bits & 0xFFFFFFFFFFFFF) | (np.int64(biased > 0) << 52), max(biased, 1) - 1075


@jit
def _add_singly(part: Any, valid: Any, total: Any, squares: Any) -> None:
    """Add finite, valid values one by one by their bits."""
    for i in range(len(part)):
        x = np.float64(part[i])
        if valid[i] == 0 or not abs(x) <= _LARGEST:
            continue
        bits = to_bits(x)
        mantissa, unit = _mantissa_of(bits)
        deposit(total, -mantissa if bits < 0 else mantissa, unit + TOTAL_UNIT)
        high, low, position = mantissa >> 27, mantissa & 0x7FFFFFF, 2 * unit + SQUARES_UNIT
        deposit(squares, high * high, position + 54)
        deposit(squares, high * low, position + 28)
        deposit(squares, low * low, position)


@jit
def _take_in_counted(values: Any, counts: Any, total: Any, squares: Any) -> tuple[Number, ...]:
    """Add each value as often as it is counted; return how many are finite, NaN, infinite, negative and infinite, and the extremes."""
    n, n_nan, n_positive, n_negative = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    low, high = np.inf, -np.inf
    for i in range(len(values)):
        x, count = values[i], counts[i]
        if i % _VALUES_TO_CARRY == 0:
            normalise(total)
            normalise(squares)
        if count == 0:
            continue
        if not abs(x) <= _LARGEST:
            n_nan += count * np.int64(x != x)
            n_positive += count * np.int64(x == np.inf)
            n_negative += count * np.int64(x == -np.inf)
            continue
        n += count
        low, high = min(low, x), max(high, x)
        bits = to_bits(x)
        mantissa, unit = _mantissa_of(bits)
        upper, lower, position = mantissa >> 27, mantissa & 0x7FFFFFF, 2 * unit + SQUARES_UNIT
        times = -count if bits < 0 else count
        deposit(total, upper * times, unit + 27 + TOTAL_UNIT)
        deposit(total, lower * times, unit + TOTAL_UNIT)
        while count:  # a product has up to 54 bits: eight of the count's at a time stay within 63
            times = count & 0xFF
            deposit(squares, upper * upper * times, position + 54)
            deposit(squares, upper * lower * times, position + 28)
            deposit(squares, lower * lower * times, position)
            count >>= 8
            position += 8
    normalise(total)
    normalise(squares)
    return n, n_nan, n_positive, n_negative, low + 0.0, high + 0.0


@jit
def _take_in_floats(values: Any, bits: Any, has_null: bool, total: Any, squares: Any) -> tuple[Number, ...]:
    """Add values to the wide integers; return how many are finite, null, NaN, infinite, negative and infinite, and the extremes."""
    block, layers, units = np.empty(_BLOCK), np.empty((_LAYERS, _BLOCK)), np.zeros(_LAYERS, np.int64)
    valid = np.ones(_BLOCK, np.uint8)
    n, n_null, n_nan, n_positive, n_negative = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    least, largest = _KEY_HIGHEST, _KEY_LOWEST
    for start in range(0, len(values), _BLOCK):
        part = values[start : start + _BLOCK]
        n_rows = len(part)
        if has_null:
            spread_bits(bits, start, n_rows, valid)
        n_kept, low, high = _fill_floats(part, valid, block)
        n += n_kept
        if n_kept < n_rows:
            null, nan, positive, negative = _count_others(part, valid)
            n_null += null
            n_nan += nan
            n_positive += positive
            n_negative += negative
        least, largest = min(least, low), max(largest, high)
        top = max(high, ~low) if n_kept else 0  # the bits of the largest magnitude
        if top > 0:
            n_layers = _cut_floats(block, n_rows, (top >> 52) - 1022, layers, units)
            if n_layers > 0:
                _add_layers(layers, n_layers, units, n_rows, total, squares)
            else:
                _add_singly(part, valid, total, squares)
        if (start // _BLOCK + 1) % _BLOCKS_TO_CARRY == 0:
            normalise(total)
            normalise(squares)
    normalise(total)
    normalise(squares)
    return n, n_null, n_nan, n_positive, n_negative, _value_of(least), _value_of(largest)


@jit
def _take_in_columns_of_floats(places: Any, like: Any, counts: Any, extremes: Any, totals: Any, squares: Any) -> None:
    """Write for each column what `_take_in_floats` returns, and add its values to its wide integers."""
    for c in range(len(places)):
        values, bits = array_at(places[c, VALUES], places[c, ROWS], like), bits_at(places[c])
        n, n_null, n_nan, n_positive, n_negative, low, high = _take_in_floats(values, bits, len(bits) > 0, totals[c], squares[c])
        counts[c, 0], counts[c, 1], counts[c, 2], counts[c, 3], counts[c, 4] = n, n_null, n_nan, n_positive, n_negative
        extremes[c, 0], extremes[c, 1] = low, high


@jit
def _take_in_columns_of_integers(places: Any, n_layers: int, counts: Any, extremes: Any, totals: Any, squares: Any) -> None:
    """Write how many values each column has, how many are null, and the extremes; add the values to its wide integers."""
    for c in range(len(places)):
        values, bits = array_at(places[c, VALUES], places[c, ROWS], extremes), bits_at(places[c])
        counts[c, 0], counts[c, 1] = _take_in_integers(values, bits, len(bits) > 0, n_layers, extremes[c], totals[c], squares[c])


@inlined
def _cut_integers(part: Any, valid: Any, n_layers: int, layers: Any, extremes: Any) -> int:
    """Write a block's layers, the lowest first; return the number of values."""
    n_kept, low, high = 0, extremes[0], extremes[1]
    for i in range(len(part)):
        kept = valid[i] != 0
        n_kept += kept
        low = min(low, part[i] if kept else low)
        high = max(high, part[i] if kept else high)
    extremes[0], extremes[1] = low, high
    for j in range(n_layers):
        shift = _LAYER_BITS * j
        mask = _LAYER_MASK if j < n_layers - 1 else -1
        scale = np.float64(1 << shift)
        for i in range(len(part)):
            x = np.int64(part[i] >> shift) & mask
            layers[j, i] = np.float64(x if valid[i] != 0 else 0) * scale
    return n_kept


@jit
def _take_in_integers(values: Any, bits: Any, has_null: bool, n_layers: int, extremes: Any, total: Any, squares: Any) -> tuple[Number, ...]:
    """Add values to the wide integers; return how many there are, and how many are null."""
    layers, units = np.empty((_LAYERS, _BLOCK)), np.arange(_LAYERS) * _LAYER_BITS
    valid = np.ones(_BLOCK, np.uint8)
    n = np.int64(0)
    for start in range(0, len(values), _BLOCK):
        part = values[start : start + _BLOCK]
        n_rows = len(part)
        if has_null:
            spread_bits(bits, start, n_rows, valid)
        n_kept = _cut_integers(part, valid, n_layers, layers, extremes)
        n += n_kept
        _add_layers(layers, n_layers, units, n_rows, total, squares)
        if (start // _BLOCK + 1) % _BLOCKS_TO_CARRY == 0:
            normalise(total)
            normalise(squares)
    normalise(total)
    normalise(squares)
    return n, len(values) - n
