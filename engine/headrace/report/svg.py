"""Matplotlib figures as SVG elements that belong to the page: its colours, its font, its own ids.

A figure is drawn in sentinel colours, which become the page's CSS variables: so one drawing serves light, dark and
print. Ids get the chart's name, because all charts stand in one document. Nothing uses pyplot or its global figures.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#0a0b01"
MUTED = "#0a0b02"
GRID = "#0a0b03"
ACCENT = "#0a0b04"
WARM = "#0a0b05"
SURFACE = "#0a0b06"
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", ACCENT: "--accent", WARM: "--warm", SURFACE: "--card"}

# Matplotlib's settings are global to the process: one drawing at a time may change them.
_LOCK = threading.Lock()
_FAMILIES = ("axes.", "figure.", "font.", "grid.", "hatch.", "lines.", "mathtext.", "patch.", "path.", "svg.", "text.", "xtick.", "ytick.")
_OURS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: selectable, in the page's font
    "svg.hashsalt": "headrace",  # the same record gives the same bytes
    "text.parse_math": False,  # a column may be called "$x"
    "text.color": INK,
    "font.size": 11,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_COLOUR = re.compile("|".join(_VARIABLES))
_FONT_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
_FONT_SHORTHAND = re.compile(r"\bfont:[^;]*?([\d.]+px)[^;]*")  # Matplotlib 3.9
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_GEOMETRY = ("d", "x", "y", "transform")


@contextmanager
def drawing() -> Iterator[None]:
    """Hold Matplotlib's settings for one page's charts: its defaults and ours, whatever style the caller has set.

    One page at a time in a process; the caller's settings come back afterwards.
    """
    defaults: dict[Any, Any] = {key: value for key, value in mpl.rcParamsDefault.items() if key.startswith(_FAMILIES)}
    with _LOCK, mpl.rc_context({**defaults, **_OURS}), warnings.catch_warnings():
        # The browser draws the text in its own fonts: what Matplotlib's font lacks does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def canvas(width: float, height: float) -> Figure:
    """Return an empty transparent figure of `width` x `height` CSS pixels."""
    figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none", edgecolor="none")
    figure.patch.set_visible(False)
    return figure


def inline(figure: Figure, name: str, title: str) -> Markup:
    """Return the figure as one ``<svg>`` element to stand in a page.

    Parameters
    ----------
    figure : Figure
        Drawn inside `drawing`, in this module's colours.
    name : str
        Unique on the page: the prefix of the element's ids.
    title : str
        What the chart shows, in words, for a screen reader and as the hint under the mouse.
    """
    stream = StringIO()
    FigureCanvasSVG(figure).print_svg(stream, metadata=_NO_METADATA)
    root = ElementTree.fromstring(stream.getvalue())  # noqa: S314  # written just above, nobody else's XML
    _drop_global_style(root)
    _adapt(root, name)
    root.attrib = {"viewBox": root.get("viewBox", ""), "class": "chart", "id": name, "role": "img", "aria-label": title}
    heading = ElementTree.Element("title")
    heading.text = title
    root.insert(0, heading)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704  # the serialiser has escaped the labels


def _drop_global_style(root: ElementTree.Element) -> None:
    # Matplotlib's <style> speaks of "*", which would be every element of the page.
    for child in list(root):
        child.tail = None
        if child.tag.endswith("}metadata") or (child.tag.endswith("}defs") and all(e.tag.endswith("}style") for e in child)):
            root.remove(child)


def _adapt(root: ElementTree.Element, name: str) -> None:
    elements = list(root.iter())
    ids = {found: f"{name}-{n}" for n, found in enumerate(_referenced(elements))}
    for element in elements:
        element.tag = element.tag.rpartition("}")[2]
        if element.tag != "text":
            element.text = None
        element.tail = None
        attributes = {key: _adapted(key, value, ids) for key, value in element.attrib.items() if key != "id"}
        if element.get("id") in ids:
            attributes["id"] = ids[element.attrib["id"]]
        if _XLINK_HREF in attributes:
            attributes["href"] = "#" + ids[attributes.pop(_XLINK_HREF)[1:]]
        element.attrib = attributes


def _referenced(elements: list[ElementTree.Element]) -> list[str]:
    found: dict[str, None] = {}
    for element in elements:
        for key, value in element.attrib.items():
            if key == _XLINK_HREF:
                found[value[1:]] = None
            found.update(dict.fromkeys(_REFERENCE.findall(value)))
    return list(found)


def _adapted(key: str, value: str, ids: dict[str, str]) -> str:
    if key == "style":
        value = _FONT_SHORTHAND.sub(r"font-size: \1", _FONT_FAMILY.sub("", value))
        value = _COLOUR.sub(lambda match: f"var({_VARIABLES[match.group()]})", value)
    elif key in _GEOMETRY:
        value = _DECIMALS.sub(r"\1", value).replace("\n", " ").strip()
    return _REFERENCE.sub(lambda match: f"url(#{ids[match.group(1)]})", value)
