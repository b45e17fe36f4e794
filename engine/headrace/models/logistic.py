"""Logistic regression on all workers: L-BFGS, whose loss and slope are exact sums over all rows, one question a step.

Formula: the least of ``sum of weight * -log p(class)  +  |coef|**2 / (2 C)``, the intercept free of the penalty, as scikit-learn has it.
Steps are taken in directions that are not correlated, in units of their deviation, as a sample of the rows shows them: so they are few
whatever the features' units and whatever features have in common. The penalty is on the coefficients themselves.

Source: D. C. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical Programming 45, 1989.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from headrace.models.device import is_on_device, to_float64, to_host
from headrace.models.linear import LinearModel, class_weights
from headrace.models.rounds import Spread, TrainingRows
from headrace.models.settings import ModelSettings
from headrace.models.sums import total_of
from headrace_kernels.limbs import TOTAL_UNIT, nearest_float

_DEFAULTS = {"C": 1.0, "class_weight": None, "fit_intercept": True, "max_iter": 100, "tol": 1e-4}
# Rows whose margins the host makes at a time: a MiB a column.
_CHUNK_ROWS = 131_072
# A step that lowers the loss by fewer roundings ends it, as in scikit-learn.
_ROUNDINGS = 64
# Rows by which directions are chosen, and how much of a feature is taken for its own at least, were it a copy of others.
_SAMPLED_ROWS, _OWN_SHARE = 65_536, 1e-6


def fit_by_sums(settings: ModelSettings, features: tuple[str, ...], rows: TrainingRows) -> LinearModel:
    """Train on all rows in rounds; `settings` are resolved, the rows checked."""
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    params = {**_DEFAULTS, **settings.params}
    spread, counts = rows.ask(Spread()), rows.ask(Classes(settings.n_classes or 2)).counts
    seen = tuple(int(label) for label in np.flatnonzero(counts))
    weights = class_weights(params["class_weight"], seen, counts[list(seen)])
    total_weight = float((weights * counts[list(seen)]).sum())
    mean, has_intercept = spread.means(), params["fit_intercept"]
    middle = mean if has_intercept else np.zeros_like(mean)
    n_outputs = len(seen) if len(seen) > 2 else 1

    def coefficients(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what `x` says of features as they are: one row an output, and the intercepts."""
        grid = x.reshape(n_outputs, -1)
        coef = grid[:, : len(features)] @ directions
        intercept = grid[:, -1] - coef @ middle if has_intercept else np.zeros(n_outputs)
        return coef, intercept

    def loss_and_slope(x: np.ndarray) -> tuple[float, np.ndarray]:
        coef, intercept = coefficients(x)
        found = rows.ask(Slope(coef, intercept, seen, tuple(weights)))
        loss, slopes = found.floats(n_outputs)
        by_coef = slopes[:, :-1] + coef / params["C"]
        by_x = (by_coef - slopes[:, -1:] * middle) @ directions.T
        slope = np.hstack([by_x, slopes[:, -1:]]) if has_intercept else by_x
        return (loss + float((coef**2).sum()) / (2 * params["C"])) / total_weight, slope.ravel() / total_weight

    asked = {"maxiter": params["max_iter"], "maxls": 50, "gtol": params["tol"], "ftol": _ROUNDINGS * np.finfo(np.float64).eps}
    with threadpool_limits(limits=1):  # sums of several threads differ in their last bits
        deviation = np.hypot(spread.deviations(), mean - middle)
        directions = _directions(rows.sample(_SAMPLED_ROWS) - middle, deviation, 1 / (params["C"] * total_weight))
        start = np.zeros(n_outputs * (len(features) + has_intercept))
        found = minimize(loss_and_slope, start, jac=True, method="L-BFGS-B", options=asked)
    if found.nit >= params["max_iter"] and not found.success:
        warnings.warn(f"not converged in {found.nit} iterations: raise max_iter", UserWarning, stacklevel=3)
    coef, intercept = coefficients(found.x)
    if settings.n_classes and len(seen) == 2:  # softmax against a row of zeros is the one row's probability
        coef, intercept = np.vstack([np.zeros_like(coef), coef]), np.concatenate([[0.0], intercept])
    return LinearModel(settings, features, coef, intercept, mean, seen if settings.n_classes else ())


@dataclass(frozen=True)
class Classes:
    """Ask how many rows each of so many classes has."""

    n_classes: int

    def of(self, matrix: Any, target: Any) -> Counts:
        return Counts(to_host(np.bincount(target.astype(np.int64), minlength=self.n_classes)))


@dataclass(frozen=True, eq=False)
class Counts:
    """Rows of each class."""

    counts: np.ndarray

    def merged(self, other: Counts) -> Counts:
        return Counts(self.counts + other.counts)


@dataclass(frozen=True, eq=False)
class Slope:
    """Ask for the loss at some coefficients, and how it changes with each.

    Parameters
    ----------
    coef, intercept : float64 ``[outputs, k]``, ``[outputs]``
        One output for each class seen; of two classes that of the second, against 0 of the first.
    seen, weights : tuple
        The classes, and what a row of each counts.
    """

    coef: np.ndarray
    intercept: np.ndarray
    seen: tuple[int, ...]
    weights: tuple[float, ...]

    def of(self, matrix: Any, target: Any) -> Slopes:
        n_rows = max(len(matrix), 1) if is_on_device(matrix) else _CHUNK_ROWS
        answers = [
            self._of_chunk(matrix[start : start + n_rows], target[start : start + n_rows]) for start in range(0, len(matrix), n_rows)
        ]
        return reduce(Slopes.merged, answers, Slopes((0,) * (1 + self.coef.size + len(self.intercept))))

    def _of_chunk(self, matrix: Any, target: Any) -> Slopes:
        """Sums over features go feature by feature, as in `LinearModel.predict`: a row's do not depend on the rows beside it."""
        nothing = np.zeros_like(target, np.float64)
        margins = [nothing + intercept for intercept in self.intercept]
        for column, coef in zip(_columns(matrix), self.coef.T, strict=True):
            margins = [margin + column * weight for margin, weight in zip(margins, coef, strict=True)]
        of_class = [(target == label).astype(np.float64) for label in self.seen]
        weight = reduce(np.add, [inside * weight for inside, weight in zip(of_class, self.weights, strict=True)])
        each = margins if len(margins) > 1 else [nothing, *margins]
        top = reduce(np.maximum, each)
        powers = [np.exp(margin - top) for margin in each]
        whole = reduce(np.add, powers)
        own = reduce(np.add, [margin * inside for margin, inside in zip(each, of_class, strict=True)])
        missed = [weight * (power / whole - inside) for power, inside in zip(powers, of_class, strict=True)][-len(margins) :]
        totals = [total_of(weight * (np.log(whole) + top - own))]
        totals += [total_of(column * residual) for column in _columns(matrix) for residual in missed]
        return Slopes((*totals, *map(total_of, missed)))


@dataclass(frozen=True)
class Slopes:
    """Exact sums in units of ``2**-TOTAL_UNIT``: the loss, how it changes with each feature's coefficients, and with the intercepts."""

    totals: tuple[int, ...]

    def merged(self, other: Slopes) -> Slopes:
        return Slopes(tuple(map(int.__add__, self.totals, other.totals)))

    def floats(self, n_outputs: int) -> tuple[float, np.ndarray]:
        """Return the loss, and a row of slopes an output, that of the intercept last."""
        loss, *slopes = (nearest_float(total, 1 << TOTAL_UNIT) for total in self.totals)
        return loss, np.array(slopes).reshape(-1, n_outputs).T


def _columns(matrix: Any) -> Iterator[Any]:
    return (to_float64(matrix[:, index]) for index in range(matrix.shape[1]))


def _directions(sample: np.ndarray, deviation: np.ndarray, penalty: float) -> np.ndarray:
    """Return the ``[k, k]`` that turns directions in which the loss bends alike into coefficients of features.

    A row bends it by its probabilities' product, a quarter at most, and the penalty by itself.
    """
    scale = np.where(deviation > 0, deviation, 1.0)
    alike = (sample / scale).T @ (sample / scale) / len(sample)
    values, vectors = np.linalg.eigh(alike + np.diag(4 * penalty / scale**2 + _OWN_SHARE))
    return np.asarray(vectors / np.sqrt(values) @ vectors.T / scale)
