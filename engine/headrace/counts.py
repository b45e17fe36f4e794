"""Counts: the distinct keys of some columns and how many rows have each, in memory or, beyond it, in runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.errors import MemoryBudgetError
from headrace.keys import Keys, union_keys
from headrace.pool import Numbers, Pool, PooledKeys, Room, numbers_of, summed_keys, thinned_keys
from headrace.rare import RareKeys
from headrace.runs import N_BUCKETS, Counted, Run, bucket_numbers, canonical, nameless_run, of_bucket, summed, write_run

Ints = npt.NDArray[np.int64]

_SAMPLE_ROWS = 1 << 12  # of a batch, to see whether its strings repeat
_MOST_PAIRS = 2  # so many numbers for each string of the pool, and they are added up
_HASHED_AT_ONCE = 1 << 18  # strings of a pool that are copied to find their buckets
_BESIDES = 64  # bytes of a key beside its value, which is in the state and in the table that finds it: a count and a place in that table


@dataclass(frozen=True)
class Counts:
    """Distinct keys and how many rows have each."""

    keys: Keys
    counts: Ints

    def merged(self, other: Counts) -> Counts:
        """Return the counts of both sets of rows; keys keep the order left, then right."""
        return Counts.merged_all([self, other])

    @classmethod
    def merged_all(cls, parts: Sequence[Counts]) -> Counts:
        """Return the counts of many sets of rows at once: every key is hashed once, not once a merge."""
        thinned = [part for part in parts if isinstance(part, ThinnedCounts)]
        if thinned:
            if len(thinned) > 1:
                raise TypeError("a key that each of two parts knows by its hash alone may be frequent in both together")
            known = Counts.merged_all([part.known if isinstance(part, ThinnedCounts) else part for part in parts])
            return ThinnedCounts(known, thinned[0].rare, are_apart=False)
        from headrace_kernels.counting import sum_by_code

        held = [part.held for part in parts if part.held.n_pairs] or [parts[0].held]
        runs = tuple(run for part in parts for run in part.runs)
        merged: Counts | None = NumberedCounts.joined(held)
        if merged is None:
            keys, codes = union_keys([part.keys for part in held])
            merged = Counts(keys, sum_by_code(codes, np.concatenate([part.counts for part in held]), len(keys)))
        return SpilledCounts(merged, runs) if runs else merged

    @property
    def held(self) -> Counts:
        """What of them is in memory."""
        return self

    @property
    def runs(self) -> tuple[Run, ...]:
        """What of them is in files; a key may be in several, and in memory too."""
        return ()

    @property
    def room(self) -> Room:
        """What those may take who hold many keys of those that are in files."""
        return Room()

    @property
    def n_pairs(self) -> int:
        """How many keys they have at most: those in memory and in each run."""
        return len(self.keys)

    @property
    def n_forgotten(self) -> int:
        """How many rare keys stand in no piece: only their hashes are known."""
        return 0

    def take(self, rows: Ints) -> Counts:
        """Return the keys at `rows`, in that order, and their counts."""
        return Counts(self.keys.take(rows), self.counts[rows])

    def most_frequent(self, most: int | None) -> Counts:
        """Return the keys of the most rows, ties by value, in that order: `most` of them, or all."""
        return self.take(self.keys.order(np.arange(len(self.keys)), self.counts)[:most])

    def renamed(self, names: Sequence[str]) -> Counts:
        """Return the counts with other names for the columns of the keys."""
        return Counts(self.keys.renamed(names), self.counts)

    def pieces(self) -> Iterator[Counts]:
        """Yield all keys in pieces that fit in memory; no key stands in two of them."""
        yield self

    def of(self, keys: Keys) -> Ints:
        """Return how many rows each of some keys has, 0 for those that are not here."""
        # a position of -1 takes the 0 at the end
        return np.append(self.counts, 0)[self.keys.positions(keys)].astype(np.int64)

    def settled(self, room: Room) -> Counts:
        """Return the same counts so that they outlive their run; `room` is what those who look at all keys may take for that."""
        return self

    def thinned(self, least: int) -> Counts:
        """Return counts that know a string that fewer than `least` rows have by its hash alone; the same counts for other keys."""
        if least <= 1 or len(self.keys.names) > 1 or not self.keys.are_strings:
            return self
        _, rows = self.keys.split_null()
        rare = rows[self.counts[rows] < least]
        is_kept = np.ones(len(self.keys), bool)
        is_kept[rare] = False
        return ThinnedCounts(self.take(np.flatnonzero(is_kept)), RareKeys.of(self.keys.hashes(rare), self.counts[rare]), are_apart=True)


class _MadeWhole(Counts, ABC):
    """Counts in a form of their own; for those who cannot do with that, keys and counts are made once, in memory."""

    @property
    def keys(self) -> Keys:
        return self._whole.keys

    @property
    def counts(self) -> Ints:
        return self._whole.counts

    @cached_property
    def _whole(self) -> Counts:
        return self._summed()

    @abstractmethod
    def _summed(self) -> Counts:
        """Return the same counts as plain ones."""


class NumberedCounts(_MadeWhole):
    """Counts of a column of strings by their numbers in a pool, as several arrays whose counts are added up when somebody looks at them.

    Of strings that hardly repeat, the numbers of the rows are the counts, and nothing is gained by adding them up before all are there.

    >>> pool = Pool()
    >>> first, second = (NumberedCounts.of_rows("city", pool, pool.number(pa.array(rows))) for rows in (["Rome", "Oslo"], ["Oslo"]))
    >>> both = first.merged(second)
    >>> both.keys.table.to_pydict(), both.counts.tolist()
    ({'city': ['Rome', 'Oslo']}, [1, 2])
    """

    def __init__(self, name: str, pool: Pool, parts: Sequence[tuple[Numbers, Ints | None]]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "pool", pool)
        object.__setattr__(self, "parts", tuple(parts))

    name: str
    pool: Pool
    parts: tuple[tuple[Numbers, Ints | None], ...]  # numbers, which may repeat, and the rows of each (None: one)

    @classmethod
    def of_rows(cls, name: str, pool: Pool, numbers: Numbers) -> NumberedCounts:
        """Return the counts of rows: their numbers as they are, where that is no more memory than the distinct ones and their counts."""
        rows = cls(name, pool, [(numbers, None)])
        # Few strings repeat; of many, a sample of the rows tells.
        sample = numbers[:: max(len(numbers) // _SAMPLE_ROWS, 1)]
        return rows if 2 * len(pool) >= len(numbers) and 10 * len(np.unique(sample)) >= 9 * len(sample) else rows._compact()

    @classmethod
    def joined(cls, parts: Sequence[Counts]) -> NumberedCounts | None:
        """Return counts merged, in order, by the numbers of the first pool among theirs, which takes in strings of others.

        None if they have no pool, or it has no room for all.
        """
        first = next((part for part in parts if isinstance(part, NumberedCounts) or isinstance(part.keys, PooledKeys)), None)
        if first is None:
            return None
        of = first if isinstance(first, NumberedCounts) else first.keys
        assert isinstance(of, NumberedCounts | PooledKeys)  # noqa: S101  (for mypy)
        found: list[tuple[Numbers, Ints | None]] = []
        for part in parts:
            if isinstance(part, NumberedCounts) and part.pool is of.pool:
                found += part.parts
                continue
            numbers = numbers_of(part.keys, of.pool)
            if numbers is None:
                return None
            found.append((numbers, part.counts))
        both = cls(of.name, of.pool, found)
        return both if both.n_pairs <= _MOST_PAIRS * len(both.pool) else both._compact()

    def __reduce__(self) -> tuple[object, ...]:
        return Counts, (self.keys, self.counts)

    @property
    def n_pairs(self) -> int:
        return sum(len(numbers) for numbers, _ in self.parts)

    def renamed(self, names: Sequence[str]) -> Counts:
        return NumberedCounts(names[0], self.pool, self.parts)

    def thinned(self, least: int) -> Counts:
        if least <= 1:
            return self
        keys, counts, rare = thinned_keys(self.name, self.pool, self.parts, least)
        return ThinnedCounts(Counts(keys, counts), rare, are_apart=True)

    def _summed(self) -> Counts:
        return Counts(*summed_keys(self.name, self.pool, self.parts))

    def _compact(self) -> NumberedCounts:
        keys, counts = summed_keys(self.name, self.pool, self.parts)
        return NumberedCounts(self.name, self.pool, [(keys.numbers, counts)])


class SpilledCounts(_MadeWhole):
    """Counts of a column of strings that did not all fit in memory: `held` is what did, and may hold the null, the rest is in `runs`.

    Parts of such a column go by bucket, and within a bucket by hash, once they are settled: with whom a string fitted in leaves no trace.
    """

    def __init__(self, held: Counts, runs: tuple[Run, ...], room: Room | None = None) -> None:
        object.__setattr__(self, "_held", held)
        object.__setattr__(self, "_runs", runs)
        object.__setattr__(self, "_room", room or Room())

    _held: Counts
    _runs: tuple[Run, ...]
    _room: Room

    def __reduce__(self) -> tuple[object, ...]:
        """Travel to another process of this machine as files: what it holds in memory would be held once more there."""
        keys = self.held.keys
        if not isinstance(keys, PooledKeys) or keys.pool.folder is None:
            return SpilledCounts, (self.held, self.runs)
        null, rest = keys.split_null()
        strings = self.held.take(rest)
        run = write_run(keys.pool.folder, _strings(strings.keys), strings.counts)
        return SpilledCounts, (_only(self.held, null), (*self.runs, run))

    @property
    def held(self) -> Counts:
        return self._held

    @property
    def runs(self) -> tuple[Run, ...]:
        return self._runs

    @property
    def room(self) -> Room:
        return self._room

    @property
    def n_pairs(self) -> int:
        return self.held.n_pairs + sum(run.n_rows for run in self.runs)

    def _summed(self) -> Counts:
        return collected(self.pieces(), self)

    def take(self, rows: Ints) -> Counts:
        return self._whole.take(rows)

    def renamed(self, names: Sequence[str]) -> Counts:
        return SpilledCounts(self.held.renamed(names), self.runs, self._room)

    def pieces(self) -> Iterator[Counts]:
        null, _ = self.held.keys.split_null()
        if null >= 0:
            yield _only(self.held, null)
        (name,) = self.held.keys.names
        for strings, counts in self._buckets():
            yield Counts(Keys(pa.table({name: strings})), counts)

    def of(self, keys: Keys) -> Ints:
        found = np.zeros(len(keys), np.int64)
        null, rows = keys.split_null()
        by_bucket = _by_bucket(keys, rows)
        for piece in self.pieces():
            null_here, rest = piece.keys.split_null()
            if null_here >= 0 and null >= 0:
                found[null] = piece.counts[null_here]
            if len(rest):
                among = by_bucket[int(bucket_numbers(_strings(piece.keys.take(rest[:1])))[0])]
                found[among] = piece.of(keys.take(among))
        return found

    def settled(self, room: Room) -> Counts:
        null, _ = self.held.keys.split_null()
        run = nameless_run(canonical(strings, counts) for strings, counts in self._buckets())
        return SpilledCounts(_only(self.held, null), (run,), room)

    def thinned(self, least: int) -> Counts:
        """Return the same counts: what is in files needs no memory, and the hashes of all rare keys would."""
        return self

    def _buckets(self) -> Iterator[Counted]:
        held = self.held.keys
        by_bucket = _by_bucket(held, held.split_null()[1])
        for index, rows in enumerate(by_bucket):
            runs = [of_bucket(run.bucket(index)) for run in self.runs]
            yield summed([(_strings(held.take(rows)), self.held.counts[rows]), *runs])


class ThinnedCounts(Counts):
    """Counts that know rare keys by their hashes alone.

    `known` are the others, and after a merge the keys of later rows, which brought their strings along: among these rare ones may be back,
    unless they `are_apart`.
    """

    def __init__(self, known: Counts, rare: RareKeys, *, are_apart: bool) -> None:
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "rare", rare)
        object.__setattr__(self, "are_apart", are_apart)

    known: Counts
    rare: RareKeys
    are_apart: bool

    @property
    def held(self) -> Counts:
        return self.known.held

    @property
    def runs(self) -> tuple[Run, ...]:
        return self.known.runs

    @property
    def room(self) -> Room:
        return self.known.room

    @property
    def n_pairs(self) -> int:
        return self.known.n_pairs

    @property
    def n_forgotten(self) -> int:
        if self.are_apart:
            return len(self.rare)
        return len(self.rare) - sum(int(np.count_nonzero(self._earlier(piece.keys))) for piece in self.known.pieces())

    @property
    def keys(self) -> Keys:
        return self.known.keys

    @property
    def counts(self) -> Ints:
        return self._whole(self.known).counts

    def renamed(self, names: Sequence[str]) -> Counts:
        return ThinnedCounts(self.known.renamed(names), self.rare, are_apart=self.are_apart)

    def pieces(self) -> Iterator[Counts]:
        return map(self._whole, self.known.pieces())

    def of(self, keys: Keys) -> Ints:
        return self.known.of(keys) + self._earlier(keys)

    def settled(self, room: Room) -> Counts:
        return ThinnedCounts(self.known.settled(room), self.rare, are_apart=self.are_apart)

    def thinned(self, least: int) -> Counts:
        if self.are_apart or self.runs:
            return self
        again = self._whole(self.known).thinned(least)
        assert isinstance(again, ThinnedCounts)  # noqa: S101  (keys of these columns were thinned before)
        hashes, counts = self.rare.without(self.keys.hashes(self.keys.split_null()[1]))
        rare = RareKeys.of(np.append(hashes, again.rare.hashes), np.append(counts, again.rare.counts))
        return ThinnedCounts(again.known, rare, are_apart=True)

    def _whole(self, piece: Counts) -> Counts:
        """Return keys with the rows too that they had while they were rare."""
        return piece if self.are_apart else Counts(piece.keys, piece.counts + self._earlier(piece.keys))

    def _earlier(self, keys: Keys) -> Ints:
        """Return how many rows each key had while it was rare."""
        found = np.zeros(len(keys), np.int64)
        _, rows = keys.split_null()
        found[rows] = self.rare.find(keys.hashes(rows))
        return found


def collected(pieces: Iterable[Counts], of: Counts, most: int | None = None) -> Counts:
    """Return what was chosen of the pieces of `of` as one, in memory: all keys, or those that are among the `most` frequent and maybe others.

    Raises
    ------
    MemoryBudgetError
        If they do not fit.
    """
    kept: list[Counts] = []
    n_keys, fits = 0, True
    for piece in pieces:
        n_keys += len(piece.keys)
        if fits:
            kept.append(piece)
        if most is not None and sum(len(one.keys) for one in kept) > 2 * most:
            kept = [_joined(kept).most_frequent(most)]
        if fits and not of.room.has(_needed(kept, of)):
            kept, fits = [], False  # and go on counting
    if not fits or not of.room.take(_needed(kept, of)):
        raise MemoryBudgetError(
            f"{n_keys if most is None else min(n_keys, most):,} categories do not fit in the vocabularies' share of the memory",
            key="run.memory",
            column=", ".join(of.held.keys.names),
            hint="set min_frequency or max_size where the column is learnt, use hash_bucket for it, or give run.memory more",
        )
    return _joined(kept)


def _joined(pieces: Sequence[Counts]) -> Counts:
    if len(pieces) == 1:
        return pieces[0]
    table = pa.concat_tables([piece.keys.table for piece in pieces]).combine_chunks()
    return Counts(Keys(table), np.concatenate([piece.counts for piece in pieces]))


def _needed(pieces: Sequence[Counts], of: Counts) -> int:
    """Return the bytes that keys take where they are learnt, nothing for keys that are in memory anyhow."""
    if not of.runs:
        return 0
    return sum(2 * piece.keys.table.nbytes + _BESIDES * len(piece.keys) for piece in pieces)


def _by_bucket(keys: Keys, rows: Ints) -> list[Ints]:
    """Return those of some rows that are in each bucket."""
    buckets = np.empty(len(rows), np.uint8)
    for start in range(0, len(rows), _HASHED_AT_ONCE):
        some = slice(start, start + _HASHED_AT_ONCE)
        buckets[some] = bucket_numbers(_strings(keys.take(rows[some])))
    order = np.argsort(buckets, kind="stable")
    return np.split(rows[order], np.cumsum(np.bincount(buckets, minlength=N_BUCKETS))[:-1])


def _strings(keys: Keys) -> pa.Array:
    return keys.table.column(0).cast(pa.large_string()).combine_chunks()


def _only(counts: Counts, row: int) -> Counts:
    """Return one key, or for -1 none, as a table of its own."""
    rows = np.arange(row, row + 1) if row >= 0 else np.zeros(0, np.int64)
    return Counts(Keys(counts.keys.take(rows).table), counts.counts[rows])
