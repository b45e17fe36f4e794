"""cuml.cluster: k-means and DBSCAN."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np
import sklearn.cluster
from tests.gpu.standin.offered import offered

from cuml.estimator import Estimator, host


@offered("cuml", "cuml.cluster.KMeans")
class KMeans(Estimator):
    """As the real one compares `tol` with how far the centres moved, and not with that by the rows' variance as scikit-learn."""

    _learnt = ("cluster_centers_", "labels_")

    def __init__(
        self, *, n_clusters: int = 8, max_iter: int = 300, tol: float = 1e-4, init: Any = "scalable-k-means++", n_init: Any = "auto"
    ):
        self._settings = {"n_clusters": n_clusters, "max_iter": max_iter, "init": host(init), "n_init": n_init}
        self._tol = tol

    def _make(self) -> Any:
        return sklearn.cluster.KMeans(**self._settings)

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> KMeans:
        self._settings["tol"] = self._tol / max(float(np.var(host(X), axis=0).mean()), 1e-30)
        return self._fit(X)


@offered("cuml", "cuml.cluster.DBSCAN")
class DBSCAN(Estimator):
    """As the real one numbers clusters in an order of its own."""

    _learnt = ("core_sample_indices_",)

    def __init__(self, *, eps: float = 0.5, min_samples: int = 5, metric: str = "euclidean") -> None:
        if metric not in ("euclidean", "cosine", "precomputed"):
            raise ValueError(f"metric {metric!r} is not supported")
        self._settings = {"eps": eps, "min_samples": min_samples, "metric": metric}

    def _make(self) -> Any:
        return sklearn.cluster.DBSCAN(**self._settings)

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, out_dtype: str = "int32") -> DBSCAN:
        self._fit(X)
        labels = self._model.labels_
        self.labels_ = cupy.asarray(np.where(labels < 0, labels, labels.max() - labels).astype(out_dtype))
        return self
