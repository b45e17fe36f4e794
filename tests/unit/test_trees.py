"""Boosted trees read from XGBoost's file predict what XGBoost predicts; what the kernel does not know is left to XGBoost."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.models import ModelSettings, fit_model, load_model
from headrace.models.trees import BoostedTrees, forest_of
from headrace.models.ubjson import read_ubjson

FEATURES = ("a", "b", "c")


def rows(n: int = 4_000) -> tuple[np.ndarray, np.ndarray]:
    """Return features, one in ten missing, and a score."""
    random = np.random.default_rng(3)
    matrix = random.normal(size=(n, 3)).astype(np.float32)
    matrix[:, 2] = random.integers(0, 5, n)
    score = np.sin(2 * matrix[:, 0]) + matrix[:, 1] * (matrix[:, 2] > 2) + 0.1 * random.normal(size=n)
    matrix[random.random((n, 3)) < 0.1] = np.nan
    return matrix, score


def trained(target: np.ndarray, objective: str, rounds: int = 20, **params: Any) -> BoostedTrees:
    matrix, _ = rows()
    settings = ModelSettings("xgboost", params={"objective": objective, **params}, rounds=rounds)
    model = fit_model(settings, FEATURES, [(matrix, target)], 2)
    assert isinstance(model, BoostedTrees)
    return model


@pytest.mark.parametrize("objective", ["reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"])
def test_regression_has_the_bits_of_xgboost(objective: str) -> None:
    matrix, score = rows()
    model = trained(score, objective)
    assert model._summed is not None
    np.testing.assert_array_equal(model.predict(matrix), model.booster.inplace_predict(matrix))


@pytest.mark.parametrize("params", [{}, {"base_score": 0.2}, {"max_depth": 1}, {"num_parallel_tree": 3, "subsample": 0.5}])
def test_probabilities_are_those_of_xgboost_to_two_last_places(params: dict[str, Any]) -> None:
    matrix, score = rows()
    model = trained((score > 0.8).astype(np.int64), "binary:logistic", **params)
    assert model._summed is not None
    np.testing.assert_array_max_ulp(model.predict(matrix), model.booster.inplace_predict(matrix), 2)


def test_trees_of_a_single_leaf_add_it_up() -> None:
    matrix, score = rows()
    model = trained(score, "reg:squarederror", gamma=1e9)
    np.testing.assert_array_equal(model.predict(matrix), model.booster.inplace_predict(matrix))


@pytest.mark.parametrize(
    ("objective", "target", "params"),
    [
        ("count:poisson", lambda score: np.floor(np.exp(score)), {}),
        ("multi:softprob", lambda score: np.clip(score, 0, 2).astype(np.int64), {}),
        ("reg:squarederror", lambda score: score, {"booster": "dart", "rate_drop": 0.5}),
        ("reg:squarederror", lambda score: score, {"max_depth": 12, "min_child_weight": 0}),
        ("reg:squarederror", lambda score: score, {"max_bin": 4_000, "max_depth": 8}),
    ],
    ids=["another objective", "classes", "another booster", "too many leaves", "too many thresholds"],
)
def test_what_the_kernel_does_not_know_is_left_to_xgboost(objective: str, target: Any, params: dict[str, Any]) -> None:
    matrix, score = rows()
    model = trained(target(score), objective, **params)
    assert model._summed is None
    np.testing.assert_array_equal(model.predict(matrix), model.booster.inplace_predict(matrix))


@pytest.mark.parametrize("place", ["booster", "tree"])
def test_a_file_that_says_more_than_is_known_is_left_to_xgboost(place: str) -> None:
    _, score = rows()
    model = read_ubjson(trained(score, "reg:squarederror", rounds=1).trees)
    assert forest_of(model) is not None
    booster = model["learner"]["gradient_booster"]["model"]
    (booster if place == "booster" else booster["trees"][0])["weight_drop"] = [0.5]
    assert forest_of(model) is None


def test_a_pickled_model_leaves_its_boosters_behind() -> None:
    matrix, target = rows()
    model = trained((target > 0).astype(float), "binary:logistic")
    expected, nbytes = model.predict(matrix), len(pickle.dumps(model))
    added = model.contributions(matrix[:20])  # by XGBoost, which loads a booster
    assert model._boosters
    assert len(pickle.dumps(model)) == nbytes
    again = pickle.loads(pickle.dumps(model))
    assert (again.settings, again.features, again.trees, again.threads) == (model.settings, model.features, model.trees, model.threads)
    assert again._boosters == {}
    np.testing.assert_array_equal(again.predict(matrix), expected)
    np.testing.assert_array_equal(again.contributions(matrix[:20]), added)
    assert model._boosters  # the one that was pickled keeps them


def test_predicting_imports_no_xgboost(tmp_path: Path) -> None:
    matrix, score = rows()
    model = trained(score, "reg:squarederror")
    model.save(tmp_path / "model")
    np.save(tmp_path / "matrix.npy", matrix)
    code = (
        "import sys, numpy, pathlib\nfrom headrace.models import load_model\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "numpy.save(folder / 'out.npy', load_model(folder / 'model').predict(numpy.load(folder / 'matrix.npy')))\n"
        "print('xgboost' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), model.predict(matrix))
    np.testing.assert_array_equal(load_model(tmp_path / "model", threads=1).predict(matrix), model.predict(matrix))


@pytest.mark.parametrize(
    ("left", "right"),
    [([1, 0, -1], [2, 2, -1]), ([1, 2, -1], [2, 2, -1]), ([7, -1, -1], [2, -1, -1])],
    ids=["a circle", "branches meet", "outside"],
)
def test_a_tree_that_is_none_is_refused(left: list[int], right: list[int]) -> None:
    _, score = rows()
    model = read_ubjson(trained(score, "reg:squarederror", rounds=1).trees)
    (tree,) = model["learner"]["gradient_booster"]["model"]["trees"]
    tree.update({"left_children": np.array(left, np.int32), "right_children": np.array(right, np.int32)})
    tree.update({name: tree[name][: len(left)] for name in ("split_indices", "split_conditions", "default_left")})
    with pytest.raises(ValueError, match="a tree whose branches meet, or lead out of it"):
        forest_of(model)


# UBJSON


def test_every_kind_of_value_is_read() -> None:
    content = b"[TFZi\xffU\xffI\x01\x00l\x00\x01\x00\x00L" + b"\0" * 7 + b"\x05d\x3f\x80\x00\x00D\x40" + b"\0" * 7 + b"SU\x02hi{i\x01xT}]"
    assert read_ubjson(content) == [True, False, None, -1, 255, 256, 65536, 5, 1.0, 2.0, "hi", {"x": True}]
    assert read_ubjson(b"[#i\x02TF") == [True, False]
    packed = read_ubjson(b"[$I#i\x02\x00\x01\x01\x00")
    assert (packed.dtype, packed.tolist()) == (np.int16, [1, 256])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it ends at byte 0"),
        (b"SL" + b"\x7f" * 8 + b"x", "it ends at byte 11"),
        (b"[$d#l\x7f\x7f\x7f\x7f", "it ends at byte 9"),
        (b"Si\xffx", "before a value of -1 bytes"),
        (b"TT", "1 bytes too many"),
        (b"q", "no value begins with b'q'"),
        (b"[$S#i\x01", "a packed array of no numbers"),
        (b"SS", "it ends at"),
        (b"Sd\x3f\x80\x00\x00", "a length that is no whole number"),
        (b"[" * 100, "values nest deeper than 64"),
    ],
)
def test_what_is_no_ubjson_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_ubjson(content)
