"""Exact sums per group: the same bits for any order of the rows, any partitioning, any number of workers.

Only as many 32-bit limbs are kept for a group as the data need: one for truth values and small integers, two or three for measurements.
A first pass finds the highest and the lowest bit that any value has; a second adds integers.

>>> sums = exact_group_sums(Column(np.array([0.1, 0.2, 0.3])), np.array([1, 1, 0], np.uint8), 2)
>>> group_limbs_to_floats(sums).tolist(), sums.counts.tolist()
([0.3, 0.30000000000000004], [1, 2])
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Column, is_valid
from headrace_kernels.compiled import jit
from headrace_kernels.elementary import inlined, to_bits
from headrace_kernels.limbs import LIMB_BITS

_LARGEST = float(np.finfo(np.float64).max)
_MASK = 0xFFFFFFFF
_ROOM_BITS = 31  # a last limb of a normal form: |limb| < 2**31, so 2**31 parts can be added before a carry is due


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
    kept = is_valid(values) if values.validity is not None else np.ones(1, np.bool_)
    mask = values.validity is not None
    high, low = _bit_range(numbers, kept, mask)
    if high < low:
        return GroupSums(np.zeros((n_groups, 1), np.int64), 0, _counts(numbers, kept, mask, groups, n_groups))
    base = low // LIMB_BITS * LIMB_BITS
    n_limbs = max((high - base) // LIMB_BITS + 1, 1)
    narrow = high - base + len(numbers).bit_length() <= 62  # every sum fits in one int64
    limbs = np.zeros((n_groups, 1 if narrow else n_limbs + 2), np.int64)
    counts = np.zeros(n_groups, np.int64)
    add = _add_narrow if narrow else _add_wide
    add(numbers, kept, mask, groups, base, limbs, counts)
    return _normal(limbs, base, counts)


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
    return _normal(limbs, base, counts)


def group_limbs_to_floats(sums: GroupSums) -> NDArray[np.float64]:
    """Return each sum as the nearest float64 (ties to even), infinite beyond its range."""
    out = np.empty(len(sums.limbs))
    _round(sums.limbs, np.empty(sums.limbs.shape[1] + 1, np.int64), out)
    return np.ldexp(out, sums.base + _exponents(sums.limbs))


@inlined
def _parts(x: Any) -> tuple[int, int]:
    """A finite number as (integer, exponent)."""
    bits = to_bits(np.float64(x))
    biased = (bits >> 52) & 0x7FF
    mantissa = (bits & 0xFFFFFFFFFFFFF) | (np.int64(biased > 0) << 52)
    return (-mantissa if bits < 0 else mantissa), max(biased, 1) - 1075
