"""DBSCAN: clusters as what can be walked from core row to core row; trained by scikit-learn or cuML, kept as core rows.

Source: M. Ester, H.-P. Kriegel, J. Sander, X. Xu, "A density-based algorithm for discovering clusters in large spatial databases with
noise", KDD 1996.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import BundleError, DataError
from headrace.models.clusters import NOISE, Clustered, numbered, predictions
from headrace.models.device import gpu_library, joined_on_device, to_host
from headrace.models.matrix import Block, check_matrix, joined
from headrace.models.rows import read_rows, write_rows
from headrace.models.search import Search, in_threads
from headrace.models.settings import ModelSettings
from headrace.models.store import FILE_NAME, read_settings, write_settings

_DEFAULTS = {"eps": 0.5, "min_samples": 5}


@dataclass(frozen=True, eq=False)
class Dbscan(Clustered):
    """Core rows, float32 ``[m, k]`` in the order of training, and the cluster of each; see `headrace.models.Model`."""

    settings: ModelSettings
    features: tuple[str, ...]
    cores: np.ndarray
    cluster: np.ndarray
    threads: int = 1

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Return the nearest core row's cluster, -1 (noise) where it is farther than `eps`; and the distance to it.

        A training row gets the cluster that training gave it, but for one within `eps` of two clusters without being a core row:
        DBSCAN leaves to chance which of the two it joins, here it is the nearer.
        """
        check_matrix(matrix, self.features, missing=False)
        found, distance = self.search.nearest(matrix, 1)
        inside = distance[:, 0] <= self.eps**2
        return predictions(np.where(inside, self.cluster[found[:, 0]], NOISE), distance[:, 0])

    @property
    def eps(self) -> float:
        return float(self.settings.params.get("eps", _DEFAULTS["eps"]))

    @cached_property
    def search(self) -> Search:
        return Search(self.cores, "euclidean", self.threads)

    def save(self, folder: Path) -> None:
        write_settings(folder, self.settings, self.features, write_rows(folder, self.cores, value=self.cluster))


def fit(settings: ModelSettings, features: tuple[str, ...], blocks: Sequence[Block], threads: int, device: str = "cpu") -> Dbscan:
    """Train on all rows as one float64 matrix; `settings` are resolved, the blocks checked.

    Which rows are core rows, and which of them hang together, depends on the rows alone. Clusters are numbered by the number of their
    core rows, the largest first, and those of one size by their first row.
    """
    for matrix, _ in blocks:
        check_matrix(matrix, features, missing=False)
    params: dict[str, Any] = {**_DEFAULTS, **settings.params}
    if device == "gpu":
        whole, _ = joined_on_device(list(blocks), np.float64)
        estimator = _on_device(whole, params)
    else:
        from sklearn.cluster import DBSCAN

        whole, _ = joined(blocks, np.float64)
        with in_threads():
            estimator = DBSCAN(metric="euclidean", n_jobs=threads, **params).fit(whole)
    cores = np.sort(to_host(estimator.core_sample_indices_).astype(np.int64))
    if not len(cores):
        message = f"all rows are noise: none has {params['min_samples']} rows within {params['eps']:g} of it"
        raise DataError(message, hint="raise eps, lower min_samples, or normalize the features")
    labels = to_host(estimator.labels_).astype(np.int64)[cores]
    rows = np.ascontiguousarray(to_host(whole[cores]), np.float32)
    return Dbscan(settings, features, rows, numbered(labels), threads)


def load(folder: Path, threads: int | None) -> Dbscan:
    """Read back what `Dbscan.save` wrote."""
    settings, content = read_settings(folder)
    features = tuple(content["features"])
    cores, (value,) = read_rows(folder, content, len(features), "value")
    cluster = value.astype(np.int32)
    if (cluster != value).any() or cluster.min() < 0:
        raise BundleError("core rows whose clusters are no whole numbers from 0", file=str(folder / FILE_NAME))
    return Dbscan(settings, features, cores, cluster, threads or os.cpu_count() or 1)


def _on_device(whole: Any, params: dict[str, Any]) -> Any:
    """Train by cuML, which rounds `eps` to float32: where that is another number, on rows in units of it."""
    eps = params["eps"]
    unit = 1.0 if float(np.float32(eps)) == eps else eps
    return gpu_library("cuml.cluster").DBSCAN(metric="euclidean", **{**params, "eps": eps / unit}).fit(whole / unit)
