"""What came out, in sentences: the headline of the report and its metrics, each against plain guessing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.report import words
from headrace.report.words import in_100, is_number, number, percent

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """One metric in words: `gain` is how far it came from guessing (0) to perfect (1), None where that means nothing."""

    name: str
    title: str
    value: str
    explanation: str
    base: str
    train: str
    gain: float | None


@dataclass(frozen=True)
class Case:
    """What is predicted, as it is called in sentences: the rows, the two outcomes of a binary target."""

    rows: str
    labels: tuple[str, str]
    one_positive: str
    one_negative: str
    positives: str

    @classmethod
    def of(cls, record: Record) -> Case:
        """Return the words for a run: of its folder, the labels of its confusion matrix, else of its target's name."""
        rows = words.row_noun(str(record["dataset"].get("path", "")))
        found = [str(label) for label in section(record, "curves", "confusion").get("labels") or ()]
        name = str(section(record, "model").get("target") or "positive").removeprefix("is_")
        no, yes = found if len(found) == _BINARY and not set(found) <= _ONLY_NUMBERS else (f"not {name}", name)
        return cls(rows, (no, yes), f"{_article(yes)} “{yes}” one", f"{_article(no)} “{no}” one", f"“{yes}” {rows}")


# What each metric says: its title, the explanation, the value of guessing where it is the same for all data, and the
# value of a perfect model; None for a metric without a best value.
_METRICS: dict[str, tuple[str, str, float | None, float | None]] = {
    "auc": ("Ranking", "Of two rows, {one_positive} and {one_negative}, how often it gives the first the higher chance.", 0.5, 1),
    "average_precision": ("Precision, averaged", "Of the {rows} it flags, how many are right, averaged over all thresholds.", None, 1),
    "log_loss": ("Surprise", "How surprised it is by what happens, lower is better; guessing is always answering the base rate.", None, 0),
    "brier": ("Squared error of the chance", "Mean squared distance of the predicted chance from what happened, lower is better.", None, 0),
    "accuracy": ("Right answers", "How often its first choice is right.", None, 1),
    "f1": ("Balance of found and right", "The harmonic mean of precision and recall at the threshold.", None, 1),
    "precision": ("Right when it says so", "Of the {rows} it flags, the share that is right.", None, 1),
    "recall": ("Found", "Of {positives}, the share that it flags.", None, 1),
    "rmse": ("Typical error, large ones weigh more", "Root of the mean squared error, in the target's unit; lower is better.", None, 0),
    "mae": ("Typical error", "How far off a prediction is on average, in the target's unit; lower is better.", None, 0),
    "mape": ("Error in per cent", "How far off a prediction is on average, as a share of the true value; lower is better.", None, 0),
    "inertia": ("Spread within groups", "Sum of the squared distances to the groups' centres; lower is tighter.", None, 0),
    "silhouette": ("Apartness of groups", "How much nearer {rows} are to their own group than to the next, from -1 to 1.", 0, 1),
    "noise": ("In no group", "The share of {rows} that lie near no group.", None, None),
    "trustworthiness": ("Neighbours kept", "How far {rows} that are placed side by side are alike, from 0 to 1.", 0.5, 1),
    "explained_variance_ratio": ("Differences kept", "The share of the differences between {rows} that the components keep.", 0, 1),
    "r2": ("Differences explained", "The share of the differences between {rows} that it explains; guessing the mean explains none.", 0, 1),
}
_BINARY = 2  # classes
_ONLY_NUMBERS = {"0", "1", "0.0", "1.0", "False", "True", "false", "true"}


def section(record: Record, *path: str) -> Record:
    """Return a part of the record by its keys, empty where any of them is absent or null."""
    part: Any = record
    for key in path:
        part = part.get(key) if isinstance(part, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def metrics(record: Record) -> list[Metric]:
    """Return the run's metrics in their order: of the test rows, or of the training rows where nothing was held back."""
    case = vars(Case.of(record))
    test, train, base = (section(record, "metrics", part) for part in ("test", "train", "base"))
    return [_metric(name, value, train.get(name) if test else None, base, case) for name, value in (test or train).items()]


def headline(record: Record) -> list[str]:
    """Return one to three sentences that say what came out, the most important first."""
    if not section(record, "model"):
        return [_prepared(record)]
    test, train = section(record, "metrics", "test"), section(record, "metrics", "train")
    case = Case.of(record)
    if not test and not train:
        return [_prepared(record), "A model was trained; it was not measured."]
    opening = f"{case.rows} the model had not seen" if test else f"the very {case.rows} it learnt from, none being held back"
    held_back = section(record, "split").get("test_rows")
    opening = f"{number(held_back)} {opening}" if test and is_number(held_back) else opening
    task = section(record, "model").get("task")
    say = {
        "binary": _binary,
        "regression": _regression,
        "multiclass": _multiclass,
        "clustering": _clustering,
        "decomposition": _decomposition,
    }.get(str(task), _other)
    return say(record, test or train, opening, case)


def _prepared(record: Record) -> str:
    rows = section(record, "ledger", "rows")
    noun = words.row_noun(str(record["dataset"].get("path", "")))
    read = rows.get("in", record["dataset"].get("rows"))
    if not is_number(rows.get("out")):
        return f"{number(read)} {noun} were read."
    return f"Of {number(read)} {noun} read, {number(rows['out'])} came out ready for use."


def _binary(record: Record, values: Record, opening: str, case: Case) -> list[str]:
    said = []
    if is_number(auc := values.get("auc")):
        said.append(f"Of {opening}, it ranks {case.one_positive} above {case.one_negative} {in_100(auc)} times in 100 (guessing: 50).")
    flagged = _flagged(section(record, "curves", "confusion"), case)
    rate = _positive_rate(record)
    if rate is not None:
        said.append(f"{percent(rate)} of them are {case.positives}." if said else f"Of {opening}, {percent(rate)} are {case.positives}.")
    return [*said, *flagged] or _other(record, values, opening, case)


def _positive_rate(record: Record) -> float | None:
    rate = section(record, "metrics", "base").get("rate_test")
    if is_number(rate):
        return rate
    matrix: Any = section(record, "curves", "confusion").get("matrix") or ()
    rows = sum(map(sum, matrix))
    return sum(matrix[1]) / rows if len(matrix) == _BINARY and rows else None


def _flagged(confusion: Record, case: Case) -> list[str]:
    matrix: Any = confusion.get("matrix") or ()
    threshold = confusion.get("threshold")
    if len(matrix) != _BINARY or not is_number(threshold):
        return []
    (_, false), (missed, found) = matrix
    if not found:
        return [f"At a threshold of {percent(threshold)} it finds none of them."]
    flagging = f"Flagging every one with a predicted chance of {percent(threshold)} or more"
    recall, precision = in_100(found / (found + missed)), in_100(found / (found + false))
    return [f"{flagging} finds {recall} in 100 of the {case.positives}; of all that are flagged, {precision} in 100 are right."]


def _regression(record: Record, values: Record, opening: str, case: Case) -> list[str]:
    said = []
    base = section(record, "metrics", "base")
    name = next((name for name in ("mae", "rmse") if is_number(values.get(name))), None)
    if name:
        guess = f" (always answering the mean: {number(base[name])})" if is_number(base.get(name)) else ""
        said.append(f"On {opening}, its predictions are off by {number(values[name])} on average{guess}.")
    if is_number(r2 := values.get("r2")):
        explained = (
            f"It explains {percent(r2)} of the differences between them." if r2 > 0 else "It does no better than always answering the mean."
        )
        said.append(explained)
    return said or _other(record, values, opening, case)


def _multiclass(record: Record, values: Record, opening: str, case: Case) -> list[str]:
    accuracy = values.get("accuracy")
    matrix = section(record, "curves", "confusion").get("matrix") or ()
    total = sum(map(sum, matrix))
    if not is_number(accuracy) and total:
        accuracy = sum(row[place] for place, row in enumerate(matrix)) / total
    if not is_number(accuracy):
        return _other(record, values, opening, case)
    guess = f" (always naming the commonest: {in_100(max(map(sum, matrix)) / total)})" if total else ""
    return [f"Of {opening}, it names the right class {in_100(accuracy)} times in 100{guess}."]


def _clustering(record: Record, values: Record, opening: str, case: Case) -> list[str]:
    found = section(record, "curves", "clusters")
    groups = [count for label, count in zip(found.get("labels") or (), found.get("rows") or (), strict=False) if label >= 0]
    total = sum(found.get("rows") or ())
    if not groups:
        return _other(record, values, opening, case)
    many = f"{len(groups)} group{'' if len(groups) == 1 else 's'}"
    said = [f"Of {opening}, {percent(sum(groups) / total)} fall into {many}; the largest holds {percent(max(groups) / total)}."]
    if is_number(silhouette := values.get("silhouette")):
        said.append(f"The groups stand apart by {silhouette:.2f}, where 0 is not at all and 1 is entirely (silhouette).")
    return said


def _decomposition(record: Record, values: Record, opening: str, case: Case) -> list[str]:
    shares, kept = section(record, "curves", "components").get("shares") or (), values.get("explained_variance_ratio")
    if not shares or not is_number(kept):
        return _other(record, values, opening, case)
    many = f"{len(shares)} component{'' if len(shares) == 1 else 's'}"
    return [f"Of the differences between {opening}, {percent(kept)} are kept by {many}."]


def _other(record: Record, values: Record, opening: str, case: Case) -> list[str]:
    listed = ", ".join(f"{_METRICS[name][0].lower() if name in _METRICS else name} {number(value)}" for name, value in values.items())
    return [f"Measured on {opening}: {listed}."]


def _metric(name: str, value: Any, train: Any, base: Record, case: Mapping[str, str]) -> Metric:
    title, explanation, guess, perfect = _METRICS.get(name, (name.replace("_", " ").capitalize(), "", None, None))
    guess = base.get(name, guess)
    gain = None
    if is_number(value) and is_number(guess) and perfect is not None and guess != perfect:
        gain = min(max((value - guess) / (perfect - guess), 0), 1)
    return Metric(
        name=name,
        title=title,
        value=_three_places(value),
        explanation=explanation.format_map(case),
        base=_three_places(guess) if is_number(guess) else "",
        train=_three_places(train) if is_number(train) else "",
        gain=gain,
    )


def _three_places(value: Any) -> str:
    return f"{value:.3f}" if is_number(value) and abs(value) < 10 else number(value)


def _article(label: str) -> str:
    return "an" if label[:1].lower() in set("aeiou") else "a"
