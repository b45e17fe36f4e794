"""What all kinds of clusters share: a row's prediction is a cluster's number and a distance, and clusters are numbered by their size."""

from __future__ import annotations

import numpy as np

from headrace.models.trained import Trained

NOISE = -1
PREDICTED = np.dtype([("prediction", np.int32), ("prediction_distance", np.float32)])


class Clustered(Trained):
    """A model whose predictions are a structured array of a cluster and a distance."""

    @property
    def columns(self) -> dict[str, str]:
        return {name: str(PREDICTED[name]) for name in PREDICTED.names or ()}

    def as_columns(self, predicted: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.ascontiguousarray(predicted[name]) for name in self.columns}


def predictions(cluster: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return predictions of clusters and their reduced distances, which are squares."""
    found = np.empty(len(cluster), PREDICTED)
    found["prediction"], found["prediction_distance"] = cluster, np.sqrt(distance)
    return found


def numbered(labels: np.ndarray) -> np.ndarray:
    """Return the labels renumbered by falling count, and by the first row where counts are equal; noise stays what it is.

    >>> numbered(np.array([4, 2, -1, 2, 7])).tolist()
    [1, 0, -1, 0, 2]
    """
    inside = labels != NOISE
    _, first, inverse, counts = np.unique(labels[inside], return_index=True, return_inverse=True, return_counts=True)
    by_size = np.empty(len(counts), np.int32)
    by_size[np.lexsort((first, -counts))] = np.arange(len(counts))
    number = np.full(len(labels), NOISE, np.int32)
    number[inside] = by_size[inverse]
    return number
