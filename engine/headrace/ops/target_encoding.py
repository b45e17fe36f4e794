"""TargetEncoding: the mean of the target by category, out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from headrace.keys import Keys
from headrace.ops.base import Declaration, FittedOp, Groups, Sources, check_columns, operator
from headrace.ops.categorify import column_name
from headrace.schema import Schema, Type
from headrace.states import Floats, GroupSums
from headrace.table import Table


@dataclass(frozen=True)
class TargetMeans:
    """Encodings by key and fold, float64 [keys + 1, folds + 1].

    Column f holds what a training row of fold f gets (learnt from the other folds), the last column what any other row
    gets (learnt from all). The last row is for keys that are unseen.
    """

    keys: Keys
    values: Floats
    prior: float


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
    target : str
        A number or boolean column.
    folds : int, at least 2
    smoothing : float
        How many rows of the prior are added to each category.
    key : list of str, optional
        Columns that identify a row. Default: the job's `source.key`, else the row's number in the source.
    seed : int, optional
        Of the folds. Default: the job's `run.seed`, else 0.
    dtype : "float32" or "float64"

    Nulls and NaN
    -------------
    A null category is a category. Rows whose target is missing are not learnt from.

    Source
    ------
    Micci-Barreca, SIGKDD Explorations 3(1), 2001, section 3; out of fold as in Pargent et al., Computational
    Statistics 37, 2022.

    Examples
    --------
    >>> TargetEncoding([["origin", "dest"]], target="late").settings()
    {'columns': [['origin', 'dest']], 'target': 'late'}
    """

    name: ClassVar[str] = "target_encoding"
    columns: Groups
    target: str
    folds: Annotated[int, Field(strict=True, ge=2)] = 5
    smoothing: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 20.0
    key: tuple[str, ...] = ()
    seed: int | None = None
    dtype: Literal["float32", "float64"] = "float32"

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        for index, group in enumerate(self.columns):
            check_columns(schema, group, lambda t: not t.is_list, "a category", f"columns[{index}]" if len(group) > 1 else "columns")
        check_columns(schema, (self.target,), lambda type_: type_.is_feature, "a number or boolean", "target")
        check_columns(schema, self.key, lambda type_: not type_.is_list, "an identity", "key")
        makes = {self._output(group): Sources(values=group, learnt=(self.target,)) for group in self.columns}
        reads = tuple(dict.fromkeys([*(name for group in self.columns for name in group), *self.key]))
        return Declaration(reads, schema.with_columns(dict.fromkeys(makes, Type.of(self.dtype))), makes)

    def part_type(self) -> Any:
        return dict[str, GroupSums]

    def state_type(self) -> Any:
        return dict[str, TargetMeans]

    def observe(self, table: Table) -> dict[str, GroupSums]:
        fold = table.folds(self.folds, self.key, self.seed or 0)
        return {self._output(group): table.group_sums(group, self.target, fold, self.folds) for group in self.columns}

    def finish(self, part: dict[str, GroupSums]) -> dict[str, TargetMeans]:
        return {name: self._means(sums) for name, sums in part.items()}

    def apply(self, table: Table, state: dict[str, TargetMeans]) -> Table:
        fold = table.folds(self.folds, self.key, self.seed or 0)
        column_of_row = np.where(fold < 0, self.folds, fold)
        encoded = {}
        for group in self.columns:
            name = self._output(group)
            codes = table.find(group, state[name].keys).astype(np.int64)
            unseen = codes < 0
            table.count("unseen", name, int(unseen.sum()))
            codes[unseen] = len(state[name].keys)
            values = state[name].values.reshape(-1).astype(self.dtype)
            encoded[name] = table.look_up(codes * (self.folds + 1) + column_of_row, values)
        return table.with_columns(encoded)

    def learnt(self, state: dict[str, TargetMeans]) -> str:
        return ", ".join(f"{name}: {len(means.keys):,} keys, prior {means.prior:.4g}" for name, means in state.items())

    def _output(self, group: tuple[str, ...]) -> str:
        return f"{column_name(group)}_te"

    def _means(self, part: GroupSums) -> TargetMeans:
        n_keys = len(part.keys)
        # One row more: a key that is unseen has no rows of its own.
        sums = np.vstack([part.sums(), np.zeros(self.folds)])
        counts = np.vstack([part.counts.reshape(-1, self.folds), np.zeros((1, self.folds), np.int64)])
        fold_sums, fold_counts = part.fold_totals(), counts.sum(axis=0)
        values = np.empty((n_keys + 1, self.folds + 1))
        prior = 0.0
        for fold in range(self.folds + 1):
            # Sums of the other folds are added up anew, never taken as total minus own: a subtraction would let the
            # own fold's labels into the last bits.
            others = [other for other in range(self.folds) if other != fold]
            n_others, sum_others = int(fold_counts[others].sum()), float(fold_sums[others].sum())
            prior = sum_others / n_others if n_others else 0.0
            weight = counts[:, others].sum(axis=1) + self.smoothing
            total = sums[:, others].sum(axis=1) + self.smoothing * prior
            values[:, fold] = np.divide(total, weight, out=np.full(n_keys + 1, prior), where=weight > 0)
        return TargetMeans(part.keys, values, prior)
