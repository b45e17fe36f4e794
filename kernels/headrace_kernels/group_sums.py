"""Exact sums per group: the same bits for any order of the rows, any partitioning, any number of workers.

Only as many 32-bit limbs are kept for a group as the data need: one for truth values and small integers, two or three for measurements.
A first pass finds the highest and the lowest bit that any value has; a second adds integers.

>>> sums = exact_group_sums(Column(np.array([0.1, 0.2, 0.3])), np.array([1, 1, 0], np.uint8), 2)
>>> group_limbs_to_floats(sums).tolist(), sums.counts.tolist()
([0.3, 0.30000000000000004], [1, 2])
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Column, is_valid
from headrace_kernels.compiled import jit
from headrace_kernels.limbs import LIMB_BITS, deposit, nearest_float, normalise
from headrace_kernels.numba_names import overload, types
from headrace_kernels.scalars import inlined, to_bits

_MASK = 0xFFFFFFFF
_NO_BITS = -(1 << 20)
_INT64_BITS = 62
_ROWS_TO_CARRY = 1 << 29  # a value adds less than 2**33 to a limb


class GroupSums(NamedTuple):
    """Sums of groups as wide integers, in normal form.

    Parameters
    ----------
    limbs : ndarray of int64, shape (n_groups, k)
        Lowest first; all but the last in [0, 2**32).
    base : int
        The lowest limb is in units of 2**base, a multiple of 32.
    counts : ndarray of int64, shape (n_groups,)
        Finite values in each group.
    """

    limbs: NDArray[np.int64]
    base: int
    counts: NDArray[np.int64]


def exact_group_sums(values: Column, groups: NDArray[Any], n_groups: int) -> GroupSums:
    """Return the exact sum and the count of the values of each group.

    Parameters
    ----------
    values : Column
        Floats, integers or truth values.
    groups : ndarray of integers
        The group of each row, below `n_groups`; rows with a negative one are left out.
    n_groups : int
        Number of groups.

    Returns
    -------
    GroupSums
        In normal form: equal data give equal limbs in any order.

    Nulls and NaN: left out of sum and count, as are infinities.
    """
    numbers = values.values.view(np.uint8) if values.values.dtype == np.bool_ else values.values
    if numbers.dtype == np.uint64:  # beyond int64: two halves
        low = exact_group_sums(values._replace(values=(numbers & _MASK).astype(np.int64)), groups, n_groups)
        high = exact_group_sums(values._replace(values=(numbers >> LIMB_BITS).astype(np.int64)), groups, n_groups)
        return merge_group_limbs(low, high._replace(base=high.base + LIMB_BITS, counts=np.zeros_like(high.counts)))
    kept = groups >= 0
    if values.validity is not None:
        kept &= is_valid(values)
    if numbers.dtype.kind == "f":
        kept &= np.isfinite(numbers)
    top, bottom = _bit_range(numbers, kept)
    base = bottom // LIMB_BITS * LIMB_BITS
    narrow = top - base + len(numbers).bit_length() <= _INT64_BITS
    limbs = np.zeros((n_groups, 1 if narrow else (top - base) // LIMB_BITS + 3), np.int64)
    counts = np.zeros(n_groups, np.int64)
    add = _add_narrow if narrow else _add_wide
    for start in range(0, len(numbers), _ROWS_TO_CARRY):
        rows = slice(start, start + _ROWS_TO_CARRY)
        add(numbers[rows], kept[rows], groups[rows], base, limbs, counts)
        _carry(limbs)
    return _normal_form(limbs, base, counts)


def no_sums(n_groups: int) -> GroupSums:
    """Return the sums of groups without a value.

    >>> group_limbs_to_floats(no_sums(2)).tolist()
    [0.0, 0.0]
    """
    return GroupSums(np.zeros((n_groups, 1), np.int64), 0, np.zeros(n_groups, np.int64))


def merge_group_limbs(left: GroupSums, right: GroupSums) -> GroupSums:
    """Return the sums of both parts together; the part of fewer groups has none of the others.

    >>> a = exact_group_sums(Column(np.array([1e300, 1.0])), np.array([0, 1]), 2)
    >>> b = exact_group_sums(Column(np.array([-1e300, 1e-9])), np.array([0, 0]), 1)
    >>> group_limbs_to_floats(merge_group_limbs(a, b)).tolist()
    [1e-09, 1.0]
    """
    n_groups = max(len(left.counts), len(right.counts))
    base = min(left.base, right.base)
    top = max(part.base + LIMB_BITS * part.limbs.shape[1] for part in (left, right))
    limbs = np.zeros((n_groups, (top - base) // LIMB_BITS), np.int64)
    counts = np.zeros(n_groups, np.int64)
    for part in (left, right):
        first, n = (part.base - base) // LIMB_BITS, len(part.counts)
        k = part.limbs.shape[1]
        limbs[:n, first : first + k] += part.limbs
        counts[:n] += part.counts
    return _normal_form(limbs, base, counts)


def group_limbs_to_floats(sums: GroupSums) -> NDArray[np.float64]:
    """Return each sum as the nearest float64 (ties to even), infinite beyond its range."""
    n_groups = len(sums.limbs)
    mantissas, exponents = np.empty(n_groups), np.empty(n_groups, np.int32)
    _round(sums.limbs, mantissas, exponents)
    with np.errstate(over="ignore"):
        return np.ldexp(mantissas, exponents + np.int32(sums.base))


def group_limbs_to_means(sums: GroupSums) -> NDArray[np.float64]:
    """Return each sum as float64 by its count, NaN for none; a sum beyond float64 is divided before it is rounded."""
    floats = group_limbs_to_floats(sums)
    with np.errstate(invalid="ignore"):
        means = floats / sums.counts
    shift = int(sums.base)
    for group in np.flatnonzero(np.isinf(floats)).tolist():
        total = sum(limb << (LIMB_BITS * place) for place, limb in enumerate(sums.limbs[group].tolist()))
        means[group] = nearest_float(total << max(shift, 0), int(sums.counts[group]) << max(-shift, 0))
    return means


def _normal_form(limbs: NDArray[np.int64], base: int, counts: NDArray[np.int64]) -> GroupSums:
    """Carry, then drop the limbs that say nothing, at both ends."""
    wide = np.zeros((limbs.shape[0], limbs.shape[1] + 2), np.int64)
    wide[:, : limbs.shape[1]] = limbs
    _carry(wide)
    while wide.shape[1] > 1:
        below_is_negative = wide[:, -2] >> (LIMB_BITS - 1)
        if (wide[:, -1] != -below_is_negative).any():
            break
        wide = wide[:, :-1].copy()
        wide[:, -1] -= below_is_negative << LIMB_BITS
    while wide.shape[1] > 1 and not wide[:, 0].any():
        wide, base = wide[:, 1:], base + LIMB_BITS
    if not wide.any():
        base = 0
    return GroupSums(np.ascontiguousarray(wide), base, counts)


def _bit_range(numbers: NDArray[Any], kept: NDArray[np.bool_]) -> tuple[int, int]:
    """Exponents just above the highest and of the lowest bit of any kept number."""
    if numbers.dtype.kind == "f":
        return _float_bit_range(numbers, kept)
    if not kept.any():
        return 0, 0
    extremes = (int(numbers.max(where=kept, initial=0)), int(numbers.min(where=kept, initial=0)))
    return max(extreme.bit_length() for extreme in extremes), 0


@jit
def _float_bit_range(values: Any, kept: Any) -> tuple[int, int]:
    top, bottom = _NO_BITS, -_NO_BITS
    for i in range(len(values)):
        bits = to_bits(np.float64(values[i]))
        biased = (bits >> 52) & 0x7FF
        mantissa = (bits & 0xFFFFFFFFFFFFF) | (np.int64(biased > 0) << 52)
        unit = max(biased, 1) - 1075
        lowest = (to_bits(np.float64(mantissa & -mantissa)) >> 52) - 1023
        counted = kept[i] & (mantissa != 0)
        bottom = min(bottom, unit + lowest if counted else -_NO_BITS)
        top = max(top, unit + 53 if counted else _NO_BITS)
    return (top, bottom) if top >= bottom else (0, 0)


def integer_and_exponent(x: Any) -> tuple[int, int]:
    """Return a finite number as (integer, exponent): integer * 2**exponent.

    >>> integer_and_exponent(5), integer_and_exponent(0.75)
    ((5, 0), (6755399441055744, -53))
    """
    if isinstance(x, int | np.integer):
        return int(x), 0
    mantissa, exponent = math.frexp(x)
    return int(mantissa * 2**53), exponent - 53


@overload(integer_and_exponent, strict=False)
def _compile_integer_and_exponent(x: Any) -> Any:
    if isinstance(x, types.Integer):
        return lambda x: (np.int64(x), np.int64(0))

    def of_float(x: Any) -> Any:
        bits = to_bits(np.float64(x))
        biased = (bits >> 52) & 0x7FF
        mantissa = (bits & 0xFFFFFFFFFFFFF) | (np.int64(biased > 0) << 52)
        return (-mantissa if bits < 0 else mantissa), max(biased, 1) - 1075

    return of_float


@inlined
def _units_of(x: Any, base: int) -> tuple[int, int]:
    """A number as (integer, shift) in units of 2**base, which its lowest bit is not below."""
    integer, exponent = integer_and_exponent(x)
    shift = exponent - base
    return (integer, shift) if shift >= 0 else (integer >> min(-shift, 63), 0)


@jit
def _add_narrow(values: Any, kept: Any, groups: Any, base: int, limbs: Any, counts: Any) -> None:
    for i in range(len(values)):
        if kept[i]:
            integer, shift = _units_of(values[i], base)
            limbs[groups[i], 0] += integer << shift
            counts[groups[i]] += 1


@jit
def _add_wide(values: Any, kept: Any, groups: Any, base: int, limbs: Any, counts: Any) -> None:
    for i in range(len(values)):
        if kept[i]:
            integer, shift = _units_of(values[i], base)
            deposit(limbs[groups[i]], integer, shift)
            counts[groups[i]] += 1


@jit
def _carry(limbs: Any) -> None:
    for group in range(len(limbs)):
        normalise(limbs[group])


@jit
def _round(limbs: Any, mantissas: Any, exponents: Any) -> None:
    """Round each sum to 53 bits: mantissa * 2**exponent in units of the lowest limb."""
    n_limbs = limbs.shape[1]
    digits = np.empty(n_limbs + 2, np.uint64)  # two zero digits below
    digits[:2] = 0
    for group in range(len(limbs)):
        negative = limbs[group, n_limbs - 1] < 0
        carry, top = np.int64(negative), 0
        for j in range(n_limbs):
            limb = limbs[group, j]
            digit = (~limb if negative else limb) & _MASK
            carry, digit = (digit + carry) >> 32, (digit + carry) & _MASK
            digits[j + 2] = digit
            top = j if digit else top
        leading = np.uint64((to_bits(np.float64(digits[top + 2])) >> 52) - 1023) if digits[top + 2] else np.uint64(0)
        # 64 bits whose highest is set: 11 below the last place, the very last stands for all that is lower
        word = (digits[top + 2] << np.uint64(32)) | digits[top + 1]
        shift = np.uint64(31) - leading
        word = (word << shift) | (digits[top] >> (np.uint64(32) - shift))
        rest = digits[top] & ((np.uint64(1) << (np.uint64(32) - shift)) - np.uint64(1))
        for j in range(top):
            rest |= digits[j]
        value = np.float64(word | np.uint64(rest != 0))
        mantissas[group] = -value if negative else value
        exponents[group] = 32 * (top - 1) - np.int64(shift)
