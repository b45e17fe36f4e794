"""The report's figures: which charts a record's curves allow, each with the words that explain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from headrace.report import charts, words
from headrace.report.summary import Case, Record, section
from headrace.report.words import is_number, percent

_MOST_BARS = 15
_LEAST_STAGE_OF_TOTAL = 0.01


@dataclass(frozen=True)
class Chart:
    """A drawn chart with its heading and what to look for."""

    title: str
    svg: Markup
    explanation: str


@dataclass(frozen=True)
class ClassResult:
    """How well one class was found: shares of 1 as text."""

    label: str
    rows: str
    found: str
    right: str


def model_charts(record: Record) -> list[Chart]:
    """Return the charts of how good the model is, in the order of reading."""
    case = Case.of(record)
    drawn = [_roc(record, case), _calibration(record), *_regression(record), _predictions(record), _confusion(record, case)]
    return [chart for chart in drawn if chart]


def classes(record: Record) -> list[ClassResult]:
    """Return each class's share found and share right: the confusion matrix in words."""
    confusion = section(record, "curves", "confusion")
    matrix = confusion.get("matrix") or ()
    said = [sum(column) for column in zip(*matrix, strict=True)]
    return [
        ClassResult(
            label=label,
            rows=f"{sum(row):,}",
            found=percent(row[place] / sum(row)) if sum(row) else words.ABSENT,
            right=percent(row[place] / said[place]) if said[place] else words.ABSENT,
        )
        for place, (label, row) in enumerate(zip(_labels(record), matrix, strict=False))
    ]


def importance(record: Record) -> list[Chart]:
    """Return what matters most, by source column and by feature."""
    views = (
        ("by_source", "chart-by-source", "By column of your data", "A feature made of several columns gives each its part."),
        ("by_feature", "chart-by-feature", "By feature", "Features are what the pipeline made of the columns."),
    )
    drawn = []
    for key, name, title, explanation in views:
        shares = [(str(each.get("name", "")), each.get("share")) for each in section(record, "importance").get(key) or ()]
        bars = [(label, float(share), percent(share)) for label, share in shares if is_number(share)]
        if bars:
            more = f" The first {_MOST_BARS} of {len(bars)}." if len(bars) > _MOST_BARS else ""
            svg = charts.bars(name, f"Share of influence, {title.lower()}", bars[:_MOST_BARS])
            drawn.append(Chart(title, svg, explanation + more))
    return drawn


def timings(record: Record) -> Chart | None:
    """Return the seconds of each stage as bars, with what the stages leave of the total."""
    spent = {stage: float(time) for stage, time in record["seconds"].items() if stage != "total" and is_number(time)}
    total = record["seconds"].get("total")
    if is_number(total) and spent and total - sum(spent.values()) > _LEAST_STAGE_OF_TOTAL * total:
        spent["other"] = total - sum(spent.values())
    if not spent:
        return None
    bars = [(words.stage_title(stage), time, words.seconds(time)) for stage, time in spent.items()]
    return Chart("Where the time went", charts.bars("chart-timings", "Seconds by stage", bars), f"{words.seconds(total)} in all.")


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
        charts.confusion(matrix, _labels(record)),
        f"Each line is what happened, each column what the model said; the diagonal is right.{flagged} (confusion matrix)",
    )


def _labels(record: Record) -> Sequence[str]:
    confusion = section(record, "curves", "confusion")
    if section(record, "model").get("task") == "binary":
        return Case.of(record).labels
    return [str(label) for label in confusion.get("labels") or range(len(confusion.get("matrix") or ()))]


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


def _has_points(*columns: Sequence[Any] | None) -> bool:
    lists = [column or () for column in columns]
    return len({len(values) for values in lists}) == 1 and any(all(map(is_number, point)) for point in zip(*lists, strict=True))
