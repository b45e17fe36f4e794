import json
import math

import numpy as np
import pytest

from headrace.errors import DataError, JobError
from headrace.metrics import base_metrics, check_metrics, curves, evaluate, metric_names

TARGET = np.array([0, 0, 1, 1])
PREDICTED = np.array([0.1, 0.4, 0.35, 0.8], dtype=np.float32)


def test_binary_metrics_have_the_values_worked_out_by_hand():
    got = evaluate("binary", TARGET, PREDICTED)
    # Pairs in the right order: (0.1, 0.35), (0.1, 0.8), (0.4, 0.8) of 4.
    assert got["auc"] == 0.75
    assert got["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.6) + math.log(0.35) + math.log(0.8)) / 4, rel=1e-6)
    # By falling prediction 1, 0, 1, 0: precision 1/1 at the first positive, 2/3 at the second.
    assert got["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert got["brier"] == pytest.approx((0.1**2 + 0.4**2 + 0.65**2 + 0.2**2) / 4, rel=1e-6)
    assert got["accuracy"] == 0.75
    assert list(got) == ["auc", "log_loss", "average_precision", "brier", "accuracy"]


def test_regression_metrics_have_the_values_worked_out_by_hand():
    got = evaluate("regression", np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 4.0]))
    # Errors 1, 0, -2; around the mean of 3 the squares are 4, 1, 9.
    assert got == {"rmse": pytest.approx(math.sqrt(5 / 3)), "mae": 1.0, "r2": pytest.approx(1 - 5 / 14)}


def test_multiclass_metrics_have_the_values_worked_out_by_hand():
    predicted = np.array([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]])
    got = evaluate("multiclass", np.array([0, 1]), predicted)
    assert got["log_loss"] == pytest.approx(-(math.log(0.5) + math.log(0.2)) / 2)
    assert got["accuracy"] == 0.5


def test_truth_values_are_a_binary_target():
    assert evaluate("binary", TARGET.astype(bool), PREDICTED) == evaluate("binary", TARGET, PREDICTED)


def test_only_the_metrics_named_are_measured_in_their_order():
    assert list(evaluate("binary", TARGET, PREDICTED, ["brier", "auc"])) == ["brier", "auc"]


def test_unknown_metric_names_its_key_and_the_nearest():
    with pytest.raises(JobError, match="no metric 'log_los' of a binary model") as caught:
        check_metrics("binary", ["auc", "log_los"])
    assert caught.value.key == "evaluate[1]"
    assert "nearest: 'log_loss'" in str(caught.value)


def test_metric_of_another_task_is_refused():
    with pytest.raises(JobError, match="no metric 'auc' of a regression model"):
        evaluate("regression", np.array([1.0]), np.array([1.0]), ["auc"])


def test_unknown_task_is_refused():
    with pytest.raises(JobError, match="no task 'ranking'"):
        metric_names("ranking")


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_auc_undefined(label):
    got = evaluate("binary", np.full(3, label), np.array([0.2, 0.5, 0.9]))
    assert got["auc"] is None
    assert got["average_precision"] == (1.0 if label else None)
    assert math.isfinite(got["log_loss"])
    drawn = curves("binary", np.full(3, label), np.array([0.2, 0.5, 0.9]))
    assert drawn["roc"] is None
    assert drawn["confusion"]["matrix"] == ([[0, 0], [0, 3]] if label else [[3, 0], [0, 0]])
    assert drawn["confusion"]["threshold"] == (pytest.approx(0.2) if label else None)


def test_constant_target_leaves_r2_undefined():
    assert evaluate("regression", np.array([2.0, 2.0]), np.array([1.0, 2.0]))["r2"] is None


def test_sure_and_wrong_costs_at_most_sixteen_nats():
    got = evaluate("binary", np.array([0, 1]), np.array([1.0, 1.0], dtype=np.float32), ["log_loss"])
    assert got["log_loss"] == pytest.approx(-math.log(np.finfo(np.float32).eps) / 2, rel=1e-6)


def test_class_that_training_never_saw_costs_but_does_not_crash():
    got = evaluate("multiclass", np.array([0, 2]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert got["accuracy"] == 0.5
    assert got["log_loss"] == pytest.approx(-math.log(np.finfo(np.float32).eps) / 2, rel=1e-3)


@pytest.mark.parametrize(
    ("target", "predicted", "message"),
    [
        ([], [], "no rows to evaluate"),
        ([0, 1], [0.5], "2 targets, but predictions of shape"),
        ([0.0, math.nan], [0.5, 0.5], "target is null, NaN or infinite 1 times in 2"),
        ([0, 1], [0.5, math.nan], "prediction is null, NaN or infinite 1 times in 2"),
        ([0, 2], [0.5, 0.5], "no class of a binary model"),
        ([0, 1], [0.5, 1.5], "are probabilities, these go from 0.5 to 1.5"),
    ],
)
def test_what_cannot_be_measured_is_refused(target, predicted, message):
    with pytest.raises(DataError, match=message):
        evaluate("binary", np.array(target, dtype=float), np.array(predicted, dtype=float))


def test_base_metrics_are_those_of_the_training_rate():
    got = base_metrics("binary", np.array([0, 0, 0, 1]), np.array([0, 1]))
    assert got["auc"] == 0.5
    assert got["average_precision"] == 0.5
    assert got["log_loss"] == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)
    assert got["accuracy"] == 0.5


def test_base_metrics_guess_class_shares_and_means():
    assert base_metrics("multiclass", np.array([0, 0, 1, 2]), np.array([0, 2]))["log_loss"] == pytest.approx(
        -(math.log(0.5) + math.log(0.25)) / 2
    )
    assert base_metrics("regression", np.array([1.0, 3.0]), np.array([2.0, 6.0]), ["mae"]) == {"mae": 2.0}


def test_roc_goes_from_corner_to_corner_in_few_points():
    rng = np.random.default_rng(3)
    predicted = rng.random(5_000)
    target = (rng.random(5_000) < predicted).astype(int)
    roc = curves("binary", target, predicted)["roc"]
    fpr, tpr = np.array(roc["fpr"]), np.array(roc["tpr"])
    assert 100 <= len(fpr) <= 200
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= 0).all()
    assert np.trapezoid(tpr, fpr) == pytest.approx(evaluate("binary", target, predicted)["auc"], abs=2e-3)


def test_calibration_bins_hold_equally_many_rows():
    predicted = np.linspace(0.025, 0.975, 20)
    target = np.tile([0, 1], 10)
    bins = curves("binary", target, predicted)["calibration"]
    assert bins["count"] == [2] * 10
    assert bins["observed"] == [0.5] * 10
    assert bins["predicted"] == pytest.approx(np.arange(0.05, 1.0, 0.1))


def test_rows_of_one_prediction_stay_in_one_calibration_bin():
    bins = curves("binary", np.array([0, 1] * 10), np.full(20, 0.5))["calibration"]
    assert bins == {"predicted": [0.5], "observed": [0.5], "count": [20]}


def test_confusion_calls_as_many_positive_as_there_are():
    confusion = curves("binary", TARGET, PREDICTED)["confusion"]
    # Two rows are positive; the two highest predictions are 0.8 (class 1) and 0.4 (class 0).
    assert confusion == {"threshold": pytest.approx(0.4), "labels": [0, 1], "matrix": [[1, 1], [1, 1]]}


def test_multiclass_confusion_counts_what_was_called():
    predicted = np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    drawn = curves("multiclass", np.array([0, 1, 2]), predicted)
    assert drawn["confusion"] == {"labels": [0, 1, 2], "matrix": [[1, 0, 0], [1, 0, 0], [0, 0, 1]]}
    assert sum(drawn["predictions"]["counts"]) == 3


def test_regression_sample_is_small_and_the_same_each_time():
    target = np.arange(5_000.0)
    drawn = curves("regression", target, target + 1)
    actual, predicted = np.array(drawn["regression"]["actual"]), np.array(drawn["regression"]["predicted"])
    assert len(np.unique(actual)) == 2_000
    assert (predicted == actual + 1).all()
    assert curves("regression", target, target + 1) == drawn


def test_curves_are_json():
    for task, target, predicted in [
        ("binary", TARGET, PREDICTED),
        ("multiclass", TARGET, np.column_stack([1 - PREDICTED, PREDICTED])),
        ("regression", TARGET, PREDICTED),
    ]:
        drawn = curves(task, target, predicted)
        assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn


def test_histogram_counts_every_prediction():
    drawn = curves("binary", TARGET, np.array([0.0, 0.26, 0.26, 1.0]))["predictions"]
    assert len(drawn["edges"]) == len(drawn["counts"]) + 1
    # Forty bins of 0.025: 0.26 is in the eleventh, 1.0 in the last.
    assert {index: count for index, count in enumerate(drawn["counts"]) if count} == {0: 1, 10: 2, 39: 1}
