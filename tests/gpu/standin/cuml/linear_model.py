"""cuml.linear_model: least squares, ridge and logistic regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn.linear_model
from tests.gpu.standin.offered import offered

from cuml.estimator import Estimator, host


@offered("cuml", "cuml.linear_model.LinearRegression")
class LinearRegression(Estimator):
    _learnt = ("coef_", "intercept_")
    _least_rows = 2

    def __init__(self, *, algorithm: str = "auto", fit_intercept: bool = True) -> None:
        if algorithm not in ("auto", "eig", "svd", "lsmr", "qr", "svd-qr", "svd-jacobi"):
            raise ValueError(f"algorithm {algorithm!r} is not supported")
        self._settings = {"fit_intercept": fit_intercept}

    def _make(self) -> Any:
        return sklearn.linear_model.LinearRegression(**self._settings)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LinearRegression:
        return self._fit(X, y)


@offered("cuml", "cuml.linear_model.Ridge")
class Ridge(LinearRegression):
    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True, solver: str = "auto") -> None:
        if solver not in ("auto", "eig", "svd", "lsmr"):
            raise ValueError(f"solver {solver!r} is not supported")
        self._settings, self._solver = {"alpha": alpha, "fit_intercept": fit_intercept}, solver

    def _make(self) -> Any:
        return sklearn.linear_model.Ridge(**self._settings)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Ridge:
        if self._solver == "eig" and X.shape[1] == 1:
            raise ValueError("solver='eig' doesn't support X with 1 column, please select solver='svd' or solver='auto' instead")
        return self._fit(X, y)


@offered("cuml", "cuml.linear_model.LogisticRegression")
class LogisticRegression(Estimator):
    """The real one sums mean losses when the penalty is normalised, which is scikit-learn's objective; otherwise it is another one.

    With weights it divides the loss by their sum, and its slope and the penalty by the number of rows: they are one objective's where the mean
    weight is 1.
    """

    _learnt = ("coef_", "intercept_")

    def __init__(
        self,
        *,
        tol: float = 1e-4,
        C: float = 1.0,
        fit_intercept: bool = True,
        class_weight: Any = None,
        max_iter: int = 1000,
        penalty_normalized: bool = True,
    ) -> None:
        if not penalty_normalized:
            raise NotImplementedError("only the normalised penalty has a counterpart in scikit-learn")
        self._settings = {"tol": tol, "C": C, "fit_intercept": fit_intercept, "class_weight": class_weight, "max_iter": max_iter}

    def _make(self) -> Any:
        return sklearn.linear_model.LogisticRegression(solver="lbfgs", **self._settings)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LogisticRegression:
        asked = self._settings["class_weight"]
        mean = np.mean([asked.get(label, 1.0) for label in host(y).tolist()]) if isinstance(asked, dict) else 1.0
        if abs(mean - 1) > 1e-9:
            raise NotImplementedError(f"a mean weight of {mean:g}: the loss is not that of its slope")
        return self._fit(X, y)
