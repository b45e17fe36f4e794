"""Numbers, names and events in plain words, for a reader who does not know the engine."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any, TypeGuard

NO_BREAK = "\u00a0"
ABSENT = "—"
MINUS = "\N{MINUS SIGN}"

_OPS = {
    "apply": "Apply a function",
    "as_of_join": "Join the latest earlier row",
    "bucketize": "Sort into ranges",
    "cast": "Change the type",
    "categorify": "Number the categories",
    "clip": "Cut off extremes",
    "count_encoding": "Replace categories by their count",
    "cyclical": "Place on a circle",
    "date_parts": "Take dates apart",
    "dedupe": "Drop repeated rows",
    "derive": "Compute columns",
    "difference_lag": "Compare with earlier rows",
    "drop": "Drop columns",
    "dropna": "Drop incomplete rows",
    "fill_missing": "Fill missing values",
    "filter": "Keep the rows where",
    "grid_cell": "Place on a grid",
    "groupby": "Group the rows",
    "hash_bucket": "Hash into buckets",
    "hashed_cross": "Cross and hash",
    "join_external": "Join another table",
    "join_groupby": "Join group statistics",
    "kernel": "Run a kernel",
    "log": "Take logarithms",
    "normalize": "Normalise",
    "normalize_min_max": "Scale to 0 to 1",
    "one_hot": "One column per category",
    "rename": "Rename columns",
    "robust_scale": "Scale by the middle half",
    "sample": "Take a sample",
    "select": "Keep the columns",
    "target_encoding": "Encode by the target's average",
    "time_since": "Measure elapsed time",
}
_EVENTS = {
    "nulls_filled": "missing values filled",
    "nans_filled": "undefined values (NaN) filled",
    "clipped": "values clipped",
    "values_clipped": "values clipped",
    "unseen": "values not among those learnt",
    "unseen_categories": "values not among those learnt",
    "unmatched": "rows without a match",
    "not_cast": "values that do not fit the type",
    "missing": "missing values",
    "not_positive": "values without a logarithm",
    "out_of_range": "values outside the ranges learnt",
    "duplicates": "repeated rows left out",
    "rows_filtered": "rows left out",
    "rows_dropped": "rows left out",
    "duplicates_dropped": "repeated rows left out",
    "files_refused": "files refused",
}
_STATUS = {
    "done": "finished",
    "failed": "failed",
    "stopped": "stopped; it can be resumed",
    "cancelled": "cancelled",
    "running": "still running",
}
_STAGES = {
    "plan": "Plan",
    "fit": "Fit: learn from the data",
    "transform": "Transform: make features",
    "train": "Train the model",
    "predict": "Predict",
    "evaluate": "Evaluate",
    "explain": "Explain",
    "report": "Write the report",
    "commit": "Commit",
    "other": "Everything else",
}
# A folder of this name says how the data are kept, not what a row is.
_NOT_A_ROW = {"rows", "files", "parts", "partitions", "features", "tables", "records", "columns", "datasets", "batches"}
_UNITS = ("B", "kB", "MB", "GB", "TB")
# Controls, what turns the direction of all text after it (a name could read as another one), and what is no character.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")
_PLURAL = re.compile(r"\b(value|row|file)s\b")
_UTC_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::00(?:\.0+)?)?(?:\+00:00|Z)$")


def number(value: Any) -> str:
    """Return a number with thousands marked, to four significant digits; text stays text, no value is a dash.

    >>> [number(value) for value in (336776, 0.660516, 9999.5, 81230.56, 1e-7, None, float("nan"), "EWR", True)]
    ['336,776', '0.6605', '10,000', '81,231', '1e-07', '—', '—', 'EWR', 'true']
    """
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return moment(str(value))
    if not math.isfinite(value):
        return ABSENT if math.isnan(value) else f"{MINUS if value < 0 else ''}∞"
    if value == 0 or 1e-4 <= abs(value) < 9_999.5:
        return f"{value:.4g}"
    return f"{value:,.0f}" if 9_999.5 <= abs(value) < 1e15 else f"{value:.3g}"


def value(value: Any) -> str:
    """Return a value of a column: as `number`, but a year or a clock time (below 10,000) without a comma.

    >>> value(2013), value(-43), value(336776), value(None)
    ('2013', '-43', '336,776', '—')
    """
    return str(value) if type(value) is int and abs(value) < 10_000 else number(value)


def moment(text: str) -> str:
    """Return a time in UTC as people write it; any other text as it is.

    >>> moment("2013-01-01T10:00:00+00:00"), moment("ORD")
    ('2013-01-01 10:00 UTC', 'ORD')
    """
    found = _UTC_TIME.match(text)
    return f"{found[1]} {found[2]} UTC" if found else text


def started(text: str) -> str:
    """Return the time a run began, to the minute, as in ``23 November 2026, 20:15 UTC``.

    >>> started("2026-11-23T20:15:04+00:00")
    '23 November 2026, 20:15 UTC'
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{time.day} {time:%B %Y, %H:%M} {time.tzname() or ''}".rstrip()


def percent(share: Any) -> str:
    """Return a share of 1 as a percentage, precise enough to tell little from nothing; it is never broken between two lines.

    >>> [percent(share).replace(NO_BREAK, " ") for share in (0.249, 0.0213, 0.0002, 0, 1, None)]
    ['25 %', '2.1 %', '< 0.1 %', '0 %', '100 %', '—']
    """
    if not is_number(share):
        return ABSENT
    digits = 1 if 0 < share < 0.0995 or 0.995 <= share < 1 else 0
    shown = "< 0.1" if 0 < share < 0.0005 else "> 99.9" if 0.9995 <= share < 1 else f"{100 * share:.{digits}f}"
    return f"{shown} %".replace(" ", NO_BREAK)


def in_100(share: float) -> str:
    """Return a share of 1 as a whole number out of a hundred.

    >>> in_100(0.6605)
    '66'
    """
    return f"{100 * share:.0f}"


def nbytes(size: Any) -> str:
    """Return bytes in the unit people use for files of that size (powers of 1,000).

    >>> [nbytes(size) for size in (512, 5634213, 26843545600, None)]
    ['512 B', '5.6 MB', '27 GB', '—']
    """
    if not is_number(size):
        return ABSENT
    power = 0
    while size >= 1000 and power < len(_UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.0f} {_UNITS[power]}" if power == 0 or size >= 10 else f"{size:.1f} {_UNITS[power]}"


def seconds(duration: Any) -> str:
    """Return a duration in seconds as people say it.

    >>> [seconds(duration) for duration in (0.004, 0.14, 7.9, 125, 3780, None)]
    ['4 ms', '0.14 s', '7.9 s', '2 min 5 s', '1 h 3 min', '—']
    """
    if not is_number(duration):
        return ABSENT
    if 0 < duration < 0.1:
        return f"{max(1000 * duration, 1):.0f} ms"
    if duration < 60:
        return f"{duration:.2f} s" if duration < 1 else f"{duration:.1f} s"
    whole = round(duration)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value is a finite number that can be calculated with (a boolean is not).

    >>> [is_number(value) for value in (1, 0.5, True, None, float("nan"), "1")]
    [True, True, False, False, False, False]
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def op_title(op: str) -> str:
    """Return what an operator does; the name of an operator not known here, such as a user's, without its marks.

    >>> op_title("fill_missing"), op_title("my_package.ops:RouteLoad")
    ('Fill missing values', 'RouteLoad')
    """
    return _OPS.get(op) or _plain(op.rpartition(":")[2])


def event_title(event: str, count: Any) -> str:
    """Return what an event of the ledger counts, to stand after the count.

    >>> event_title("nulls_filled", 3), event_title("unseen", 1), event_title("lists_cut", 2)
    ('missing values filled', 'value not among those learnt', 'lists cut')
    """
    title = _EVENTS.get(event) or _plain(event)
    return _PLURAL.sub(r"\1", title) if count == 1 else title


def stage_title(stage: str) -> str:
    """Return what happens in a stage of the run."""
    return _STAGES.get(stage) or _plain(stage).capitalize()


def status_title(status: str) -> str:
    """Return how the run ended."""
    return _STATUS.get(status) or _plain(status)


def row_noun(path: str) -> str:
    """Return what the rows are, from the folder the data lie in: an ordinary plural, else ``rows``.

    >>> [row_noun(path) for path in ("data/flights/*.parquet", "s3://lake/taxi_trips/year=2015/**", "data/part-0.parquet", "x/files/a")]
    ['flights', 'taxi trips', 'rows', 'rows']
    """
    folders = [part for part in path.split("/")[:-1] if "=" not in part and "*" not in part and not part.isdigit()]
    name = _plain(folders[-1]).lower() if folders else ""
    return name if re.fullmatch(r"[a-z ]+[a-z]s", name) and name not in _NOT_A_ROW else "rows"


def clean(text: str) -> str:
    """Return the text with every character that a page cannot hold (controls, turns of direction, lone surrogates) shown as U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def shorten(text: str, limit: int) -> str:
    """Return the text cut in its middle to `limit` characters: the ends tell long names apart.

    >>> shorten("origin_dest_tailnum_late", 15)
    'origin_…um_late'
    """
    text = clean(text).replace("\n", " ")
    if len(text) <= limit:
        return text
    head = limit // 2
    return f"{text[:head]}…{text[len(text) - (limit - head - 1) :]}"


def _plain(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").strip()
