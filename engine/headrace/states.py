"""What fitting learns: parts (mergeable summaries) and states, as plain values of numbers and Arrow.

A part or a state is a frozen dataclass whose fields are numbers, strings, NumPy arrays, Arrow arrays or tables, keys,
tuples and dictionaries of these, or further dataclasses; so `headrace.packing` can write and read them all.
"""

from __future__ import annotations

import dataclasses
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.counts import Counts
from headrace.keys import Keys, merge_keys
from headrace.pool import Room

S = TypeVar("S")
K = TypeVar("K")
T = TypeVar("T")
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Scalar = bool | int | float | str


@dataclass(frozen=True)
class Moments:
    """Count, extremes and exact sums of a column; the same bits for any order of rows and any cutting into parts.

    `total` and `squares` are the limbs of exact sums (`headrace_kernels.exact`), so mean and variance are rounded once,
    at the end: 1e5 values of N(1.7e9, 1) have the standard deviation 1. Nulls, NaN and infinities are counted apart
    and take no part in the sums.
    """

    count: int
    nulls: int
    nans: int
    infinities: int
    minimum: int | float | None
    maximum: int | float | None
    total: Ints
    squares: Ints

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows."""
        return Moments.merged_all([self, other])

    @classmethod
    def merged_all(cls, parts: Sequence[Moments]) -> Moments:
        """Return the moments of many sets of rows at once."""
        return cls.merged_each([parts])[0]

    @classmethod
    def merged_each(cls, columns: Sequence[Sequence[Moments]]) -> list[Moments]:
        """Return the moments of each of many columns at once, which have as many sets of rows."""
        from headrace_kernels.limbs import sum_limbs_of

        totals = sum_limbs_of([[part.total for part in parts] for parts in columns])
        squares = sum_limbs_of([[part.squares for part in parts] for parts in columns])
        merged = []
        for parts, total, square in zip(columns, totals, squares, strict=True):
            each = zip(*((one.count, one.nulls, one.nans, one.infinities) for one in parts), strict=True)
            count, nulls, nans, infinities = map(sum, each)
            least = min((one.minimum for one in parts if one.minimum is not None), default=None)
            largest = max((one.maximum for one in parts if one.maximum is not None), default=None)
            merged.append(cls(count, nulls, nans, infinities, least, largest, total, square))
        return merged

    def mean_and_std(self, ddof: int = 0) -> tuple[float, float]:
        """Return the mean and the standard deviation, NaN where there are too few values."""
        from headrace_kernels.limbs import mean_and_std

        return mean_and_std(self.count, self.total, self.squares, ddof)


# Values up to this many distinct ones are counted exactly; beyond it neighbours share a bin.
MAX_BINS = 1 << 16
# Here a sign is all that is left of a float64.
_LEAST_PRECISION = -11


@dataclass(frozen=True)
class Quantiles:
    """Counts of a column's distinct values, bins of neighbours once there are more than `MAX_BINS`.

    A bin is the float64's sign, exponent and leading `precision` bits of its mantissa, so a quantile is exact while
    precision is 52 and has a relative error of at most 2**-(precision + 1) below it; 0 stays 0. Precision falls bit by bit, for all values at
    once, until the bins fit; the end therefore depends neither on the order of rows nor of merges.

    Source: bins as in DDSketch (Masson, Rim, Lee: PVLDB 12, 2019), collapsed uniformly as in UDDSketch (Epicoco, Melle,
    Cafaro, Pulimeno, Morleo: IEEE Access 8, 2020).
    """

    precision: int
    bins: Ints
    counts: Ints

    @classmethod
    def of(cls, values: Floats) -> Quantiles:
        """Return the summary of finite or infinite values; NaN is left out."""
        from headrace_kernels.sorting import sorted_ints

        bins = sorted_ints(_ordered_bits(values[~np.isnan(values)] + 0.0))
        starts = _starts(bins)
        return cls(52, bins[starts], np.diff(starts, append=len(bins))).within(MAX_BINS)

    def merged(self, other: Quantiles) -> Quantiles:
        """Return the summary of both sets of rows."""
        return Quantiles.merged_all([self, other])

    @classmethod
    def merged_all(cls, parts: Sequence[Quantiles]) -> Quantiles:
        """Return the summary of many sets of rows at once."""
        precision = min(part.precision for part in parts)
        parts = [part._coarsened(precision) for part in parts]
        bins, counts = (np.concatenate(arrays) for arrays in zip(*((part.bins, part.counts) for part in parts), strict=True))
        if (counts == 1).all():  # no value repeats in a part, as most measurements do not
            return _summed(precision, np.sort(bins, kind="stable"), counts).within(MAX_BINS)  # sorted runs: merges
        order = np.argsort(bins, kind="stable")
        return _summed(precision, bins[order], counts[order]).within(MAX_BINS)

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    def quantile(self, q: float, *, lower: bool = False) -> float:
        """Return the q-quantile (0 to 1) by linear interpolation between the two nearest ranks, or the lower of them; NaN if empty."""
        if not len(self.bins):
            return math.nan
        position = q * (self.count - 1)
        below = math.floor(position)
        ends = np.cumsum(self.counts)
        first = self._value(int(np.searchsorted(ends, below, side="right")))
        if lower or position == below:
            return first
        second = self._value(int(np.searchsorted(ends, below + 1, side="right")))
        return first + (second - first) * (position - below) if math.isfinite(second - first) else first

    def values(self) -> Floats:
        """Return the value of each bin, ascending: the value itself while exact, else the middle of the bin; 0 of the bin that 0 lies in."""
        values = _from_ordered_bits(self.bins + (0 if self.precision == 52 else 1 << (51 - self.precision)))
        if self.precision >= 0:  # else it holds more than 0 and what is too small to be normal
            values = np.where(self.bins == 0, 0.0, values)
        return np.where(np.isnan(values), np.copysign(np.inf, self.bins), values)  # the middle of an infinity's bin is NaN

    def _value(self, index: int) -> float:
        return float(self.values()[index : index + 1][0]) if self.precision == 52 else float(self.values()[index])

    def _coarsened(self, precision: int) -> Quantiles:
        if precision == self.precision:
            return self
        return _summed(precision, self.bins & _mask(precision), self.counts)

    def within(self, most: int) -> Quantiles:
        """Return the summary with as much precision as `most` bins allow."""
        if len(self.bins) <= most:
            return self
        finer = range(_LEAST_PRECISION, self.precision)
        first_too_fine = bisect_right(finer, most, key=lambda precision: _n_distinct(self.bins & _mask(precision)))
        return self._coarsened(finer[max(first_too_fine - 1, 0)])


def _mask(precision: int) -> np.int64:
    return np.int64(-1) << np.int64(52 - precision)


def _n_distinct(ascending: Ints) -> int:
    return int(np.count_nonzero(ascending[1:] != ascending[:-1])) + min(len(ascending), 1)


def _summed(precision: int, bins: Ints, counts: Ints) -> Quantiles:
    """Return the summary of bins in ascending order, in which the same bin may stand several times."""
    if not len(bins):
        return Quantiles(precision, bins, counts)
    starts = _starts(bins)
    return Quantiles(precision, bins[starts], np.add.reduceat(counts, starts))


def _starts(ascending: Ints) -> Ints:
    """Return the place of each distinct number."""
    return np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]])[: len(ascending)])


def _ordered_bits(values: Floats) -> Ints:
    """Map float64 to int64 so that integers order as the floats do."""
    bits = np.ascontiguousarray(values, np.float64).view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits - 1, bits)


def _from_ordered_bits(ordered: Ints) -> Floats:
    bits = np.where(ordered < 0, np.int64(-(2**63)) - ordered - 1, ordered)
    return np.ascontiguousarray(bits).view(np.float64)


@dataclass(frozen=True)
class GroupSums:
    """Counts and exact sums of a column's finite values by key and fold.

    `counts` is int64 [keys * folds], key by key; `limbs` is int64 [keys * folds, limbs], the exact sums of
    `headrace_kernels.group_sums`, the lowest limb in units of 2**base.
    """

    keys: Keys
    folds: int
    counts: Ints
    limbs: Ints
    base: int

    def merged(self, other: GroupSums) -> GroupSums:
        """Return the sums of both sets of rows; keys keep the order left, then right."""
        from headrace_kernels.group_sums import merge_group_limbs

        keys, left, right = merge_keys(self.keys, other.keys)
        sums = merge_group_limbs(self._spread(left, len(keys)), other._spread(right, len(keys)))
        return GroupSums(keys, self.folds, sums.counts, sums.limbs, sums.base)

    def sums(self) -> Floats:
        """Return the sum of each key and fold, float64 [keys, folds], each rounded once."""
        from headrace_kernels import group_sums

        sums = group_sums.GroupSums(self.limbs, self.base, self.counts)
        return group_sums.group_limbs_to_floats(sums).reshape(-1, self.folds)

    def means(self) -> Floats:
        """Return the mean of each key and fold, float64 [keys, folds], NaN where there is no value."""
        from headrace_kernels import group_sums

        return group_sums.group_limbs_to_means(group_sums.GroupSums(self.limbs, self.base, self.counts)).reshape(-1, self.folds)

    def fold_totals(self) -> Floats:
        """Return the sum of each fold over all keys, float64 [folds], each rounded once."""
        return self._quotients(np.ones(self.folds, np.int64))

    def fold_means(self) -> Floats:
        """Return the mean of each fold over all keys, float64 [folds], each rounded once; NaN where there is no value."""
        return self._quotients(self.counts.reshape(-1, self.folds).sum(axis=0))

    def _quotients(self, divisors: Ints) -> Floats:
        from headrace_kernels.limbs import nearest_float

        columns = self.limbs.reshape(len(self.keys), self.folds, self.limbs.shape[1]).sum(axis=0).tolist()
        totals = [sum(limb << (32 * place) for place, limb in enumerate(limbs)) << max(self.base, 0) for limbs in columns]
        unit = 1 << max(-self.base, 0)
        return np.array([nearest_float(total, n * unit) if n else np.nan for total, n in zip(totals, divisors.tolist(), strict=True)])

    def _spread(self, codes: Ints, n_keys: int) -> Any:
        """Return the sums with room for the keys of another part."""
        from headrace_kernels import group_sums

        limbs = np.zeros((n_keys, self.folds, self.limbs.shape[1]), np.int64)
        limbs[codes] = self.limbs.reshape(-1, self.folds, self.limbs.shape[1])
        counts = np.zeros((n_keys, self.folds), np.int64)
        counts[codes] = self.counts.reshape(-1, self.folds)
        return group_sums.GroupSums(limbs.reshape(n_keys * self.folds, self.limbs.shape[1]), self.base, counts.reshape(-1))


def merge(*parts: Any) -> Any:
    """Merge parts of the same op, in order: each summary knows how; dictionaries and tuples merge item by item."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Mapping):
        keys = list(first)
        if keys and all(isinstance(item, Moments) for item in first.values()):
            return dict(zip(keys, Moments.merged_each([[part[key] for part in parts] for key in keys]), strict=True))
        merged = each_in_threads(lambda key: merge(*(part[key] for part in parts)), keys, _n_keys(parts))
        return dict(zip(keys, merged, strict=True))
    if isinstance(first, tuple):
        return tuple(merge(*items) for items in zip(*parts, strict=True))
    if isinstance(first, Moments | Quantiles | Counts):
        return type(first).merged_all(parts)
    return reduce(lambda left, right: left.merged(right), parts)


def nbytes_of(part: Any) -> int:
    """Return the bytes of a part's arrays and tables, without those of counts that numbers of a pool, or files, stand for."""
    if isinstance(part, np.ndarray | pa.Array | pa.Table):
        return int(part.nbytes)
    if isinstance(part, Keys):
        return part.nbytes
    if isinstance(part, Counts) and type(part) is not Counts:
        return 0
    if isinstance(part, Mapping):
        return sum(map(nbytes_of, part.values()))
    if isinstance(part, tuple):
        return sum(map(nbytes_of, part))
    if dataclasses.is_dataclass(part):
        return sum(nbytes_of(getattr(part, field.name)) for field in dataclasses.fields(part))
    return 0


def settle(part: Any, room: Room) -> Any:
    """Return a part that is complete so that it outlives its run: what of it lies in the run's files goes to one of its own."""
    if isinstance(part, Counts):
        return part.settled(room)
    if isinstance(part, Mapping):
        return {key: settle(item, room) for key, item in part.items()}
    if isinstance(part, tuple):
        return tuple(settle(item, room) for item in part)
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        counts = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
        return dataclasses.replace(part, **{name: value.settled(room) for name, value in counts.items() if isinstance(value, Counts)})
    return part


# Below this many keys a thread's start costs more than it saves.
_WORTH_THREADS = 1 << 17


def _n_keys(parts: Sequence[Mapping[Any, Any]]) -> int:
    return sum(part.n_pairs for mapping in parts for part in mapping.values() if isinstance(part, Counts))


def each_in_threads(function: Callable[[K], T], items: Sequence[K], n_keys: int) -> list[T]:
    """Return `function(item)` of each item, in order; in threads if there are many keys: their kernels release the GIL."""
    from headrace_kernels.threads import over_items

    return over_items(function, items, threads=1 if n_keys < _WORTH_THREADS else os.cpu_count() or 1)
