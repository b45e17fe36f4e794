"""What a column holds: nulls, extremes, mean, distinct values, a histogram; mergeable, for reports and `headrace profile`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.counts import Counts
from headrace.errors import MemoryBudgetError
from headrace.histogram import histogram
from headrace.schema import Type
from headrace.states import Moments, Quantiles
from headrace.table import Table

HISTOGRAM_BINS = 20
TOP_VALUES = 8
# More than a histogram needs, and enough to count the distinct values of most columns that have few.
MOST_BINS = 1 << 13
# A run's report shows no more columns, and value bins are what takes time.
MOST_DETAILED = 200


@dataclass(frozen=True, eq=False)
class ColumnProfile:
    """One column's summary: moments and value bins of numbers, extremes of times (as integers), counts of distinct values of all else."""

    type: str
    rows: int
    nulls: int
    moments: Moments | None = None
    quantiles: Quantiles | None = None
    counts: Counts | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None

    @classmethod
    def merged_all(cls, parts: Sequence[ColumnProfile], moments: Moments | None) -> ColumnProfile:
        """Return the profile of many sets of rows at once: values are sorted and keys hashed once each, not once a merge.

        `moments` are all parts', merged, if they have any.
        """
        quantiles = [part.quantiles for part in parts if part.quantiles]
        counts = [part.counts for part in parts if part.counts]
        return cls(
            parts[0].type,
            sum(part.rows for part in parts),
            sum(part.nulls for part in parts),
            moments,
            Quantiles.merged_all(quantiles).within(MOST_BINS) if quantiles else None,
            Counts.merged_all(counts) if len(counts) == len(parts) else None,
            min((part.minimum for part in parts if part.minimum is not None), default=None),
            max((part.maximum for part in parts if part.maximum is not None), default=None),
        )

    def describe(self, name: str) -> dict[str, Any]:
        """Return the profile as JSON values."""
        record: dict[str, Any] = {"column": name, "type": self.type, "rows": self.rows, "nulls": self.nulls, "nans": 0}
        record.update({"distinct": None, "min": None, "max": None, "mean": None, "std": None, "histogram": None, "top": None})
        if self.moments is not None:
            record.update(self._numbers(self.moments, self.quantiles))
        if self.counts is not None:
            record.update(self._categories(self.counts))
        if self.minimum is not None:
            record.update({"min": _instant(self.minimum, self.type), "max": _instant(self.maximum, self.type)})
        return record

    def _numbers(self, moments: Moments, quantiles: Quantiles | None) -> dict[str, Any]:
        mean, std = moments.mean_and_std()
        found: dict[str, Any] = {"nans": moments.nans, "mean": _finite(mean), "std": _finite(std)}
        if moments.count:
            found.update({"min": moments.minimum, "max": moments.maximum})
        if quantiles is not None:
            found["distinct"] = len(quantiles.bins) if quantiles.precision == 52 else None
            found["histogram"] = _histogram(quantiles, moments) if moments.count else None
        return found

    def _categories(self, counts: Counts) -> dict[str, Any]:
        distinct = 0
        top: list[tuple[int, str]] = []
        for piece in counts.pieces():
            _, rest = piece.keys.split_null()
            distinct += len(rest)
            most = np.partition(piece.counts[rest], -TOP_VALUES)[-TOP_VALUES] if len(rest) > TOP_VALUES else 0
            found = piece.take(rest[piece.counts[rest] >= most]).most_frequent(TOP_VALUES)
            values = found.keys.table.column(0).to_pylist()
            top += [(-int(n), str(value)) for value, n in zip(values, found.counts, strict=True)]
        return {"distinct": distinct, "top": [[value, -n] for n, value in sorted(top)[:TOP_VALUES]]}


Profile = dict[str, ColumnProfile]


def profile_table(table: Table, most_detailed: int | None = None) -> Profile:
    """Return the profile of every column of a table; numbers after the first `most_detailed` columns have no value bins."""
    types = table.schema.columns
    moments = table.moments([name for name, type_ in types.items() if type_.is_number or type_.is_temporal])
    return {
        name: _profile(table, name, type_, moments.get(name), most_detailed is None or place < most_detailed)
        for place, (name, type_) in enumerate(types.items())
    }


def merge_profiles(profiles: Sequence[Mapping[str, ColumnProfile]]) -> Profile:
    """Return the profile of all sets of rows together, by column."""
    filled = [profile for profile in profiles if profile]  # some partitions have no row to profile
    if len(filled) < 2:
        return dict(filled[0]) if filled else {}
    columns = {name: [profile[name] for profile in filled] for name in filled[0]}
    with_moments = {name: [part.moments for part in parts if part.moments] for name, parts in columns.items() if parts[0].moments}
    moments = dict(zip(with_moments, Moments.merged_each(list(with_moments.values())), strict=True)) if with_moments else {}
    return {name: ColumnProfile.merged_all(parts, moments.get(name)) for name, parts in columns.items()}


def _profile(table: Table, name: str, type_: Type, moments: Moments | None, detailed: bool) -> ColumnProfile:
    nulls = table.backend.null_count(table[name])
    if type_.is_number:
        quantiles = table.quantiles(name).within(MOST_BINS) if detailed else None
        return ColumnProfile(str(type_), table.n_rows, nulls, moments, quantiles)
    if moments is not None:
        return ColumnProfile(str(type_), table.n_rows, nulls, minimum=moments.minimum, maximum=moments.maximum)
    counts = None
    if type_.is_string or type_.is_boolean:
        with suppress(MemoryBudgetError):  # a run goes on without what its report would say of so many strings
            counts = table.counts([name])
    return ColumnProfile(str(type_), table.n_rows, nulls, counts=counts)


def _instant(ticks: int | float | None, type_: str) -> str | None:
    """Return the text of the date or time that a column holds as a whole number."""
    if ticks is None:
        return None
    arrow = Type.of(type_).arrow
    is_days = pa.types.is_date32(arrow)
    try:
        return str(pa.scalar(int(ticks), pa.int32() if is_days else pa.int64()).cast(arrow).as_py())
    except (OverflowError, ValueError):  # Python's years end with 9999
        unit = arrow.unit if pa.types.is_timestamp(arrow) else "D" if is_days else "ms"
        return str(np.array([int(ticks)]).view(f"M8[{unit}]")[0]).replace("T", " ")


def _histogram(quantiles: Quantiles, moments: Moments) -> dict[str, Any]:
    """Return equal-width bins between the extremes; what lies far out widens the bins, as in the data."""
    values = quantiles.values()
    finite = np.isfinite(values)
    low, high = float(moments.minimum or 0), float(moments.maximum or 0)
    counts, edges = histogram(np.clip(values[finite], low, high), HISTOGRAM_BINS, low, high, quantiles.counts[finite])
    return {"edges": edges.tolist(), "counts": counts.astype(int).tolist()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
