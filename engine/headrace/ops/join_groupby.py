"""JoinGroupby: statistics of the training rows by key, joined back to every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from headrace.group_stats import GroupStats, KeyedValues, statistic_type
from headrace.ops.base import Columns, Declaration, FittedOp, Setting, Sources, check_columns, operator
from headrace.ops.categorify import column_name
from headrace.schema import Schema
from headrace.table import Table

Statistic = Literal["count", "sum", "mean", "std", "min", "max"]


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Statistics = Annotated[tuple[Statistic, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
StatsOfColumns = Setting[Annotated[dict[str, Statistics], Field(min_length=1)], Mapping[str, Statistic | Sequence[Statistic]]]


def squared_columns(stats: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return the columns whose standard deviation is asked for: nothing else needs their squares."""
    return frozenset(column for column, wanted in stats.items() if "std" in wanted)


@operator
class JoinGroupby(FittedOp[GroupStats, KeyedValues]):
    """Bring statistics of the training rows with the same key to every row, as ``<keys>_<column>_<stat>``.

    Sums are exact and rounded once, so any order of rows and any partitions give the same bits.

    Parameters
    ----------
    keys : list of str
        Columns that together are one key.
    stats : mapping of str to list of str
        Number or boolean column: any of ``count``, ``sum``, ``mean``, ``std`` (of a sample: n - 1), ``min``, ``max``.

    Returns
    -------
    ``count`` is int64; ``sum``, ``mean`` and ``std`` are float64; ``min`` and ``max`` have the column's type (decimals: float64).

    Nulls and NaN
    -------------
    A null key is a key. Nulls, NaN and infinities of the columns take no part, in the count neither. A key without a value has the
    count 0 and nulls, ``std`` needs two values. The columns of an unseen key are null; it is counted as `unseen`.

    A training row's own value is in its group's statistics: for the target use `TargetEncoding`, which leaves it out.

    Examples
    --------
    >>> JoinGroupby(keys=["origin", "dest"], stats={"air_time": ["mean", "std"]}).settings()
    {'keys': ['origin', 'dest'], 'stats': {'air_time': ['mean', 'std']}}
    """

    name: ClassVar[str] = "join_groupby"
    shorthand: ClassVar[str] = "keys"
    keys: Columns
    stats: StatsOfColumns

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.keys, lambda type_: not type_.is_nested, "a key", "keys")
        check_columns(schema, tuple(self.stats), lambda type_: type_.is_feature, "a number or boolean", "stats")
        wanted = self._wanted()
        makes = {output: Sources(values=self.keys, learnt=(column,)) for output, (column, _) in wanted.items()}
        types = {output: statistic_type(statistic, schema[column]) for output, (column, statistic) in wanted.items()}
        return Declaration(self.keys, schema.with_columns(types), makes)

    def part_type(self) -> Any:
        return GroupStats

    def state_type(self) -> Any:
        return KeyedValues

    def observe(self, table: Table) -> GroupStats:
        return table.group_stats(self.keys, tuple(self.stats), squared_columns(self.stats))

    def merge(self, *parts: GroupStats) -> GroupStats:
        return GroupStats.merged_all(parts)

    def finish(self, part: GroupStats) -> KeyedValues:
        return part.finished(self._wanted())

    def apply(self, table: Table, state: KeyedValues) -> Table:
        rows = table.find(self.keys, state.keys)
        table.count("unseen", column_name(self.keys), int((rows < 0).sum()))
        brought = Table.from_arrow(table.backend, state.values)
        return table.with_columns(table.backend.take(brought.columns, rows.astype("int64")))

    def learnt(self, state: KeyedValues) -> str:
        return f"{len(state.keys):,} keys"

    def _wanted(self) -> dict[str, tuple[str, str]]:
        prefix = column_name(self.keys)
        return {
            f"{prefix}_{column}_{statistic}": (column, statistic) for column, statistics in self.stats.items() for statistic in statistics
        }
