"""How good predictions are: metrics, what a constant guess would get, and curves thin enough for a report.

Whatever the rows do not define (the area under the curve of a test set with one class) is None, never a guess.

Examples
--------
>>> import numpy as np
>>> evaluate("binary", np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), ["auc", "accuracy"])
{'auc': 0.75, 'accuracy': 0.75}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from headrace.errors import DataError, JobError, nearest, unknown_name
from headrace.histogram import histogram

_Measure = Callable[[np.ndarray, np.ndarray], float | None]

# Enough for a smooth line 1,000 pixels wide; a whole ROC curve of 50,000 rows would be most of a report's bytes.
_CURVE_POINTS = 200
_CALIBRATION_BINS = 10
_HISTOGRAM_BINS = 40
_SAMPLE_ROWS = 2_000
_SAMPLE_SEED = 0


def metric_names(task: str) -> tuple[str, ...]:
    """Return the metrics of a task, in the order in which they are shown.

    >>> metric_names("regression")
    ('rmse', 'mae', 'r2')
    """
    return tuple(_measures(task))


def check_metrics(task: str, names: Sequence[str]) -> None:
    """Raise JobError (``evaluate[i]``, with the nearest right name) for the first name that is no metric of `task`."""
    known = metric_names(task)
    for position, name in enumerate(names):
        if name in known:
            continue
        near = nearest(name, known)
        hint = f"Metrics: {', '.join(known)}"
        message = f"no metric {name!r} of a {task} model"
        raise JobError(message, key=f"evaluate[{position}]", hint=f"nearest: {near!r}. {hint}" if near else hint)


def evaluate(task: str, target: np.ndarray, predicted: np.ndarray, names: Sequence[str] | None = None) -> dict[str, float | None]:
    """Measure predictions.

    Parameters
    ----------
    task : str
        ``binary``, ``multiclass`` or ``regression``.
    target : array ``[n]``
        What happened: 0 and 1 (or truth values), class numbers, or values.
    predicted : array ``[n]`` or ``[n, classes]``
        Probabilities of class 1, values, or probabilities of each class.
    names : sequence of str, optional
        The metrics, by default all of the task. binary: ``auc`` (area under the ROC curve), ``log_loss`` (nats;
        probabilities are kept one float32 rounding step, 1.2e-7, away from 0 and 1), ``average_precision``, ``brier``
        (mean squared error of the probability), ``accuracy`` (at 0.5). multiclass: ``log_loss``, ``accuracy``.
        regression: ``rmse``, ``mae`` (in the target's unit), ``r2``.

    Returns
    -------
    dict
        Metric to value. None where the rows do not define it: ``auc`` with one class, ``average_precision`` without
        a positive row, ``r2`` of a constant target.

    Raises
    ------
    JobError
        A name that is no metric of the task (``evaluate[i]``).
    DataError
        No rows, other lengths, a target or a prediction that is null, NaN or infinite, a target of another task, or predictions that are no
        probabilities.
    """
    names = metric_names(task) if names is None else names
    check_metrics(task, names)
    target, predicted = _checked(task, target, predicted)
    measures = _measures(task)
    return {name: measures[name](target, predicted) for name in names}


def base_metrics(
    task: str, train_target: np.ndarray, test_target: np.ndarray, names: Sequence[str] | None = None
) -> dict[str, float | None]:
    """Measure the best constant guess that the training rows give: their rate, class shares or mean.

    A model is worth only what it adds to this.

    Parameters
    ----------
    task, names
        As for `evaluate`.
    train_target, test_target : array ``[n]``, ``[m]``
        The guess is made from the first and measured on the second.

    Examples
    --------
    >>> base_metrics("binary", np.array([0, 0, 0, 1]), np.array([0, 1]), ["auc", "brier"])
    {'auc': 0.5, 'brier': 0.3125}
    """
    if not len(train_target):
        raise DataError("no training rows to guess from")
    n_test = len(test_target)
    if task == "multiclass":
        codes = np.asarray(train_target).astype(np.int64)
        shares = np.bincount(codes) / len(codes)
        return evaluate(task, test_target, np.tile(shares, (n_test, 1)), names)
    return evaluate(task, test_target, np.full(n_test, np.mean(train_target, dtype=np.float64)), names)


def curves(task: str, target: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Return what a report draws, as lists of plain numbers (JSON).

    Parameters
    ----------
    task, target, predicted
        As for `evaluate`.

    Returns
    -------
    dict
        ``roc`` (binary): ``fpr``, ``tpr``, at most 200 points spread evenly along the curve; None with one class.
        ``calibration`` (binary, regression): ``predicted``, ``observed`` means and ``count`` of ten bins of equally
        many rows by prediction; rows of one prediction stay in one bin, so bins may be fewer.
        ``confusion`` (binary, multiclass): ``labels``, ``matrix`` (rows: what happened, columns: what was predicted)
        and, if binary, ``threshold``: the prediction at which as many rows are called positive as are positive
        (more where predictions are tied; None if no row is positive). At 0.5 a model of a rare class calls nothing.
        ``predictions``: ``edges`` and ``counts`` of a histogram (multiclass: of the largest probability).
        ``regression`` (regression): ``actual``, ``predicted`` of at most 2,000 rows drawn with a fixed seed.
    """
    target, predicted = _checked(task, target, predicted)
    if task == "binary":
        return {
            "roc": _roc(target, predicted),
            "calibration": _calibration(target, predicted),
            "confusion": _binary_confusion(target, predicted),
            "predictions": _histogram(predicted, (0.0, 1.0)),
        }
    if task == "multiclass":
        called = predicted.argmax(axis=1)
        matrix = _count_pairs(target, called, predicted.shape[1])
        confusion = {"labels": list(range(predicted.shape[1])), "matrix": matrix}
        return {"confusion": confusion, "predictions": _histogram(predicted.max(axis=1), (0.0, 1.0))}
    return {
        "calibration": _calibration(target, predicted),
        "predictions": _histogram(predicted, None),
        "regression": _sample(target, predicted),
    }


def _measures(task: str) -> Mapping[str, _Measure]:
    if task not in _MEASURES:
        message, hint = unknown_name("task", task, _MEASURES)
        raise JobError(message, key="model.task", hint=hint)
    return _MEASURES[task]


def _auc(target: np.ndarray, predicted: np.ndarray) -> float | None:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(target, predicted)) if _has_two_classes(target) else None


def _average_precision(target: np.ndarray, predicted: np.ndarray) -> float | None:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(target, predicted)) if target.any() else None


def _log_loss(target: np.ndarray, predicted: np.ndarray) -> float:
    from sklearn.metrics import log_loss

    # Models give float32, whose 1.0 only means "nearer to 1 than 6e-8": with float64's own step, one such row that
    # goes wrong would cost 36 nats instead of 16.
    step = np.finfo(np.float32).eps
    clipped = np.clip(predicted, step, 1 - step)
    if clipped.ndim == 2:
        clipped = clipped / clipped.sum(axis=1, keepdims=True)
    n_classes = clipped.shape[1] if clipped.ndim == 2 else 2
    return float(log_loss(target, clipped, labels=np.arange(n_classes)))


def _brier(target: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.mean((predicted - target) ** 2))


def _accuracy(target: np.ndarray, predicted: np.ndarray) -> float:
    called = predicted.argmax(axis=1) if predicted.ndim == 2 else predicted >= 0.5
    return float(np.mean(called == target))


def _rmse(target: np.ndarray, predicted: np.ndarray) -> float:
    return math.sqrt(float(np.mean((predicted - target) ** 2)))


def _mae(target: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.mean(np.abs(predicted - target)))


def _r2(target: np.ndarray, predicted: np.ndarray) -> float | None:
    from sklearn.metrics import r2_score

    return float(r2_score(target, predicted)) if (target != target[0]).any() else None


_MEASURES: Mapping[str, Mapping[str, _Measure]] = {
    "binary": {"auc": _auc, "log_loss": _log_loss, "average_precision": _average_precision, "brier": _brier, "accuracy": _accuracy},
    "multiclass": {"log_loss": _log_loss, "accuracy": _accuracy},
    "regression": {"rmse": _rmse, "mae": _mae, "r2": _r2},
}


def _checked(task: str, target: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return target (codes as int64, else float64) and predictions (float64) that the task's measures can take."""
    _measures(task)
    n_dims = 2 if task == "multiclass" else 1
    if len(target) != len(predicted) or predicted.ndim != n_dims:
        raise DataError(f"{len(target)} targets, but predictions of shape {predicted.shape} for a {task} model")
    if not len(target):
        raise DataError("no rows to evaluate", hint="look at the split: the test part is empty")
    values, scores = np.asarray(target, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    for name, numbers in (("target", values), ("prediction", scores)):
        bad = int(np.count_nonzero(~np.isfinite(numbers)))
        if bad:
            raise DataError(f"the {name} is null, NaN or infinite {bad} times in {len(target)} rows to evaluate")
    if task == "regression":
        return values, scores
    if scores.min() < 0 or scores.max() > 1:
        raise DataError(f"predictions of a {task} model are probabilities, these go from {scores.min():g} to {scores.max():g}")
    codes = values.astype(np.int64)
    if (codes != values).any() or codes.min() < 0 or (task == "binary" and codes.max() > 1):
        raise DataError(f"the target to evaluate has values that are no class of a {task} model")
    if task == "multiclass" and codes.max() >= scores.shape[1]:
        # A class that training never saw got no probability; it must cost something, not crash.
        scores = np.pad(scores, ((0, 0), (0, int(codes.max()) + 1 - scores.shape[1])))
    return codes, scores


def _has_two_classes(target: np.ndarray) -> bool:
    return bool((target != target[0]).any())


def _roc(target: np.ndarray, predicted: np.ndarray) -> dict[str, list[float]] | None:
    from sklearn.metrics import roc_curve

    if not _has_two_classes(target):
        return None
    fpr, tpr, _ = roc_curve(target, predicted)
    along = fpr + tpr  # the way along the curve, which only goes right and up: 0 to 2
    kept = np.unique(np.searchsorted(along, np.linspace(0.0, along[-1], _CURVE_POINTS)))
    return {"fpr": fpr[kept].tolist(), "tpr": tpr[kept].tolist()}


def _calibration(target: np.ndarray, predicted: np.ndarray) -> dict[str, list[Any]]:
    order = np.argsort(predicted, kind="stable")
    scores, values = predicted[order], target[order]
    n_rows = len(scores)
    cuts = np.arange(_CALIBRATION_BINS) * n_rows // _CALIBRATION_BINS
    starts = np.unique(np.searchsorted(scores, scores[cuts], side="left"))
    count = np.diff(np.append(starts, n_rows))
    return {
        "predicted": (np.add.reduceat(scores, starts) / count).tolist(),
        "observed": (np.add.reduceat(values, starts) / count).tolist(),
        "count": count.tolist(),
    }


def _binary_confusion(target: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    n_rows, n_positive = len(target), int(target.sum())
    threshold = float(np.partition(predicted, n_rows - n_positive)[n_rows - n_positive]) if n_positive else None
    called = predicted >= (math.inf if threshold is None else threshold)
    return {"threshold": threshold, "labels": [0, 1], "matrix": _count_pairs(target, called.astype(np.int64), 2)}


def _count_pairs(target: np.ndarray, called: np.ndarray, n_classes: int) -> list[list[int]]:
    pairs = np.bincount(target * n_classes + called, minlength=n_classes * n_classes)
    counted: list[list[int]] = pairs.reshape(n_classes, n_classes).tolist()
    return counted


def _histogram(values: np.ndarray, span: tuple[float, float] | None) -> dict[str, list[Any]]:
    low, high = span or (float(values.min()), float(values.max()))
    counts, edges = histogram(values, _HISTOGRAM_BINS, low, high)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _sample(target: np.ndarray, predicted: np.ndarray) -> dict[str, list[float]]:
    rows = np.arange(len(target))
    if len(rows) > _SAMPLE_ROWS:
        rows = np.sort(np.random.default_rng(_SAMPLE_SEED).choice(rows, _SAMPLE_ROWS, replace=False))
    return {"actual": target[rows].tolist(), "predicted": predicted[rows].tolist()}
