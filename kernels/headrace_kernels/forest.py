"""Forests of decision trees as flat arrays: what they predict, and what each feature added on the way.

>>> stump = Forest(np.array([0]), np.array([0, -1, -1]), np.array([1.5, 0, 0]), np.array([1, -1, -1]), np.array([2, -1, -1]),
...     np.array([[0.5], [0.0], [1.0]]))
>>> rows = np.array([[1.0], [2.0]], np.float32)
>>> predict_forest(stump, rows).tolist(), forest_contributions(stump, rows).tolist()
([[0.0], [1.0]], [[[-0.5, 0.5]], [[0.5, 0.5]]])

A row goes left where its feature is at most the threshold. Trees are summed in their order, each row by itself, so a row's result does
not depend on the rows beside it nor on threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.threads import over_chunks


class Forest(NamedTuple):
    """All nodes of all trees, one after the other; a child comes after its parent.

    Parameters
    ----------
    roots : ndarray of int64, length n_trees
        Where each tree begins.
    feature : ndarray of int64, length n_nodes
        Column that the node asks, -1 for a leaf.
    threshold : ndarray of float64, length n_nodes
        Rows of at most this go left.
    left, right : ndarray of int64, length n_nodes
        The children; -1 for a leaf.
    value : ndarray of float64, ``[n_nodes, outputs]``
        What a leaf predicts; of the other nodes the mean over the rows that came by.
    """

    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]


def predict_forest(forest: Forest, matrix: NDArray[np.float32], threads: int = 1) -> NDArray[np.float64]:
    """Return the mean of the trees' predictions, float64 ``[n, outputs]``, for a float32 matrix ``[n, k]`` in C order."""
    out = np.zeros((len(matrix), forest.value.shape[1]))
    over_chunks(lambda start, stop: _predict(matrix[start:stop], *forest, out[start:stop]), len(matrix), threads)
    return out


def forest_contributions(forest: Forest, matrix: NDArray[np.float32], threads: int = 1) -> NDArray[np.float64]:
    """Return what each feature adds to the mean prediction, float64 ``[n, outputs, k + 1]``; last, the mean of the roots.

    Source: A. Saabas, *Interpreting random forests*, 2014: the change of the node's value at each step of the row's path, summed by the
    feature that the step asks.
    """
    out = np.zeros((len(matrix), forest.value.shape[1], matrix.shape[1] + 1))
    over_chunks(lambda start, stop: _contribute(matrix[start:stop], *forest, out[start:stop]), len(matrix), threads)
    return out


def with_node_means(forest: Forest, matrix: NDArray[np.float32]) -> Forest:
    """Return the forest with each node's value the mean of the leaves' over the rows that come by it.

    A node that no row comes by gets its tree's mean. Leaves keep their values.
    """
    totals, counts = np.zeros_like(forest.value), np.zeros(len(forest.feature), np.int64)
    _add_paths(matrix, *forest, totals, counts)
    tree = np.searchsorted(forest.roots, np.arange(len(counts)), side="right") - 1
    root = forest.roots[tree]
    reached = counts > 0
    means = np.where(reached[:, None], totals / np.maximum(counts, 1)[:, None], (totals / np.maximum(counts, 1)[:, None])[root])
    return forest._replace(value=np.where(forest.feature[:, None] < 0, forest.value, means))


@jit
def _predict(matrix: Any, roots: Any, feature: Any, threshold: Any, left: Any, right: Any, value: Any, out: Any) -> None:
    for i in range(len(matrix)):
        for root in roots:
            node = root
            while feature[node] >= 0:
                node = left[node] if matrix[i, feature[node]] <= threshold[node] else right[node]
            for k in range(out.shape[1]):
                out[i, k] += value[node, k]
        for k in range(out.shape[1]):
            out[i, k] /= len(roots)


@jit
def _contribute(matrix: Any, roots: Any, feature: Any, threshold: Any, left: Any, right: Any, value: Any, out: Any) -> None:
    last = out.shape[2] - 1
    for i in range(len(matrix)):
        for root in roots:
            node = root
            for k in range(out.shape[1]):
                out[i, k, last] += value[node, k]
            while feature[node] >= 0:
                asked = feature[node]
                child = left[node] if matrix[i, asked] <= threshold[node] else right[node]
                for k in range(out.shape[1]):
                    out[i, k, asked] += value[child, k] - value[node, k]
                node = child
        for k in range(out.shape[1]):
            for column in range(last + 1):
                out[i, k, column] /= len(roots)


@jit
def _add_paths(matrix: Any, roots: Any, feature: Any, threshold: Any, left: Any, right: Any, value: Any, totals: Any, counts: Any) -> None:
    for i in range(len(matrix)):
        for root in roots:
            leaf = root
            while feature[leaf] >= 0:
                leaf = left[leaf] if matrix[i, feature[leaf]] <= threshold[leaf] else right[leaf]
            node = root
            while True:
                counts[node] += 1
                for k in range(totals.shape[1]):
                    totals[node, k] += value[leaf, k]
                if node == leaf:
                    break
                node = left[node] if matrix[i, feature[node]] <= threshold[node] else right[node]
