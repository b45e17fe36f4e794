"""The report's charts: each takes numbers of the record and returns one ``<svg>`` for the page.

All are drawn by Matplotlib at about the size they have on a phone, so that their text stays readable there; call them
inside `headrace.report.svg.drawing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator, PercentFormatter

from headrace.report import words
from headrace.report.svg import ACCENT, INK, MUTED, WARM, canvas, inline

_SQUARE = (330, 300)
_MOST_CURVE_POINTS = 200  # more cannot be told apart at this size
_MOST_DOTS = 1500
_MOST_NUMBERED_CLASSES = 6
_MOST_NAMED_CLASSES = 16
_MOST_UPRIGHT_LABELS = 4

Floats = npt.NDArray[np.float64]


def roc(fpr: Sequence[Any], tpr: Sequence[Any], positive: str) -> Markup:
    """Return the ROC curve, with the line of pure guessing; both rates ascend from 0 to 1."""
    x, y = _finite(fpr, tpr)
    kept = np.unique(np.searchsorted(x + y, np.linspace(0, 2, _MOST_CURVE_POINTS)).clip(0, len(x) - 1))
    figure, axes = _square()
    axes.fill_between(x[kept], x[kept], y[kept], color=ACCENT, alpha=0.14, linewidth=0)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.plot(x[kept], y[kept], color=ACCENT, linewidth=2.2)
    axes.text(0.62, 0.55, "guessing", color=MUTED, rotation=_slope(axes), ha="center", va="center")
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="share of the others flagged by mistake", ylabel=f"share of {positive} found")
    _percent_axes(axes)
    return inline(figure, "chart-roc", f"ROC curve: share of {positive} found against the share of the others flagged by mistake")


def calibration(predicted: Sequence[Any], observed: Sequence[Any], count: Sequence[Any]) -> Markup:
    """Return predicted against observed shares, a dot for each bin, its area as the bin's rows."""
    x, y, rows = _finite(predicted, observed, count)
    figure, axes = _square()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.plot(x, y, color=ACCENT, linewidth=1.4, alpha=0.6)
    axes.scatter(x, y, s=18 + 160 * rows / max(rows.max(initial=0), 1), color=ACCENT, alpha=0.85, linewidth=0, zorder=3)
    axes.text(0.8, 0.73, "perfect", color=MUTED, rotation=_slope(axes), ha="center", va="center")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="what the model predicted", ylabel="what happened")
    _percent_axes(axes)
    return inline(figure, "chart-calibration", "Calibration: predicted chance against the share that came true")


def predictions(edges: Sequence[Any], counts: Sequence[Any], threshold: float | None) -> Markup:
    """Return the histogram of the predictions, with the threshold if there is one."""
    figure, axes = _square(height=210)
    axes.stairs(_floats(counts), _floats(edges), fill=True, color=ACCENT, alpha=0.75)
    if threshold is not None:
        axes.axvline(threshold, color=WARM, linewidth=1.6)
        axes.text(threshold, 1.02, f"flagged from {words.percent(threshold)}", color=WARM, transform=axes.get_xaxis_transform(), ha="left")
    axes.set(xlabel="predicted", ylabel="rows")
    axes.margins(x=0)
    if threshold is not None:
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    _count_axis(axes)
    return inline(figure, "chart-predictions", "Histogram of the predictions")


def confusion(matrix: Sequence[Sequence[Any]], labels: Sequence[str]) -> Markup:
    """Return the confusion matrix: rows are what happened, columns what the model said; shade is the share of a row."""
    counts = np.nan_to_num(np.array([_floats(row) for row in matrix]))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(counts)
    figure, axes = _square(left=0.26, bottom=0.2 if size <= _MOST_UPRIGHT_LABELS else 0.3)
    gap = 0.04 if size <= _MOST_NAMED_CLASSES else 0
    for row, column in np.ndindex(size, size):
        colour = ACCENT if row == column else WARM
        place = (column - 0.5 + gap / 2, row - 0.5 + gap / 2)
        axes.add_patch(Rectangle(place, 1 - gap, 1 - gap, facecolor=colour, alpha=0.06 + 0.5 * shares[row, column], linewidth=0))
        if size <= _MOST_NUMBERED_CLASSES:
            _cell(axes, column, row, f"{counts[row, column]:,.0f}", words.percent(shares[row, column]))
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), xlabel="the model said", ylabel="what happened")
    axes.spines[:].set_visible(False)
    _class_ticks(axes, labels)
    return inline(figure, "chart-confusion", "Confusion matrix: what happened against what the model said")


def actual_and_predicted(actual: Sequence[Any], predicted: Sequence[Any]) -> Markup:
    """Return predictions against what came true, a dot for each row, at most 1,500 evenly chosen."""
    x, y = _finite(actual, predicted)
    kept = slice(None, None, -(-len(x) // _MOST_DOTS) or 1)
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    figure, axes = _square()
    axes.plot([low, high], [low, high], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.plot(x[kept], y[kept], "o", color=ACCENT, markersize=3, alpha=0.35, markeredgewidth=0)
    axes.set(xlabel="what happened", ylabel="what the model predicted")
    axes.grid()
    _few_ticks(axes)
    return inline(figure, "chart-regression", "Predictions against what happened, a dot for each row")


def residuals(actual: Sequence[Any], predicted: Sequence[Any]) -> Markup:
    """Return the histogram of prediction minus truth; the rarest 1 % at each end fall into the outer bars."""
    x, y = _finite(actual, predicted)
    errors = y - x
    low, high = np.quantile(errors, [0.01, 0.99])
    figure, axes = _square()
    counts, edges = np.histogram(errors.clip(low, high), bins=31, range=(low, high) if low < high else None)
    axes.stairs(counts, edges, fill=True, color=ACCENT, alpha=0.75)
    axes.axvline(0, color=WARM, linewidth=1.6)
    axes.set(xlabel=f"predicted {words.MINUS} actual", ylabel="rows")
    _few_ticks(axes)
    _count_axis(axes)
    return inline(figure, "chart-residuals", "Histogram of the errors: predicted minus actual")


def _square(left: float = 0.19, bottom: float = 0.16, height: int = _SQUARE[1]) -> tuple[Figure, Axes]:
    figure = canvas(_SQUARE[0], height)
    bottom *= _SQUARE[1] / height
    axes = figure.add_axes((left, bottom, 0.96 - left, 1 - 22 / height - bottom))
    return figure, axes


def _slope(axes: Axes) -> float:
    box = axes.get_window_extent()
    return float(np.degrees(np.arctan2(box.height, box.width)))


def _percent_axes(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axis.set_major_locator(MultipleLocator(0.25))
    axes.grid()


def _few_ticks(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: words.number(float(value))))


def _count_axis(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="y")


def _class_ticks(axes: Axes, labels: Sequence[str]) -> None:
    if len(labels) > _MOST_NAMED_CLASSES:
        axes.set(xticks=[], yticks=[])
        return
    short = [words.shorten(str(label), 9) for label in labels]
    axes.set_yticks(range(len(labels)), short, color=INK)
    axes.set_xticks(range(len(labels)), short, color=INK, rotation=45 if len(labels) > _MOST_UPRIGHT_LABELS else 0)


def _cell(axes: Axes, column: int, row: int, count: str, share: str) -> None:
    axes.text(column, row - 0.08, count, ha="center", va="center", color=INK, fontsize=13)
    axes.text(column, row + 0.14, share, ha="center", va="center", color=INK)


def _floats(values: Sequence[Any]) -> Floats:
    return np.array(values, dtype=np.float64)


def _finite(*columns: Sequence[Any]) -> tuple[Floats, ...]:
    arrays = [_floats(column) for column in columns]
    finite = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    return tuple(array[finite] for array in arrays)
