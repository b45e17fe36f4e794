"""One round of k-means: the centre nearest to each row, and the sums of the rows of each centre, the same bits however rows are cut.

Distances are `nearest.nearest_rows`'s, to the last bit; rows lie side by side here, so that LLVM measures several at a time. Sums are
integers: a value counts in steps of a power of two which all parts share, so small that the sum of all rows just fits 64 bits. Of a million
rows a step is 2**-43 of the largest value, where float32 keeps 2**-24 of each.

>>> rows, centres = np.array([[1.0], [2.0], [9.0]], np.float32), np.array([[0.0], [10.0]])
>>> found, distances = nearest_centres(centres, rows)
>>> found.tolist(), distances.tolist()
([0, 0, 1], [1.0, 4.0, 1.0])
>>> steps = steps_a_unit(np.array([9.0]), 3)
>>> (sums_by_centre(rows, found, 2, steps) / steps).tolist()
[[3.0], [9.0]]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.threads import over_chunks

_CHUNK_ROWS = 1 << 13
_BLOCK = 64  # rows measured at a time: so many of 20 features are 10 KiB
_INT64_BITS = 62


def nearest_centres(
    centres: NDArray[np.float64], rows: NDArray[np.float32], threads: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return each row's nearest centre, of two equally near the lower, and the square of the distance to it.

    Parameters
    ----------
    centres, rows : ndarray ``[m, features]`` and ``[n, features]``
        Without NaN; at least one centre.
    threads : int
        Threads to look with.
    """
    found, distance = np.empty(len(rows), np.int64), np.empty(len(rows))
    over_chunks(lambda a, b: _nearest(centres, rows[a:b], found[a:b], distance[a:b]), len(rows), threads, _CHUNK_ROWS)
    return found, distance


def steps_a_unit(largest: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
    """Return, a column each, how many steps 1.0 has: a power of two, the greatest for which `n_rows` values up to `largest` in size add up.

    >>> (np.log2(steps_a_unit(np.array([3.0, 0.0]), 1_000_000))).tolist()
    [40.0, 0.0]
    """
    exponents = np.where(largest > 0, _INT64_BITS - n_rows.bit_length() - np.frexp(largest)[1], 0)
    return np.ldexp(1.0, exponents)


def sums_by_centre(rows: NDArray[np.float32], found: NDArray[np.int64], n_centres: int, steps: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the sums of the rows of each centre, in `steps_a_unit`: int64 ``[n_centres, features]``."""
    sums = np.zeros((n_centres, rows.shape[1]), np.int64)
    _add(rows, found, steps, sums)
    return sums


@jit
def _nearest(centres: Any, rows: Any, found: Any, distance: Any) -> None:
    n_features = rows.shape[1]
    columns, between = np.zeros((n_features, _BLOCK)), np.empty(_BLOCK)
    nearest, least = np.empty(_BLOCK, np.int64), np.empty(_BLOCK)
    for start in range(0, len(rows), _BLOCK):
        n_rows = min(_BLOCK, len(rows) - start)
        for i in range(n_rows):
            for feature in range(n_features):
                columns[feature, i] = rows[start + i, feature]
        least[:] = np.inf
        nearest[:] = 0
        for j in range(len(centres)):
            between[:] = 0.0
            for feature in range(n_features):
                centre = centres[j, feature]
                for i in range(_BLOCK):
                    difference = columns[feature, i] - centre
                    between[i] += difference * difference
            for i in range(_BLOCK):
                is_nearer = between[i] < least[i]
                nearest[i] = j if is_nearer else nearest[i]
                least[i] = between[i] if is_nearer else least[i]
        found[start : start + n_rows], distance[start : start + n_rows] = nearest[:n_rows], least[:n_rows]


@jit
def _add(rows: Any, found: Any, steps: Any, sums: Any) -> None:
    for i in range(len(rows)):
        for feature in range(rows.shape[1]):
            sums[found[i], feature] += np.int64(np.rint(np.float64(rows[i, feature]) * steps[feature]))
