"""The record's lists as the page shows them: steps, columns, counts, the equation of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from markupsafe import Markup

from headrace.report import shapes, words
from headrace.report.summary import Record, section
from headrace.report.words import is_number, nbytes, number, percent

# A page of 1,000 columns is one that nobody reads, and takes a second to make: the others are in run.json.
MOST_COLUMNS = 200
_MOST_TOP_VALUES = 3


@dataclass(frozen=True)
class Step:
    """A step of the pipeline as a card; `kept` and `effort` are shares of 1, for bars."""

    index: int
    title: str
    op: str
    text: str
    learns: bool
    learnt: str
    reads: Sequence[str]
    makes: Sequence[str]
    rows_in: str
    rows_out: str
    change: str
    kept: float
    time: str
    effort: float
    counts: Sequence[tuple[str, str, Sequence[str]]]


@dataclass(frozen=True)
class Column:
    """A column of the data profile; `missing` is a share of 1, `shape` a small histogram, `top` values and their shares."""

    name: str
    kind: str
    missing: float
    missing_text: str
    low: str
    mean: str
    high: str
    distinct: str
    shape: Markup | None
    top: Sequence[tuple[str, float, str]]
    unseen: int


@dataclass(frozen=True)
class Equation:
    """Rows in and made = rows out, filtered and quarantined; `gap` is the rows unaccounted for, 0 if it holds."""

    before: Sequence[tuple[str, int]]
    after: Sequence[tuple[str, int]]
    gap: int


def steps(record: Record) -> list[Step]:
    """Return the pipeline's steps in order."""
    recorded = record.get("steps") or ()
    most_rows = max((step.get("rows_in") or 0 for step in recorded), default=0)
    most_seconds = max((step.get("seconds") or 0 for step in recorded), default=0)
    return [_step(place, step, most_rows, most_seconds) for place, step in enumerate(recorded)]


def _step(place: int, step: Record, most_rows: float, most_seconds: float) -> Step:
    rows_in, rows_out = step.get("rows_in"), step.get("rows_out")
    change = rows_out - rows_in if is_number(rows_in) and is_number(rows_out) else 0
    op = str(step.get("op", ""))
    return Step(
        index=step.get("index", place),
        title=words.op_title(op),
        op=op,
        text=str(step.get("text") or ""),
        learns=bool(step.get("fitted")),
        learnt=str(step.get("learnt") or ""),
        reads=[str(name) for name in step.get("reads") or ()],
        makes=[str(name) for name in step.get("makes") or ()],
        rows_in=number(rows_in),
        rows_out=number(rows_out),
        change=f"{'+' if change > 0 else words.MINUS}{abs(change):,} rows" if change else "",
        kept=_share(rows_out, most_rows),
        time=words.seconds(step.get("seconds")),
        effort=_share(step.get("seconds"), most_seconds),
        counts=_grouped(step.get("counts") or ()),
    )


def _grouped(counts: Sequence[Record]) -> list[tuple[str, str, Sequence[str]]]:
    # A join that misses a row misses it in all its columns: one line, not one for each.
    groups: dict[tuple[str, str], list[str]] = {}
    for count in counts:
        if not str(count.get("event")).startswith("rows_"):
            amount, event, column = count_in_words(count)
            groups.setdefault((amount, event), []).extend([column] if column else [])
    return [(amount, event, names) for (amount, event), names in groups.items()]


def count_in_words(count: Record) -> tuple[str, str, str]:
    """Return a count of the ledger as its number, what it counts, and the column."""
    return number(count.get("count")), words.event_title(str(count.get("event", "")), count.get("count")), str(count.get("column") or "")


def columns(record: Record) -> list[Column]:
    """Return the profile's columns in order, each with the values that only the held-back rows have."""
    unseen = {str(count.get("column")): count.get("count") for count in unseen_counts(record)}
    listed = (record.get("profile") or ())[:MOST_COLUMNS]
    return [_column(place, column, unseen) for place, column in enumerate(listed)]


def columns_left_out(record: Record) -> int:
    """Return how many columns of the profile the page does not show."""
    return max(len(record.get("profile") or ()) - MOST_COLUMNS, 0)


def lineage(record: Record) -> dict[str, Record]:
    """Return where the first features come from."""
    return dict(islice(section(record, "lineage").items(), MOST_COLUMNS))


def features_left_out(record: Record) -> int:
    """Return of how many features the page does not say where they come from."""
    return max(len(section(record, "lineage")) - MOST_COLUMNS, 0)


def sampled(record: Record) -> str:
    """Return what part of a large source the columns' figures were taken from; empty where it was all of it."""
    seen = [column["rows"] for column in record.get("profile") or () if is_number(column.get("rows"))]
    total = record["dataset"].get("rows")
    if not seen or not is_number(total) or max(seen) >= total:
        return ""
    return f"All figures here are those of a sample: {max(seen):,} of {total:,} rows, from the start of parts spread over the data."


def _column(place: int, column: Record, unseen: Mapping[str, Any]) -> Column:
    name = str(column.get("column", ""))
    rows, nulls, nans = column.get("rows"), column.get("nulls") or 0, column.get("nans") or 0
    missing = _share(nulls, rows)
    spread = f" ± {number(column['std'])}" if is_number(column.get("std")) else ""
    low, high = words.value(column.get("min")), words.value(column.get("max"))
    shape = None
    if counts := section(column, "histogram").get("counts"):
        shape = shapes.sparkline(f"spark-{place}", f"Histogram of {words.shorten(name, 60)} from {low} to {high}", counts)
    return Column(
        name=name,
        kind=str(column.get("type") or ""),
        missing=missing,
        missing_text=(f"{number(nulls)} ({percent(missing)})" if nulls else "none") + (f", {number(nans)} NaN" if nans else ""),
        low=words.shorten(low, 40) if column.get("min") is not None else "",
        mean=number(column.get("mean")) + spread if is_number(column.get("mean")) else "",
        high=words.shorten(high, 40) if column.get("max") is not None else "",
        distinct=number(column.get("distinct")),
        shape=shape,
        top=[(words.shorten(str(value), 30), _share(count, rows), percent(_share(count, rows))) for value, count in _top(column)],
        unseen=int(unseen.get(name) or 0),
    )


def _top(column: Record) -> Sequence[tuple[Any, Any]]:
    return [(value, count) for value, count in column.get("top") or ()][:_MOST_TOP_VALUES]


def unseen_counts(record: Record) -> list[Record]:
    """Return the ledger's counts of values that training had not seen."""
    return [count for count in section(record, "ledger").get("counts") or () if str(count.get("event")).startswith("unseen")]


def equation(record: Record) -> Equation | None:
    """Return the rows' equation, added up here from the ledger; None where the ledger has no rows."""
    rows = section(record, "ledger", "rows")
    if not is_number(rows.get("in")) or not is_number(rows.get("out")):
        return None
    made = sum(max(_difference(step), 0) for step in record.get("steps") or ())
    before = [("read", rows["in"])] + ([("made by steps", made)] if made else [])
    after = [("came out", rows["out"]), ("filtered out", rows.get("filtered") or 0), ("quarantined", rows.get("quarantined") or 0)]
    return Equation(before, after, sum(count for _, count in before) - sum(count for _, count in after))


def _difference(step: Record) -> int:
    rows_in, rows_out = step.get("rows_in"), step.get("rows_out")
    return int(rows_out - rows_in) if is_number(rows_in) and is_number(rows_out) else 0


def counts(record: Record) -> list[tuple[str, str, str, str]]:
    """Return every count of the ledger: step, event, column, count."""
    listed = section(record, "ledger").get("counts") or ()
    return [(f"{count.get('step', '')} · {words.op_title(str(count.get('op', '')))}", *count_in_words(count)) for count in listed]


def asked(record: Record) -> list[tuple[str, str]]:
    """Return what was asked of the run, as pairs of a short question and its answer."""
    job, split, dataset = record["job"], section(record, "split"), record["dataset"]
    noun = words.row_noun(str(dataset.get("path", "")))
    said = [("Goal", _goal(section(record, "model")))]
    said.append(("Data", f"{number(dataset.get('rows'))} {noun} in {_files(dataset)} ({dataset.get('path', '')})"))
    if is_number(split.get("train_rows")):
        said.append(("Learnt from", f"{number(split['train_rows'])} {noun}"))
    if is_number(split.get("test_rows")):
        tested = f"{number(split['test_rows'])} {noun} it had not seen" if split["test_rows"] else f"no {noun}: none were held back"
        said.append(("Tested on", tested))
    said += [("Split", str(split.get("text") or "")), ("Model", _model(section(record, "model")))]
    said.append(("Job", " ".join([str(job.get("name") or ""), f"({job['file']})" if job.get("file") else ""]).strip()))
    return [(question, answer) for question, answer in said if answer]


_GOALS = {"clustering": "Find groups of rows that are alike", "decomposition": "Put the features' differences into few columns"}


def _goal(model: Record) -> str:
    if not model:
        return "Prepare the data: no model was asked for"
    if model.get("task") in _GOALS:
        return _GOALS[str(model["task"])]
    verbs = {"regression": "Predict the value of", "multiclass": "Name the class in"}
    return f"{verbs.get(str(model.get('task')), 'Predict the chance of')} {model.get('target', '')}"


def _model(model: Record) -> str:
    features = model.get("features")
    said = [str(model.get("kind") or "")]
    said += [f"{len(features)} features"] if features is not None else []
    said += [f"{number(model['rounds'])} rounds"] if is_number(model.get("rounds")) else []
    return ", ".join(part for part in said if part)


def _files(dataset: Record) -> str:
    files = dataset.get("files")
    size = f", {nbytes(dataset['bytes'])}" if is_number(dataset.get("bytes")) else ""
    return f"{number(files)} {'file' if files == 1 else 'files'}{size}"


def passes(record: Record) -> list[tuple[str, str, str, str]]:
    """Return the plan's passes over the data: name, steps, columns read, bytes."""
    listed = section(record, "plan").get("passes") or ()
    return [
        (
            str(each.get("name", "")),
            ", ".join(str(step) for step in each.get("steps") or ()) or words.ABSENT,
            ", ".join(str(name) for name in each.get("columns") or ()) or words.ABSENT,
            nbytes(each.get("bytes")),
        )
        for each in listed
    ]


def _share(part: Any, whole: Any) -> float:
    return min(max(part / whole, 0), 1) if is_number(part) and is_number(whole) and whole > 0 else 0.0
