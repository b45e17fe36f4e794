"""cuml.ensemble: random forests. What they export has leaves' values only, as the real ones' trees have."""

from __future__ import annotations

from typing import Any

import sklearn.ensemble
from tests.gpu.standin.offered import offered

from cuml.estimator import Estimator


class _Forest(Estimator):
    _kind: Any = None

    def __init__(self, **settings: Any) -> None:
        settings.pop("n_streams", None)
        settings["max_leaf_nodes"] = settings.pop("max_leaves", None)
        self._settings = settings

    def _make(self) -> Any:
        return self._kind(**self._settings)


class _Exported:
    """A tree without what treelite does not keep: the values of inner nodes."""

    def __init__(self, tree: Any) -> None:
        self.children_left, self.children_right = tree.children_left, tree.children_right
        self.feature, self.threshold = tree.feature, tree.threshold
        self.value = tree.value * (tree.children_left < 0)[:, None, None]


class _Sklearn:
    def __init__(self, model: Any) -> None:
        self.estimators_ = [type("Tree", (), {"tree_": _Exported(tree.tree_)}) for tree in model.estimators_]


@offered("cuml", "cuml.ensemble.RandomForestRegressor")
class RandomForestRegressor(_Forest):
    _kind = sklearn.ensemble.RandomForestRegressor

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> RandomForestRegressor:
        return self._fit(X, y)

    def as_sklearn(self) -> Any:
        return _Sklearn(self._model)


@offered("cuml", "cuml.ensemble.RandomForestClassifier")
class RandomForestClassifier(_Forest):
    """As the real one, takes labels of 32 bits."""

    _kind = sklearn.ensemble.RandomForestClassifier

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> RandomForestClassifier:
        if y.dtype != "int32":
            raise TypeError(f"labels of {y.dtype}, int32 needed")
        return self._fit(X, y)

    def as_sklearn(self) -> Any:
        return _Sklearn(self._model)
