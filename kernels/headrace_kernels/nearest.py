"""The rows of a matrix that lie nearest to others, exactly: sums in float64 in the order of the features, ties by row number.

>>> known = np.array([[0, 0], [3, 4], [0, 1]], np.float32)
>>> rows, distances = nearest_rows(known, np.zeros((1, 2), np.float32), 2)
>>> rows.tolist(), distances.tolist()
([[0, 2]], [[0.0, 1.0]])

A row's result does not depend on the rows beside it nor on threads. Distances are reduced ones, which sort alike: of `euclidean` the square.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.threads import over_chunks

METRICS = ("euclidean", "manhattan", "chebyshev")
_CHUNK_ROWS = 1 << 10  # each row looks at all known ones: a thread's start is little beside a thousand of them

Rows = NDArray[np.float32]
Found = tuple[NDArray[np.int64], NDArray[np.float64]]


def nearest_rows(known: Rows, rows: Rows, k: int, metric: str = "euclidean", threads: int = 1) -> Found:
    """Return the `k` nearest of `known` for each of `rows`, nearest first, and their reduced distances; both ``[n, k]``.

    Parameters
    ----------
    known, rows : ndarray of float32 or float64, ``[m, features]`` and ``[n, features]``
        In C order, without NaN; ``m`` is at least `k`.
    k : int
        How many.
    metric : {"euclidean", "manhattan", "chebyshev"}
        Sum of squares, sum of absolute differences, or the largest of these.
    threads : int
        Threads to look with.
    """
    found, distance = np.empty((len(rows), k), np.int64), np.empty((len(rows), k))
    kind = METRICS.index(metric)
    over_chunks(lambda a, b: _nearest(known, rows[a:b], kind, found[a:b], distance[a:b]), len(rows), threads, _CHUNK_ROWS)
    return found, distance


def nearest_among(
    known: Rows, rows: Rows, candidates: NDArray[np.int64], k: int, metric: str = "euclidean", threads: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return what `nearest_rows` would if `known` were each row's `candidates` alone, and the farthest candidate's distance.

    >>> nearest_among(np.array([[0.0], [1.0], [5.0]]), np.zeros((1, 1)), np.array([[2, 1]]), 1)
    (array([[1]]), array([[1.]]), array([25.]))
    """
    found, distance, farthest = np.empty((len(rows), k), np.int64), np.empty((len(rows), k)), np.empty(len(rows))
    kind, ordered = METRICS.index(metric), np.sort(candidates, axis=1)  # by row number, which decides between equals
    over_chunks(
        lambda a, b: _nearest_among(known, rows[a:b], ordered[a:b], kind, found[a:b], distance[a:b], farthest[a:b]),
        len(rows),
        threads,
        _CHUNK_ROWS,
    )
    return found, distance, farthest


@jit
def _between(known: Any, j: int, rows: Any, i: int, metric: int) -> float:
    total = 0.0
    for feature in range(rows.shape[1]):
        difference = abs(np.float64(rows[i, feature]) - np.float64(known[j, feature]))
        if metric == 0:
            total += difference * difference
        elif metric == 1:
            total += difference
        else:
            total = max(total, difference)
    return total


@jit
def _insert(found: Any, distance: Any, i: int, filled: int, j: int, between: float) -> int:
    """Put row `j` into the ordered list of row `i`, behind its equals; return how many are in it."""
    k = found.shape[1]
    if filled == k and between >= distance[i, k - 1]:
        return filled
    place = min(filled, k - 1)
    while place > 0 and between < distance[i, place - 1]:
        found[i, place], distance[i, place] = found[i, place - 1], distance[i, place - 1]
        place -= 1
    found[i, place], distance[i, place] = j, between
    return min(filled + 1, k)


@jit
def _nearest(known: Any, rows: Any, metric: int, found: Any, distance: Any) -> None:
    for i in range(len(rows)):
        filled = 0
        for j in range(len(known)):
            filled = _insert(found, distance, i, filled, j, _between(known, j, rows, i, metric))


@jit
def _nearest_among(known: Any, rows: Any, candidates: Any, metric: int, found: Any, distance: Any, farthest: Any) -> None:
    for i in range(len(rows)):
        filled, most = 0, 0.0
        for j in candidates[i]:
            between = _between(known, j, rows, i, metric)
            most = max(most, between)
            filled = _insert(found, distance, i, filled, j, between)
        farthest[i] = most
