"""Vocabulary: the categories of a column in the order of their ids, as several operators learn them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.counts import Counts, Ints, collected
from headrace.keys import Keys
from headrace.schema import Type


@dataclass(frozen=True)
class Vocabulary:
    """The kept categories and how many training rows have each: by falling frequency, ties by value, after the null in row 0.

    `n_rare` says how many categories were seen and not kept.
    """

    keys: Keys
    counts: Ints
    n_rare: int

    @classmethod
    def learn(cls, part: Counts, min_frequency: int = 0, max_size: int | None = None) -> Vocabulary:
        """Keep the categories that at least `min_frequency` rows have, at most the `max_size` most frequent.

        Raises
        ------
        MemoryBudgetError
            If they are so many that they do not fit in the vocabularies' share of the memory.
        """
        null_count, n_seen = 0, part.n_forgotten

        def candidates() -> Iterator[Counts]:
            nonlocal null_count, n_seen
            for piece in part.pieces():
                null, rest = piece.keys.split_null()
                null_count += int(piece.counts[null]) if null >= 0 else 0
                n_seen += len(rest)
                yield piece.take(rest[piece.counts[rest] >= min_frequency])

        kept = collected(candidates(), part, max_size).most_frequent(max_size)
        return cls(kept.keys.with_null(), np.append(null_count, kept.counts).astype(np.int64), n_seen - len(kept.keys))

    def extended(self, part: Counts, min_frequency: int = 0, max_size: int | None = None) -> Vocabulary:
        """Keep the places given before; categories that are frequent now come after them."""
        fresh = self.learn(part, min_frequency, max_size)
        new = np.flatnonzero(self.keys.positions(fresh.keys) < 0)
        if max_size is not None:
            new = new[: max(max_size - len(self), 0)]
        keys = self.keys.appended(fresh.keys.take(new))
        return Vocabulary(keys, part.of(keys), fresh.n_rare + len(fresh) - len(keys) + 1)

    def values(self) -> list[Any]:
        """Return the categories of one column as Python's values; times of day and durations as Arrow writes them.

        Python has neither nanoseconds nor durations as long as Arrow's.
        """
        values = self.keys.table.column(0).slice(1)
        found: list[Any] = (values.cast("string") if Type.from_arrow(values.type).is_span else values).to_pylist()
        return found

    def __len__(self) -> int:
        return len(self.keys) - 1
