"""How good a run's model is, for its record: metrics of training and test rows, what is drawn, and which features matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace import metrics as measures
from headrace.models import Model
from headrace.models.settings import KINDS

if TYPE_CHECKING:
    from headrace.jobs.job import OpenJob

# Exact TreeSHAP costs about 2 ms a row for 100 trees of depth 8: what matters most is measured on a sample.
EXPLAINED_ROWS = 400

# Asked for up to so many rows of the matrix, out of those in "training", in "test", or of "all".
Sample = Callable[[int, str], npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was predicted, what happened, and which rows train and test; all rows of a run."""

    predicted: npt.NDArray[Any]
    target: npt.NDArray[Any]
    training: npt.NDArray[np.bool_]
    test: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, parts: Sequence[tuple[npt.NDArray[Any], ...]]) -> Outcome:
        """Put the partitions' rows together; those whose target is not known are neither training nor test rows."""
        predicted, target, training, test = (np.concatenate([part[index] for part in parts]) for index in range(4))
        known = np.isfinite(target)
        return cls(predicted, target, training & known, test & known)

    @property
    def shown(self) -> npt.NDArray[np.bool_]:
        """The rows that the report's figures are of."""
        return self.test if self.test.any() else self.training


def evaluated(opened: OpenJob, model: Model, outcome: Outcome, sample: Sample) -> dict[str, Any]:
    """Return the parts of a run's record that say how good its model is."""
    job = opened.job
    section = job.settings.model
    assert section is not None  # noqa: S101  (a model was trained)
    kind = KINDS[model.kind]
    found = (
        _measured(model, outcome, job.settings.evaluate) if kind.has_target else _described(model, outcome, job.settings.evaluate, sample)
    )
    return {
        "split": {"text": job.split.text(), "train_rows": int(outcome.training.sum()), "test_rows": int(outcome.test.sum())},
        "model": {
            "kind": model.kind,
            "task": model.task,
            "target": section.target,
            "features": list(opened.features),
            "params": dict(model.settings.params),
            "rounds": model.settings.rounds if kind.has_rounds else None,
        },
        **found,
        "importance": _importance(opened, model, sample, bool(outcome.test.any())) if kind.explains else None,
    }


def _measured(model: Model, outcome: Outcome, names: Sequence[str] | None) -> dict[str, Any]:
    """Compare predictions with what happened."""
    predicted, target, training, shown = outcome.predicted, outcome.target, outcome.training, outcome.shown
    found: dict[str, Any] = {"train": measures.evaluate(model.task, target[training], predicted[training], names)}
    if outcome.test.any():
        found["test"] = measures.evaluate(model.task, target[shown], predicted[shown], names)
    found["base"] = measures.base_metrics(model.task, target[training], target[shown], names)
    if model.task == "binary":
        found["base"].update(rate_train=float(target[training].mean(dtype=float)), rate_test=float(target[shown].mean(dtype=float)))
    return {"metrics": found, "curves": measures.curves(model.task, target[shown], predicted[shown])}


def _described(model: Model, outcome: Outcome, names: Sequence[str] | None, sample: Sample) -> dict[str, Any]:
    """Measure a model without a target: there is no constant guess to compare it with."""
    from headrace.models.measures import SAMPLE_ROWS, measure, outline

    found: dict[str, Any] = {"train": measure(model, outcome.predicted[outcome.training], sample(SAMPLE_ROWS, "training"), names)}
    if outcome.test.any():
        found["test"] = measure(model, outcome.predicted[outcome.test], sample(SAMPLE_ROWS, "test"), names)
    return {"metrics": {**found, "base": {}}, "curves": outline(model, outcome.predicted[outcome.shown])}


def _importance(opened: OpenJob, model: Model, sample: Sample, test_only: bool) -> dict[str, Any]:
    """Return the mean size of each feature's contributions, by feature and by column of the source."""
    features = opened.features
    rows = sample(EXPLAINED_ROWS, "test" if test_only else "all")
    strength = np.abs(model.contributions(rows)[..., :-1]).reshape(-1, len(features)).mean(axis=0).astype(float)
    shares = strength / (strength.sum() or 1.0)
    by_source: dict[str, dict[str, Any]] = {}
    for name, share in zip(features, shares, strict=True):
        sources = opened.steps.lineage[name].values or (name,)
        for source in sources:
            entry = by_source.setdefault(source, {"name": source, "share": 0.0, "features": []})
            entry["share"] += float(share) / len(sources)
            entry["features"].append(name)
    return {
        "method": f"what it adds or takes away, on average over {len(rows):,} {'test ' if test_only else ''}rows",
        "by_feature": sorted(({"name": n, "share": float(s)} for n, s in zip(features, shares, strict=True)), key=lambda e: -e["share"]),
        "by_source": sorted(by_source.values(), key=lambda entry: -entry["share"]),
    }
