"""k-means: centres trained by scikit-learn or cuML, kept as plain numbers; a row belongs to the nearest.

Source: S. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28, 1982. Start: D. Arthur,
S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import BundleError, JobError
from headrace.models.clusters import Clustered, predictions
from headrace.models.device import gpu_library, joined_on_device, to_device, to_host
from headrace.models.matrix import Block, check_matrix, joined
from headrace.models.settings import ModelSettings
from headrace.models.store import FILE_NAME, read_settings, write_settings
from headrace_kernels.nearest import nearest_rows

_DEFAULTS = {"n_clusters": 8, "n_init": 1, "max_iter": 300, "tol": 1e-4}
# Rows among which the centres to start with are drawn, evenly spaced over all.
_START_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class KMeans(Clustered):
    """Centres, float64 ``[clusters, k]``, that of the most training rows first; see `headrace.models.Model`."""

    settings: ModelSettings
    features: tuple[str, ...]
    centres: np.ndarray
    threads: int = 1

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Return the nearest centre's number (of two equally near the lower) and the distance to it."""
        check_matrix(matrix, self.features, missing=False)
        return predictions(*(column[:, 0] for column in _nearest(self.centres, matrix, self.threads)))

    def save(self, folder: Path) -> None:
        write_settings(folder, self.settings, self.features, {"centres": self.centres.tolist()})


def fit(settings: ModelSettings, features: tuple[str, ...], blocks: Sequence[Block], threads: int, device: str = "cpu") -> KMeans:
    """Train on all rows as one float32 matrix; `settings` are resolved, the blocks checked.

    Both libraries start from the same centres, drawn from the rows by k-means++ here, and the best of `n_init` starts is kept.
    """
    for matrix, _ in blocks:
        check_matrix(matrix, features, missing=False)
    params = {**_DEFAULTS, **settings.params}
    whole, _ = joined_on_device(list(blocks), np.float32) if device == "gpu" else joined(blocks, np.float32)
    if params["n_clusters"] > len(whole):
        message = f"{params['n_clusters']} clusters of {len(whole)} training rows"
        raise JobError(message, key="model.params.n_clusters", hint="ask for fewer")
    train = _on_device if device == "gpu" else _on_host
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for start in _starts(whole, params, settings.seed):
        centres = train(whole, start, params).astype(np.float64)
        found, distance = _nearest(centres, whole, threads)
        inertia = float(distance.sum())
        if best is None or inertia < best[0]:
            best = inertia, centres, np.bincount(found[:, 0], minlength=len(centres))
    assert best is not None  # noqa: S101  (n_init is 1 or more)
    _, centres, sizes = best
    if not sizes.all():
        warnings.warn(f"{int((sizes == 0).sum())} clusters have no row: fewer rows differ than n_clusters", UserWarning, stacklevel=3)
    order = sorted(range(len(centres)), key=lambda cluster: (-sizes[cluster], *centres[cluster]))
    return KMeans(settings, features, centres[order], threads)


def load(folder: Path, threads: int | None) -> KMeans:
    """Read back what `KMeans.save` wrote."""
    settings, content = read_settings(folder)
    features = tuple(content["features"])
    try:
        centres = np.array(content["centres"], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"k-means without its centres: {error}", file=str(folder / FILE_NAME)) from error
    if centres.ndim != 2 or not len(centres) or centres.shape[1] != len(features) or not np.isfinite(centres).all():
        raise BundleError(f"centres of shape {centres.shape} for {len(features)} features", file=str(folder / FILE_NAME))
    return KMeans(settings, features, centres, threads or os.cpu_count() or 1)


def _nearest(centres: np.ndarray, matrix: Any, threads: int) -> tuple[np.ndarray, np.ndarray]:
    return nearest_rows(centres, np.ascontiguousarray(to_host(matrix), np.float32), 1, threads=threads)


def _starts(whole: Any, params: dict[str, Any], seed: int) -> list[np.ndarray]:
    from sklearn.cluster import kmeans_plusplus
    from threadpoolctl import threadpool_limits

    sampled = np.unique(np.linspace(0, len(whole) - 1, min(len(whole), _START_ROWS)).astype(np.int64))
    rows = np.ascontiguousarray(to_host(whole[sampled]), np.float32)
    with threadpool_limits(limits=1):
        count = params["n_clusters"]
        if count > len(rows):
            raise JobError(f"{count} clusters, at most {len(rows)} can be started", key="model.params.n_clusters", hint="ask for fewer")
        return [kmeans_plusplus(rows, count, random_state=(seed + place) % 2**32)[0] for place in range(params["n_init"])]


def _on_host(whole: np.ndarray, start: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """Train with one thread: the sums of several differ in their last bits."""
    import sklearn.cluster
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # too few rows that differ: `fit` says it in the job's words
        estimator = sklearn.cluster.KMeans(len(start), init=start, n_init=1, max_iter=params["max_iter"], tol=params["tol"])
        return np.asarray(estimator.fit(whole).cluster_centers_)


def _on_device(whole: Any, start: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """Train on rows scaled to a mean variance of 1, by which scikit-learn multiplies `tol`."""
    cluster = gpu_library("cuml.cluster")
    middle, scale = whole.mean(axis=0), max(float(whole.var(axis=0).mean()) ** 0.5, float(np.finfo(np.float32).tiny))
    init = (to_device(start, np.float32) - middle) / np.float32(scale)
    estimator = cluster.KMeans(n_clusters=len(start), init=init, n_init=1, max_iter=params["max_iter"], tol=params["tol"])
    found = estimator.fit((whole - middle) / np.float32(scale)).cluster_centers_
    return np.asarray(to_host(found * np.float32(scale) + middle))
