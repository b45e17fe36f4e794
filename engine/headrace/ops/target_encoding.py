"""TargetEncoding: the mean of the target by category, out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from headrace.errors import DataError, JobError, JobErrors
from headrace.keys import Keys
from headrace.ops.base import Count, Declaration, FittedOp, Groups, Setting, Sources, check_columns, default, made_once, operator
from headrace.ops.categorify import check_groups, column_name
from headrace.schema import Schema, Type
from headrace.states import Floats, GroupSums, Ints
from headrace.table import Table


def _without_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Targets = Annotated[tuple[str, ...], Field(min_length=1)]
Classes = tuple[bool | int | str, ...]


@dataclass(frozen=True)
class TargetMeans:
    """Encodings by key, class and fold, float64 [keys + 1, classes, folds + 1]; a target that is a number has one class.

    Along the last axis, f holds what a training row of fold f gets (learnt from the other folds), the last what any other
    row gets (learnt from all). The last key is any that is unseen. `priors` are the means of all training rows by class.
    """

    keys: Keys
    values: Floats
    priors: tuple[float, ...]


@operator
class TargetEncoding(FittedOp[dict[str, GroupSums], dict[str, TargetMeans]]):
    """Encode categories by the smoothed mean of the target, out of fold, as ``<columns>_te``.

    For a category with n rows and target sum s, ``(s + smoothing * prior) / (n + smoothing)``. A training row gets what
    the other folds say, prior included, so that its own label never touches its own encoding; rows that are not being
    trained on get what all training rows say. A row's fold is a hash of its identity, never of its category or place
    in a partition.

    Parameters
    ----------
    columns : list of str, or of lists of str
        A list of columns is one category.
    target : str or list of str
        A number or boolean column. Several are encoded each on its own, as ``<columns>_te_<target>``.
    folds : int, 2 to 65,536
    smoothing : float
        How many rows of the prior are added to each category.
    classes : list of str, int or bool, optional
        For a target of several classes: those to encode, each as the share of its rows, ``<columns>_te_<class>``. They
        are named because a plan names every column before the data are read. Rows of other classes count as rows.
    key : list of str, optional
        Columns that identify a row. Default: the job's `source.key`, else the row's number in the source.
    seed : int, optional
        Of the folds. Default: the job's `run.seed`, else 0.
    dtype : "float32" or "float64"

    Nulls and NaN
    -------------
    A null category is a category. Rows whose target is null, NaN or infinite are not learnt from.

    Raises
    ------
    DataError
        If no training row has one of the classes.

    Source
    ------
    Micci-Barreca, SIGKDD Explorations 3(1), 2001, section 3 (classes: section 3.2); out of fold as in Pargent et al.,
    Computational Statistics 37, 2022.

    Examples
    --------
    >>> TargetEncoding([["origin", "dest"]], target="late").settings()
    {'columns': [['origin', 'dest']], 'target': 'late'}
    >>> TargetEncoding(["carrier"], target="cause", classes=["weather", "crew"]).settings()["classes"]
    ['weather', 'crew']
    """

    name: ClassVar[str] = "target_encoding"
    columns: Groups
    target: Setting[Annotated[str | Targets, BeforeValidator(_without_list)], str | Sequence[str]]
    folds: Annotated[int, Field(strict=True, ge=2, le=65_536)] = 5
    smoothing: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 20.0
    key: Setting[tuple[str, ...], Sequence[str]] = default(())
    seed: Count | None = None
    dtype: Literal["float32", "float64"] = "float32"
    classes: Setting[Classes, Sequence[bool | int | str]] = default(())

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_groups(schema, self.columns, "a category")
        if self.classes:
            self._check_classes(schema)
        else:
            wanted = "a number or boolean" if len(self._targets) > 1 else "a number or boolean (or else `classes`)"
            check_columns(schema, self._targets, lambda type_: type_.is_feature, wanted, "target")
        check_columns(schema, self.key, lambda type_: not type_.is_nested, "an identity", "key")
        makes = made_once(
            (output, Sources(values=group, learnt=(target,)))
            for group in self.columns
            for target in self._targets
            for output in self._outputs(group, target)
        )
        reads = tuple(dict.fromkeys([*(name for group in self.columns for name in group), *self.key]))
        return Declaration(reads, schema.with_columns(dict.fromkeys(makes, Type.of(self.dtype))), makes)

    def part_type(self) -> Any:
        return dict[str, GroupSums]

    def state_type(self) -> Any:
        return dict[str, TargetMeans]

    def observe(self, table: Table) -> dict[str, GroupSums]:
        fold = table.folds(self.folds, self.key, self.seed or 0)
        if self.classes:
            return self._observe_classes(table, fold)
        return {
            self._state(group, target): table.group_sums(group, target, fold, self.folds)
            for group in self.columns
            for target in self._targets
        }

    def finish(self, part: dict[str, GroupSums]) -> dict[str, TargetMeans]:
        if self.classes:
            return {name: self._class_shares(sums) for name, sums in part.items()}
        return {
            self._state(group, target): self._means(part[self._state(group, target)], target)
            for group in self.columns
            for target in self._targets
        }

    def apply(self, table: Table, state: dict[str, TargetMeans]) -> Table:
        fold = table.folds(self.folds, self.key, self.seed or 0)
        column_of_row = np.where(fold < 0, self.folds, fold)
        encoded = {}
        for group in self.columns:
            for target in self._targets:
                means = state[self._state(group, target)]
                codes = table.find(group, means.keys).astype(np.int64)
                unseen = codes < 0
                codes[unseen] = len(means.keys)
                places = codes * (self.folds + 1) + column_of_row
                for index, output in enumerate(self._outputs(group, target)):
                    table.count("unseen", output, int(unseen.sum()))
                    encoded[output] = table.look_up(places, means.values[:, index, :].reshape(-1).astype(self.dtype))
        return table.with_columns(encoded)

    def learnt(self, state: dict[str, TargetMeans]) -> str:
        priors = {name: ", ".join(f"{prior:.4g}" for prior in means.priors) for name, means in state.items()}
        return ", ".join(f"{name}: {len(means.keys):,} keys, prior {priors[name]}" for name, means in state.items())

    @property
    def _targets(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else self.target

    def _state(self, group: tuple[str, ...], target: str) -> str:
        """Return the name under which the state holds a group of columns with a target."""
        return f"{column_name(group)}_te" if isinstance(self.target, str) else f"{column_name(group)}_te_{target}"

    def _outputs(self, group: tuple[str, ...], target: str) -> list[str]:
        name = self._state(group, target)
        return [f"{name}_{value}" for value in self.classes] or [name]

    def _check_classes(self, schema: Schema) -> None:
        if not isinstance(self.target, str):
            raise JobError("classes are those of one target: write a step for each", key="target")
        check_columns(
            schema, (self.target,), lambda t: t.is_string or t.is_integer or t.is_boolean, "a string, integer or boolean", "target"
        )
        type_ = schema[self.target]
        kind = bool if type_.is_boolean else int if type_.is_integer else str
        errors = [
            JobError(f"{value!r} does not fit {self.target!r}, which is {type_}", key=f"classes[{index}]")
            for index, value in enumerate(self.classes)
            if type(value) is not kind
        ]
        errors += [
            JobError(f"{value!r} stands twice", key=f"classes[{index}]")
            for index, value in enumerate(self.classes)
            if value in self.classes[:index]
        ]
        if errors:
            raise JobErrors(errors)

    def _observe_classes(self, table: Table, fold: npt.NDArray[np.int32]) -> dict[str, GroupSums]:
        """Count rows by key, class and fold: each pair of a class (the last: any other) and a fold is a fold of its own."""
        assert isinstance(self.target, str)  # noqa: S101  (classes are declared for one target only)
        known = Keys.of({self.target: [*self.classes, None]})
        class_ = table.find([self.target], known)
        n_classes = len(self.classes)
        learnt_from = (fold >= 0) & (class_ != n_classes)
        other = np.where(class_ < 0, np.int32(n_classes), class_)
        cell = np.where(learnt_from, other * np.int32(self.folds) + fold, np.int32(-1))
        marked = table.with_columns({"\0one": table.backend.from_numpy(np.ones_like(fold, dtype=np.int8))})
        return {
            self._state(group, self.target): marked.group_sums(group, "\0one", cell, (n_classes + 1) * self.folds) for group in self.columns
        }

    def _class_shares(self, part: GroupSums) -> TargetMeans:
        rows = part.counts.reshape(len(part.keys), len(self.classes) + 1, self.folds)
        missing = [value for value, n in zip(self.classes, rows.sum(axis=(0, 2))[:-1], strict=True) if not n]
        if missing:
            column = self.target if isinstance(self.target, str) else None
            raise DataError(f"no training row has the class {missing[0]!r}", column=column, hint="take it out of `classes`")
        counts = rows.sum(axis=1)
        found = [self._encodings(rows[:, index], rows[:, index].sum(axis=0), counts) for index in range(len(self.classes))]
        return TargetMeans(part.keys, np.stack([values for values, _ in found], axis=1), tuple(prior for _, prior in found))

    def _means(self, part: GroupSums, target: str) -> TargetMeans:
        with np.errstate(over="ignore", invalid="ignore"):
            values, prior = self._encodings(part.sums(), part.fold_totals(), part.counts.reshape(-1, self.folds))
        if not np.isfinite(values).all():
            hint = "divide it by a constant, or leave out rows whose value stands for a missing one"
            raise DataError("has sums beyond what a float64 can hold", column=target, hint=hint)
        return TargetMeans(part.keys, values[:, np.newaxis, :], (prior,))

    def _encodings(self, sums: Floats | Ints, fold_sums: Floats | Ints, counts: Ints) -> tuple[Floats, float]:
        """Return the encodings [keys + 1, folds + 1] and the prior of sums and counts [keys, folds] and the folds' sums."""
        # One row more: a key that is unseen has no rows of its own.
        of_keys = np.vstack([sums, np.zeros((1, self.folds))])
        counts = np.vstack([counts, np.zeros((1, self.folds), np.int64)])
        fold_counts = counts.sum(axis=0)
        values = np.empty((len(counts), self.folds + 1))
        prior = 0.0
        for fold in range(self.folds + 1):
            # Sums of the other folds are added up anew, never taken as total minus own: a subtraction would let the
            # own fold's labels into the last bits.
            others = [other for other in range(self.folds) if other != fold]
            n_others, sum_others = int(fold_counts[others].sum()), float(fold_sums[others].sum())
            prior = sum_others / n_others if n_others else 0.0
            weight = counts[:, others].sum(axis=1) + self.smoothing
            total = of_keys[:, others].sum(axis=1) + self.smoothing * prior
            values[:, fold] = np.divide(total, weight, out=np.full(len(counts), prior), where=weight > 0)
        return values, prior
