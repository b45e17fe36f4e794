"""Distinct values of a plain column: a code for each row, in first-seen order, and how often each occurs.

>>> factorize_ints(Column(np.array([7, 7, 5]))).codes.tolist()
[0, 0, 1]
>>> found = factorize_strings(np.array([0, 1, 1, 2], np.int32), np.frombuffer(b"xx", np.uint8))
>>> found.codes.tolist(), found.first_rows.tolist(), found.counts.tolist()
([0, 1, 0], [0, 1], [2, 1, 0])
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Bitmap, Column, is_valid
from headrace_kernels.compiled import jit
from headrace_kernels.hashing import Bytes, Offsets
from headrace_kernels.tables import Ids, IntTable, StringTable

LARGEST_RANGE = 1 << 16
"""Integers within such a range are looked up in a table of all between lowest and highest: it stays in the cache."""


class Factorized(NamedTuple):
    """Codes of a column's distinct values.

    Parameters
    ----------
    codes : ndarray of int32
        0 to n - 1 in first-seen order, n for a null.
    first_rows : ndarray of int64, length n
        The row where each value was first seen: taking these rows gives the values.
    counts : ndarray of int64, length n + 1
        Rows of each code, nulls last.
    """

    codes: Ids
    first_rows: NDArray[np.int64]
    counts: NDArray[np.int64]


def factorize_ints(column: Column) -> Factorized:
    """Factorize integers, truth values or floats of any width. All NaN are one value, and -0.0 is 0.0."""
    values = column.values
    if values.dtype.kind == "f":
        numbers = np.empty(len(values))
        _canonical(values, numbers)
        keys = numbers.view(np.int64)
    else:
        keys = values.astype(np.int64, copy=False)
    valid = None if column.validity is None else is_valid(column)
    kept = keys if valid is None else keys[valid]
    low, high = (int(kept.min()), int(kept.max())) if len(kept) else (0, 0)
    if high - low < LARGEST_RANGE:
        ids, counts = np.empty(len(kept), np.int32), np.zeros(high - low + 1, np.int64)
        n_distinct = _intern_range(kept, low, np.full(high - low + 1, -1, np.int32), ids, counts)
        return _with_nulls(ids, counts[:n_distinct], valid)
    table = IntTable()
    return _with_nulls(table.add(kept), table.counts, valid)


def factorize_strings(offsets: Offsets, data: Bytes, validity: Bitmap | None = None, offset: int = 0) -> Factorized:
    """Factorize the strings of an Arrow array.

    Parameters
    ----------
    offsets : ndarray of int32 or int64
        One more than strings, already sliced to them; they need not start at 0.
    data : ndarray of uint8
        The bytes of all strings.
    validity : ndarray of uint8, optional
        Arrow's bitmap; None if no string is null.
    offset : int
        The bit of `validity` that belongs to the first string.
    """
    n_rows = max(len(offsets) - 1, 0)
    table = StringTable()
    valid = None if validity is None else is_valid(Column(offsets[:n_rows], validity, offset))
    ids = table.add(offsets, data, None if valid is None else valid.astype(np.int64))
    if valid is None:
        return _with_nulls(ids, table.counts, None)
    # strings under nulls (most often empty) have entered with weight 0: number the others anew, still in first-seen order
    seen = IntTable(len(table))
    return _with_nulls(seen.add(ids[valid].astype(np.int64)), seen.counts, valid)


def distinct_numbers(numbers: Ids, n_numbers: int) -> tuple[Ids, Ids]:
    """Return the distinct numbers by first appearance, and the code of each number among them, both int32.

    Parameters
    ----------
    numbers : ndarray of int32
        -1 <= number < `n_numbers`.
    n_numbers : int
        Numbers there may be: a thread keeps 4 bytes for each.

    Examples
    --------
    >>> distinct, codes = distinct_numbers(np.array([7, -1, 7], np.int32), 8)
    >>> distinct.tolist(), codes.tolist()
    ([7, -1], [0, 1, 0])
    """
    distinct, codes = np.empty(len(numbers), np.int32), np.empty(len(numbers), np.int32)
    n_distinct = _distinct_numbers(numbers, places_of_thread(n_numbers + 1), distinct, codes)
    return distinct[:n_distinct].copy(), codes


def sums_of_numbers(parts: Sequence[tuple[Ids, NDArray[np.int64] | None]], n_numbers: int) -> tuple[Ids, NDArray[np.int64]]:
    """Return the distinct numbers of several arrays by first appearance, and the sum of the weights of each: `distinct_numbers` without codes.

    Parameters
    ----------
    parts : sequence of (ndarray of int32, ndarray of int64 or None)
        Numbers, -1 <= number < `n_numbers`, and a weight for each; None: 1 each.
    n_numbers : int
        As in `distinct_numbers`.

    Examples
    --------
    >>> first, second = np.array([7, -1, 7], np.int32), np.array([3, 7], np.int32)
    >>> distinct, sums = sums_of_numbers([(first, None), (second, np.array([5, 10]))], 8)
    >>> distinct.tolist(), sums.tolist()
    ([7, -1, 3], [12, 1, 5])
    """
    most = min(sum(len(numbers) for numbers, _ in parts), n_numbers + 1)
    distinct, sums = np.empty(most, np.int32), np.empty(most, np.int64)
    places = places_of_thread(n_numbers + 1)
    n_distinct = 0
    for numbers, weights in parts:
        n_distinct = _add_numbers(numbers, _ONE if weights is None else weights, weights is not None, places, distinct, sums, n_distinct)
    clear_places(distinct[:n_distinct], places)
    if 2 * n_distinct < most:  # else what is not used was never touched
        return distinct[:n_distinct].copy(), sums[:n_distinct].copy()
    return distinct[:n_distinct], sums[:n_distinct]


_ONE = np.ones(1, np.int64)
_of_thread = threading.local()


def places_of_thread(n_places: int) -> Ids:
    """Return this thread's zeros, at least so many; whoever writes to them clears them again: new memory costs more than the work in it."""
    places: Ids | None = getattr(_of_thread, "places", None)
    if places is None or len(places) < n_places:
        places = _of_thread.places = np.zeros(max(n_places, 2 * len(places) if places is not None else 0), np.int32)
    return places


@jit
def _distinct_numbers(numbers: Any, place_of: Any, distinct: Any, codes: Any) -> int:
    n_distinct = 0
    for i in range(len(numbers)):
        number = numbers[i]
        place = place_of[number + 1] - 1
        if place < 0:
            place = n_distinct
            n_distinct += 1
            place_of[number + 1] = n_distinct
            distinct[place] = number
        codes[i] = place
    for i in range(n_distinct):
        place_of[distinct[i] + 1] = 0
    return n_distinct


@jit
def _add_numbers(numbers: Any, weights: Any, weighted: bool, place_of: Any, distinct: Any, sums: Any, n_distinct: int) -> int:
    for i in range(len(numbers)):
        number = numbers[i]
        weight = weights[i] if weighted else 1
        place = place_of[number + 1] - 1
        if place < 0:
            place_of[number + 1] = n_distinct + 1
            distinct[n_distinct] = number
            sums[n_distinct] = weight
            n_distinct += 1
        else:
            sums[place] += weight
    return n_distinct


@jit
def clear_places(numbers: Any, place_of: Any) -> None:
    """Write 0 to the place of each number."""
    for i in range(len(numbers)):
        place_of[numbers[i] + 1] = 0


def _with_nulls(ids: Ids, counts: NDArray[np.int64], valid: NDArray[np.bool_] | None) -> Factorized:
    n_distinct = len(counts)
    first_rows = np.empty(n_distinct, np.int64)
    _find_first_rows(ids, first_rows)
    if valid is None:
        return Factorized(ids, first_rows, np.append(counts, 0))
    codes = np.full(len(valid), n_distinct, np.int32)
    codes[valid] = ids
    return Factorized(codes, np.flatnonzero(valid)[first_rows], np.append(counts, len(valid) - len(ids)))


@jit
def _intern_range(values: Any, low: int, id_of: Any, ids: Any, counts: Any) -> int:
    """Give ids by a table over all values from `low` on; return how many there are."""
    n_distinct = 0
    for i in range(len(values)):
        place = values[i] - low
        number = id_of[place]
        if number < 0:
            number = n_distinct
            id_of[place] = number
            n_distinct += 1
        ids[i] = number
        counts[number] += 1
    return n_distinct


@jit
def _canonical(values: Any, out: Any) -> None:
    for i in range(len(values)):
        x = np.float64(values[i]) + 0.0
        out[i] = x if x == x else np.nan


@jit
def _find_first_rows(ids: Any, first_rows: Any) -> None:
    following = 0
    for i in range(len(ids)):
        if ids[i] == following:  # ids are given in first-seen order
            first_rows[following] = i
            following += 1
