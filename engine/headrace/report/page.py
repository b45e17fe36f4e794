"""The page: the record checked, its sections put in order, one self-contained HTML text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import yaml
from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from headrace.errors import DataError
from headrace.report import results, sections, summary, words

FORMAT = 1
_REQUIRED = ("run", "job", "status", "started", "seconds", "dataset")
_TITLES = {
    "asked": "What was asked",
    "outcome": "What came out",
    "pipeline": "The pipeline, step by step",
    "data": "The data",
    "quality": "How good the model is",
    "matters": "What matters most",
    "ledger": "Every row accounted for",
    "time": "Plan and time",
    "provenance": "Versions and files",
}


def render(record: Mapping[str, Any]) -> str:
    """Return a run's report as one HTML file without scripts, network or outside fonts.

    Parameters
    ----------
    record : Mapping
        The content of the run's ``run.json``: ``format``, ``run``, ``job``, ``status``, ``started``, ``seconds`` and
        ``dataset`` are needed; a section whose part of the record is absent or null is left out. Names and values are
        taken as text from the field and escaped.

    Returns
    -------
    str
        The page, to be written as UTF-8. The same record gives the same text.

    Nulls and NaN
    -------------
    Shown as a dash in tables, left out of charts.

    Raises
    ------
    DataError
        If the record is of another format, or a part that every record has is missing.

    Examples
    --------
    >>> page = render({"format": 1, "run": "r1", "job": {"name": "flights"}, "status": "done", "started": "2026-11-23T20:15:00+00:00",
    ...                "seconds": {"total": 2.5}, "dataset": {"path": "data/flights/*.parquet", "files": 12, "rows": 336776}})
    >>> "336,776 flights were read." in page, "<script" in page
    (True, False)
    """
    _check(record)
    context = _context(record)
    present = {name: title for name, title in _TITLES.items() if _is_present(name, record, context)}
    if "matters" in present and not context["importance"]:
        present["matters"] = "Where the features come from"
    return _environment().get_template("report.html").render(context, record=record, titles=present)


def prepare() -> None:
    """Compile the templates: a third of the time that the first page takes."""
    environment = _environment()
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)


def _check(record: Mapping[str, Any]) -> None:
    if record.get("format") != FORMAT:
        hint = "render it with the version of Headrace that wrote it"
        raise DataError(f"a run record of format {record.get('format')!r}; this version reads format {FORMAT}", key="format", hint=hint)
    missing = [key for key in _REQUIRED if record.get(key) is None]
    if missing:
        raise DataError(f"the run record lacks {', '.join(missing)}", key=missing[0], hint="render the run.json that the run wrote")


def _context(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "headline": summary.headline(record),
        "asked": sections.asked(record),
        "settings": _settings(record["job"].get("settings")),
        "metrics": summary.metrics(record),
        "steps": sections.steps(record),
        "columns": sections.columns(record),
        "columns_left_out": sections.columns_left_out(record),
        "sampled": sections.sampled(record),
        "unseen": [sections.count_in_words(count) for count in sections.unseen_counts(record)],
        "charts": _model_charts(record),
        "classes": results.classes(record),
        "importance": results.importance(record),
        "lineage": sections.lineage(record),
        "features_left_out": sections.features_left_out(record),
        "equation": sections.equation(record),
        "counts": sections.counts(record),
        "timings": results.timings(record),
        "passes": sections.passes(record),
    }


def _model_charts(record: Mapping[str, Any]) -> Sequence[results.Chart]:
    if not summary.section(record, "curves"):
        return ()
    from headrace.report.curves import model_charts  # Matplotlib: only a model's curves need it

    return model_charts(record)


def _is_present(name: str, record: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    needs = {
        "pipeline": ("steps",),
        "data": ("columns",),
        "quality": ("charts",),
        "matters": ("importance", "lineage"),
        "ledger": ("equation", "counts"),
        "time": ("timings", "passes"),
    }
    return name not in needs or any(context[part] for part in needs[name]) or (name == "time" and bool(record.get("plan")))


def _settings(settings: Any) -> str:
    if not settings:
        return ""
    fast = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(dict(settings), Dumper=fast, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("headrace.report"),
        autoescape=True,
        undefined=_Absent,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "percent": words.percent,
        "nbytes": words.nbytes,
        "seconds": words.seconds,
        "started": words.started,
        "status": words.status_title,
    }
    return environment


class _Absent(ChainableUndefined):
    """What the record does not say: false in a condition, a dash where it is printed."""

    def __str__(self) -> str:
        return words.ABSENT


def _finalize(value: Any) -> Any:
    if value is None:
        return words.ABSENT
    return value if isinstance(value, Markup) else words.clean(str(value))
