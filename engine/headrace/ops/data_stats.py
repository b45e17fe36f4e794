"""DataStats: learn what columns hold, and change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from headrace.ops.base import Columns, Declaration, FittedOp, Positive, check_columns, operator
from headrace.schema import Schema, Type
from headrace.states import Counts, Moments, Quantiles
from headrace.table import Table


@dataclass(frozen=True)
class Summary:
    """What some rows of one column hold: moments of numbers, dates and times, bins of numbers, counts of all else."""

    rows: int
    nulls: int
    moments: Moments | None
    quantiles: Quantiles | None
    counts: Counts | None

    def merged(self, other: Summary) -> Summary:
        """Return the summary of both sets of rows."""
        return Summary(
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
        check_columns(schema, self.columns, lambda type_: not type_.is_list, "a number, text, boolean, date or time")
        return Declaration((), schema, {}, observes=self.columns)

    def part_type(self) -> Any:
        return dict[str, Summary]

    def state_type(self) -> Any:
        return dict[str, ColumnStats]

    def observe(self, table: Table) -> dict[str, Summary]:
        return {column: _summary(table, column) for column in self.columns}
