"""Rare keys: how many rows each has, known by the hash of its string and no longer by the string.

A key that too few rows have is in no vocabulary. It can get into one only by occurring in more rows, and these bring its string along: what
has to be kept until then is its count under a hash of 8 bytes. Of n rare strings and m new ones, some two share a hash with a
probability of n * m / 2**64 (25 million and a million: one in a million); such a new string is then counted as if it were both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class RareKeys:
    """The hashes of rare strings by their counts.

    Parameters
    ----------
    hashes : ndarray of uint64
        The hash64 of each string; those of one count stand together.
    ends : ndarray of int64
        Behind the last of those that no row has, one row, two rows, ...

    Examples
    --------
    >>> rare = RareKeys.of(np.array([9, 7, 8], np.uint64), np.array([2, 1, 2]))
    >>> rare.hashes.tolist(), rare.counts.tolist(), rare.find(np.array([8, 6], np.uint64)).tolist()
    ([7, 9, 8], [1, 2, 2], [2, 0])
    """

    hashes: Hashes
    ends: Ints

    @classmethod
    def of(cls, hashes: Hashes, counts: Ints) -> RareKeys:
        """Return keys with these hashes and counts."""
        small = counts.astype(np.min_scalar_type(int(counts.max(initial=0))))
        by_count = hashes[np.argsort(small, kind="stable")]  # for one or two bytes a radix sort
        return cls(by_count, np.cumsum(np.bincount(counts, minlength=1)).astype(np.int64))

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def counts(self) -> Ints:
        """How many rows each key has."""
        return np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0)).astype(np.int64)

    def find(self, hashes: Hashes) -> Ints:
        """Return how many rows each of some keys has, 0 for those that are not here."""
        return np.append(self.counts, 0)[self._places(hashes)]

    def without(self, hashes: Hashes) -> tuple[Hashes, Ints]:
        """Return the hashes and counts of all keys but some."""
        left = np.ones(len(self) + 1, bool)
        left[self._places(hashes)] = False
        return self.hashes[left[:-1]], self.counts[left[:-1]]

    def _places(self, hashes: Hashes) -> Ints:
        """Return where each hash stands, -1 for one that is not here."""
        found = pc.index_in(pa.array(hashes), value_set=pa.array(self.hashes)).fill_null(-1)
        return found.to_numpy(zero_copy_only=False).astype(np.int64)
