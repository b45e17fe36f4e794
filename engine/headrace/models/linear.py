"""Linear and logistic regression: trained by scikit-learn or cuML, kept as plain numbers, predicted without any library.

Source: T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, sections 3.2, 3.4.1
and 4.4.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import BundleError, JobError
from headrace.models.device import gpu_library, joined_on_device, to_host
from headrace.models.matrix import Block, check_matrix, joined
from headrace.models.rounds import TrainingRows
from headrace.models.settings import ModelSettings
from headrace.models.store import FILE_NAME, read_settings, write_settings
from headrace.models.sums import Products, solved
from headrace.models.trained import Trained

# Rows that are turned to float64 and summed at a time: 16,384 rows of 16 features stay in the second-level cache.
_CHUNK_ROWS = 16_384


@dataclass(frozen=True)
class LinearModel(Trained):
    """A trained linear model; see `headrace.models.Model`.

    Parameters
    ----------
    coef : float64 ``[outputs, k]``
        One row; for a multiclass model one a class.
    intercept, mean : float64 ``[outputs]``, ``[k]``
        The constant, and each feature's mean over the training rows.
    seen : tuple of int
        The classes that the training rows had, one for each output of a multiclass model.
    """

    settings: ModelSettings
    features: tuple[str, ...]
    coef: np.ndarray
    intercept: np.ndarray
    mean: np.ndarray
    seen: tuple[int, ...] = ()

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        check_matrix(matrix, self.features, missing=False)
        matrix = to_host(matrix)
        n_columns = self.settings.n_classes or 1
        predicted = np.zeros((len(matrix), n_columns), dtype=np.float32)
        columns = list(self.seen) if self.settings.n_classes else [0]
        for start in range(0, len(matrix), _CHUNK_ROWS):
            margins = self._margins(matrix[start : start + _CHUNK_ROWS])
            predicted[start : start + _CHUNK_ROWS, columns] = self._outputs(margins).T
        return predicted if self.settings.n_classes else predicted[:, 0]

    def contributions(self, matrix: np.ndarray, approximate: bool = False) -> np.ndarray:
        """Return ``coef * (x - mean)`` for each feature, and the margin of the mean row as bias.

        Parameters
        ----------
        matrix : float32 ``[n, k]``
            The rows.
        approximate : bool
            Makes no difference: these are the exact Shapley values of a linear model of independent features.

        Returns
        -------
        array
            float32 ``[n, k + 1]``, multiclass ``[n, classes, k + 1]`` (zeros for a class that training never saw).
        """
        check_matrix(matrix, self.features, missing=False)
        matrix = to_host(matrix)
        n_outputs = self.settings.n_classes or 1
        added = np.zeros((len(matrix), n_outputs, len(self.features) + 1), dtype=np.float32)
        for output, column in enumerate(self.seen or (0,)):
            added[:, column, :-1] = self.coef[output] * (matrix.astype(np.float64) - self.mean)
            added[:, column, -1] = self.intercept[output] + (self.coef[output] * self.mean).sum()
        return added if self.settings.n_classes else added[:, 0]

    def save(self, folder: Path) -> None:
        numbers = {
            "coef": self.coef.tolist(),
            "intercept": self.intercept.tolist(),
            "mean": self.mean.tolist(),
            "seen": list(self.seen),
        }
        write_settings(folder, self.settings, self.features, numbers)

    def _margins(self, matrix: np.ndarray) -> np.ndarray:
        """Return float64 ``[outputs, n]``.

        Summed feature by feature, not as a matrix product: BLAS adds in another order for another number of rows,
        and a row's prediction must not depend on the rows beside it.
        """
        columns = np.ascontiguousarray(matrix.T, dtype=np.float64)
        margins = np.repeat(self.intercept[:, None], len(matrix), axis=1)
        for output in range(len(self.coef)):
            for column, weight in zip(columns, self.coef[output], strict=True):
                margins[output] += weight * column
        return margins

    def _outputs(self, margins: np.ndarray) -> np.ndarray:
        if self.task == "regression":
            return margins
        if self.task == "binary":
            # logaddexp: no overflow, and small probabilities keep their digits.
            return np.asarray(np.exp(-np.logaddexp(0.0, -margins)))
        powers = np.exp(margins - margins.max(axis=0))
        return np.asarray(powers / powers.sum(axis=0))


def fit(settings: ModelSettings, features: tuple[str, ...], blocks: Sequence[Block], threads: int, device: str = "cpu") -> LinearModel:
    """Train on all rows as one float64 matrix; `settings` are resolved, the blocks checked.

    `threads` is not used: BLAS and OpenMP are held to one thread, since the sums of several differ in their last bits. On a GPU cuML
    trains with parameters of the same meaning; the model it leaves is the same plain numbers.
    """
    for matrix, _ in blocks:
        check_matrix(matrix, features, missing=False)
    library = "cuML" if device == "gpu" else "scikit-learn"
    whole, target = joined_on_device(list(blocks), np.float64) if device == "gpu" else joined(blocks, np.float64)
    try:
        estimator = _fitted_on_device(settings, whole, target) if device == "gpu" else _fitted(settings, whole, target)
    except (ValueError, TypeError) as error:
        message = f"{library} refuses: {str(error).partition(chr(10))[0]}"
        raise JobError(message, key="model.params", hint="look at the parameters' values") from error
    coef, intercept, mean = (np.asarray(to_host(x), np.float64) for x in (estimator.coef_, estimator.intercept_, whole.mean(axis=0)))
    coef, intercept = np.atleast_2d(coef), np.atleast_1d(intercept)
    seen: tuple[int, ...] = ()
    if settings.n_classes:
        seen = tuple(int(label) for label in np.unique(to_host(target)))
        if len(seen) == 2:  # then scikit-learn keeps one row of log odds; against a row of zeros, softmax gives the same
            coef, intercept = np.vstack([np.zeros_like(coef), coef]), np.concatenate([[0.0], intercept])
    return LinearModel(settings, features, coef, intercept, mean, seen)


def fit_by_sums(settings: ModelSettings, features: tuple[str, ...], rows: TrainingRows) -> LinearModel:
    """Return the linear regression of all rows, by sums of products alone; `settings` are resolved, the rows checked."""
    sums = rows.ask(Products(has_target=True))
    means = sums.means()
    has_intercept = settings.params.get("fit_intercept", True)
    products = sums.covariance(centred=has_intercept)
    penalty = settings.params.get("alpha", 0.0) / sums.n
    coef = solved(products[:-1, :-1] + penalty * np.eye(len(features)), products[:-1, -1])
    intercept = means[-1] - float((coef * means[:-1]).sum()) if has_intercept else 0.0
    return LinearModel(settings, features, coef[None, :], np.array([intercept]), means[:-1])


def load(folder: Path, threads: int | None) -> LinearModel:
    """Read back what `LinearModel.save` wrote; `threads` is not used."""
    settings, content = read_settings(folder)
    features = tuple(content["features"])
    try:
        coef, intercept, mean = (np.array(content[name], dtype=np.float64) for name in ("coef", "intercept", "mean"))
        seen = tuple(int(label) for label in content["seen"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"a linear model without its numbers: {error}", file=str(folder / FILE_NAME)) from error
    n_outputs = len(seen) if settings.n_classes else 1
    if coef.shape != (n_outputs, len(features)) or intercept.shape != (n_outputs,) or mean.shape != (len(features),):
        raise BundleError(f"coefficients of shape {coef.shape} for {len(features)} features", file=str(folder / FILE_NAME))
    return LinearModel(settings, features, coef, intercept, mean, seen)


def _fitted(settings: ModelSettings, matrix: np.ndarray, target: np.ndarray) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        estimator = _estimator(settings, matrix.shape).fit(matrix, target.astype(np.int64) if settings.task != "regression" else target)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        rounds = int(np.max(estimator.n_iter_))
        warnings.warn(f"not converged in {rounds} iterations: normalize the features, or raise max_iter", UserWarning, stacklevel=4)
    return estimator


def _estimator(settings: ModelSettings, shape: tuple[int, ...]) -> Any:
    """Return the estimator: least squares without a penalty unless ``alpha`` gives one, as the names promise.

    From 1.7 on scikit-learn takes directions for rounding whose size is below a millionth of the greatest: a feature of small numbers beside
    one of large ones would have no weight. Here only what is rounding is, as before 1.7.
    """
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

    if settings.kind == "logistic_regression":
        return LogisticRegression(solver="lbfgs", **settings.params)
    if "alpha" in settings.params:
        return Ridge(solver="cholesky", **settings.params)
    estimator = LinearRegression(**settings.params)
    return estimator.set_params(tol=max(shape) * np.finfo(np.float64).eps) if "tol" in estimator.get_params() else estimator


def _fitted_on_device(settings: ModelSettings, matrix: Any, target: Any) -> Any:
    """Train by cuML. What its defaults and scikit-learn's differ in is said: the iterations of logistic regression.

    Which solver finds ridge regression is cuML's to choose: the one by eigenvalues takes no single feature.
    """
    models = gpu_library("cuml.linear_model")
    if settings.kind == "logistic_regression":
        labels = target.astype(np.int64)
        wanted = _of_mean_weight_1({"max_iter": 100, **settings.params}, to_host(labels))
        # divided by the number of rows, as scikit-learn's sum of losses amounts to
        return models.LogisticRegression(penalty_normalized=True, **wanted).fit(matrix, labels)
    if "alpha" in settings.params:
        return models.Ridge(**settings.params).fit(matrix, target)
    return models.LinearRegression(algorithm="svd", **settings.params).fit(matrix, target)


def class_weights(asked: Any, seen: Sequence[int], counts: np.ndarray) -> np.ndarray:
    """Return what a row of each class seen counts: 1, or as many as make all classes weigh the same, or what is asked for."""
    if asked == "balanced":
        return np.asarray(counts.sum() / (len(seen) * counts))
    given = {int(label): float(weight) for label, weight in (asked or {}).items()}
    if unknown := sorted(set(given) - set(seen)):
        message = f"a weight of class {unknown[0]}, which no training row has"
        raise JobError(message, key="model.params.class_weight", hint=f"classes: {', '.join(map(str, seen))}")
    return np.array([given.get(label, 1.0) for label in seen])


def _of_mean_weight_1(params: dict[str, Any], labels: np.ndarray) -> dict[str, Any]:
    """Return parameters of the same least: cuML divides the loss by the sum of the weights, but its slope and the penalty by the number of rows."""
    if params.get("class_weight") is None:
        return params
    values, counts = np.unique(labels, return_counts=True)
    seen = values.tolist()
    weights = class_weights(params["class_weight"], seen, counts)
    mean = float((weights * counts).sum() / counts.sum())
    return {**params, "C": params.get("C", 1.0) * mean, "class_weight": dict(zip(seen, (weights / mean).tolist(), strict=True))}
