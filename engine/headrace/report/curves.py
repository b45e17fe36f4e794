"""The charts of how good a model is: which of them a record's curves allow, each with the words that explain it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.report import charts, shapes, words
from headrace.report.results import MOST_BARS, Chart, labels
from headrace.report.summary import Case, Record, section
from headrace.report.svg import drawing
from headrace.report.words import is_number, percent

NOISE = -1  # the cluster of rows that are in none


def model_charts(record: Record) -> list[Chart]:
    """Return the charts of how good the model is, in the order of reading."""
    case = Case.of(record)
    with drawing():
        drawn = [_roc(record, case), _calibration(record), *_regression(record), _predictions(record), _confusion(record, case)]
        drawn += [_clusters(record), _components(record)]
    return [chart for chart in drawn if chart]


def _roc(record: Record, case: Case) -> Chart | None:
    curve = section(record, "curves", "roc")
    if not _has_points(curve.get("fpr"), curve.get("tpr")):
        return None
    positive = words.shorten(case.positives, 30)
    return Chart(
        "How well it tells them apart",
        charts.roc(curve["fpr"], curve["tpr"], positive),
        "The further the curve bends to the top left, the better; the dashed line is guessing. (ROC curve)",
    )


def _calibration(record: Record) -> Chart | None:
    curve = section(record, "curves", "calibration")
    if not _has_points(curve.get("predicted"), curve.get("observed"), curve.get("count")):
        return None
    return Chart(
        "Can its percentages be trusted?",
        charts.calibration(curve["predicted"], curve["observed"], curve["count"]),
        "On the dashed line, “30 %” comes true 30 times in 100. Above it the model is too cautious, below it too sure."
        " Larger dots are more rows.",
    )


def _predictions(record: Record) -> Chart | None:
    curve = section(record, "curves", "predictions")
    counts, edges = curve.get("counts") or (), curve.get("edges") or ()
    if not counts or len(edges) != len(counts) + 1:
        return None
    threshold = section(record, "curves", "confusion").get("threshold")
    return Chart(
        "How often it says what",
        charts.predictions(edges, counts, float(threshold) if is_number(threshold) else None),
        "A wide spread means it dares to tell rows apart; one narrow hill means it says nearly the same of all.",
    )


def _confusion(record: Record, case: Case) -> Chart | None:
    confusion = section(record, "curves", "confusion")
    matrix = confusion.get("matrix") or ()
    if not matrix or any(len(row) != len(matrix) for row in matrix):
        return None
    threshold = confusion.get("threshold")
    flagged = f" Flagged from {percent(threshold)} on: {case.positives}." if is_number(threshold) else ""
    return Chart(
        "Right and wrong answers",
        charts.confusion(matrix, labels(record)),
        f"Each line is what happened, each column what the model said; the diagonal is right.{flagged} (confusion matrix)",
    )


def _regression(record: Record) -> list[Chart]:
    curve = section(record, "curves", "regression")
    actual, predicted = curve.get("actual") or (), curve.get("predicted") or ()
    if not _has_points(actual, predicted):
        return []
    heap = "Errors should heap up at zero, as many above as below; the outer bars hold the rarest 1 % at each end. (residuals)"
    return [
        Chart("Predicted and actual", charts.actual_and_predicted(actual, predicted), "On the dashed line a prediction is exactly right."),
        Chart("How far off it is", charts.residuals(actual, predicted), heap),
    ]


def _clusters(record: Record) -> Chart | None:
    found = section(record, "curves", "clusters")
    rows, total = found.get("rows") or (), sum(found.get("rows") or ())
    if not total:
        return None
    names = ["noise" if label == NOISE else f"cluster {label}" for label in found.get("labels") or ()]
    bars = [(name, float(count), percent(count / total)) for name, count in zip(names, rows, strict=False)]
    more = f" The first {MOST_BARS} of {len(bars)}." if len(bars) > MOST_BARS else ""
    drawn = shapes.bars("chart-clusters", "Share of rows by cluster", bars[:MOST_BARS])
    return Chart("How large the groups are", drawn, f"Clusters are numbered by their size among the rows that were learnt from.{more}")


def _components(record: Record) -> Chart | None:
    found = section(record, "curves", "components")
    pairs = zip(found.get("labels") or (), found.get("shares") or (), strict=False)
    bars = [(str(label), float(share), percent(share)) for label, share in pairs if is_number(share)]
    if not bars:
        return None
    more = f" The first {MOST_BARS} of {len(bars)}." if len(bars) > MOST_BARS else ""
    drawn = shapes.bars("chart-components", "Share of variance by component", bars[:MOST_BARS])
    return Chart("What each component keeps", drawn, f"Its share of the differences between the rows that were learnt from.{more}")


def _has_points(*columns: Sequence[Any] | None) -> bool:
    lists = [column or () for column in columns]
    return len({len(values) for values in lists}) == 1 and any(all(map(is_number, point)) for point in zip(*lists, strict=True))
