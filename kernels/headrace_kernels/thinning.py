"""Numbers that occur often, and those that do not, which are most of them where strings hardly repeat.

>>> thinned = thinned_numbers([(np.array([7, -1, 7, 3], np.int32), None)], 8, least=2)
>>> thinned.kept.tolist(), thinned.sums.tolist(), thinned.rare.tolist(), thinned.ends.tolist()
([7, -1], [2, 1], [3], [0, 1])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.factorize import clear_places, places_of_thread
from headrace_kernels.tables import Ids

_ONE = np.ones(1, np.int64)
_AWAY = 0  # levels: a number that is in no row (any more), and, from 1 on, one more than its sum so far, at most `least`


class Thinned(NamedTuple):
    """Distinct numbers by how often they occur.

    Parameters
    ----------
    kept : ndarray of int32
        Those that occur often, and -1, by first appearance.
    sums : ndarray of int64
        How often each of them does.
    rare : ndarray of int32
        The others, by how often they occur, then by first appearance.
    ends : ndarray of int64
        Where in `rare` those end that occur never, once, twice, ...
    """

    kept: Ids
    sums: NDArray[np.int64]
    rare: Ids
    ends: NDArray[np.int64]


def thinned_numbers(parts: Sequence[tuple[Ids, NDArray[np.int64] | None]], n_numbers: int, least: int) -> Thinned:
    """Part the distinct numbers of several arrays into those whose weights sum to `least` or more and those whose weights do not.

    What it needs besides its result is a byte for each number (more where `least` is 255 or more), and 4 for each that is kept.

    Parameters
    ----------
    parts : sequence of (ndarray of int32, ndarray of int64 or None)
        Numbers, -1 <= number < `n_numbers`, and a weight for each, 0 or more; None: 1 each.
    n_numbers : int
        Numbers there may be.
    least : int
        At least 1.
    """
    n_rows = sum(len(numbers) if weights is None else int(weights.sum()) for numbers, weights in parts)
    least = min(least, n_rows + 1)  # which none reaches either
    levels = np.zeros(n_numbers + 1, np.min_scalar_type(least + 1))
    weighted = [(numbers, _ONE if weights is None else weights, weights is not None) for numbers, weights in parts]
    for numbers, weights, has_weights in weighted:
        _raise_levels(numbers, weights, has_weights, least, levels)
    if levels[0] != _AWAY:
        levels[0] = least + 1
    n_of_level = np.zeros(least + 2, np.int64)
    _count_levels(levels, n_of_level)
    n_of_sum = n_of_level[1:-1]
    ends = np.cumsum(n_of_sum)
    kept, sums = np.empty(n_of_level[-1], np.int32), np.empty(n_of_level[-1], np.int64)
    rare, following, n_kept = np.empty(ends[-1], np.int32), ends - n_of_sum, 0
    places = places_of_thread(n_numbers + 1)
    for numbers, weights, has_weights in weighted:
        n_kept = _part_numbers(numbers, weights, has_weights, least, levels, following, places, kept, sums, n_kept, rare)
    clear_places(kept, places)
    most = int(np.max(np.flatnonzero(n_of_sum), initial=0))
    return Thinned(kept, sums, rare, ends[: most + 1])


@jit
def _raise_levels(numbers: Any, weights: Any, weighted: bool, least: int, levels: Any) -> None:
    for i in range(len(numbers)):
        level: Any = np.int64(levels[numbers[i] + 1])
        if level <= least:
            levels[numbers[i] + 1] = min(max(level, 1) + (weights[i] if weighted else 1), least + 1)


@jit
def _count_levels(levels: Any, counts: Any) -> None:
    for i in range(len(levels)):
        counts[levels[i]] += 1


@jit
def _part_numbers(
    numbers: Any,
    weights: Any,
    weighted: bool,
    least: int,
    levels: Any,
    following: Any,
    place_of: Any,
    kept: Any,
    sums: Any,
    n_kept: int,
    rare: Any,
) -> int:
    """Write each number where it first appears; of those kept, sum the weights. Returns how many are kept so far."""
    for i in range(len(numbers)):
        number = numbers[i]
        level = np.int64(levels[number + 1])
        if level > least:
            weight = weights[i] if weighted else 1
            place = place_of[number + 1] - 1
            if place < 0:
                kept[n_kept], sums[n_kept] = number, weight
                n_kept += 1
                place_of[number + 1] = n_kept
            else:
                sums[place] += weight
        elif level != _AWAY:
            rare[following[level - 1]] = number
            following[level - 1] += 1
            levels[number + 1] = _AWAY
    return n_kept
