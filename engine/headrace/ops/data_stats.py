"""DataStats: learn what columns hold, and change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from headrace.counts import Counts
from headrace.ops.base import Columns, Declaration, FittedOp, Positive, check_columns, operator
from headrace.ops.vocabulary import Vocabulary
from headrace.schema import Schema, Type
from headrace.states import Moments, Quantiles
from headrace.table import Table


@dataclass(frozen=True)
class Summary:
    """What some rows of one column hold: moments of numbers, dates and times, bins of numbers, counts of all else."""

    type: str
    rows: int
    nulls: int
    moments: Moments | None
    quantiles: Quantiles | None
    counts: Counts | None

    def merged(self, other: Summary) -> Summary:
        """Return the summary of both sets of rows."""
        return Summary(
            self.type,
            self.rows + other.rows,
            self.nulls + other.nulls,
            self.moments.merged(other.moments) if self.moments and other.moments else None,
            self.quantiles.merged(other.quantiles) if self.quantiles and other.quantiles else None,
            self.counts.merged(other.counts) if self.counts and other.counts else None,
        )


@dataclass(frozen=True)
class ColumnStats:
    """The statistics of one column's training rows; None where a column of its type has none, or no value.

    `distinct` is None for numbers of more than 65,536 distinct values. `top` holds the most frequent values of text and
    boolean columns, as text, with their rows.
    """

    rows: int
    nulls: int
    nans: int
    mean: float | None
    std: float | None
    minimum: str | int | float | None
    maximum: str | int | float | None
    distinct: int | None
    top: dict[str, int]


@operator
class DataStats(FittedOp[dict[str, Summary], dict[str, ColumnStats]]):
    """Learn count, nulls, mean, standard deviation, extremes, distinct and most frequent values of columns.

    No row and no column is changed; what is learnt is shown by ``fitted.learnt()`` and ``headrace inspect``, and lies in the
    bundle.

    Parameters
    ----------
    columns : list of str
    top : int
        How many of the most frequent values of text and boolean columns are kept.

    Nulls and NaN
    -------------
    Both are counted, apart, and take no part in the rest. Infinities take no part in mean, deviation and extremes.

    Examples
    --------
    >>> DataStats(["km", "carrier"]).settings()
    ['km', 'carrier']
    """

    name: ClassVar[str] = "data_stats"
    columns: Columns
    top: Positive = 5

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: not type_.is_nested, "a number, text, boolean, date or time")
        return Declaration((), schema, {}, observes=self.columns)

    def part_type(self) -> Any:
        return dict[str, Summary]

    def state_type(self) -> Any:
        return dict[str, ColumnStats]

    def observe(self, table: Table) -> dict[str, Summary]:
        types = {column: table.backend.type_of(table[column]) for column in self.columns}
        moments = table.moments([column for column, type_ in types.items() if type_.is_number or type_.is_temporal])
        return {column: _summary(table, column, type_, moments.get(column)) for column, type_ in types.items()}

    def finish(self, part: dict[str, Summary]) -> dict[str, ColumnStats]:
        return {column: self._stats(part[column]) for column in self.columns}

    def apply(self, table: Table, state: dict[str, ColumnStats]) -> Table:
        return table

    def learnt(self, state: dict[str, ColumnStats]) -> str:
        return "; ".join(f"{column}: {_shown(stats)}" for column, stats in state.items())

    def _stats(self, part: Summary) -> ColumnStats:
        type_ = Type.of(part.type)
        moments = part.moments
        mean, std = moments.mean_and_std() if moments and moments.count and type_.is_number else (None, None)
        low, high = (moments.minimum, moments.maximum) if moments else (None, None)
        distinct: int | None = None
        top: dict[str, int] = {}
        if part.counts is not None:
            distinct, top = self._categories(part.counts)
        elif part.quantiles is not None and part.quantiles.precision == 52:
            distinct = len(part.quantiles.bins)
        nans = moments.nans if moments else 0
        return ColumnStats(part.rows, part.nulls, nans, mean, std, _shown_end(low, type_), _shown_end(high, type_), distinct, top)

    def _categories(self, counts: Counts) -> tuple[int, dict[str, int]]:
        top = Vocabulary.learn(counts, max_size=self.top)
        return top.n_rare + len(top), {str(value): int(n) for value, n in zip(top.values(), top.counts[1:], strict=True)}


def _summary(table: Table, column: str, type_: Type, moments: Moments | None) -> Summary:
    nulls = table.backend.null_count(table[column])
    quantiles = table.quantiles(column) if type_.is_number else None
    return Summary(str(type_), table.n_rows, nulls, moments, quantiles, None if moments else table.counts([column]))


def _shown_end(value: int | float | None, type_: Type) -> str | int | float | None:
    """Return an extreme as it is, that of dates and times as ISO 8601 text (of UTC, for those with a zone)."""
    if value is None or type_.is_number:
        return value
    unit = type_.arrow.unit if type_.is_timestamp else "D" if type_.arrow.bit_width == 32 else "ms"
    return str(np.array([value], np.int64).view(f"datetime64[{unit}]")[0]) + ("Z" if type_.zone else "")


def _shown(stats: ColumnStats) -> str:
    found = [f"{stats.rows:,} rows"]
    found += [f"{count:,} {what}" for count, what in ((stats.nulls, "nulls"), (stats.nans, "NaN")) if count]
    if stats.mean is not None and stats.std is not None:
        found.append(f"mean {stats.mean:.6g}, std {stats.std:.6g}")
    if stats.minimum is not None:
        found.append(f"{stats.minimum} to {stats.maximum}")
    if stats.distinct is not None:
        found.append(f"{stats.distinct:,} distinct")
    if stats.top:
        found.append("most: " + ", ".join(f"{value} ({n:,})" for value, n in stats.top.items()))
    return ", ".join(found)
