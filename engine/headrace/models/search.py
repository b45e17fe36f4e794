"""The training rows nearest to a row: a library proposes a few more than are needed, a kernel of our own decides among them.

A library's distances are rounded, a GPU's to seven digits. So its answer is only taken where the exact distances show that no row it
left out can be as near as those it found; for the other rows all training rows are looked at. What comes out depends on the training
matrix and the row alone: not on the library, the device, the threads or the rows beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np

from headrace.errors import MissingLibraryError
from headrace.models.device import gpu_library, is_on_device, to_device, to_host
from headrace_kernels.nearest import Found, nearest_among, nearest_rows

# Up to so many training rows, the kernel looks at all of them in less time than a search tree takes to be asked.
_FEW_ROWS = 1_024
# How many rows more than asked for are proposed: the farthest of them is the proof, and must lie clearly farther than the last one taken.
_MORE = 8
# Neighbours that are held at a time: their numbers and distances are 64 MiB.
_MOST_FOUND = 1 << 22


def in_threads() -> Any:
    """Let scikit-learn share its work among threads: processes of its own it may not start in a Dask worker, and would warn each time."""
    return import_module("joblib").parallel_config(backend="threading")


class Search:
    """Finds the nearest of some rows; what it builds for that is made when it is first asked.

    >>> search = Search(np.array([[0.0], [5.0]], np.float32))
    >>> search.nearest(np.array([[4.0]], np.float32), 1)[0].tolist()
    [[1]]
    """

    def __init__(self, known: np.ndarray, metric: str = "euclidean", threads: int = 1) -> None:
        self.known = known
        self.metric = metric
        self.threads = threads

    def __getstate__(self) -> dict[str, Any]:
        # Trees and cuML's indices do not travel: the next process builds its own.
        return {"known": self.known, "metric": self.metric, "threads": self.threads}

    def nearest_by_parts(self, matrix: Any, k: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield which rows they are, and what `nearest` returns of them, for a part of the rows at a time: `k` may be large."""
        step = max(1, _MOST_FOUND // k)
        for start in range(0, len(matrix), step):
            part = slice(start, start + step)
            yield part, *self.nearest(matrix[part], k)

    def nearest(self, matrix: Any, k: int) -> Found:
        """Return the numbers of the `k` nearest rows, nearest first and equals by number, and their reduced distances; ``[n, k]``."""
        rows = np.ascontiguousarray(to_host(matrix), np.float32)
        wanted = k + max(k, _MORE)
        if len(self.known) <= max(_FEW_ROWS, wanted) or not len(rows):
            return nearest_rows(self.known, rows, k, self.metric, self.threads)
        on_device = is_on_device(matrix)
        proposed = self._propose_on_device(matrix, wanted) if on_device else self._propose(rows, wanted)
        found, distance, farthest = nearest_among(self.known, rows, proposed, k, self.metric, self.threads)
        unsure = np.flatnonzero(distance[:, -1] + 2 * self._error(rows, np.float32 if on_device else np.float64) >= farthest)
        if len(unsure):
            found[unsure], distance[unsure] = nearest_rows(self.known, rows[unsure], k, self.metric, self.threads)
        return found, distance

    def _error(self, rows: np.ndarray, dtype: type[np.floating[Any]]) -> Any:
        """Return how far a distance by the library may be off for each row.

        The squares of `euclidean` are made as x'x - 2 x'y + y'y at worst, whose rounding grows with the rows' own length. The factor
        is generous: too much costs time, too little would cost exactness.
        """
        return 8 * (rows.shape[1] + 8) * float(np.finfo(dtype).eps) * (self._lengths(rows) + self._longest)

    def _lengths(self, rows: np.ndarray) -> Any:
        wide = rows.astype(np.float64)
        return (wide * wide).sum(axis=1) if self.metric == "euclidean" else np.abs(wide).sum(axis=1)

    @cached_property
    def _longest(self) -> float:
        return float(self._lengths(self.known).max())

    def _propose(self, rows: np.ndarray, wanted: int) -> np.ndarray:
        with in_threads():
            return np.asarray(self._index.kneighbors(rows.astype(np.float64), wanted, return_distance=False), np.int64)

    def _propose_on_device(self, matrix: Any, wanted: int) -> np.ndarray:
        proposed = self._index_on_device.kneighbors(to_device(matrix, np.float32), wanted, return_distance=False)
        return to_host(proposed).astype(np.int64)

    @cached_property
    def _index(self) -> Any:
        try:
            from sklearn.neighbors import NearestNeighbors
        except ImportError as error:
            message = f"finding the nearest of {len(self.known)} rows needs the library {error.name!r}"
            raise MissingLibraryError(message, key="model.kind", hint="pip install 'headrace[cpu]'") from error
        return NearestNeighbors(metric=self.metric, n_jobs=self.threads).fit(self.known.astype(np.float64))

    @cached_property
    def _index_on_device(self) -> Any:
        neighbors = gpu_library("cuml.neighbors")
        return neighbors.NearestNeighbors(metric=self.metric, algorithm="brute").fit(to_device(self.known, np.float32))
