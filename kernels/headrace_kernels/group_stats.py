"""Statistics by group: extremes, exact sums of squares, and the standard deviations that follow from them.

Squares are summed as `group_sums` sums values: as integers, so the same bits for any order of the rows and any partitioning, and a
deviation loses nothing where the mean is large beside it.

>>> found = group_stats(Column(np.array([1e9, 1e9 + 1, 1e9 + 2, 5.0])), np.array([0, 0, 0, 1]), 2)
>>> found.sums.counts.tolist(), found.lows.tolist(), group_deviations(found.sums, found.squares, ddof=1).tolist()
([3, 1], [1000000000.0, 5.0], [1.0, nan])
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Column, is_valid
from headrace_kernels.compiled import jit
from headrace_kernels.group_sums import GroupSums, _bit_range, _carry, _normal_form, _units_of, exact_group_sums, no_sums
from headrace_kernels.limbs import LIMB_BITS
from headrace_kernels.scalars import inlined

_MASK = 0xFFFFFFFF
_FEWEST_LIMBS = 8  # what the square of any 64-bit integer reaches, and the carry
_ROWS_TO_CARRY = 1 << 29  # a square adds less than 2**33 to a limb


class GroupStats(NamedTuple):
    """What `group_stats` found: exact sums of values and of squares, and the extremes of each group.

    `lows` and `highs` have the values' type; in a group without a finite value they are that type's greatest and lowest.
    """

    sums: GroupSums
    squares: GroupSums
    lows: NDArray[Any]
    highs: NDArray[Any]


def group_stats(values: Column, groups: NDArray[Any], n_groups: int, *, squared: bool = True) -> GroupStats:
    """Return count, exact sum, exact sum of squares and extremes of each group.

    Parameters
    ----------
    values : Column
        float64, float32, any integer, or truth values.
    groups : ndarray of integers
        The group of each row, below `n_groups`; rows with a negative one are left out.
    n_groups : int
        Number of groups.
    squared : bool
        False leaves out the squares, which take longer than all else and serve deviations alone: their sums are 0.

    Nulls and NaN: left out, as are infinities. A zero among the extremes is 0.0, never -0.0.
    """
    numbers = values.values.view(np.uint8) if values.values.dtype == np.bool_ else values.values
    kept = groups >= 0
    if values.validity is not None:
        kept = kept & is_valid(values)
    if numbers.dtype.kind == "f":
        kept = kept & np.isfinite(numbers)
        lowest, highest = numbers.dtype.type(-np.inf), numbers.dtype.type(np.inf)
    else:
        lowest, highest = np.iinfo(numbers.dtype).min, np.iinfo(numbers.dtype).max
    lows, highs = np.full(n_groups, highest, numbers.dtype), np.full(n_groups, lowest, numbers.dtype)
    _take_extremes(numbers, kept, groups, lows, highs)
    zero = numbers.dtype.type(0)
    squares = _squares(numbers, kept, groups, n_groups) if squared else no_sums(n_groups)
    return GroupStats(exact_group_sums(values, groups, n_groups), squares, lows + zero, highs + zero)


def group_deviations(sums: GroupSums, squares: GroupSums, ddof: int = 1) -> NDArray[np.float64]:
    """Return the standard deviation of each group, within 2 ulp of the exact one, also where its square is beyond float64.

    Formula: sqrt((n * squares - sum**2) / (n * (n - ddof))), the numerator in integers, so nothing cancels.

    Parameters
    ----------
    sums, squares : GroupSums
        Of values and of their squares.
    ddof : int
        1 for a sample's, 0 for the population's.

    Returns
    -------
    ndarray of float64
        NaN where there are too few values.
    """
    mantissas, exponents = np.empty(len(sums.counts)), np.zeros(len(sums.counts), np.int32)
    base = min(2 * sums.base, squares.base)
    places = ((2 * sums.base - base) // LIMB_BITS, (squares.base - base) // LIMB_BITS)
    _find_numerators(sums.limbs, squares.limbs, sums.counts, places[0], places[1], mantissas, exponents)
    n = sums.counts.astype(np.float64)
    exponents += np.int32(base)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        variances = np.ldexp(mantissas / (n * (n - ddof)), exponents & 1)
        deviations = np.ldexp(np.sqrt(variances), exponents >> 1)
    return np.where(sums.counts > ddof, deviations, np.nan)


def _squares(numbers: NDArray[Any], kept: NDArray[np.bool_], groups: NDArray[Any], n_groups: int) -> GroupSums:
    top, bottom = _bit_range(numbers, kept)
    base = bottom // LIMB_BITS * LIMB_BITS
    limbs = np.zeros((n_groups, max(2 * (top - base) // LIMB_BITS + 4, _FEWEST_LIMBS)), np.int64)
    counts = np.zeros(n_groups, np.int64)
    unsigned = numbers.dtype == np.uint64
    bits = numbers.view(np.int64) if unsigned else numbers
    for start in range(0, len(numbers), _ROWS_TO_CARRY):
        rows = slice(start, start + _ROWS_TO_CARRY)
        _add_squares(bits[rows], kept[rows], groups[rows], base, unsigned, limbs, counts)
        _carry(limbs)
    return _normal_form(limbs, 2 * base, counts)


@jit
def _take_extremes(values: Any, kept: Any, groups: Any, lows: Any, highs: Any) -> None:
    for i in range(len(values)):
        if kept[i]:
            group = groups[i]
            lows[group] = min(lows[group], values[i])
            highs[group] = max(highs[group], values[i])


@inlined
def _deposit_square(limbs: Any, size: Any, position: int) -> None:
    """Add size**2 * 2**position, in the limbs' units, for a uint64; each limb grows by less than 2**33.

    The square is put together of the halves' products as four digits of 32 bits first: five limbs change, each once.
    """
    mask, half = np.uint64(_MASK), np.uint64(32)
    high, low = size >> half, size & mask
    lowest, middle, highest = low * low, high * low, high * high
    second = (lowest >> half) + np.uint64(2) * (middle & mask)
    third = (second >> half) + np.uint64(2) * (middle >> half) + (highest & mask)
    j, shift = np.uint64(position >> 5), np.uint64(position & 31)  # of an unsigned index Numba asks not whether it counts from the end
    first_two, second_two = (lowest & mask) << shift, (second & mask) << shift
    third_two, last_two = (third & mask) << shift, ((third >> half) + (highest >> half)) << shift
    limbs[j] += np.int64(first_two & mask)
    limbs[j + np.uint64(1)] += np.int64((first_two >> half) + (second_two & mask))
    limbs[j + np.uint64(2)] += np.int64((second_two >> half) + (third_two & mask))
    limbs[j + np.uint64(3)] += np.int64((third_two >> half) + (last_two & mask))
    limbs[j + np.uint64(4)] += np.int64(last_two >> half)


@jit
def _add_squares(values: Any, kept: Any, groups: Any, base: int, unsigned: bool, limbs: Any, counts: Any) -> None:
    """Add the square of each number that is kept to its group."""
    for i in range(len(values)):
        if kept[i]:
            integer, shift = _units_of(values[i], base)
            size = np.uint64(integer) if unsigned or integer >= 0 else np.uint64(-integer)
            _deposit_square(limbs[groups[i]], size, 2 * shift)
            counts[groups[i]] += 1


@jit
def _multiply(left: Any, right: Any, product: Any) -> None:
    """Multiply two numbers of 32-bit digits; `product` is all zeros and long enough."""
    for i in range(len(left)):
        carry = np.uint64(0)
        for j in range(len(right)):
            total = left[i] * right[j] + product[i + j] + carry
            product[i + j] = total & np.uint64(_MASK)
            carry = total >> np.uint64(32)
        product[i + len(right)] = carry


@jit
def _magnitude(limbs: Any, digits: Any) -> None:
    """Write the digits of a sum without its sign."""
    negative = limbs[len(limbs) - 1] < 0
    carry = np.int64(negative)
    for j in range(len(limbs)):
        digit = ((~limbs[j] if negative else limbs[j]) & _MASK) + carry
        digits[j] = np.uint64(digit & _MASK)
        carry = digit >> 32


@jit
def _find_numerators(totals: Any, squares: Any, counts: Any, total_place: int, squares_place: int, mantissas: Any, exponents: Any) -> None:
    """Write n * squares - total**2 of each group as mantissa * 2**exponent, in the units of the lower of both."""
    n_total, n_squares = totals.shape[1], squares.shape[1]
    size = max(total_place + 2 * n_total, squares_place + n_squares + 2) + 1
    left, right = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    total, square, count = np.zeros(n_total, np.uint64), np.zeros(n_squares, np.uint64), np.zeros(2, np.uint64)
    for group in range(len(counts)):
        left[:] = 0
        right[:] = 0
        _magnitude(totals[group], total)
        _magnitude(squares[group], square)
        count[0], count[1] = np.uint64(counts[group] & _MASK), np.uint64(counts[group] >> 32)
        _multiply(square, count, left[squares_place:])
        _multiply(total, total, right[total_place:])
        borrow, top = np.int64(0), 0
        for j in range(size):
            digit = np.int64(left[j]) - np.int64(right[j]) - borrow
            borrow = np.int64(digit < 0)
            left[j] = np.uint64(digit & _MASK)
            top = j if left[j] else top
        value = 0.0
        for j in range(max(top - 2, 0), top + 1):
            value += np.float64(left[j]) * 2.0 ** (32 * (j - top))
        mantissas[group] = value
        exponents[group] = 32 * top
