"""cuml.manifold: UMAP, laid out by umap-learn from the neighbours that it is given."""

from __future__ import annotations

import warnings
from typing import Any

import cupy
import numpy as np
from tests.gpu.standin.offered import offered

from cuml.estimator import host


@offered("cuml", "cuml.manifold.UMAP")
class UMAP:
    """As the real one wants each row to be the first of its own neighbours."""

    def __init__(
        self,
        *,
        n_neighbors: int = 15,
        n_components: int = 2,
        metric: str = "euclidean",
        n_epochs: int | None = None,
        min_dist: float = 0.1,
        spread: float = 1.0,
        precomputed_knn: tuple[Any, Any] | None = None,
        random_state: int | None = None,
    ) -> None:
        if min_dist > spread:
            raise ValueError(f"Expected min_dist ({min_dist}) <= spread ({spread})")
        self._settings = {"n_neighbors": n_neighbors, "n_components": n_components, "metric": metric, "n_epochs": n_epochs}
        self._settings |= {"min_dist": min_dist, "spread": spread, "random_state": random_state, "n_jobs": 1}
        self._known = precomputed_knn

    def fit(self, X: Any, y: Any = None, *, knn_graph: Any = None) -> UMAP:
        import umap
        from threadpoolctl import threadpool_limits

        if self._known is None:
            raise NotImplementedError("the stand-in looks for no neighbours itself")
        found, distance = (host(known) for known in self._known)
        if found.shape != distance.shape or len(found) != len(X) or not np.array_equal(found[:, 0], np.arange(len(found))):
            raise ValueError("Expected indices and distances to include self references")
        with threadpool_limits(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            model = umap.UMAP(precomputed_knn=(found, distance.astype(np.float32)), force_approximation_algorithm=True, **self._settings)
            self.embedding_ = cupy.asarray(model.fit(host(X).astype(np.float32)).embedding_)
        return self
