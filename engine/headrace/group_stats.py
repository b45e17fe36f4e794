"""Statistics of columns by key: count, exact sums, extremes; what joins them back or makes rows of them learns this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.keys import Keys, union_keys
from headrace.schema import FLOAT64, INT64, Type
from headrace.states import Floats, Ints

if TYPE_CHECKING:
    from headrace_kernels.group_sums import GroupSums

STATISTICS = ("count", "sum", "mean", "std", "min", "max")


def statistic_type(statistic: str, column: Type) -> Type:
    """Return the type of a statistic of a column: extremes have the column's own (decimals: float64), the others int64 or float64."""
    if statistic == "count":
        return INT64
    return column if statistic in ("min", "max") and not column.is_decimal else FLOAT64


@dataclass(frozen=True)
class ColumnStats:
    """Of each key: the number of finite values, exact sums of them and of their squares, and the extremes.

    `counts` is int64 [keys]; `limbs` and `square_limbs` are int64 [keys, limbs], the lowest in units of 2**`base` and
    2**`square_base` (`headrace_kernels.group_sums`); `lows` and `highs` are int64, uint64 or float64 [keys]; `kind` is
    the column's type.
    """

    counts: Ints
    limbs: Ints
    base: int
    square_limbs: Ints
    square_base: int
    lows: npt.NDArray[Any]
    highs: npt.NDArray[Any]
    kind: str

    def merged(self, other: ColumnStats) -> ColumnStats:
        """Return the statistics of both sets of rows; both have the same keys."""
        from headrace_kernels.group_sums import merge_group_limbs

        sums = merge_group_limbs(self._sums(), other._sums())
        squares = merge_group_limbs(self._squares(), other._squares())
        lows, highs = np.minimum(self.lows, other.lows), np.maximum(self.highs, other.highs)
        return ColumnStats(sums.counts, sums.limbs, int(sums.base), squares.limbs, int(squares.base), lows, highs, self.kind)

    def spread(self, codes: Ints, n_keys: int) -> ColumnStats:
        """Return the statistics with the keys at other places, and none of the keys between."""
        highest, lowest = _ends(self.lows.dtype)
        return ColumnStats(
            _spread(self.counts, codes, n_keys, 0),
            _spread(self.limbs, codes, n_keys, 0),
            self.base,
            _spread(self.square_limbs, codes, n_keys, 0),
            self.square_base,
            _spread(self.lows, codes, n_keys, highest),
            _spread(self.highs, codes, n_keys, lowest),
            self.kind,
        )

    def values(self, statistic: str) -> pa.Array:
        """Return a statistic of each key; null where there are too few values for it."""
        if statistic == "count":
            return pa.array(self.counts)
        if statistic in ("min", "max"):
            found = pa.array(self.lows if statistic == "min" else self.highs, mask=self.counts == 0)
            return found.cast(statistic_type(statistic, Type.of(self.kind)).arrow, safe=False)
        return pa.array(self._measure(statistic), mask=self.counts < (2 if statistic == "std" else 1))

    def _measure(self, statistic: str) -> Floats:
        from headrace_kernels.group_stats import group_deviations
        from headrace_kernels.group_sums import group_limbs_to_floats, group_limbs_to_means

        if statistic == "std":
            deviations: Floats = group_deviations(self._sums(), self._squares(), ddof=1)
            return deviations
        measured: Floats = (group_limbs_to_floats if statistic == "sum" else group_limbs_to_means)(self._sums())
        return measured

    def _sums(self) -> GroupSums:
        from headrace_kernels.group_sums import GroupSums

        return GroupSums(self.limbs, self.base, self.counts)

    def _squares(self) -> GroupSums:
        from headrace_kernels.group_sums import GroupSums

        return GroupSums(self.square_limbs, self.square_base, self.counts)


@dataclass(frozen=True)
class GroupStats:
    """Distinct keys and the statistics of some columns by key; the same bits for any order of rows and any cutting into parts."""

    keys: Keys
    columns: dict[str, ColumnStats]

    @classmethod
    def merged_all(cls, parts: Sequence[GroupStats]) -> GroupStats:
        """Return the statistics of many sets of rows at once: every key is hashed once, not once a merge."""
        keys, codes = union_keys([part.keys for part in parts])
        places = np.split(codes, np.cumsum([len(part.keys) for part in parts])[:-1])
        columns = {}
        for name in parts[0].columns:
            spread = (part.columns[name].spread(place, len(keys)) for part, place in zip(parts, places, strict=True))
            columns[name] = reduce(ColumnStats.merged, spread)
        return cls(keys, columns)

    def finished(self, wanted: Mapping[str, tuple[str, str]]) -> KeyedValues:
        """Return by output name the statistic (column, statistic) of each key, the keys in the order of their values."""
        order = self.keys.order(np.arange(len(self.keys)), np.zeros(len(self.keys), np.int64))
        values = pa.table({output: self.columns[column].values(statistic) for output, (column, statistic) in wanted.items()})
        return KeyedValues(self.keys.take(order), values.take(pa.array(order)).combine_chunks())


@dataclass(frozen=True)
class KeyedValues:
    """Keys, and by output name a column of one value a key."""

    keys: Keys
    values: pa.Table


def column_stats(found: Any, kind: Type) -> ColumnStats:
    """Return what `headrace_kernels.group_stats` found of a column of type `kind`, in the types in which it merges."""
    dtype = found.lows.dtype
    wide = np.dtype(np.float64 if dtype.kind == "f" else np.uint64 if dtype == np.uint64 else np.int64)
    sums, squares = found.sums, found.squares
    lows, highs = found.lows.astype(wide), found.highs.astype(wide)
    none = sums.counts == 0
    lows[none], highs[none] = _ends(wide)
    return ColumnStats(sums.counts, sums.limbs, int(sums.base), squares.limbs, int(squares.base), lows, highs, str(kind))


def _ends(kind: np.dtype[Any]) -> tuple[Any, Any]:
    """Return the greatest and the lowest value of a type: what takes no part in a minimum and a maximum."""
    if kind.kind == "f":
        return np.inf, -np.inf
    return np.iinfo(kind).max, np.iinfo(kind).min


def _spread(values: npt.NDArray[Any], codes: Ints, n_keys: int, rest: Any) -> npt.NDArray[Any]:
    spread = np.full((n_keys, *values.shape[1:]), rest, values.dtype)
    spread[codes] = values
    return spread
