"""Look at many columns in one call: extremes, whether values ascend, whether they repeat. What a writer chooses encodings by.

Of columns with nulls the values are brought together first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace_kernels.addresses import ROWS, VALUES, array_at, bits_at
from headrace_kernels.compiled import jit
from headrace_kernels.hashing import U64
from headrace_kernels.packing import compact, number_distinct
from headrace_kernels.scalars import from_bits, inlined, to_bits

SAMPLE_ROWS = 4096
MOST_IN_SAMPLE = SAMPLE_ROWS // 8
"""A column's values repeat if few among this many are distinct."""

_KEY_HIGHEST, _KEY_LOWEST = (1 << 63) - 1, -(1 << 63)


@jit
def survey_floats(places: Any, dense: Any, like: Any, bits_like: Any, signed_like: Any, extremes: Any, repeat: Any) -> None:
    """Look at columns of floats of one type.

    Parameters
    ----------
    places : ndarray of int64, shape (n_columns, 3)
        From `places_of`.
    dense : ndarray of int64, shape (n_columns, 2)
        How many values each column has, and of one with nulls the address of room for them, and one more.
    like, bits_like, signed_like : ndarray
        Of the columns' type, and of unsigned and signed integers of its width.
    extremes : ndarray of the columns' type, shape (n_columns, 2)
        Gets the least and the largest value, NaN left aside (NaN if there is no other). A zero may be of either sign.
    repeat : ndarray of bool
        Gets whether the values repeat, as `repeats` says.
    """
    for c in range(len(places)):
        bits = _brought_together(places[c], dense[c], bits_like)
        address = bits.ctypes.data
        signed = array_at(address, len(bits), signed_like)
        if not _extremes_by_bits(signed, bits, array_at(extremes[c].ctypes.data, 2, bits_like)):
            extremes[c, 0], extremes[c, 1] = _extremes_of_floats(array_at(address, len(bits), like))
        repeat[c] = repeats(bits)


@jit
def survey_integers(places: Any, dense: Any, like: Any, bits_like: Any, extremes: Any, ascend: Any) -> None:
    """Look at columns of integers of one type, as `survey_floats` does; `ascend` gets whether the first values ascend."""
    for c in range(len(places)):
        bits = _brought_together(places[c], dense[c], bits_like)
        values = array_at(bits.ctypes.data, len(bits), like)
        low = high = values[0] if len(values) else like.dtype.type(0)
        for i in range(len(values)):
            low, high = min(low, values[i]), max(high, values[i])
        extremes[c, 0], extremes[c, 1] = low, high
        ascend[c] = _ascends(values)


@jit
def _brought_together(place: Any, dense: Any, like: Any) -> Any:
    """Return the values of the rows that have one, one after the other."""
    values, bits = array_at(place[VALUES], place[ROWS], like), bits_at(place)
    if not len(bits):
        return values
    compact(values, bits, array_at(dense[1], dense[0] + 1, like))
    return array_at(dense[1], dense[0], like)


@jit
def _extremes_by_bits(signed: Any, unsigned: Any, extremes: Any) -> bool:
    """Write the bits of the least and of the largest of some floats, given as integers; return False if one of them is NaN.

    LLVM vectorises minima of integers as they are: a quarter of the time that those of floats, or of keys of the same order, take. Signed
    ones order floats that are not negative, unsigned ones those that are, the other way round.
    """
    if not len(signed):
        return False
    low, high, least, largest = signed[0], signed[0], unsigned[0], unsigned[0]
    for i in range(len(signed)):
        low, high = min(low, signed[i]), max(high, signed[i])
        least, largest = min(least, unsigned[i]), max(largest, unsigned[i])
    infinity = np.int64(0x7F800000) if signed.itemsize == 4 else np.int64(0x7FF0000000000000)
    sign = U64(1) << U64(8 * signed.itemsize - 1)
    if np.int64(high) > infinity or U64(largest) > U64(infinity) | sign:
        return False
    extremes[0] = largest if low < 0 else least
    extremes[1] = high if high >= 0 else low
    return True


@jit
def _extremes_of_floats(values: Any) -> tuple[float, float]:
    """Compare integers of the same order, NaN left aside by a mask: with a truth value LLVM does not vectorise it."""
    low, high = _KEY_HIGHEST, _KEY_LOWEST
    for i in range(len(values)):
        x = np.float64(values[i])
        bits = to_bits(x)
        kept = -np.int64(x == x)
        key = (bits ^ ((bits >> 63) & _KEY_HIGHEST)) & kept
        low = min(low, key | (_KEY_HIGHEST & ~kept))
        high = max(high, key | (_KEY_LOWEST & ~kept))
    return (_value_of(low), _value_of(high)) if low <= high else (np.nan, np.nan)


@inlined
def _value_of(key: int) -> float:
    return from_bits(key ^ ((key >> 63) & _KEY_HIGHEST), 0.0) + 0.0


@jit
def _ascends(values: Any) -> bool:
    """Whether the first values ascend: differences of keys and times pack to almost nothing."""
    if len(values) < SAMPLE_ROWS or values[0] == values[SAMPLE_ROWS - 1]:
        return False
    ascends = True
    for i in range(1, SAMPLE_ROWS):
        ascends &= values[i] >= values[i - 1]
    return ascends


@jit
def repeats(values: Any) -> bool:
    """Whether few values, compared bit for bit, are distinct in a sample.

    >>> repeats(np.arange(9000, dtype=np.uint32) % 100), repeats(np.arange(9000, dtype=np.uint32))
    (True, False)
    """
    step = max(len(values) // SAMPLE_ROWS, 1)
    n_rows = (len(values) + step - 1) // step
    # Of most numbers the first few hundred are distinct, which answers it.
    return _has_few(values, step, min(n_rows, MOST_IN_SAMPLE + 1)) and _has_few(values, step, n_rows)


@jit
def _has_few(values: Any, step: int, n_rows: int) -> bool:
    sample, distinct = np.empty(n_rows, values.dtype), np.empty(MOST_IN_SAMPLE, values.dtype)
    for i in range(n_rows):
        sample[i] = values[i * step]
    return bool(number_distinct(sample, distinct, np.empty(n_rows, np.uint16)) >= 0)
