"""cuml.neighbors: the nearest rows by distances of float32, made of the squares of the rows' lengths."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np
from tests.gpu.standin.offered import offered

from cuml.estimator import host


@offered("cuml", "cuml.neighbors.NearestNeighbors")
class NearestNeighbors:
    def __init__(self, *, n_neighbors: int = 5, metric: str = "euclidean", algorithm: str = "auto") -> None:
        if metric not in ("euclidean", "manhattan", "chebyshev") or algorithm not in ("auto", "brute"):
            raise ValueError(f"metric {metric!r} with algorithm {algorithm!r} is not supported")
        self._k, self._metric = n_neighbors, metric

    def fit(self, X: Any, y: Any = None) -> NearestNeighbors:
        self._rows = host(X).astype(np.float32)
        return self

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True, *, two_pass_precision: bool = False
    ) -> Any:
        rows = host(X).astype(np.float32)
        if self._metric == "euclidean":
            lengths = [(part * part).sum(axis=1, dtype=np.float32) for part in (rows, self._rows)]
            distance = np.sqrt(np.maximum(lengths[0][:, None] - 2 * (rows @ self._rows.T) + lengths[1][None], 0))
        else:
            apart = np.abs(rows[:, None] - self._rows[None])
            distance = apart.sum(axis=2, dtype=np.float32) if self._metric == "manhattan" else apart.max(axis=2)
        # backwards, so that of equals the last comes first: which one does is not promised
        nearest = distance.shape[1] - 1 - np.argsort(distance[:, ::-1], axis=1, kind="stable")[:, : n_neighbors or self._k]
        found = cupy.asarray(nearest.astype(np.int64))
        return (cupy.asarray(np.take_along_axis(distance, nearest, axis=1)), found) if return_distance else found
