"""cuml.cluster: k-means, DBSCAN and HDBSCAN."""

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
    """As the real one numbers clusters in an order of its own, and rounds `eps` to float32."""

    _learnt = ("core_sample_indices_",)

    def __init__(self, *, eps: float = 0.5, min_samples: int = 5, metric: str = "euclidean") -> None:
        if metric not in ("euclidean", "cosine", "precomputed"):
            raise ValueError(f"metric {metric!r} is not supported")
        self._settings = {"eps": float(np.float32(eps)), "min_samples": min_samples, "metric": metric}

    def _make(self) -> Any:
        return sklearn.cluster.DBSCAN(**self._settings)

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, out_dtype: str = "int32") -> DBSCAN:
        self._fit(X)
        self.labels_ = cupy.asarray(_backwards(self._model.labels_).astype(out_dtype))
        return self


@offered("cuml", "cuml.cluster.HDBSCAN")
class HDBSCAN(Estimator):
    """As the real one numbers clusters in an order of its own, and does not count a row itself among its `min_samples`."""

    def __init__(
        self,
        *,
        min_cluster_size: int = 5,
        min_samples: int | None = None,
        max_cluster_size: int = 0,
        metric: str = "euclidean",
        cluster_selection_method: str = "eom",
        allow_single_cluster: bool = False,
    ) -> None:
        wanted = min_cluster_size if min_samples is None else min_samples
        if metric not in ("euclidean", "l2") or not 1 <= wanted <= 1023:
            raise ValueError(f"HDBSCAN requires `1 <= min_samples <= 1023`, got `min_samples={wanted}`, and l2, got {metric!r}")
        self._settings = {
            "min_cluster_size": min_cluster_size,
            "min_samples": wanted + 1,
            "max_cluster_size": max_cluster_size or None,
            "cluster_selection_method": cluster_selection_method,
            "allow_single_cluster": allow_single_cluster,
        }

    def _make(self) -> Any:
        return sklearn.cluster.HDBSCAN(copy=True, **self._settings)

    def fit(self, X: Any, y: Any = None) -> HDBSCAN:
        self._fit(X)
        self.labels_ = cupy.asarray(_backwards(self._model.labels_).astype(np.int64))
        return self


def _backwards(labels: np.ndarray) -> np.ndarray:
    return np.where(labels < 0, labels, labels.max() - labels)
