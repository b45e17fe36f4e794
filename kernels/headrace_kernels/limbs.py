"""Sums as very wide integers: exact, so the same bits for any order of the rows and any way of cutting them.

A sum is an integer number of units of 2**-unit, kept in limbs of 32 bits held in int64s, so that carries may wait. The normal form has
all limbs but the last in [0, 2**32) and a signed last one; it is unique, so equal sums have equal limbs.

Sources: U. Kulisch, *Computer Arithmetic and Validity*, 2nd ed. 2013, chapter 8 (the long accumulator); R. M. Neal, *Fast exact
summation using small and large superaccumulators*, arXiv:1505.05571, 2015 (limbs with room for waiting carries).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.scalars import inlined

Limbs = NDArray[np.int64]

LIMB_BITS = 32
TOTAL_UNIT = 1088
"""Totals are in units of 2**-1088: below the smallest float64, 2**-1074, and a whole number of limbs."""
SQUARES_UNIT = 2 * TOTAL_UNIT
TOTAL_LIMBS = 70
"""Covers 2**63 values below 2**1024: 1088 + 1024 + 63 bits, and the sign."""
SQUARES_LIMBS = 138
_MASK = 0xFFFFFFFF


@inlined
def deposit(limbs: Any, amount: int, position: int) -> None:
    """Add an int64 `amount` * 2**position, in the limbs' units; each limb grows by less than 2**33."""
    j = position >> 5
    shift = position & 31
    low = (amount & _MASK) << shift
    high = (amount >> 32) << shift
    limbs[j] += low & _MASK
    limbs[j + 1] += (low >> 32) + (high & _MASK)
    limbs[j + 2] += high >> 32


@jit
def normalise(limbs: Limbs) -> None:
    """Carry, in place, until the limbs are in normal form."""
    carry = 0
    for j in range(len(limbs) - 1):
        limb = limbs[j] + carry
        carry = limb >> 32
        limbs[j] = limb & _MASK
    limbs[len(limbs) - 1] += carry


@jit
def _normalise_each(sums: Limbs) -> None:
    for i in range(len(sums)):
        normalise(sums[i])


def merge_limbs(left: Limbs, right: Limbs) -> Limbs:
    """Return the sum of two sums, in normal form."""
    (merged,) = sum_limbs_of([[left, right]])
    return merged


def sum_limbs_of(columns: Sequence[Sequence[Limbs]]) -> Limbs:
    """Return the sum of each column's sums, a row each, all in normal form; all columns have as many, up to 2**30, in as many limbs.

    >>> sum_limbs_of([[np.array([2**31, 0]), np.array([2**31, 5])], [np.array([1, 0]), np.array([2, 0])]]).tolist()
    [[0, 6], [3, 0]]
    """
    stacked = np.concatenate([limbs for sums in columns for limbs in sums]).reshape(len(columns), len(columns[0]), -1)
    merged: Limbs = stacked.sum(axis=1)
    _normalise_each(merged)
    return merged


def limbs_to_int(limbs: Limbs) -> int:
    """Return a sum as an integer number of its units.

    >>> limbs_to_int(np.array([5, 1, 0]))
    4294967301
    """
    lower = int.from_bytes(limbs[:-1].astype("<u4").tobytes(), "little")
    return lower + (int(limbs[-1]) << (LIMB_BITS * (len(limbs) - 1)))


def mean_and_variance(n: int, total: Limbs, squares: Limbs, ddof: int = 0) -> tuple[float, float]:
    """Return mean and variance of n values, each the float64 nearest to the exact one.

    Formula: mean = total / n; variance = (n * squares - total**2) / (n * (n - ddof)), in integers, so nothing cancels.

    Parameters
    ----------
    n : int
        Number of values.
    total, squares : ndarray of int64
        Their sum and the sum of their squares, in normal form, as `exact_moments` gives.
    ddof : int
        0 for the population's variance, 1 for a sample's.

    Returns
    -------
    tuple of float
        NaN where there are too few values; infinite where it is beyond float64.
    """
    mean, variance = _exact_moments(n, total, squares, ddof)
    return _float_or_nan(mean), _float_or_nan(variance)


def mean_and_std(n: int, total: Limbs, squares: Limbs, ddof: int = 0) -> tuple[float, float]:
    """Return mean and standard deviation of n values, as `mean_and_variance` does.

    The deviation is right, too, where its square is beyond float64, at either end.
    """
    mean, variance = _exact_moments(n, total, squares, ddof)
    return _float_or_nan(mean), math.nan if variance is None else _root(variance)


# A numerator and a denominator that is above 0. Fractions would look for the greatest common divisor of thousands of bits: half the time.
_Ratio = tuple[int, int]


def _exact_moments(n: int, total: Limbs, squares: Limbs, ddof: int) -> tuple[_Ratio | None, _Ratio | None]:
    """Return mean and variance, None where there are too few values."""
    if n <= 0:
        return None, None
    exact_total, exact_squares = limbs_to_int(total), limbs_to_int(squares)
    mean = exact_total, n << TOTAL_UNIT
    return mean, (n * exact_squares - exact_total**2, (n * (n - ddof)) << SQUARES_UNIT) if n > ddof else None


def _float_or_nan(exact: _Ratio | None) -> float:
    return math.nan if exact is None else nearest_float(*exact)


def _root(exact: _Ratio) -> float:
    """Return the square root of a number that may itself be too large, or too small, for float64."""
    numerator, denominator = exact
    half = (numerator.bit_length() - denominator.bit_length()) // 2
    scaled = (numerator << max(-2 * half, 0)) / (denominator << max(2 * half, 0))
    return math.ldexp(math.sqrt(scaled), half)


def nearest_float(numerator: int, denominator: int) -> float:
    """Return the float64 nearest to a quotient, infinite beyond its range.

    >>> nearest_float(1, 3), nearest_float(-(10**400), 1)
    (0.3333333333333333, -inf)
    """
    try:
        return numerator / denominator  # Python rounds the quotient of two integers once, however long they are
    except OverflowError:
        return math.inf if numerator > 0 else -math.inf
