"""cuml.ensemble: random forests. What they export has leaves' values only, as the real ones' trees have."""

from __future__ import annotations

from typing import Any

import sklearn.ensemble
from tests.gpu.standin.offered import offered

from cuml.estimator import Estimator


class _Forest(Estimator):
    """As the real ones: shares out of bounds are errors of the C++ library's, and a count of rows to draw is a share like any other."""

    _kind: Any = None

    def __init__(self, **settings: Any) -> None:
        settings.pop("n_streams", None)
        settings["max_leaf_nodes"] = settings.pop("max_leaves", None)
        self._settings = settings

    def _make(self) -> Any:
        return self._kind(**self._settings)

    def _fit(self, X: Any, y: Any = None) -> Any:
        if self._settings.get("class_weight") not in (None, "balanced") and not isinstance(self._settings["class_weight"], dict):
            raise ValueError(f"class_weight must be a dict, 'balanced', or None; got {self._settings['class_weight']!r}")
        rows, features = self._settings.get("max_samples", 1.0), self._settings["max_features"]
        for name, share in (("max_samples", rows), ("max_features", features / X.shape[1] if isinstance(features, int) else features)):
            if not isinstance(share, str) and not 0 < share <= 1:
                raise RuntimeError(f"exception occurred! {name} value {share:f} outside permitted (0, 1] range")
        self._settings["max_samples"] = float(rows) if self._settings.get("bootstrap", True) else None
        return super()._fit(X, y)


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
