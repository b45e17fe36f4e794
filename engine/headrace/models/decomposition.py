"""PCA and truncated SVD: directions trained by scikit-learn or cuML, kept as plain numbers; a row's prediction is its place along them.

Source: I. T. Jolliffe, "Principal Component Analysis", 2nd edition, 2002, chapters 1 and 3.
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
from headrace.models.places import Placed
from headrace.models.rounds import TrainingRows
from headrace.models.settings import DEFAULT_COMPONENTS, ModelSettings
from headrace.models.store import FILE_NAME, read_settings, write_settings
from headrace.models.sums import Products

_NUMBERS = ("components", "mean", "scale", "explained_variance_ratio")


@dataclass(frozen=True, eq=False)
class Decomposition(Placed):
    """Directions of the greatest variance; see `headrace.models.Model`.

    Parameters
    ----------
    components : float64 ``[components, k]``
        Directions of length 1, the greatest first; of each the entry that is largest in size is positive.
    mean : float64 ``[k]``
        What is subtracted from a row: the training rows' mean, zeros for truncated SVD.
    scale : float64 ``[components]``
        What a row's place is divided by: the training rows' standard deviation with `whiten`, else 1.
    explained_variance_ratio : float64 ``[components]``
        Each one's share of the training rows' variance.
    """

    settings: ModelSettings
    features: tuple[str, ...]
    components: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    explained_variance_ratio: np.ndarray

    @property
    def columns(self) -> dict[str, str]:
        return {f"pc_{index + 1}": "float32" for index in range(len(self.components))}

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Return float32 ``[n, components]``, summed feature by feature: so a row's place does not depend on the rows beside it."""
        check_matrix(matrix, self.features, missing=False)
        columns = np.ascontiguousarray(to_host(matrix).T, np.float64)
        places = np.zeros((len(self.components), columns.shape[1]))
        for place, component in zip(places, self.components, strict=True):
            for column, middle, weight in zip(columns, self.mean, component, strict=True):
                place += (column - middle) * weight
        return np.ascontiguousarray((places / self.scale[:, None]).T, np.float32)

    def explained(self, matrix: np.ndarray) -> float | None:
        """Return the share of these rows' variance that the components keep; None where the rows do not differ."""
        total = float(np.var(matrix, axis=0, dtype=np.float64).sum())
        kept = float((np.var(self.predict(matrix), axis=0, dtype=np.float64) * self.scale**2).sum())
        return kept / total if total > 0 else None

    def save(self, folder: Path) -> None:
        write_settings(folder, self.settings, self.features, {name: getattr(self, name).tolist() for name in _NUMBERS})


def fit(settings: ModelSettings, features: tuple[str, ...], blocks: Sequence[Block], threads: int, device: str = "cpu") -> Decomposition:
    """Train on all rows as one float64 matrix; `settings` are resolved, the blocks checked.

    `threads` is not used: BLAS is held to one thread, since the sums of several differ in their last bits.
    """
    for matrix, _ in blocks:
        check_matrix(matrix, features, missing=False)
    whole, _ = joined_on_device(list(blocks), np.float64) if device == "gpu" else joined(blocks, np.float64)
    n_components = _checked_components(settings, features, len(whole))
    estimator = _on_device(settings, n_components, whole) if device == "gpu" else _on_host(settings, n_components, whole)
    found = (estimator.components_, estimator.explained_variance_, estimator.explained_variance_ratio_)
    components, variance, ratio = (np.asarray(to_host(numbers), np.float64) for numbers in found)
    return _made(settings, features, components, variance, ratio, np.asarray(to_host(whole.mean(axis=0)), np.float64))


def fit_by_sums(settings: ModelSettings, features: tuple[str, ...], rows: TrainingRows) -> Decomposition:
    """Return the components of all rows, by sums of products alone; `settings` are resolved, the rows checked."""
    from threadpoolctl import threadpool_limits

    sums = rows.ask(Products(has_target=False))
    n_components = _checked_components(settings, features, sums.n)
    covariance = sums.covariance()
    with threadpool_limits(limits=1):
        directions = np.linalg.eigh(covariance if settings.kind == "pca" else sums.covariance(centred=False))[1]
        components = np.ascontiguousarray(directions.T[::-1][:n_components])
        variance = np.maximum(np.einsum("ci,ij,cj->c", components, covariance, components), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = variance / covariance.trace()
    of_a_sample = sums.n / max(sums.n - 1, 1) if settings.kind == "pca" else 1.0  # as scikit-learn has it
    return _made(settings, features, components, variance * of_a_sample, ratio, sums.means())


def load(folder: Path, threads: int | None) -> Decomposition:
    """Read back what `Decomposition.save` wrote; `threads` is not used."""
    settings, content = read_settings(folder)
    features = tuple(content["features"])
    try:
        components, mean, scale, ratio = (np.array(content[name], np.float64) for name in _NUMBERS)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"components without their numbers: {error}", file=str(folder / FILE_NAME)) from error
    count = (len(components),)
    fits = components.ndim == 2 and components.shape[1] == len(features) and mean.shape == (len(features),)
    if not fits or scale.shape != count or ratio.shape != count:
        raise BundleError(f"components of shape {components.shape} for {len(features)} features", file=str(folder / FILE_NAME))
    return Decomposition(settings, features, components, mean, scale, ratio)


def _checked_components(settings: ModelSettings, features: tuple[str, ...], n_rows: int) -> int:
    settings.check_features(features)
    n_components = int(settings.params.get("n_components", DEFAULT_COMPONENTS))
    if n_components > n_rows - (settings.kind == "truncated_svd"):
        raise JobError(f"{n_components} components of {n_rows} training rows", key="model.params.n_components", hint="ask for fewer")
    return n_components


def _made(
    settings: ModelSettings, features: tuple[str, ...], components: np.ndarray, variance: np.ndarray, ratio: np.ndarray, mean: np.ndarray
) -> Decomposition:
    """Return the model of directions of length 1, of any sign."""
    largest = np.abs(components).argmax(axis=1)
    signs = np.where(components[np.arange(len(components)), largest] < 0, -1.0, 1.0)
    mean = mean if settings.kind == "pca" else np.zeros(len(features))
    scale = np.sqrt(variance) if settings.params.get("whiten", False) else np.ones(len(components))
    # Features that do not vary, or not in so many ways: shares of nothing, and places to be divided by nothing.
    scale, ratio = np.where(scale > 0, scale, 1.0), np.nan_to_num(ratio, nan=0.0, posinf=0.0, neginf=0.0)
    return Decomposition(settings, features, components * signs[:, None], mean, scale, ratio)


def _on_host(settings: ModelSettings, n_components: int, whole: np.ndarray) -> Any:
    from sklearn.decomposition import PCA, TruncatedSVD
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        if settings.kind == "pca":
            # by the covariance's eigenvectors, as cuML: a matrix of features by features however many the rows
            return PCA(n_components, svd_solver="covariance_eigh").fit(whole)
        return TruncatedSVD(n_components, algorithm="arpack", random_state=settings.seed).fit(whole)


def _on_device(settings: ModelSettings, n_components: int, whole: Any) -> Any:
    models = gpu_library("cuml.decomposition")
    if settings.kind == "pca":
        estimator = models.PCA(n_components=n_components, svd_solver="full")
    else:
        estimator = models.TruncatedSVD(n_components=n_components, algorithm="full", random_state=settings.seed)
    try:
        return estimator.fit(whole)
    except ValueError as error:
        raise JobError(f"cuML refuses: {error}", key="model.kind", hint="give it two rows and two features, or run.device: cpu") from error
