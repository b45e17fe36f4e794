"""Random forests: trained by scikit-learn or cuML, kept as plain arrays, predicted by a kernel of our own.

Source: L. Breiman, "Random forests", Machine Learning 45, 2001. Contributions: A. Saabas, "Interpreting random forests", 2014.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.errors import BundleError, JobError
from headrace.models.device import gpu_library, joined_on_device, to_host
from headrace.models.matrix import Block, check_matrix, joined
from headrace.models.settings import ModelSettings
from headrace.models.store import FILE_NAME, read_bytes, read_settings, write_settings
from headrace.models.trained import Trained
from headrace_kernels.forest import Forest, forest_contributions, predict_forest, with_node_means

_TREES = "trees.arrow"
_COLUMNS = ("feature", "threshold", "left", "right")
# Both libraries stop here unless the job says otherwise: scikit-learn alone would grow until every leaf is pure.
_MOST_DEPTH = 16
# Rows whose paths give the inner nodes' means, which only contributions need: 100 trees take about a second.
_SAMPLED_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class RandomForest(Trained):
    """A trained forest; see `headrace.models.Model`.

    `seen` are the classes of the training rows, one for each output of a multiclass model.
    """

    settings: ModelSettings
    features: tuple[str, ...]
    forest: Forest
    seen: tuple[int, ...] = ()
    threads: int = 1

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return self._by_class(predict_forest(self.forest, self._checked(matrix), self.threads))

    def contributions(self, matrix: np.ndarray, approximate: bool = False) -> np.ndarray:
        """Return what each feature adds to the value or probability itself: a forest has no margin of its own; last, the bias.

        Parameters
        ----------
        matrix : float32 ``[n, k]``
            The rows.
        approximate : bool
            Makes no difference: the change of the node's mean at each split of the row's path.

        Returns
        -------
        array
            float32 ``[n, k + 1]``, multiclass ``[n, classes, k + 1]`` (zeros for a class that training never saw).
        """
        return self._by_class(forest_contributions(self.forest, self._checked(matrix), self.threads))

    def save(self, folder: Path) -> None:
        n_outputs = self.forest.value.shape[1]
        nodes = [pa.array(getattr(self.forest, name)) for name in _COLUMNS]
        values = pa.FixedSizeListArray.from_arrays(pa.array(self.forest.value.ravel()), n_outputs)
        table = pa.table([*nodes, values], names=[*_COLUMNS, "value"]).cast(_schema(n_outputs))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        trees = sink.getvalue().to_pybytes()
        numbers = {
            "roots": self.forest.roots.tolist(),
            "seen": list(self.seen),
            "trees": {"nbytes": len(trees), "sha256": hashlib.sha256(trees).hexdigest()},
        }
        write_settings(folder, self.settings, self.features, numbers)
        (folder / _TREES).write_bytes(trees)

    def _by_class(self, found: np.ndarray) -> np.ndarray:
        """Return what was found for each output as float32 of each class: zeros for one that training never saw."""
        if not self.settings.n_classes:
            return found[:, 0].astype(np.float32)
        placed = np.zeros((len(found), self.settings.n_classes, *found.shape[2:]), np.float32)
        placed[:, list(self.seen)] = found
        return placed

    def _checked(self, matrix: np.ndarray) -> np.ndarray:
        check_matrix(matrix, self.features, missing=False)
        return np.ascontiguousarray(to_host(matrix), np.float32)


def fit(settings: ModelSettings, features: tuple[str, ...], blocks: Sequence[Block], threads: int, device: str = "cpu") -> RandomForest:
    """Train on all rows as one float32 matrix; `settings` are resolved, the blocks checked.

    Each tree has a seed of its own, so threads make no difference. cuML finds its splits among 128 quantiles of a feature, scikit-learn
    among all its values: a GPU's trees are others than a CPU's.
    """
    for matrix, _ in blocks:
        check_matrix(matrix, features, missing=False)
    library = "cuML" if device == "gpu" else "scikit-learn"
    whole, target = joined_on_device(list(blocks), np.float32) if device == "gpu" else joined(blocks, np.float32)
    labels = target if settings.task == "regression" else target.astype(np.int32)
    try:
        estimator = _estimator(settings, whole.shape, threads, device).fit(whole, labels)
        trained = estimator.as_sklearn() if device == "gpu" else estimator
    except (ValueError, TypeError) as error:
        message = f"{library} refuses: {str(error).partition(chr(10))[0]}"
        raise JobError(message, key="model.params", hint="look at the parameters' values") from error
    seen = tuple(int(label) for label in np.unique(to_host(target))) if settings.n_classes else ()
    forest = _joined_trees([tree.tree_ for tree in trained.estimators_], settings)
    sampled = np.unique(np.linspace(0, len(whole) - 1, min(len(whole), _SAMPLED_ROWS)).astype(np.int64))
    rows = np.ascontiguousarray(to_host(whole[sampled]), np.float32)
    return RandomForest(settings, features, with_node_means(forest, rows), seen, threads)


def load(folder: Path, threads: int | None) -> RandomForest:
    """Read back what `RandomForest.save` wrote; refuse trees that a walk could leave or never end in."""
    settings, content = read_settings(folder)
    features = tuple(content["features"])
    trees = read_bytes(folder / _TREES)
    if content.get("trees") != {"nbytes": len(trees), "sha256": hashlib.sha256(trees).hexdigest()}:
        raise BundleError(
            f"not the {len(trees)} bytes that were saved with {FILE_NAME}", file=str(folder / _TREES), hint="copy the bundle again"
        )
    try:
        seen = tuple(int(label) for label in content["seen"])
        table = pa.ipc.open_file(pa.py_buffer(trees)).read_all().cast(_schema(len(seen) or 1)).combine_chunks()
        feature, threshold, left, right = (table[name].to_numpy() for name in _COLUMNS)
        value = table["value"].combine_chunks().values.to_numpy().reshape(table.num_rows, -1)
        forest = Forest(np.array(content["roots"], np.int64), feature, threshold, left, right, value)
    except (KeyError, TypeError, ValueError, pa.ArrowInvalid) as error:
        raise BundleError(f"a forest without its trees: {error}", file=str(folder)) from error
    fits = bool(seen) == bool(settings.n_classes) and all(0 <= label < settings.n_classes for label in seen)
    if not fits or not _is_sound(forest, len(features)):
        raise BundleError(f"trees that do not fit {len(features)} features", file=str(folder / _TREES))
    return RandomForest(settings, features, forest, seen, threads or os.cpu_count() or 1)


def _schema(n_outputs: int) -> pa.Schema:
    integers = [pa.field(name, pa.float64() if name == "threshold" else pa.int64(), nullable=False) for name in _COLUMNS]
    return pa.schema([*integers, pa.field("value", pa.list_(pa.field("item", pa.float64()), n_outputs), nullable=False)])


def _estimator(settings: ModelSettings, shape: tuple[int, ...], threads: int, device: str) -> Any:
    """Return the estimator, every default that the two libraries differ in said."""
    params: dict[str, Any] = {"max_depth": _MOST_DEPTH, **settings.params}
    params["max_features"] = params.get("max_features", 1.0 if settings.task == "regression" else "sqrt")
    params.update(n_estimators=settings.rounds, random_state=settings.seed)
    if device == "gpu":
        ensemble = gpu_library("cuml.ensemble")
        params["n_streams"] = 1  # several give another forest each time
        # cuML takes a count of rows for a share of them, and refuses more features than there are, where scikit-learn takes all
        if isinstance(params.get("max_samples"), int):
            params["max_samples"] = _share(params["max_samples"], shape[0])
        if isinstance(params["max_features"], int):
            params["max_features"] = min(params["max_features"], shape[1])
    else:
        ensemble = import_module("sklearn.ensemble")
        params["n_jobs"] = threads
        params["max_leaf_nodes"] = params.pop("max_leaves", None)
    kind = ensemble.RandomForestRegressor if settings.task == "regression" else ensemble.RandomForestClassifier
    return kind(**params)


def _share(count: int, n_rows: int) -> float:
    if count > n_rows:
        raise ValueError(f"max_samples is {count}, and there are {n_rows} training rows")
    return count / n_rows


def _joined_trees(trees: Sequence[Any], settings: ModelSettings) -> Forest:
    """Return scikit-learn's trees as one forest, each numbered level by level so that a child comes after its parent."""
    parts, roots, start = [], [], 0
    for tree in trees:
        order = _level_order(tree.children_left, tree.children_right)
        position = np.empty(len(order), np.int64)
        position[order] = np.arange(start, start + len(order))
        inner = tree.children_left[order] >= 0
        left, right = (np.where(inner, position[children[order]], -1) for children in (tree.children_left, tree.children_right))
        feature, threshold = np.where(inner, tree.feature[order], -1), np.where(inner, tree.threshold[order], 0.0)
        parts.append((feature.astype(np.int64), threshold.astype(np.float64), left, right, _outputs(tree.value[order, 0], settings)))
        roots.append(start)
        start += len(order)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Forest(np.array(roots, np.int64), *columns)


def _level_order(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    levels = [np.zeros(1, np.int64)]
    while len(inner := levels[-1][left[levels[-1]] >= 0]):
        levels.append(np.column_stack([left[inner], right[inner]]).ravel())
    return np.concatenate(levels)


def _outputs(values: np.ndarray, settings: ModelSettings) -> np.ndarray:
    """Return each node's outputs: the value, the share of class 1, or all classes' shares."""
    if settings.task == "regression":
        return values.astype(np.float64)
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return shares if settings.n_classes else shares[:, 1:]


def _is_sound(forest: Forest, n_features: int) -> bool:
    n_nodes = len(forest.feature)
    node, inner = np.arange(n_nodes), forest.feature >= 0
    children = (forest.left[inner], forest.right[inner])
    return (
        len(forest.roots) > 0
        and bool(((forest.roots >= 0) & (forest.roots < n_nodes)).all())
        and bool((np.diff(forest.roots) > 0).all())
        and bool((forest.feature < n_features).all())
        and all(bool(((child > node[inner]) & (child < n_nodes)).all()) for child in children)
    )
