"""Vocabulary: the categories of a column in the order of their ids, as several operators learn them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headrace.keys import Keys
from headrace.states import Counts, Ints


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
        """Keep the categories that at least `min_frequency` rows have, at most the `max_size` most frequent."""
        null, rest = part.keys.split_null()
        kept = rest[part.counts[rest] >= min_frequency]
        order = kept[part.keys.order(kept, part.counts)][:max_size]
        null_count = int(part.counts[null]) if null >= 0 else 0
        return cls(part.keys.take(order).with_null(), np.append(null_count, part.counts[order]).astype(np.int64), len(rest) - len(order))

    def extended(self, part: Counts, min_frequency: int = 0, max_size: int | None = None) -> Vocabulary:
        """Keep the places given before; categories that are frequent now come after them."""
        fresh = self.learn(part, min_frequency, max_size)
        new = np.flatnonzero(self.keys.positions(fresh.keys) < 0)
        if max_size is not None:
            new = new[: max(max_size - len(self), 0)]
        keys = self.keys.appended(fresh.keys.take(new))
        # a position of -1 (the null of rows without one) takes the 0 at the end
        counts = np.append(part.counts, 0)[part.keys.positions(keys)]
        _, rest = part.keys.split_null()
        return Vocabulary(keys, counts.astype(np.int64), len(rest) - len(keys) + 1)

    def __len__(self) -> int:
        return len(self.keys) - 1
