import hashlib
import json
import math
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from headrace.errors import BundleError, DataError, JobError, JobErrors
from headrace.models import KINDS, ModelSettings, boosted, fit_model, load_model, preload, resolve_task
from headrace.models.matrix import BLOCK_ROWS, reblock

FEATURES = ("a", "b", "c")


def rows(n=2_000, seed=1):
    """Three features; the first decides, the second only a little, the third not at all."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, 3)).astype(np.float32)
    score = 2 * matrix[:, 0] - 0.5 * matrix[:, 1] + rng.normal(size=n)
    return matrix, score


def targets(score):
    return {"binary": (score > 0).astype(np.int8), "multiclass": np.digitize(score, [-1, 1]), "regression": score}


def trained(kind, task, **settings):
    matrix, score = rows()
    rounds = settings.pop("rounds", 10)
    return fit_model(ModelSettings(kind, task, rounds=rounds, **settings), FEATURES, [(matrix, targets(score)[task])], threads=1), matrix


EVERY_MODEL = [(kind, task) for kind, entry in KINDS.items() for task in entry.tasks if entry.has_target]
EXPLAINED = [(kind, task) for kind, task in EVERY_MODEL if KINDS[kind].explains]


@pytest.mark.parametrize(("kind", "task"), EVERY_MODEL)
class TestEveryModel:
    def test_predictions_have_the_shape_and_range_of_the_task(self, kind, task):
        model, matrix = trained(kind, task)
        predicted = model.predict(matrix)
        assert predicted.dtype == np.float32
        assert (model.kind, model.task, model.features) == (kind, task, FEATURES)
        if task == "multiclass":
            assert predicted.shape == (len(matrix), 3)
            np.testing.assert_allclose(predicted.sum(axis=1), 1, atol=1e-6)
        else:
            assert predicted.shape == (len(matrix),)
        if task == "binary":
            assert 0 <= predicted.min() < 0.2 < 0.8 < predicted.max() <= 1
            assert kind in ("random_forest", "nearest_neighbors") or 0 < predicted.min() < predicted.max() < 1

    def test_model_read_back_is_the_same_to_the_bit(self, kind, task, tmp_path):
        model, matrix = trained(kind, task)
        model.save(tmp_path / "model")
        again = load_model(tmp_path / "model", threads=1)
        assert again.settings == model.settings
        assert again.features == FEATURES
        np.testing.assert_array_equal(again.predict(matrix), model.predict(matrix), strict=True)
        again.save(tmp_path / "again")
        assert digests(tmp_path / "again") == digests(tmp_path / "model")

    def test_bytes_depend_neither_on_the_cut_nor_on_threads(self, kind, task, tmp_path):
        matrix, score = rows(20_000)
        target = targets(score)[task]
        found = set()
        for cuts, threads in (((), 1), ((1, 7_000, 7_000, 19_999), 1), ((8_192,), 2)):
            blocks = list(zip(np.split(matrix, cuts), np.split(target, cuts), strict=True))
            model = fit_model(ModelSettings(kind, task, rounds=5, seed=3), FEATURES, blocks, threads)
            model.save(tmp_path / "model")
            found.add(str(digests(tmp_path / "model")))
        assert len(found) == 1

    def test_a_rows_prediction_does_not_depend_on_its_neighbours(self, kind, task):
        model, matrix = trained(kind, task)
        whole = model.predict(matrix)
        pieces = [model.predict(piece) for piece in np.split(matrix, [1, 18, 18, 1_003])]
        np.testing.assert_array_equal(np.concatenate(pieces), whole, strict=True)

    def test_infinite_feature_is_refused_by_name(self, kind, task):
        model, matrix = trained(kind, task)
        bad = matrix.copy()
        bad[[3, 5], 1] = [np.inf, -np.inf]
        with pytest.raises(DataError, match="column 'b': infinite in 2 of 2000 rows"):
            model.predict(bad)
        with pytest.raises(DataError, match="column 'b': infinite in 2 of 2000 rows"):
            fit_model(ModelSettings(kind, task), FEATURES, [(bad, targets(rows()[1])[task])], 1)

    def test_matrix_of_another_width_is_refused(self, kind, task):
        model, matrix = trained(kind, task)
        for ask in (model.predict, model.contributions) if KINDS[kind].explains else (model.predict,):
            with pytest.raises(DataError, match=r"shape \(2000, 2\) for a model of 3 features"):
                ask(matrix[:, :2])


@pytest.mark.parametrize(("kind", "task"), EXPLAINED)
class TestEveryModelThatExplains:
    def test_contributions_sum_to_the_raw_margin(self, kind, task):
        model, matrix = trained(kind, task)
        predicted = model.predict(matrix[:50]).astype(np.float64)
        for approximate in (False, True):
            added = model.contributions(matrix[:50], approximate)
            assert added.dtype == np.float32
            margin = added.sum(axis=-1, dtype=np.float64)
            assert added.shape == ((50, 3, 4) if task == "multiclass" else (50, 4))
            if kind == "random_forest":  # a mean of leaves: it has no margin behind it
                expected = margin
            elif task == "multiclass":
                expected = np.exp(margin) / np.exp(margin).sum(axis=1, keepdims=True)
            else:
                expected = 1 / (1 + np.exp(-margin)) if task == "binary" else margin
            np.testing.assert_allclose(expected, predicted, atol=2e-5)

    def test_the_feature_that_decides_contributes_most(self, kind, task):
        model, matrix = trained(kind, task)
        added = np.abs(model.contributions(matrix[:200])).reshape(-1, 4)[:, :3].mean(axis=0)
        assert added.argmax() == 0
        assert added.argmin() == 2

    def test_model_read_back_explains_the_same_to_the_bit(self, kind, task, tmp_path):
        model, matrix = trained(kind, task)
        model.save(tmp_path / "model")
        again = load_model(tmp_path / "model", threads=1)
        np.testing.assert_array_equal(again.contributions(matrix[:20]), model.contributions(matrix[:20]), strict=True)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_trees_are_handed_the_same_blocks_however_the_rows_came():
    n_rows = BLOCK_ROWS + 10_000
    matrix = np.random.default_rng(0).normal(size=(n_rows, 2)).astype(np.float32)
    target = matrix[:, 0].astype(np.float64)
    handed, saved = set(), set()
    for cuts in ((), (1, BLOCK_ROWS - 1, BLOCK_ROWS + 1), (50_000, 50_000, 100_000)):
        blocks = list(zip(np.split(matrix, cuts), np.split(target, cuts), strict=True))
        taken = []
        iterator = boosted.FixedBlocks(blocks)
        iterator.reset()
        while iterator.next(lambda data, label, taken=taken: taken.append((data.shape, data.tobytes(), label.tobytes()))):
            pass
        assert [shape for shape, _, _ in taken] == [(BLOCK_ROWS, 2), (10_000, 2)]
        handed.add(tuple(taken))
        model = fit_model(ModelSettings("xgboost", rounds=2), ("a", "b"), blocks, 2)
        saved.add(bytes(model.booster.save_raw("ubj")))
    assert len(handed) == len(saved) == 1


INTERRUPTED = """
import signal
import numpy as np
from headrace.models import ModelSettings, boosted

class Rows:  # of which the second pass is interrupted
    passes = 0

    def __iter__(self):
        self.passes += 1
        for _ in range(4):
            if self.passes == 2:
                signal.raise_signal(signal.SIGINT)
            yield np.ones((50_000, 2), np.float32), np.arange(50_000.0)

try:
    boosted.fit(ModelSettings("xgboost", "regression", rounds=1), ("a", "b"), Rows(), threads=1)
except KeyboardInterrupt:
    print("stopped")
"""


def test_an_interruption_while_xgboost_takes_the_rows_leaves_memory_whole():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("stopped\n", "", 0)


def test_every_block_but_the_last_has_the_fixed_number_of_rows():
    lengths = (0, 100_000, 200_000, 0, 31_072 + 62_144, 5)
    start, blocks = 0, []
    for length in lengths:
        numbers = np.arange(start, start + length)
        blocks.append((numbers.astype(np.float32)[:, None], numbers))
        start += length
    cut = list(reblock(blocks))
    assert [len(target) for _, target in cut] == [BLOCK_ROWS, BLOCK_ROWS, BLOCK_ROWS, 5]
    np.testing.assert_array_equal(np.concatenate([target for _, target in cut]), np.arange(start))
    np.testing.assert_array_equal(np.concatenate([matrix[:, 0] for matrix, _ in cut]), np.arange(start, dtype=np.float32))


def test_trees_learn_where_missing_values_go():
    matrix = np.array([[np.nan], [1.0]] * 200, dtype=np.float32)
    target = np.array([1, 0] * 200)
    model = fit_model(ModelSettings("xgboost", rounds=30), ("a",), [(matrix, target)], 1)
    predicted = model.predict(np.array([[np.nan], [1.0]], dtype=np.float32))
    assert predicted[0] > 0.95
    assert predicted[1] < 0.05


@pytest.mark.parametrize("kind", ["logistic_regression", "linear_regression"])
def test_linear_models_refuse_missing_values_and_say_what_to_add(kind):
    matrix, score = rows()
    matrix[7, 2] = np.nan
    task = KINDS[kind].tasks[0]
    with pytest.raises(DataError, match="column 'c': missing in 1 of 2000 rows") as caught:
        fit_model(ModelSettings(kind), FEATURES, [(matrix, targets(score)[task])], 1)
    assert "fill_missing: {columns: [c], value: median}" in str(caught.value)
    with pytest.raises(DataError, match="column 'c': missing in 1 of 2000 rows"):
        trained(kind, task)[0].predict(matrix)


def test_linear_regression_finds_the_line_and_explains_it():
    matrix = np.array([[0, 0], [1, 0], [0, 1], [2, 1]], dtype=np.float32)
    model = fit_model(ModelSettings("linear_regression"), ("a", "b"), [(matrix, 5 + 2 * matrix[:, 0] - 3 * matrix[:, 1])], 1)
    # Means 0.75 and 0.5: the bias is 5 + 2 * 0.75 - 3 * 0.5, and (2, 1) adds 2 * 1.25 and -3 * 0.5 to it.
    np.testing.assert_allclose(model.contributions(matrix[3:]), [[2.5, -1.5, 5.0]], atol=1e-5)
    np.testing.assert_allclose(model.predict(matrix[3:]), [6.0], atol=1e-5)


def test_a_feature_of_small_numbers_beside_one_of_large_ones_has_its_weight():
    draw = np.random.default_rng(2)
    small, large = draw.normal(size=500) * 1e-4, draw.normal(size=500) * 1e4
    target = 3e4 * small + 2e-4 * large + draw.normal(size=500) * 0.1
    model = fit_model(ModelSettings("linear_regression"), ("a", "b"), [(np.column_stack([small, large]).astype(np.float32), target)], 1)
    np.testing.assert_allclose(model.coef, [[3e4, 2e-4]], rtol=0.01)


def test_alpha_makes_it_ridge():
    matrix = np.array([[-1.0], [1.0]], dtype=np.float32)
    model = fit_model(ModelSettings("linear_regression", params={"alpha": 2.0}), ("a",), [(matrix, np.array([-3.0, 3.0]))], 1)
    # Slope x'y / (x'x + alpha) = 6 / (2 + 2).
    np.testing.assert_allclose(model.predict(matrix), [-1.5, 1.5], atol=1e-6)


def test_class_that_training_never_saw_gets_no_probability():
    matrix, score = rows()
    target = np.array([0, 2, 3])[np.digitize(score, [-1, 1])]
    predicted = fit_model(ModelSettings("logistic_regression"), FEATURES, [(matrix, target)], 1).predict(matrix)
    assert predicted.shape == (2_000, 4)
    assert (predicted[:, 1] == 0).all()
    np.testing.assert_allclose(predicted.sum(axis=1), 1, atol=1e-6)


def test_two_of_three_classes_equal_the_binary_model():
    matrix, score = rows()
    target = targets(score)["binary"]
    binary = fit_model(ModelSettings("logistic_regression", "binary"), FEATURES, [(matrix, target)], 1).predict(matrix)
    multi = fit_model(ModelSettings("logistic_regression", "multiclass"), FEATURES, [(matrix, target)], 1).predict(matrix)
    np.testing.assert_allclose(multi[:, 1], binary, atol=1e-6)


def test_logistic_regression_that_stops_early_says_so():
    matrix, score = rows()
    with pytest.warns(UserWarning, match="not converged in 1 iterations: normalize the features, or raise max_iter"):
        fit_model(ModelSettings("logistic_regression", params={"max_iter": 1}), FEATURES, [(matrix, targets(score)["binary"])], 1)


@pytest.mark.parametrize(("kind", "task"), EVERY_MODEL)
def test_no_rows_give_no_predictions(kind, task):
    model, matrix = trained(kind, task)
    n_classes = (3,) if task == "multiclass" else ()
    assert model.predict(matrix[:0]).shape == (0, *n_classes)
    if (kind, task) in EXPLAINED:
        assert model.contributions(matrix[:0]).shape == (0, *n_classes, 4)


def test_another_seed_draws_other_rows():
    matrix, score = rows()
    found = {
        fit_model(ModelSettings("xgboost", params={"subsample": 0.5}, rounds=3, seed=seed), FEATURES, [(matrix, score)], 1)
        .predict(matrix)
        .tobytes()
        for seed in (1, 1, 2)
    }
    assert len(found) == 2


def test_constraints_name_features():
    matrix, score = rows()
    params = {"monotone_constraints": {"a": -1}, "interaction_constraints": [["a", "b"], ["c"]]}
    model = fit_model(ModelSettings("xgboost", params=params, rounds=5), FEATURES, [(matrix, score)], 1)
    along = np.zeros((50, 3), dtype=np.float32)
    along[:, 0] = np.linspace(-3, 3, 50)
    assert (np.diff(model.predict(along)) <= 0).all()
    with pytest.raises(JobErrors, match="no feature 'aa'") as caught:
        fit_model(ModelSettings("xgboost", params={"monotone_constraints": {"aa": 1}}), FEATURES, [(matrix, score)], 1)
    assert [error.key for error in caught.value.errors] == ["model.params.monotone_constraints"]


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "key", "message"),
        [
            ({"kind": "xgbost"}, "model.kind", "no kind 'xgbost'"),
            ({"kind": "xgboost", "task": "binry"}, "model.task", "no task 'binry'"),
            ({"kind": "linear_regression", "task": "binary"}, "model.task", "cannot do the task 'binary'"),
            ({"kind": "linear_regression", "params": {"alpha": -1.0}}, "model.params.alpha", "a number of 0 or more is needed, not -1.0"),
            ({"kind": "linear_regression", "params": {"fit_intercept": 1}}, "model.params.fit_intercept", "true or false is needed, not 1"),
            ({"kind": "xgboost", "params": {"max_dept": 8}}, "model.params.max_dept", "nearest: 'max_depth'"),
            ({"kind": "xgboost", "params": {"nthread": 8}}, "model.params.nthread", "run.cluster decides it"),
            ({"kind": "xgboost", "params": {"max_depth": None}}, "model.params.max_depth", "no value"),
            ({"kind": "xgboost", "params": {"max_depth": "six"}}, "model.params.max_depth", "a whole number of 0 or more is needed"),
            ({"kind": "xgboost", "params": {"eta": -1}}, "model.params.eta", "a number of 0 or more is needed, not -1"),
            ({"kind": "xgboost", "params": {"subsample": 0}}, "model.params.subsample", "a number above 0 and at most 1 is needed, not 0"),
            ({"kind": "random_forest", "params": {"max_leaves": 1}}, "model.params.max_leaves", "a whole number of 2 or more is needed"),
            ({"kind": "logistic_regression", "params": {"C": 0}}, "model.params.C", "a number above 0 is needed, not 0"),
            ({"kind": "xgboost", "params": {"objective": "binary:logistik"}}, "model.params.objective", "nearest: 'binary:logistic'"),
            ({"kind": "xgboost", "params": {"booster": "gblinear"}}, "model.params.booster", "does not train on blocks"),
            ({"kind": "logistic_regression", "params": {"c": 1}}, "model.params.c", "nearest: 'C'"),
            ({"kind": "logistic_regression", "params": {"C": -1.0}}, "model.params.C", "a number above 0 is needed, not -1.0"),
            (
                {"kind": "logistic_regression", "params": {"class_weight": "heavy"}},
                "model.params.class_weight",
                "balanced, or classes with a weight each, are needed, not 'heavy'",
            ),
            (
                {"kind": "logistic_regression", "params": {"class_weight": {1: -2}}},
                "model.params.class_weight.1",
                "a number above 0 is needed, not -2",
            ),
            ({"kind": "xgboost", "params": {"one_drop": 2}}, "model.params.one_drop", "true or false is needed, not 2"),
            ({"kind": "xgboost", "params": {"base_score": "half"}}, "model.params.base_score", "a number is needed, not 'half'"),
            ({"kind": "xgboost", "params": {"base_score": [0.5, True]}}, "model.params.base_score", "a number is needed, not True"),
            ({"kind": "xgboost", "params": {"base_score": []}}, "model.params.base_score", "a number is needed, not []"),
            (
                {"kind": "xgboost", "params": {"quantile_alpha": [0.1, 0.9]}},
                "model.params.quantile_alpha",
                "a number of 0 or more and at most 1 is needed, not [0.1, 0.9]",
            ),
            (
                {"kind": "xgboost", "params": {"monotone_constraints": {"age": "up"}}},
                "model.params.monotone_constraints",
                "features with 1 or -1 each are needed, not {'age': 'up'}",
            ),
            (
                {"kind": "xgboost", "params": {"interaction_constraints": "age"}},
                "model.params.interaction_constraints",
                "lists of features are needed, not 'age'",
            ),
            ({"kind": "xgboost", "params": {"objective": "reg:quantileerror"}}, "model.params.objective", "needs quantile_alpha"),
            ({"kind": "xgboost", "rounds": 0}, "model.rounds", "1 or more, below 2^31, not 0"),
            ({"kind": "xgboost", "rounds": 10**23}, "model.rounds", "1 or more, below 2^31, not 1000"),
            ({"kind": "xgboost", "seed": -1}, "run.seed", "0 or more, below 2^31, not -1"),
            (
                {"kind": "xgboost", "task": "regression", "params": {"objective": "binary:logistic"}},
                "model.params.objective",
                "is for the task 'binary', not 'regression'",
            ),
        ],
    )
    def test_wrong_setting_names_its_key(self, settings, key, message):
        with pytest.raises(JobError) as caught:
            ModelSettings(**settings)
        assert caught.value.key == key
        assert message in str(caught.value)

    def test_all_wrong_parameters_are_told_together(self):
        with pytest.raises(JobErrors) as caught:
            ModelSettings("xgboost", params={"max_dept": 8, "max_bin": 1, "gamma": 0, "grow_policy": "leafwise"})
        assert [error.key for error in caught.value.errors] == [f"model.params.{name}" for name in ("max_dept", "max_bin", "grow_policy")]

    def test_errors_of_a_target_name_it_where_the_name_is_known(self):
        settings = ModelSettings("xgboost")
        with pytest.raises(DataError, match="the target 'late' has one value: all 2 training rows are 1"):
            settings.resolved(np.array([1, 1]), "late")
        with pytest.raises(DataError, match=r"the target 'late' is null, .* in 1 of 2 training rows\n.*dropna: \[late\]"):
            settings.resolved(np.array([1, math.nan]), "late")

    @pytest.mark.parametrize(
        ("kind", "params"),
        [("xgboost", {"base_score": 2.0}), ("random_forest", {"class_weight": "all"})],
    )
    def test_value_that_the_library_refuses_is_the_jobs_mistake(self, kind, params):
        matrix, score = rows()
        with pytest.raises(JobError, match="refuses: ") as caught:
            fit_model(ModelSettings(kind, params=params), FEATURES, [(np.nan_to_num(matrix), score > 0)], 1)
        assert caught.value.key == "model.params"
        assert len(str(caught.value).splitlines()) == 2

    def test_the_parameters_of_the_list_are_those_that_xgboost_knows(self):
        matrix, score = rows(200)
        params = {
            "alpha": 0.1, "base_score": 0.4, "booster": "dart", "colsample_bylevel": 0.9, "colsample_bynode": 0.9, "colsample_bytree": 0.9,
            "eta": 0.2, "gamma": 0.1, "grow_policy": "lossguide", "lambda": 2.0, "max_bin": 32, "max_cached_hist_node": 100,
            "max_delta_step": 1, "max_depth": 3, "max_leaves": 4, "min_child_weight": 2, "normalize_type": "forest", "num_parallel_tree": 1,
            "one_drop": 1, "rate_drop": 0.1, "sample_type": "weighted", "skip_drop": 0.2, "subsample": 0.8,
        }  # fmt: skip
        of_an_objective = {"huber_slope", "quantile_alpha", "scale_pos_weight", "tweedie_variance_power"}
        other_names = {"learning_rate", "min_split_loss", "reg_alpha", "reg_lambda"}
        tested_elsewhere = {"objective", "monotone_constraints", "interaction_constraints"}
        assert KINDS["xgboost"].params == set(params) | of_an_objective | other_names | tested_elsewhere
        cases = [
            params,
            {"objective": "reg:pseudohubererror", "huber_slope": 2.0, "learning_rate": 0.1, "min_split_loss": 0.1},
            {"objective": "reg:quantileerror", "quantile_alpha": 0.9, "reg_alpha": 0.1, "reg_lambda": 2.0},
            {"objective": "reg:tweedie", "tweedie_variance_power": 1.2},
            {"objective": "binary:logistic", "scale_pos_weight": 3.0},
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # XGBoost warns about a parameter that it does not use
            for case in cases:
                target = (score > 0).astype(float) if case.get("objective") == "binary:logistic" else np.abs(score)
                fit_model(ModelSettings("xgboost", params=case, rounds=2), FEATURES, [(matrix, target)], 1)


class TestTask:
    @pytest.mark.parametrize(
        ("task", "params", "target", "expected"),
        [
            (None, {}, [True, False], "binary"),
            (None, {}, [0.0, 1.0], "binary"),
            (None, {}, [0, 1, 2], "regression"),
            ("multiclass", {}, [0, 1, 2], "multiclass"),
            (None, {"objective": "multi:softprob"}, [0, 1, 2], "multiclass"),
            (None, {"objective": "reg:squarederror"}, [0, 1], "regression"),
            ("regression", {}, [0, 1], "regression"),
        ],
    )
    def test_task_is_decided(self, task, params, target, expected):
        assert resolve_task(task, params, np.array(target)) == expected

    @pytest.mark.parametrize(("kind", "expected"), [("logistic_regression", "multiclass"), ("linear_regression", "regression")])
    def test_kind_decides_where_it_can_do_only_one(self, kind, expected):
        assert resolve_task(None, {}, np.array([0, 1, 2]), kind) == expected

    def test_linear_regression_takes_zeros_and_ones_as_numbers(self):
        assert resolve_task(None, {}, np.array([0, 1]), "linear_regression") == "regression"

    @pytest.mark.parametrize(
        ("task", "target", "message"),
        [
            (None, [], "no rows to train on"),
            (None, [1, 1, 1], "the target has one value: all 3 training rows are 1"),
            ("regression", [2.5, 2.5], "the target has one value: all 2 training rows are 2.5"),
            (None, [0.0, math.nan, math.inf], r"null, NaN or infinite in 2 of 3 training rows\n.*filter: 'isfinite\(target\)'"),
            ("binary", [0, 1, 2], r"a binary target is 0 or 1, the target has 3 values \(0, 1, 2\)"),
            ("multiclass", [0.5, 1.0], r"whole numbers from 0, the target has 2 values \(0.5, 1.0\)"),
            ("multiclass", [-1, 1], "whole numbers from 0"),
            ("multiclass", [0.0, 1e30], "whole numbers from 0"),
        ],
    )
    @pytest.mark.filterwarnings("error")
    def test_target_that_does_not_fit_is_refused(self, task, target, message):
        with pytest.raises(DataError, match=message):
            resolve_task(task, {}, np.array(target))

    def test_target_of_text_is_refused(self):
        with pytest.raises(DataError, match="not numbers or truth values"):
            resolve_task(None, {}, np.array(["late", "early"]))


class TestLoading:
    def test_missing_folder_is_named(self, tmp_path):
        with pytest.raises(BundleError, match="cannot be read"):
            load_model(tmp_path / "nothing")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": 2}, "no model of a format that this version reads"),
            ({"features": "abc"}, "features are not a list of names"),
            ({"settings": {"kind": "os.system"}}, "settings that this version does not know"),
            ({"settings": {"kind": "xgboost", "shell": "ls"}}, "a model without its settings"),
            ({"settings": {"kind": "xgboost", "params": 5}}, "a model without its settings"),
            ({"settings": {"kind": "xgboost", "task": "multiclass", "n_classes": [3]}}, "a model without its settings"),
            ({"features": ["a", "b"]}, "trees over 3 features, but 2 names"),
        ],
    )
    def test_altered_description_is_refused(self, tmp_path, change, message):
        trained("xgboost", "binary")[0].save(tmp_path)
        path = tmp_path / "model.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        with pytest.raises(BundleError, match=message):
            load_model(tmp_path)

    @pytest.mark.parametrize("damage", [lambda trees: trees[:100], lambda trees: trees[:-1] + b"]", lambda trees: b""])
    def test_altered_trees_are_refused(self, tmp_path, damage):
        trained("xgboost", "binary")[0].save(tmp_path)
        path = tmp_path / "model.ubj"
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(BundleError, match=r"not the \d+ bytes that were saved with model.json"):
            load_model(tmp_path)

    def test_trees_that_are_none_are_refused_by_the_reader_too(self, tmp_path):
        trained("xgboost", "binary")[0].save(tmp_path)
        trees = b"{}"
        (tmp_path / "model.ubj").write_bytes(trees)
        path = tmp_path / "model.json"
        stated = {"nbytes": len(trees), "sha256": hashlib.sha256(trees).hexdigest()}
        path.write_text(json.dumps({**json.loads(path.read_text()), "trees": stated}))
        with pytest.raises(BundleError, match="no XGBoost model"):
            load_model(tmp_path)

    def test_coefficients_of_another_number_are_refused(self, tmp_path):
        trained("linear_regression", "regression")[0].save(tmp_path)
        path = tmp_path / "model.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "coef": [[1.0, 2.0]]}))
        with pytest.raises(BundleError, match=r"coefficients of shape \(1, 2\) for 3 features"):
            load_model(tmp_path)


def test_importing_models_imports_no_library():
    code = "import headrace.models, sys; print([name for name in ('xgboost', 'sklearn', 'numpy', 'pyarrow') if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_preload_imports_the_library_in_the_background():
    code = "import headrace.models as m, sys; m.preload('xgboost').join(); print('xgboost' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "True"


def test_preload_of_a_missing_library_leaves_the_error_to_the_fit(monkeypatch):
    for name in ("boosted", "xgboost_library"):
        monkeypatch.delitem(sys.modules, f"headrace.models.{name}", raising=False)
        monkeypatch.delattr(f"headrace.models.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "xgboost", None)
    preload("xgboost").join()
    matrix, score = rows(10)
    from headrace.errors import MissingLibraryError

    with pytest.raises(MissingLibraryError, match="needs the library 'xgboost'"):
        fit_model(ModelSettings("xgboost"), FEATURES, [(matrix, score)], 1)


IMPORTS = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "xgboost":
            print(os.environ.get("OMP_WAIT_POLICY"))
sys.meta_path.insert(0, Watch())
import headrace.models.boosted
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_sleep_in_every_process_that_trains(given: str | None, expected: str) -> None:
    """OpenMP reads its settings when xgboost is imported, by whoever it is."""
    settings = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | (
        {"OMP_WAIT_POLICY": given} if given else {}
    )
    done = subprocess.run([sys.executable, "-c", IMPORTS], env=settings, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [expected]
