"""HDBSCAN: clusters of unlike density; trained by scikit-learn or cuML, kept as the training rows and how densely each of them lies.

Source: R. Campello, D. Moulavi, J. Sander, "Density-based clustering based on hierarchical density estimates", PAKDD 2013. The place of a
row that was not trained on follows `approximate_predict` of L. McInnes, J. Healy, S. Astels, "hdbscan: Hierarchical density based
clustering", Journal of Open Source Software 2, 2017, which scikit-learn has not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import BundleError, DataError, JobError
from headrace.models.clusters import NOISE, PREDICTED, Clustered, numbered, predictions
from headrace.models.device import gpu_library, joined_on_device, to_host
from headrace.models.matrix import Block, check_matrix, joined
from headrace.models.rows import read_rows, write_rows
from headrace.models.search import Search, in_threads
from headrace.models.settings import ModelSettings
from headrace.models.store import FILE_NAME, read_settings, write_settings

_DEFAULT_CLUSTER_SIZE = 5


@dataclass(frozen=True, eq=False)
class Hdbscan(Clustered):
    """Training rows, noise among them; see `headrace.models.Model`.

    Parameters
    ----------
    rows : float32 ``[m, k]``
        The training rows, in their order.
    cluster : int32 ``[m]``
        The cluster of each, -1 of noise.
    core : float64 ``[m]``
        The squared distance of each to the `min_samples`-th nearest training row, itself counted: its core distance.
    """

    settings: ModelSettings
    features: tuple[str, ...]
    rows: np.ndarray
    cluster: np.ndarray
    core: np.ndarray
    threads: int = 1

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Return the cluster of the training row that is nearest by mutual reachability, and the distance to it; -1 is noise.

        Mutual reachability is the greatest of the distance between two rows and the core distance of each. The row is looked for among
        the ``2 * min_samples`` nearest; the nearer of equals is taken. Where it lies farther by mutual reachability than the core
        distance of its cluster's sparsest row, the prediction is noise: so a cluster takes nothing that lies less densely than all that
        it was made of. A training row gets the cluster that training gave it.
        """
        check_matrix(matrix, self.features, missing=False)
        predicted = np.empty(len(matrix), PREDICTED)
        for part, found, distance in self.search.nearest_by_parts(matrix, min(2 * self.min_samples, len(self.rows))):
            own = distance[:, self.min_samples - 1, None]
            mutual = np.maximum(np.maximum(distance, self.core[found]), own)
            nearest = mutual.argmin(axis=1)[:, None]
            cluster, reached = (np.take_along_axis(each, nearest, axis=1)[:, 0] for each in (self.cluster[found], mutual))
            inside = (cluster != NOISE) & (reached <= self.sparsest[cluster])
            predicted[part] = predictions(np.where(inside, cluster, NOISE), reached)
        return predicted

    @property
    def min_samples(self) -> int:
        return _min_samples(self.settings)

    @cached_property
    def search(self) -> Search:
        return Search(self.rows, "euclidean", self.threads)

    @cached_property
    def sparsest(self) -> np.ndarray:
        """The greatest core distance of each cluster's rows, squared."""
        inside = self.cluster != NOISE
        greatest = np.zeros(self.cluster.max() + 1)
        np.maximum.at(greatest, self.cluster[inside], self.core[inside])
        return greatest

    def save(self, folder: Path) -> None:
        write_settings(folder, self.settings, self.features, write_rows(folder, self.rows, cluster=self.cluster, core=self.core))


def fit(settings: ModelSettings, features: tuple[str, ...], blocks: Sequence[Block], threads: int, device: str = "cpu") -> Hdbscan:
    """Train on all rows; `settings` are resolved, the blocks checked.

    The library says which rows belong together; core distances are our own exact ones. Clusters are numbered by the number of their
    rows, the largest first, and those of one size by their first row.
    """
    for matrix, _ in blocks:
        check_matrix(matrix, features, missing=False)
    whole, _ = joined_on_device(list(blocks), np.float32) if device == "gpu" else joined(blocks, np.float32)
    rows = np.ascontiguousarray(to_host(whole), np.float32)
    min_samples = _min_samples(settings)
    if min_samples > len(rows):
        named = "min_samples" if "min_samples" in settings.params else "min_cluster_size"
        raise JobError(f"{min_samples} neighbours among {len(rows)} training rows", key=f"model.params.{named}", hint="ask for fewer")
    params = {"min_cluster_size": _DEFAULT_CLUSTER_SIZE, **settings.params, "min_samples": min_samples}
    try:
        labels = to_host(_on_device(whole, params) if device == "gpu" else _on_host(whole, params, threads)).astype(np.int64)
    except ValueError as error:
        message = f"{'cuML' if device == 'gpu' else 'scikit-learn'} refuses: {error}"
        raise JobError(message, key="model.params", hint="look at the parameters' values") from error
    if (labels == NOISE).all():
        message = f"all rows are noise: no two groups of {params['min_cluster_size']} rows or more stand apart"
        hint = "lower min_cluster_size or min_samples, normalize the features, or set allow_single_cluster"
        raise DataError(message, hint=hint)
    core = np.empty(len(rows))
    for part, _, distance in Search(rows, "euclidean", threads).nearest_by_parts(whole, min_samples):
        core[part] = distance[:, -1]
    return Hdbscan(settings, features, rows, numbered(labels), core, threads)


def load(folder: Path, threads: int | None) -> Hdbscan:
    """Read back what `Hdbscan.save` wrote."""
    settings, content = read_settings(folder)
    features = tuple(content["features"])
    rows, (value, core) = read_rows(folder, content, len(features), "cluster", "core")
    cluster = value.astype(np.int32)
    if (cluster != value).any() or cluster.min() < NOISE or cluster.max() < 0 or core.min() < 0:
        raise BundleError("training rows without a cluster or a core distance", file=str(folder / FILE_NAME))
    if _min_samples(settings) > len(rows):
        raise BundleError("training rows that do not fit the settings", file=str(folder / FILE_NAME))
    return Hdbscan(settings, features, rows, cluster, core, threads or os.cpu_count() or 1)


def _min_samples(settings: ModelSettings) -> int:
    return int(settings.params.get("min_samples", settings.params.get("min_cluster_size", _DEFAULT_CLUSTER_SIZE)))


def _on_host(whole: np.ndarray, params: dict[str, Any], threads: int) -> np.ndarray:
    from sklearn.cluster import HDBSCAN

    with in_threads():
        return np.asarray(HDBSCAN(metric="euclidean", n_jobs=threads, copy=True, **params).fit(whole).labels_)


def _on_device(whole: Any, params: dict[str, Any]) -> Any:
    """Train by cuML, whose `min_samples` does not count the row itself."""
    params = {**params, "min_samples": params["min_samples"] - 1}
    return gpu_library("cuml.cluster").HDBSCAN(metric="euclidean", **params).fit(whole).labels_
