"""The report's figures: which charts a record's curves allow, each with the words that explain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from headrace.report import shapes, words
from headrace.report.summary import Case, Record, section
from headrace.report.words import is_number, percent

MOST_BARS = 15
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
        for place, (label, row) in enumerate(zip(labels(record), matrix, strict=False))
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
            more = f" The first {MOST_BARS} of {len(bars)}." if len(bars) > MOST_BARS else ""
            svg = shapes.bars(name, f"Share of influence, {title.lower()}", bars[:MOST_BARS])
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
    return Chart("Where the time went", shapes.bars("chart-timings", "Seconds by stage", bars), f"{words.seconds(total)} in all.")


def labels(record: Record) -> Sequence[str]:
    """Return what the classes are called."""
    confusion = section(record, "curves", "confusion")
    if section(record, "model").get("task") == "binary":
        return Case.of(record).labels
    return [str(label) for label in confusion.get("labels") or range(len(confusion.get("matrix") or ()))]
