"""Nearest neighbours: the training rows are the model; a row gets the mean, or the class shares, of those nearest to it.

Source: T. Cover, P. Hart, "Nearest neighbor pattern classification", IEEE Transactions on Information Theory 13, 1967.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import BundleError, JobError
from headrace.models.device import joined_on_device, to_host
from headrace.models.matrix import Block, check_matrix, joined
from headrace.models.rows import read_rows, write_rows
from headrace.models.search import Search
from headrace.models.settings import ModelSettings
from headrace.models.store import FILE_NAME, read_settings, write_settings
from headrace.models.trained import Trained

_DEFAULT_NEIGHBORS = 5


@dataclass(frozen=True, eq=False)
class NearestNeighbors(Trained):
    """Training rows and their targets; see `headrace.models.Model`.

    Parameters
    ----------
    rows : float32 ``[m, k]``
        The training rows, in their order.
    target : float64 ``[m]``
        Their targets: numbers, or classes.
    """

    settings: ModelSettings
    features: tuple[str, ...]
    rows: np.ndarray
    target: np.ndarray
    threads: int = 1

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        check_matrix(matrix, self.features, missing=False)
        found, distance = self.search.nearest(matrix, self.n_neighbors)
        weights = self._weights(distance)
        values = self.target[found]
        if self.task != "multiclass":
            return _mean(values, weights).astype(np.float32)
        shares = [_mean(values == label, weights) for label in range(self.settings.n_classes)]
        return np.column_stack(shares).astype(np.float32)

    @property
    def n_neighbors(self) -> int:
        return int(self.settings.params.get("n_neighbors", _DEFAULT_NEIGHBORS))

    @cached_property
    def search(self) -> Search:
        return Search(self.rows, str(self.settings.params.get("metric", "euclidean")), self.threads)

    def save(self, folder: Path) -> None:
        write_settings(folder, self.settings, self.features, write_rows(folder, self.rows, value=self.target))

    def _weights(self, distance: np.ndarray) -> np.ndarray:
        """Return each neighbour's weight: 1, or 1 / distance; where some lie at distance 0, these alone count."""
        if self.settings.params.get("weights", "uniform") == "uniform":
            return np.ones_like(distance)
        away = np.sqrt(distance) if self.search.metric == "euclidean" else distance
        same = away == 0
        with np.errstate(divide="ignore"):
            return np.where(same.any(axis=1, keepdims=True), same.astype(np.float64), 1 / away)


def fit(settings: ModelSettings, features: tuple[str, ...], blocks: Sequence[Block], threads: int, device: str = "cpu") -> NearestNeighbors:
    """Keep all rows as one float32 matrix; `settings` are resolved, the blocks checked. Where is of no matter: nothing is computed."""
    for matrix, _ in blocks:
        check_matrix(matrix, features, missing=False)
    whole, target = joined_on_device(list(blocks), np.float32) if device == "gpu" else joined(blocks, np.float32)
    rows = np.ascontiguousarray(to_host(whole), np.float32)
    model = NearestNeighbors(settings, features, rows, to_host(target).astype(np.float64), threads)
    if model.n_neighbors > len(rows):
        message = f"{model.n_neighbors} neighbours among {len(rows)} training rows"
        raise JobError(message, key="model.params.n_neighbors", hint="ask for fewer")
    return model


def load(folder: Path, threads: int | None) -> NearestNeighbors:
    """Read back what `NearestNeighbors.save` wrote."""
    settings, content = read_settings(folder)
    features = tuple(content["features"])
    rows, (target,) = read_rows(folder, content, len(features), "value")
    model = NearestNeighbors(settings, features, rows, target, threads or os.cpu_count() or 1)
    labels = {"binary": 2, "multiclass": settings.n_classes}.get(model.task)
    if model.n_neighbors > len(rows) or (labels and not np.isin(target, np.arange(labels)).all()):
        raise BundleError("training rows that do not fit the settings", file=str(folder / FILE_NAME))
    return model


def _mean(values: np.ndarray, weights: np.ndarray) -> Any:
    """Return the weighted mean of each row, added nearest first: NumPy's own sum would group by the number of columns."""
    total, weight = np.zeros(len(values)), np.zeros(len(values))
    for place in range(values.shape[1]):
        total += weights[:, place] * values[:, place]
        weight += weights[:, place]
    return total / weight
