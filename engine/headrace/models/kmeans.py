"""k-means: centres trained by scikit-learn, cuML or all workers in rounds, kept as plain numbers; a row belongs to the nearest.

Source: S. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28, 1982. Start: D. Arthur,
S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headrace.errors import BundleError, JobError
from headrace.models.clusters import Clustered, predictions
from headrace.models.device import gpu_library, is_on_device, joined_on_device, to_device, to_float64, to_host
from headrace.models.matrix import Block, check_matrix, joined
from headrace.models.rounds import Spread, TrainingRows, evenly_spaced
from headrace.models.settings import ModelSettings
from headrace.models.store import FILE_NAME, read_settings, write_settings
from headrace.models.sums import total_of
from headrace_kernels.centres import nearest_centres, steps_a_unit, sums_by_centre

_DEFAULTS = {"n_clusters": 8, "n_init": 1, "max_iter": 300, "tol": 1e-4}
# Rows among which the centres to start with are drawn, evenly spaced over all.
_START_ROWS = 65_536
# Distances that a device holds at a time: 32 MiB, and twice that while they are made.
_DISTANCES_AT_ONCE = 1 << 22


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
        return predictions(*nearest_centres(self.centres, np.ascontiguousarray(to_host(matrix), np.float32), self.threads))

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
    train = _on_device if device == "gpu" else _on_host

    def trained(start: np.ndarray) -> _Trained:
        centres = train(whole, start, params).astype(np.float64)
        found, distance = nearest_centres(centres, np.ascontiguousarray(to_host(whole), np.float32), threads)
        return _Trained(float(distance.sum()), centres, np.bincount(found, minlength=len(centres)))

    starts = _starts(to_host(whole[evenly_spaced(_START_ROWS, len(whole))]), len(whole), params, settings.seed)
    return _best(settings, features, map(trained, starts), threads)


def fit_by_sums(settings: ModelSettings, features: tuple[str, ...], rows: TrainingRows) -> KMeans:
    """Train by Lloyd's rounds, each a question about all rows; `settings` are resolved, the rows checked.

    Starts, `tol` and `max_iter` are `fit`'s. A centre that has lost its rows stays where it is.
    """
    params = {**_DEFAULTS, **settings.params}
    spread = rows.ask(Spread())
    steps = steps_a_unit(spread.largest(), rows.n_rows)
    still = params["tol"] * float((spread.deviations() ** 2).mean())

    def trained(start: np.ndarray) -> _Trained:
        centres, moved = start.astype(np.float64), math.inf
        for _ in range(params["max_iter"]):
            before, centres = centres, rows.ask(Lloyd(centres, steps)).moved(centres, steps)
            moved = float(((centres - before) ** 2).sum())
            if moved <= still:
                break
        near = rows.ask(Lloyd(centres, steps))
        return _Trained(near.inertia, centres, near.counts)

    starts = _starts(rows.sample(_START_ROWS), rows.n_rows, params, settings.seed)
    return _best(settings, features, map(trained, starts), os.cpu_count() or 1)


@dataclass(frozen=True, eq=False)
class Lloyd:
    """Ask which rows lie nearest to each of `centres`; sums count in `steps`, see `headrace_kernels.centres`."""

    centres: np.ndarray
    steps: np.ndarray

    def of(self, matrix: Any, target: Any) -> Near:
        if is_on_device(matrix):
            return self._of_device(matrix)
        found, distance = nearest_centres(self.centres, matrix)
        counts = np.bincount(found, minlength=len(self.centres))
        return Near(sums_by_centre(matrix, found, len(self.centres), self.steps), counts, total_of(distance))

    def _of_device(self, matrix: Any) -> Near:
        """Each product and sum is an operation of its own on the device, so that none is fused with another: the host's bits."""
        near = Near(np.zeros(self.centres.shape, np.int64), np.zeros(len(self.centres), np.int64), 0)
        n_rows = max(_DISTANCES_AT_ONCE // len(self.centres), 1)
        for start in range(0, len(matrix), n_rows):
            rows = to_float64(matrix[start : start + n_rows])
            between = np.zeros_like(rows, shape=(len(rows), len(self.centres)))
            for feature in range(rows.shape[1]):
                apart = rows[:, feature : feature + 1] - to_device(self.centres[None, :, feature], np.float64)
                between += apart * apart
            found = between.argmin(axis=1)
            whole = np.rint(rows * to_device(self.steps, np.float64)).astype(np.int64)
            inside = [found == centre for centre in range(len(self.centres))]
            sums = np.stack([to_host((whole * of[:, None]).sum(axis=0)) for of in inside])
            counts = np.array([int(of.sum()) for of in inside])
            near = near.merged(Near(sums, counts, total_of(between.min(axis=1))))
        return near


@dataclass(frozen=True, eq=False)
class Near:
    """The sums and the numbers of the rows nearest to each centre, and the sum of their squared distances in units of ``2**-TOTAL_UNIT``."""

    sums: np.ndarray
    counts: np.ndarray
    inertia: int

    def merged(self, other: Near) -> Near:
        return Near(self.sums + other.sums, self.counts + other.counts, self.inertia + other.inertia)

    def moved(self, centres: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Return the mean of each centre's rows; the centre itself where it has none."""
        return np.where(self.counts[:, None] > 0, self.sums / np.maximum(self.counts, 1)[:, None] / steps, centres)


class _Trained(NamedTuple):
    inertia: float
    centres: np.ndarray
    sizes: np.ndarray


def _best(settings: ModelSettings, features: tuple[str, ...], trained: Iterable[_Trained], threads: int) -> KMeans:
    _, centres, sizes = min(trained, key=lambda one: one.inertia)
    if not sizes.all():
        warnings.warn(f"{int((sizes == 0).sum())} clusters have no row: fewer rows differ than n_clusters", UserWarning, stacklevel=4)
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


def _starts(sampled: np.ndarray, n_rows: int, params: dict[str, Any], seed: int) -> list[np.ndarray]:
    from sklearn.cluster import kmeans_plusplus
    from threadpoolctl import threadpool_limits

    count = params["n_clusters"]
    if count > n_rows:
        raise JobError(f"{count} clusters of {n_rows} training rows", key="model.params.n_clusters", hint="ask for fewer")
    if count > len(sampled):
        raise JobError(f"{count} clusters, at most {len(sampled)} can be started", key="model.params.n_clusters", hint="ask for fewer")
    with threadpool_limits(limits=1):
        rows = np.ascontiguousarray(sampled, np.float32)
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
