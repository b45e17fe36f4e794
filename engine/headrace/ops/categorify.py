"""Categorify: integer ids for categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from headrace.keys import Keys
from headrace.ops.base import Count, Declaration, FittedOp, Groups, Positive, Sources, check_columns, operator
from headrace.schema import INT32, Schema
from headrace.states import Counts, Ints
from headrace.table import Table

NULL_ID, UNSEEN_ID, FIRST_ID = 0, 1, 2


@dataclass(frozen=True)
class Vocabulary:
    """The kept categories in the order of their ids and how many training rows have each; row 0 is the null."""

    keys: Keys
    counts: Ints
    n_rare: int


@operator
class Categorify(FittedOp[dict[str, Counts], dict[str, Vocabulary]]):
    """Replace categories by integer ids: 0 null, 1 unseen or rare, then 2, 3, ... by falling frequency, ties by value.

    Parameters
    ----------
    columns : list of str, or of lists of str
        Each column is encoded in place; a list of columns is encoded as one category, named by joining the names
        with ``_``.
    min_frequency : int
        Categories with fewer training rows get the id of the unseen.
    max_size : int, optional
        At most so many categories, the most frequent, are kept.

    Returns
    -------
    int32 ids. The order of rows and the partitions do not change them.

    Nulls and NaN
    -------------
    Null has the id 0 (several columns: if all are null). NaN is a category; -0.0 is 0.0.

    Examples
    --------
    >>> Categorify(["carrier", ["origin", "dest"]], min_frequency=15).settings()
    {'columns': ['carrier', ['origin', 'dest']], 'min_frequency': 15}
    """

    name: ClassVar[str] = "categorify"
    columns: Groups
    min_frequency: Count = 0
    max_size: Positive | None = None

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        for index, group in enumerate(self.columns):
            accepted = "a string, integer, boolean, date or number"
            check_columns(schema, group, lambda type_: not type_.is_list, accepted, f"columns[{index}]" if len(group) > 1 else "columns")
        makes = {column_name(group): Sources(values=group) for group in self.columns}
        reads = tuple(dict.fromkeys(name for group in self.columns for name in group))
        return Declaration(reads, schema.with_columns(dict.fromkeys(makes, INT32)), makes)

    def part_type(self) -> Any:
        return dict[str, Counts]

    def state_type(self) -> Any:
        return dict[str, Vocabulary]

    def observe(self, table: Table) -> dict[str, Counts]:
        return {column_name(group): table.counts(group) for group in self.columns}

    def finish(self, part: dict[str, Counts]) -> dict[str, Vocabulary]:
        return {name: self._vocabulary(counts) for name, counts in part.items()}

    def update(self, state: dict[str, Vocabulary], part: dict[str, Counts]) -> dict[str, Vocabulary]:
        return {name: self._extended(state[name], counts) for name, counts in part.items()}

    def apply(self, table: Table, state: dict[str, Vocabulary]) -> Table:
        encoded = {}
        for group in self.columns:
            name = column_name(group)
            codes = table.find(group, state[name].keys)
            table.count("unseen", name, int((codes < 0).sum()))
            # codes: -1 unseen, 0 null, then the vocabulary; one more makes them indices of this table
            ids = np.arange(len(state[name].keys) + 1, dtype=np.int32)
            ids[:2] = UNSEEN_ID, NULL_ID
            encoded[name] = table.look_up(codes + 1, ids)
        return table.with_columns(encoded)

    def learnt(self, state: dict[str, Vocabulary]) -> str:
        return ", ".join(
            f"{name}: {len(v.keys) - 1:,} categories" + (f" ({v.n_rare:,} rare)" if v.n_rare else "") for name, v in state.items()
        )

    def _vocabulary(self, part: Counts) -> Vocabulary:
        null, rest = part.keys.split_null()
        kept = rest[part.counts[rest] >= self.min_frequency]
        order = kept[part.keys.order(kept, part.counts)][: self.max_size]
        null_count = int(part.counts[null]) if null >= 0 else 0
        return Vocabulary(part.keys.take(order).with_null(), np.append(null_count, part.counts[order]).astype(np.int64), len(rest) - len(order))

    def _extended(self, state: Vocabulary, part: Counts) -> Vocabulary:
        """Keep the ids given before; categories that are frequent now come after them."""
        fresh = self._vocabulary(part)
        known = state.keys.positions(fresh.keys)
        new = np.flatnonzero(known < 0)
        if self.max_size is not None:
            new = new[: max(self.max_size - len(state.keys) + 1, 0)]
        keys = state.keys.appended(fresh.keys.take(new))
        where = part.keys.positions(keys)
        counts = np.where(where >= 0, part.counts[where], 0)
        _, rest = part.keys.split_null()
        return Vocabulary(keys, counts.astype(np.int64), len(rest) - len(keys) + 1)


def column_name(group: tuple[str, ...]) -> str:
    """Return the name of the column that one or more columns are encoded as."""
    return "_".join(group)
