"""Results as a chart: a bar a side, its spread as a line, a panel a case; a picture of its own, light and dark."""

from __future__ import annotations

from typing import Any

from headrace.bench.cases import HEADRACE, CaseResult, SuiteResult

COLOURS = {
    "--ink": ("#1f2328", "#e6edf3"),
    "--muted": ("#59636e", "#9198a1"),
    "--line": ("#d1d9e0", "#3d444d"),
    "--accent": ("#0969da", "#4493f8"),
    "--warm": ("#bc4c00", "#f0883e"),
    "--card": ("#ffffff", "#0d1117"),
}
WIDTH, BAR_HEIGHT, PANEL_HEAD = 720, 22, 40


def draw(result: SuiteResult) -> str:
    """Return the chart of a suite as one SVG: medians in seconds, of single calls in nanoseconds a row; ours stands out.

    Text is text, in the reader's font; the colours follow the reader's preference for light or dark.
    """
    from headrace.report.svg import canvas, drawing, inline

    heights = [PANEL_HEAD + BAR_HEIGHT * len(case.sides) for case in result.cases]
    total = top = sum(heights) or 1
    with drawing():
        figure = canvas(WIDTH, total)
        for case, height in zip(result.cases, heights, strict=True):
            top -= height
            _panel(figure.add_axes((0.2, (top + 6) / total, 0.68, (height - PANEL_HEAD) / total)), case)
        svg = str(inline(figure, f"chart-{result.name}", f"{result.name}: {len(result.cases)} cases"))
    return _standing_alone(svg)


def _panel(axes: Any, case: CaseResult) -> None:
    from headrace.report.svg import ACCENT, INK, MUTED

    unit, factor = ("s", 1.0) if case.sides[0].cpu_s else ("ns a row", 1e9 / case.rows)
    for place, side in enumerate(case.sides):
        is_ours = side.name.startswith(HEADRACE)
        middle, low, high = (seconds * factor for seconds in (side.median, *side.spread))
        axes.barh(place, middle, height=0.66, color=ACCENT if is_ours else MUTED, alpha=0.9 if is_ours else 0.45, linewidth=0)
        axes.plot([low, high], [place, place], color=INK, linewidth=1.2)
        axes.text(max(middle, high), place, f"  {middle:.3g} {unit}", color=INK, va="center", ha="left")
    axes.set_yticks(range(len(case.sides)), [side.name for side in case.sides])
    axes.set_ylim(len(case.sides) - 0.5, -0.5)
    axes.set_xlim(0, max(side.spread[1] for side in case.sides) * factor * 1.12 or 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(case.title, loc="left", color=INK, fontsize=11, pad=6)


def _standing_alone(svg: str) -> str:
    """Give an SVG that was made to stand in a page what the page would give it: a namespace, a size, colours, a font."""
    light, dark = ("".join(f"{name}:{pair[index]};" for name, pair in COLOURS.items()) for index in (0, 1))
    style = (
        f"<style>svg{{{light}font-family:system-ui,sans-serif}}text{{fill:var(--ink)}}"
        f"@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    )
    opened = svg.replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" ', 1)
    head, mark, rest = opened.partition(">")
    return head + mark + style + rest + "\n"
