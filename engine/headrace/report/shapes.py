"""The page's simplest pictures, bars and sparklines, written as SVG themselves: a run without a model loads no plotting library.

Colours are the page's CSS variables, so one drawing serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from headrace.report import words

_BAR_STEP, _BAR_HEIGHT = 23, 14
_WIDTH, _LETTER = 350, 6.4  # CSS pixels; a letter's width at the charts' font size
_TEXT_SHARE = 0.27  # of a bar's room, kept free for the text at the end of the longest


def bars(name: str, title: str, bars: Sequence[tuple[str, float, str]]) -> Markup:
    """Return horizontal bars, first on top; each has its label, its length and the text at its end.

    >>> print(bars("b", "Seconds", [("fit", 2.0, "2 s")])[:60])
    <svg viewBox="0 0 350 31" class="chart" id="b" role="img" ar
    """
    labels = [words.shorten(label, 24) for label, _, _ in bars]
    left = min(0.45 * _WIDTH, 14 + _LETTER * max(map(len, labels), default=0))
    longest = max([*(length for _, length, _ in bars), 0]) or 1
    unit = (_WIDTH - left) / (longest * (1 + _TEXT_SHARE))
    drawn = []
    for place, (label, (_, length, text)) in enumerate(zip(labels, bars, strict=True)):
        middle = 4 + _BAR_STEP * place + _BAR_STEP / 2
        end = left + unit * max(length, 0)
        top = middle - _BAR_HEIGHT / 2
        drawn += [
            f'<path d="M{left:.1f} {top:.1f}H{end:.2f}v{_BAR_HEIGHT}H{left:.1f}z" style="fill: var(--accent); opacity: 0.85"/>',
            _text(left - 5, middle, label, "end"),
            _text(end + 5, middle, text, "start"),
        ]
    return _svg(name, title, _WIDTH, _BAR_STEP * len(bars) + 8, drawn)


def sparkline(name: str, title: str, counts: Sequence[Any]) -> Markup:
    """Return a small histogram without axes for a cell of a table; bars are equally wide.

    >>> "<path" in sparkline("s", "Histogram", [1, 3, 0])
    True
    """
    width, height = 120, 32
    heights = np.nan_to_num(np.array(counts, np.float64))
    heights = 0.94 * heights / max(heights.max(initial=0), 1)
    heights[heights > 0] = heights[heights > 0].clip(0.05)  # few rows must not look like none
    step = width / max(len(heights), 1)
    outline = "".join(f"V{height * (1 - share):.2f}H{step * (place + 1):.2f}" for place, share in enumerate(heights))
    return _svg(
        name,
        title,
        width,
        height,
        [
            f'<path d="M0 {height}{outline}V{height}z" style="fill: var(--accent); opacity: 0.8"/>',
            f'<path d="M0 {height - 1}H{width}v1H0z" style="fill: var(--line)"/>',
        ],
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    style = f"font-size: 12px; fill: var(--ink); text-anchor: {anchor}; dominant-baseline: central"
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{style}">{escape(words.clean(text))}</text>'


def _svg(name: str, title: str, width: float, height: float, drawn: Sequence[str]) -> Markup:
    safe = escape(words.clean(title))
    opening = f'<svg viewBox="0 0 {width} {height}" class="chart" id="{escape(name)}" role="img" aria-label="{safe}">'
    return Markup(f"{opening}<title>{safe}</title>{''.join(drawn)}</svg>")  # noqa: S704  (every text in it is escaped)
