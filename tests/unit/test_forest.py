"""Random forests: scikit-learn's predictions from arrays of our own, and files that cannot lead a walk astray."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from headrace.errors import BundleError, DataError, JobError
from headrace.models import ModelSettings, fit_model, load_model
from headrace.models.forest import RandomForest
from headrace_kernels.forest import Forest, forest_contributions, with_node_means

FEATURES = ("a", "b", "c")


def rows(n: int = 1_500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(n, 3)).astype(np.float32)
    return matrix, np.round(2 * matrix[:, 0] - matrix[:, 1] + rng.normal(size=n), 1)


def trained(task: str, target: np.ndarray, params: dict[str, Any] | None = None) -> Any:
    return fit_model(ModelSettings("random_forest", task, params or {}, rounds=7, seed=4), FEATURES, [(rows()[0], target)], 1)


@pytest.mark.parametrize("params", [{}, {"max_depth": 3, "max_features": 1.0}, {"max_leaves": 6, "bootstrap": False}], ids=str)
def test_values_are_those_of_scikit_learn(params: dict[str, Any]) -> None:
    matrix, score = rows()
    theirs = {"max_depth": 16, "max_features": 1.0, **params}
    theirs["max_leaf_nodes"] = theirs.pop("max_leaves", None)
    expected = RandomForestRegressor(n_estimators=7, random_state=4, **theirs).fit(matrix, score).predict(matrix)
    np.testing.assert_allclose(trained("regression", score, params).predict(matrix), expected, rtol=1e-6)


def test_probabilities_are_those_of_scikit_learn_and_unseen_classes_have_none() -> None:
    matrix, score = rows()
    target = np.digitize(score, [-1, 1]) * 2  # classes 0, 2 and 4 of five
    theirs = RandomForestClassifier(n_estimators=7, random_state=4, max_depth=16).fit(matrix, target)
    predicted = trained("multiclass", target).predict(matrix)
    np.testing.assert_allclose(predicted[:, [0, 2, 4]], theirs.predict_proba(matrix), rtol=1e-6)
    assert not predicted[:, [1, 3]].any()


def test_a_balanced_binary_forest_gives_the_second_class() -> None:
    matrix, score = rows()
    target = (score > 2).astype(np.int8)
    theirs = RandomForestClassifier(n_estimators=7, random_state=4, max_depth=16, class_weight="balanced").fit(matrix, target)
    predicted = trained("binary", target, {"class_weight": "balanced"}).predict(matrix)
    np.testing.assert_allclose(predicted, theirs.predict_proba(matrix)[:, 1], rtol=1e-6)


def test_inner_nodes_get_the_mean_of_the_rows_that_come_by() -> None:
    tree = Forest(
        np.array([0]), np.array([0, 1, -1, -1, -1]), np.array([0.0, 0, 0, 0, 0]), np.array([1, 3, -1, -1, -1]),
        np.array([2, 4, -1, -1, -1]), np.array([[9.0], [9.0], [6.0], [1.0], [3.0]]),
    )  # fmt: skip
    matrix = np.array([[-1, -1], [-1, 1], [-1, 1], [1, 0]], np.float32)
    assert with_node_means(tree, matrix).value.ravel().tolist() == [13 / 4, 7 / 3, 6, 1, 3]
    # nobody goes left: that node has the tree's mean, and what is added still sums to the leaf
    lonely = with_node_means(tree, matrix[3:])
    assert lonely.value.ravel().tolist() == [6, 6, 6, 1, 3]
    assert forest_contributions(lonely, matrix[:1]).tolist() == [[[0, -5, 6]]]


def test_missing_values_are_refused_by_name() -> None:
    matrix, score = rows()
    matrix[5, 2] = np.nan
    with pytest.raises(DataError, match="column 'c': missing in 1 of 1500 rows, which this kind of model cannot take"):
        fit_model(ModelSettings("random_forest"), FEATURES, [(matrix, score)], 1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"max_depht": 3}, "no parameter 'max_depht'\n  nearest: 'max_depth'"),
        ({"n_estimators": 3}, "'n_estimators' is not set here\n  write model.rounds"),
        ({"random_state": 3}, "'random_state' is not set here\n  write run.seed"),
        ({"max_features": "all"}, "no max_features 'all'"),
        (
            {"max_features": 1.5},
            "model.params.max_features: a whole number of 1 or more, or a share above 0 and at most 1.0, is needed, not 1.5",
        ),
        ({"max_samples": 0}, "or a share above 0 and at most 1.0, is needed, not 0"),
        ({"min_samples_leaf": 2.0}, "a whole number of 1 or more, or a share above 0 and at most 1.0, is needed, not 2.0"),
        ({"min_samples_split": 1}, "a whole number of 2 or more"),
        ({"bootstrap": False, "max_samples": 0.5}, "model.params.max_samples: without bootstrap all rows are taken"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError) as caught:
        ModelSettings("random_forest", params=params)
    assert message in str(caught.value)


def test_a_value_that_scikit_learn_refuses_is_the_jobs_mistake() -> None:
    with pytest.raises(JobError, match="scikit-learn refuses: The 'class_weight' parameter"):
        trained("binary", rows()[1] > 0, {"class_weight": "all"})


def saved(folder: Path, **changes: Any) -> Path:
    """Save a stump with some of its arrays replaced, and checksums that fit."""
    forest = {
        "roots": [0], "feature": [0, -1, -1], "threshold": [0.0, 0.0, 0.0], "left": [1, -1, -1], "right": [2, -1, -1],
        "value": [[0.5], [0.0], [1.0]], **changes,
    }  # fmt: skip
    arrays = {name: np.array(value, np.float64 if name in ("threshold", "value") else np.int64) for name, value in forest.items()}
    RandomForest(ModelSettings("random_forest", "regression"), FEATURES, Forest(**arrays)).save(folder)
    return folder


def test_a_sound_stump_is_read(tmp_path: Path) -> None:
    matrix = np.array([[-1, 0, 0], [1, 0, 0]], np.float32)
    assert load_model(saved(tmp_path)).predict(matrix).tolist() == [0, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"left": [0, -1, -1]},  # a circle
        {"right": [3, -1, -1]},  # beyond the last node
        {"left": [-1, -1, -1]},  # an inner node without a child
        {"feature": [3, -1, -1]},  # a fourth feature of three
        {"roots": [3]},
        {"roots": [-1]},
        {"roots": []},
    ],
    ids=str,
)
def test_trees_that_a_walk_could_leave_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="trees that do not fit 3 features"):
        load_model(saved(tmp_path, **changes))


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path) / "trees.arrow"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BundleError, match=r"bytes that were saved with model\.json\n  copy the bundle again"):
        load_model(tmp_path)


def test_columns_of_another_type_are_refused(tmp_path: Path) -> None:
    import hashlib

    saved(tmp_path)
    sink = pa.BufferOutputStream()
    table = pa.table({"feature": ["x"], "threshold": [0.0], "left": [1], "right": [2], "value": [[0.5]]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    trees = sink.getvalue().to_pybytes()
    (tmp_path / "trees.arrow").write_bytes(trees)
    content = json.loads((tmp_path / "model.json").read_text())
    content["trees"] = {"nbytes": len(trees), "sha256": hashlib.sha256(trees).hexdigest()}
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match="a forest without its trees"):
        load_model(tmp_path)
