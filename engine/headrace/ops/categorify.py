"""Categorify: integer ids for categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from headrace.counts import Counts
from headrace.errors import JobError, JobErrors
from headrace.ops.base import Count, Declaration, FittedOp, Groups, Positive, Sources, check_columns, made_once, operator
from headrace.ops.hash_bucket import bucket_numbers
from headrace.ops.vocabulary import Vocabulary
from headrace.schema import INT32, Schema
from headrace.states import each_in_threads
from headrace.table import Table

NULL_ID, UNSEEN_ID = 0, 1


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
    buckets : int
        Over how many ids the unseen and rare are spread: 1 to `buckets`, by the hash of the value; the kept categories
        follow. At most 2**24.
    joint : bool
        One vocabulary for all columns, so that a value has the same id in each.

    Returns
    -------
    int32 ids. The order of rows and the partitions do not change them, and learning from more rows moves none.

    Nulls and NaN
    -------------
    Null has the id 0 (several columns: if all are null). NaN is a category; -0.0 is 0.0.

    Raises
    ------
    JobError
        If columns that shall share a vocabulary differ in type.
    MemoryBudgetError
        If the kept categories do not fit in the vocabularies' share of ``run.memory``. Those that are not kept need not fit.

    Examples
    --------
    >>> Categorify(["carrier", ["origin", "dest"]], min_frequency=15).settings()
    {'columns': ['carrier', ['origin', 'dest']], 'min_frequency': 15}
    """

    name: ClassVar[str] = "categorify"
    is_by_item: ClassVar[bool] = True
    columns: Groups
    min_frequency: Count = 0
    max_size: Positive | None = None
    buckets: Annotated[int, Field(strict=True, ge=1, le=1 << 24)] = 1
    joint: bool = False

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_groups(schema, self.columns, "a string, integer, boolean, date or number")
        if self.joint:
            self._check_joint(schema)
        makes = made_once((column_name(group), Sources(values=group)) for group in self.columns)
        reads = tuple(dict.fromkeys(name for group in self.columns for name in group))
        return Declaration(reads, schema.with_columns(dict.fromkeys(makes, INT32)), makes)

    def part_type(self) -> Any:
        return dict[str, Counts]

    def state_type(self) -> Any:
        return dict[str, Vocabulary]

    def observe(self, table: Table) -> dict[str, Counts]:
        part: dict[str, Counts] = {}
        for group in self.columns:
            name, counts = self.vocabulary_name(group), table.counts(group)
            if self.joint:  # the keys of all columns go by the names of the first
                counts = counts.renamed(self.columns[0])
            part[name] = part[name].merged(counts) if name in part else counts
        return part

    @property
    def takes_codes(self) -> bool:
        return self.buckets == 1 and all(len(group) == 1 for group in self.columns)

    def condense(self, part: dict[str, Counts]) -> dict[str, Counts]:
        n_keys = sum(counts.n_pairs for counts in part.values())
        thinned = each_in_threads(lambda name: part[name].thinned(self.min_frequency), list(part), n_keys)
        return dict(zip(part, thinned, strict=True))

    def finish(self, part: dict[str, Counts]) -> dict[str, Vocabulary]:
        n_keys = sum(counts.n_pairs for counts in part.values())
        learnt = each_in_threads(lambda name: Vocabulary.learn(part[name], self.min_frequency, self.max_size), list(part), n_keys)
        return dict(zip(part, learnt, strict=True))

    def update(self, state: dict[str, Vocabulary], part: dict[str, Counts]) -> dict[str, Vocabulary]:
        return {name: state[name].extended(counts, self.min_frequency, self.max_size) for name, counts in part.items()}

    def apply(self, table: Table, state: dict[str, Vocabulary]) -> Table:
        encoded = {}
        for group in self.columns:
            keys, name = state[self.vocabulary_name(group)].keys, column_name(group)
            if self.buckets == 1:
                ids = np.arange(len(keys) + 1, dtype=np.int32)
                ids[:2] = UNSEEN_ID, NULL_ID
                encoded[name], n_unseen = table.encode(group, keys, ids)
                table.count("unseen", name, n_unseen)
                continue
            codes = table.find(group, keys)
            unseen = codes < 0
            table.count("unseen", name, int(unseen.sum()))
            # Codes are -1 unseen, 0 null, then the vocabulary: moved up by the buckets they are indices of the ids.
            ids = np.arange(self.buckets + len(keys), dtype=np.int32)
            ids[: self.buckets] += UNSEEN_ID
            ids[self.buckets] = NULL_ID
            if unseen.any():
                codes = codes.copy()
                codes[unseen] = self._unseen_ids(table, group, unseen) - UNSEEN_ID - self.buckets
            encoded[name] = table.look_up(codes + self.buckets, ids)
        return table.with_columns(encoded)

    def learnt(self, state: dict[str, Vocabulary]) -> str:
        shown = []
        for name, vocabulary in state.items():
            columns = ", ".join(column_name(group) for group in self.columns) if self.joint else name
            shown.append(f"{columns}: {len(vocabulary):,} categories" + (f" ({vocabulary.n_rare:,} rare)" if vocabulary.n_rare else ""))
        return ", ".join(shown)

    def vocabulary_name(self, group: tuple[str, ...]) -> str:
        """Return the name under which the state holds the vocabulary of a group of columns."""
        return column_name(self.columns[0] if self.joint else group)

    def vocabulary(self, state: dict[str, Vocabulary], column: str) -> tuple[npt.NDArray[np.int32], Vocabulary]:
        """Return the ids that one of the columns made may hold, those of the unseen left out, and what they stand for."""
        group = next(group for group in self.columns if column_name(group) == column)
        found = state[self.vocabulary_name(group)]
        ids = np.arange(len(found.counts), dtype=np.int32)
        ids[1:] += np.int32(self.buckets)
        return ids, found

    def _unseen_ids(self, table: Table, group: tuple[str, ...], unseen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        """Return the id, 1 to `buckets`, of each unseen row."""
        rows = table.backend.take(table.pick(group), np.flatnonzero(unseen))
        return bucket_numbers(table.backend.hash_rows(rows, 0), self.buckets)

    def _check_joint(self, schema: Schema) -> None:
        first = [schema[name] for name in self.columns[0]]
        for index, group in enumerate(self.columns):
            types = [schema[name] for name in group]
            if types != first:
                shown = [", ".join(f"{name!r} is {schema[name]}" for name in names) for names in (self.columns[0], group)]
                message = f"columns of one vocabulary have one type, but {' and '.join(shown)}"
                raise JobError(message, key=f"columns[{index}]", hint="cast them first")


def column_name(group: tuple[str, ...]) -> str:
    """Return the name of the column that one or more columns are encoded as."""
    return "_".join(group)


def check_groups(schema: Schema, groups: tuple[tuple[str, ...], ...], wanted: str) -> None:
    """Raise JobErrors for each column of `groups` that is not there or holds lists."""
    errors: list[JobError] = []
    for index, group in enumerate(groups):
        key = f"columns[{index}]"
        try:
            check_columns(schema, group, lambda type_: not type_.is_nested, wanted, key)
        except JobErrors as found:
            errors += [JobError(error.message, key=error.key if len(group) > 1 else key, hint=error.hint) for error in found.errors]
    if errors:
        raise JobErrors(errors)
