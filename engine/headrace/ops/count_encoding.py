"""CountEncoding: how common a category is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from headrace.counts import Counts, Ints, collected
from headrace.keys import Keys
from headrace.ops.base import Declaration, FittedOp, Groups, Sources, made_once, operator
from headrace.ops.categorify import check_groups, column_name
from headrace.schema import FLOAT64, INT64, Schema
from headrace.table import Table


@dataclass(frozen=True)
class KeyCounts:
    """Training rows by key; the last count, without a key, is the 0 of the unseen. `total` is the number of training rows."""

    keys: Keys
    counts: Ints
    total: int


@operator
class CountEncoding(FittedOp[dict[str, Counts], dict[str, KeyCounts]]):
    """Say how many training rows have a row's category, as ``<columns>_count``, or which share, as ``<columns>_frequency``.

    Parameters
    ----------
    columns : list of str, or of lists of str
        A list of columns is one category.
    output : "count" or "frequency"
        The number of training rows, or that number over all training rows.

    Returns
    -------
    int64 counts or float64 frequencies. A training row counts itself.

    Nulls and NaN
    -------------
    A null category is a category; an unseen one has 0 and is counted as `unseen`.

    Examples
    --------
    >>> CountEncoding(["tailnum", ["origin", "dest"]], output="frequency").settings()
    {'columns': ['tailnum', ['origin', 'dest']], 'output': 'frequency'}
    """

    name: ClassVar[str] = "count_encoding"
    is_by_item: ClassVar[bool] = True
    columns: Groups
    output: Literal["count", "frequency"] = "count"

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_groups(schema, self.columns, "a category")
        makes = made_once((self._output(group), Sources(values=group)) for group in self.columns)
        reads = tuple(dict.fromkeys(name for group in self.columns for name in group))
        made = dict.fromkeys(makes, INT64 if self.output == "count" else FLOAT64)
        return Declaration(reads, schema.with_columns(made), makes)

    def part_type(self) -> Any:
        return dict[str, Counts]

    def state_type(self) -> Any:
        return dict[str, KeyCounts]

    def observe(self, table: Table) -> dict[str, Counts]:
        return {self._output(group): table.counts(group) for group in self.columns}

    def finish(self, part: dict[str, Counts]) -> dict[str, KeyCounts]:
        found = {}
        for name, counted in part.items():
            counts = collected(counted.pieces(), counted)
            order = counts.keys.order(np.arange(len(counts.keys)), counts.counts)
            found[name] = KeyCounts(counts.keys.take(order), np.append(counts.counts[order], 0).astype(np.int64), int(counts.counts.sum()))
        return found

    def apply(self, table: Table, state: dict[str, KeyCounts]) -> Table:
        encoded = {}
        for group in self.columns:
            name = self._output(group)
            known = state[name]
            codes = table.find(group, known.keys)  # -1 for the unseen: the last of the values
            table.count("unseen", name, int((codes < 0).sum()))
            values = known.counts if self.output == "count" else known.counts / max(known.total, 1)
            encoded[name] = table.look_up(codes, values)
        return table.with_columns(encoded)

    def learnt(self, state: dict[str, KeyCounts]) -> str:
        return ", ".join(f"{name}: {len(known.keys):,} categories" for name, known in state.items())

    def _output(self, group: tuple[str, ...]) -> str:
        return f"{column_name(group)}_{self.output}"
