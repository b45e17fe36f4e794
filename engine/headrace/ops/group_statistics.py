"""Statistics of a column by group, from mergeable counts and sums: exact, and the same for any order of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.counts import Counts, Ints
from headrace.decimals import nearest_floats
from headrace.keys import Keys, factorize
from headrace.schema import Type
from headrace.states import Floats, GroupSums
from headrace.table import one_array


@dataclass(frozen=True)
class GroupStatistic:
    """A statistic of each group, and of all rows together; None where there is no value to take it of."""

    keys: Keys
    values: tuple[Any, ...]
    overall: Any


def group_means(part: GroupSums) -> GroupStatistic:
    """Return the mean of each group's finite values; `part` has one fold."""
    means = tuple(_or_none(mean) for mean in part.means()[:, 0])
    return GroupStatistic(part.keys, means, _or_none(part.fold_means()[0]))


def group_medians(part: Counts, by: Sequence[str], column: str) -> GroupStatistic:
    """Return the median of each group's values from counts by (group, value); of an even number the middle of two, as float64."""
    keys, codes = _groups(part, by)
    array = one_array(part.keys.table.column(column))
    floats = nearest_floats(array) if Type.from_arrow(array.type).is_decimal else array.cast("float64", safe=False)
    values = floats.to_numpy(zero_copy_only=False)
    present = ~np.isnan(values)
    values, codes_present, counts = values[present], codes[present], part.counts[present]
    everything = _medians(values, np.zeros(len(values), np.int64), counts, 1)
    medians = _medians(values, codes_present, counts, len(keys))
    return GroupStatistic(keys, tuple(None if np.isnan(found) else float(found) for found in medians), _or_none(everything[0]))


def group_modes(part: Counts, by: Sequence[str], column: str) -> GroupStatistic:
    """Return the most frequent value of each group, the smallest of equals, from counts by (group, value)."""
    keys, codes = _groups(part, by)
    modes: list[Any] = [None] * len(keys)
    totals: dict[Any, int] = {}
    by_value = Keys(part.keys.table.select([column]))
    values = by_value.table.column(0).to_pylist()
    for row in by_value.order(np.arange(len(values)), part.counts).tolist():
        value = values[row]
        if value is None or value != value:
            continue
        totals[value] = totals.get(value, 0) + int(part.counts[row])
        if modes[codes[row]] is None:
            modes[codes[row]] = value
    return GroupStatistic(keys, tuple(modes), min(totals, key=lambda value: (-totals[value], value), default=None))


def _groups(part: Counts, by: Sequence[str]) -> tuple[Keys, Ints]:
    """Return the groups and the group of each row of `part`."""
    table = part.keys.table.select(list(by))
    codes, firsts = factorize([one_array(column) for column in table.columns])
    return Keys(table).take(firsts), codes


def _medians(values: Floats, codes: Ints, counts: Ints, n_groups: int) -> Floats:
    """Return the median of each group of counted values, NaN where it has none."""
    order = np.lexsort((values, codes))
    values, ends = values[order], np.cumsum(counts[order])
    rows = np.bincount(codes, counts, n_groups).astype(np.int64)
    starts = np.cumsum(rows) - rows
    middles: list[npt.NDArray[Any]] = []
    for rank in (starts + (rows - 1) // 2, starts + rows // 2):
        place = np.minimum(np.searchsorted(ends, rank, side="right"), max(len(values) - 1, 0))
        middles.append(values[place] if len(values) else np.full(n_groups, np.nan))
    with np.errstate(invalid="ignore"):
        # halves first: the sum of two large values may be beyond float64
        middle = np.where(middles[0] == middles[1], middles[0], middles[0] / 2 + middles[1] / 2)
    return np.where(rows > 0, middle, np.nan)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
