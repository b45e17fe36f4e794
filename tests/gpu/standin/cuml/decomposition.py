"""cuml.decomposition: PCA and truncated SVD, whose signs are the real package's own."""

from __future__ import annotations

from typing import Any

import sklearn.decomposition
from tests.gpu.standin.offered import offered

from cuml.estimator import Estimator


class _Decomposition(Estimator):
    _learnt = ("components_", "explained_variance_", "explained_variance_ratio_")
    _least_rows = _least_features = 2

    def _fit(self, X: Any, y: Any = None) -> Any:
        super()._fit(X)
        self.components_ = -self.components_
        return self


@offered("cuml", "cuml.decomposition.PCA")
class PCA(_Decomposition):
    def __init__(self, *, n_components: int | None = None, svd_solver: str = "auto", whiten: bool = False) -> None:
        if svd_solver not in ("auto", "full", "jacobi"):
            raise ValueError(f"svd_solver {svd_solver!r} is not supported")
        self._settings = {"n_components": n_components, "whiten": whiten}

    def _make(self) -> Any:
        return sklearn.decomposition.PCA(svd_solver="full", **self._settings)

    def fit(self, X: Any, y: Any = None) -> PCA:
        return self._fit(X)


@offered("cuml", "cuml.decomposition.TruncatedSVD")
class TruncatedSVD(_Decomposition):
    def __init__(self, *, n_components: int = 1, algorithm: str = "full", random_state: int | None = None) -> None:
        if algorithm not in ("auto", "full", "jacobi"):
            raise ValueError(f"algorithm {algorithm!r} is not supported")
        self._settings = {"n_components": n_components, "random_state": random_state}

    def _make(self) -> Any:
        return sklearn.decomposition.TruncatedSVD(algorithm="arpack", **self._settings)

    def fit(self, X: Any, y: Any = None) -> TruncatedSVD:
        return self._fit(X)
