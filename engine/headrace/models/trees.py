"""Boosted trees as they are kept and predict: read from XGBoost's own file, added up by a kernel of ours where it can.

Predicting so does not import XGBoost, and takes a third of its time. Objectives and boosters that the kernel does not know are XGBoost's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.errors import BundleError, MissingLibraryError
from headrace.models.device import is_on_device, to_device, to_host
from headrace.models.matrix import check_matrix
from headrace.models.settings import ModelSettings
from headrace.models.store import FILE_NAME, read_bytes, read_settings, write_settings
from headrace.models.trained import Trained
from headrace.models.ubjson import read_ubjson
from headrace_kernels.boosted import MOST_LEAVES, MOST_THRESHOLDS, BoostedForest, predict_boosted

if TYPE_CHECKING:
    import xgboost

_TREES = "model.ubj"
_loading = Lock()


def _same(margin: np.ndarray) -> np.ndarray:
    return margin


def _sigmoid(margin: np.ndarray) -> np.ndarray:
    """Return XGBoost's probability of a margin: in float32, the exponential rounded once."""
    power = np.exp(np.minimum(-margin, np.float32(88.7)).astype(np.float64)).astype(np.float32)
    chance: np.ndarray = np.float32(1) / (power + np.float32(1))
    return chance


def _logit(chance: np.float32) -> float:
    return float(np.float32(-np.log(np.float64(np.float32(1) / chance - np.float32(1)))))


# What an objective makes of a sum, and what its sums begin with. Of the others XGBoost alone knows.
_TRANSFORMS: Mapping[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.float32], float]]] = {
    "binary:logistic": (_sigmoid, _logit),
    "reg:logistic": (_sigmoid, _logit),
    "reg:squarederror": (_same, float),
    "reg:absoluteerror": (_same, float),
    "reg:pseudohubererror": (_same, float),
    "reg:quantileerror": (_same, float),
    "reg:squaredlogerror": (_same, float),
}


@dataclass(frozen=True, eq=False)
class BoostedTrees(Trained):
    """A trained XGBoost model; see `headrace.models.Model`. `trees` is XGBoost's own file."""

    settings: ModelSettings
    features: tuple[str, ...]
    trees: bytes = field(repr=False)
    threads: int | None = None
    _boosters: dict[str, xgboost.Booster] = field(default_factory=dict, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        # Boosters do not travel: each is as large as the file that they are read from, and the next process reads its own where it needs one.
        return {**self.__dict__, "_boosters": {}}

    @property
    def booster(self) -> xgboost.Booster:
        """XGBoost's own model, on the CPU."""
        return self._booster("cpu")

    def _booster(self, device: str) -> xgboost.Booster:
        """Return the one of a device: threads that predict on different devices must not move one that they share."""
        with _loading:
            if device not in self._boosters:
                self._boosters[device] = self._load(device)
            return self._boosters[device]

    def _load(self, device: str) -> xgboost.Booster:
        try:
            from headrace.models.xgboost_library import xgboost
        except ImportError as error:
            raise MissingLibraryError("this model needs the library 'xgboost'", hint="pip install 'headrace[cpu]'") from error
        booster = xgboost.Booster(model_file=bytearray(self.trees))
        booster.set_param({"device": device})
        if self.threads is not None:
            booster.set_param({"nthread": self.threads})
        return booster

    @cached_property
    def _summed(self) -> tuple[BoostedForest, Callable[[np.ndarray], np.ndarray]] | None:
        return forest_of(read_ubjson(self.trees))

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        check_matrix(matrix, self.features)
        if not len(matrix):
            return np.empty((0, self.settings.n_classes) if self.settings.n_classes else (0,), dtype=np.float32)
        if is_on_device(matrix):
            # In place: without the copy and the quantisation that a DMatrix makes of it.
            on_device: np.ndarray = to_host(self._booster("cuda").inplace_predict(to_device(matrix, np.float32)))
            return on_device
        rows = np.ascontiguousarray(matrix, dtype=np.float32)
        if self._summed is None:
            predicted: np.ndarray = self.booster.inplace_predict(rows)
            return predicted
        forest, transform = self._summed
        return transform(predict_boosted(forest, rows, self.threads or os.cpu_count() or 1))

    def contributions(self, matrix: np.ndarray, approximate: bool = False) -> np.ndarray:
        """Return what each feature adds to the raw margin (the log odds of a binary model); last, the bias.

        Parameters
        ----------
        matrix : float32 ``[n, k]``
            The rows.
        approximate : bool
            False: Shapley values by TreeSHAP, exact and slow: 1.6 ms a row of 100 trees of depth 8 on 2 cores.
            True: the change of the node's mean at each split of the row's path: 4 us a row. Both sum to the margin;
            the approximate way favours splits deep in the tree, and its first feature often is another one.

        Returns
        -------
        array
            float32 ``[n, k + 1]``, multiclass ``[n, classes, k + 1]``.

        Source
        ------
        S. Lundberg et al., "From local explanations to global understanding with explainable AI for trees", Nature Machine Intelligence
        2, 2020 (exact); A. Saabas, "Interpreting random forests", 2014 (approximate).
        """
        check_matrix(matrix, self.features)
        width = len(self.features) + 1
        if not len(matrix):
            return np.empty((0, self.settings.n_classes, width) if self.settings.n_classes else (0, width), dtype=np.float32)
        booster = self.booster  # imports XGBoost, or says that it is not there
        from headrace.models.xgboost_library import xgboost

        rows = xgboost.DMatrix(np.ascontiguousarray(to_host(matrix), dtype=np.float32))
        added: np.ndarray = booster.predict(rows, pred_contribs=True, approx_contribs=approximate)
        return added

    def save(self, folder: Path) -> None:
        write_settings(folder, self.settings, self.features, {"trees": {"nbytes": len(self.trees), "sha256": _digest(self.trees)}})
        (folder / _TREES).write_bytes(self.trees)


def load(folder: Path, threads: int | None) -> BoostedTrees:
    """Read back what `BoostedTrees.save` wrote."""
    settings, content = read_settings(folder)
    path = folder / _TREES
    trees = read_bytes(path)
    # XGBoost trusts the lengths in the file: 100 bytes of a cut one made it take all of the machine's memory.
    if content.get("trees") != {"nbytes": len(trees), "sha256": _digest(trees)}:
        raise BundleError(f"not the {len(trees)} bytes that were saved with {FILE_NAME}", file=str(path), hint="copy the bundle again")
    features = tuple(content["features"])
    model = BoostedTrees(settings, features, trees, threads)
    try:
        n_features = int(read_ubjson(trees)["learner"]["learner_model_param"]["num_feature"])
        _ = model._summed  # read it now: what is wrong with it should not wait for the first row
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise BundleError(f"no XGBoost model: {type(error).__name__}: {error}", file=str(path)) from error
    if n_features != len(features):
        raise BundleError(f"trees over {n_features} features, but {len(features)} names", file=str(path))
    return model


# All that files say of a booster and of a tree whose leaves are added up as they stand.
_OF_BOOSTER = {"cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees"}
_OF_TREE = {
    "base_weights",
    "categories",
    "categories_nodes",
    "categories_segments",
    "categories_sizes",
    "default_left",
    "id",
    "left_children",
    "loss_changes",
    "parents",
    "right_children",
    "split_conditions",
    "split_indices",
    "split_type",
    "sum_hessian",
    "tree_param",
}


def forest_of(model: Mapping[str, Any]) -> tuple[BoostedForest, Callable[[np.ndarray], np.ndarray]] | None:
    """Return the trees of XGBoost's file for the kernel, and what the objective makes of their sum; None if it is not of that kind.

    Raises
    ------
    KeyError, ValueError, IndexError, TypeError
        If it is no model.
    """
    learner = model["learner"]
    numbers, gradient_booster = learner["learner_model_param"], learner["gradient_booster"]
    base = np.array(str(numbers["base_score"]).strip("[]").split(","), np.float32)
    objective = _TRANSFORMS.get(learner["objective"]["name"])
    if objective is None or gradient_booster["name"] != "gbtree" or len(base) != 1 or int(numbers["num_class"]) > 1:
        return None
    trees = gradient_booster["model"]["trees"]
    # What a later version adds may change what trees are worth, as `weight_drop` does, which XGBoost 3.4 writes of dropout.
    if not (gradient_booster["model"].keys() <= _OF_BOOSTER and all(tree.keys() <= _OF_TREE for tree in trees)):
        return None
    if int(numbers["num_target"]) > 1 or any(tree["split_type"].any() or int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in trees):
        return None
    transform, margin = objective
    forest = _forest(trees, margin(base[0]))
    return None if forest is None else (forest, transform)


def _forest(trees: list[Mapping[str, Any]], base: float) -> BoostedForest | None:
    """Return trees as flat arrays; None if one has too many leaves, or a column too many thresholds."""
    paths = [_children_first(tree["left_children"].tolist(), tree["right_children"].tolist()) for tree in trees]
    columns = [list(zip(tree["split_indices"].tolist(), tree["default_left"].tolist(), strict=True)) for tree in trees]
    conditions = [tree["split_conditions"] for tree in trees]
    met: dict[tuple[int, int], set[float]] = {}
    for (inner, _), split, condition in zip(paths, columns, conditions, strict=True):
        for node in inner:
            met.setdefault(split[node], set()).add(float(condition[node]))
    if any(len(found) > MOST_THRESHOLDS for found in met.values()) or any(len(leaves) > MOST_LEAVES for _, leaves in paths):
        return None
    order = sorted(met)
    ranks = [{value: rank for rank, value in enumerate(sorted(met[column]))} for column in order]
    place_of = {column: place for place, column in enumerate(order)}
    nodes: list[tuple[int, int, int, int]] = []
    for tree, (inner, leaves), split, condition in zip(trees, paths, columns, conditions, strict=True):
        child = {node: place for place, node in enumerate(inner)} | {node: -1 - place for place, node in enumerate(leaves)}
        left, right = tree["left_children"].tolist(), tree["right_children"].tolist()
        for node in inner:
            column = place_of[split[node]]
            nodes.append((column, ranks[column][float(condition[node])], child[left[node]], child[right[node]]))
    return BoostedForest(
        thresholds=np.array([value for rank in ranks for value in rank], np.float32),
        threshold_starts=_starts([len(rank) for rank in ranks]),
        feature=np.array([feature for feature, _ in order], np.int64),
        missing_right=np.array([not default_left for _, default_left in order], np.bool_),
        nodes=np.array(nodes, np.int32).reshape(-1, 4),
        node_starts=_starts([len(inner) for inner, _ in paths]),
        leaves=np.concatenate([np.zeros(0, np.float32), *(c[leaves] for c, (_, leaves) in zip(conditions, paths, strict=True))]),
        leaf_starts=_starts([len(leaves) for _, leaves in paths]),
        base=base,
    )


def _children_first(left: list[int], right: list[int]) -> tuple[list[int], list[int]]:
    """Return a tree's inner nodes, each after its children, and its leaves; raise ValueError if it is none."""
    inner: list[int] = []
    leaves: list[int] = []
    waiting = [0]
    while waiting:
        node = waiting.pop()
        if not 0 <= node < len(left) or len(inner) + len(leaves) >= len(left):
            raise ValueError("a tree whose branches meet, or lead out of it")
        if left[node] < 0:
            leaves.append(node)
        else:
            inner.append(node)
            waiting += [left[node], right[node]]
    return inner[::-1], leaves


def _starts(lengths: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
