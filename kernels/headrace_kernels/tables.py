"""Growing tables that give each distinct string or integer an id, in first-seen order, and count it.

>>> table = StringTable()
>>> table.add(np.array([0, 1, 3]), np.frombuffer(b"abb", np.uint8), np.array([5, 7])).tolist()
[0, 1]
>>> table.add(np.array([0, 2, 3]), np.frombuffer(b"bbc", np.uint8)).tolist(), table.counts.tolist()
([1, 2], [5, 8, 1])

Open addressing with linear probing, at most 5 in 8 slots taken. A string of up to 8 bytes is its own key: its slot is a pair (key, id + 1) in
one cache line, and a look-up touches nothing else. The highest byte of a key is a length, 0 to 7, or the eighth byte of a string. Longer
strings, and those of 8 bytes that end in such a byte, have slots of their own, of one word: the upper half of their hash64, id + 1 in the
lower one. They are compared byte by byte with the bytes kept in one arena.

Adding takes a lock and releases the GIL, so many threads may share a table. Ids then depend on who comes first; order the keys by what
they are, not by their ids, where the result must not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Bitmap, Column, is_valid
from headrace_kernels.hashing import Bytes, Offsets
from headrace_kernels.interning import (
    BYTES,
    GIVEN,
    KEYS,
    LONG,
    NONE,
    ONE,
    SHORT,
    find_strings,
    intern_ints,
    intern_strings,
    move_long_slots,
    move_slots,
    room_of,
)

Ids = NDArray[np.int32]
LEFT_OUT = np.int32(-2)
"""The id of a string that a table had no room for."""

_FIRST_CAPACITY = 1 << 10
_MOST_KEYS = (1 << 31) - 1
_ONES = np.ones(1, np.int64)
_NO_BITS = np.zeros(1, np.uint8)
# From so many keys on, and so many rows looked up, a table tells what is to come by how many of those rows were new.
_FORESEEING_KEYS = 1 << 17
_FORESEEING_ROWS = 1 << 10


class _Size(NamedTuple):
    """What a table of strings has memory for."""

    n_short: int  # slots of strings that are their own keys
    n_long: int  # slots of the others
    n_bytes: int  # of all strings

    @property
    def n_keys(self) -> int:
        return room_of(self.n_short) + room_of(self.n_long)


class IntTable:
    """Ids and counts of distinct int64 values.

    Parameters
    ----------
    expected : int
        Number of distinct values to make room for at once.

    Examples
    --------
    >>> table = IntTable()
    >>> table.add(np.array([7, -7, 7])).tolist(), table.keys().tolist(), table.counts.tolist()
    ([0, 1, 0], [7, -7], [2, 1])
    """

    def __init__(self, expected: int = 0) -> None:
        capacity = _capacity_for(expected)
        self._slots = np.zeros(2 * capacity, np.uint64)
        self._keys = np.empty(room_of(capacity), np.int64)
        self._counts = np.zeros(room_of(capacity), np.int64)
        self._used = np.zeros(2, np.int64)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._used[KEYS])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Sum of the weights of each id."""
        return self._counts[: len(self)]

    @property
    def nbytes(self) -> int:
        return self._slots.nbytes + self._keys.nbytes + self._counts.nbytes

    def keys(self) -> NDArray[np.int64]:
        """Return the value of each id."""
        return self._keys[: len(self)]

    def add(self, values: NDArray[np.int64], counts: NDArray[np.int64] | None = None) -> Ids:
        """Return the id of each value, new ones given the next ids; add its weight (1 if none is given) to the id's count.

        Raises
        ------
        OverflowError
            More than 2**31 - 1 distinct values.
        """
        ids = np.empty(len(values), np.int32)
        weights, weighted = (_ONES, False) if counts is None else (counts, True)
        with self._lock:
            done = 0
            while True:
                done = intern_ints(values, weights, weighted, done, self._slots, self._keys, self._counts, self._used, ids)
                if done == len(values):
                    return ids
                self._slots = _moved(self._slots, 2 * len(self._slots), move_slots)
                room = room_of(len(self._slots) // 2)
                self._keys, self._counts = _resized(self._keys, room), _resized(self._counts, room, fill=True)


class StringTable:
    """Ids and counts of distinct strings of any length.

    Parameters
    ----------
    expected : int
        Number of distinct strings to make room for at once.

    `lock` is held while strings are added; who looks strings up while others may add some takes it too.
    """

    def __init__(self, expected: int = 0) -> None:
        self._capacity = _capacity_for(expected)  # of whichever slots there turn out to be more strings for than for the first few
        self._short, self._long = np.zeros(2 * _FIRST_CAPACITY, np.uint64), np.zeros(_FIRST_CAPACITY, np.uint64)
        self._offsets = np.zeros(2 * room_of(_FIRST_CAPACITY) + 1, np.int64)
        self._counts = np.zeros(0, np.int64)  # as long as the table is only asked for ids, it needs none
        self._arena = np.empty(8 * self._capacity, np.uint8)
        self._used = np.zeros(4, np.int64)
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._used[KEYS])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Sum of the weights of each id."""
        return self._counts[: len(self)] if len(self._counts) else np.zeros(len(self), np.int64)

    @property
    def nbytes(self) -> int:
        return self._short.nbytes + self._long.nbytes + self._offsets.nbytes + self._counts.nbytes + self._arena.nbytes

    def keys(self) -> tuple[NDArray[np.int64], Bytes]:
        """Return the strings in the order of their ids, as Arrow's offsets and data."""
        with self.lock:
            return self._offsets[: len(self) + 1], self._arena[: int(self._used[BYTES])]

    def add(self, offsets: Offsets, data: Bytes, counts: NDArray[np.int64] | None = None) -> Ids:
        """Return the id of each string, new ones given the next ids; add its weight (1 if none is given) to the id's count.

        Parameters
        ----------
        offsets : ndarray of int32 or int64
            One more than strings, already sliced to them; they need not start at 0.
        data : ndarray of uint8
            The bytes of all strings.
        counts : ndarray of int64, optional
            A weight for each string; more are ignored, so `count_codes`' counts with the nulls' at the end will do.

        Raises
        ------
        OverflowError
            More than 2**31 - 1 distinct strings.
        """
        return self._add(offsets, data, _ONES if counts is None else counts, ONE if counts is None else GIVEN)

    def intern(
        self,
        offsets: Offsets,
        data: Bytes,
        may_grow: Callable[[int], bool] | None = None,
        *,
        validity: Bitmap | None = None,
        offset: int = 0,
        to_come: int = 0,
    ) -> Ids:
        """Return the id of each string, new ones given the next ids, and count nothing: a fifth faster where the table is large.

        Parameters
        ----------
        may_grow : callable, optional
            Asked before the table takes so many bytes more. Once it says no, new strings are left out, with the id `LEFT_OUT`.
        validity : ndarray of uint8, optional
            Arrow's bitmap: a null has the id -1 and is not taken in. None if no string is null.
        offset : int
            The bit of `validity` that belongs to the first string.
        to_come : int
            How many strings will be looked up after these. Where most are new, a table takes room for them all at once: to double it
            step by step means to write twice as much, into memory that was never touched before.

        >>> table = StringTable()
        >>> words = np.arange(0, 3001, 3), np.frombuffer("".join(f"{i:03}" for i in range(1000)).encode(), np.uint8)
        >>> table.intern(*words, lambda nbytes: False)[[0, 639, 640]].tolist()
        [0, 639, -2]
        """
        nulls = (_NO_BITS, 0, False) if validity is None else (validity, offset, True)
        return self._add(offsets, data, _ONES, NONE, may_grow, nulls, to_come)

    def _add(
        self,
        offsets: Offsets,
        data: Bytes,
        weights: NDArray[np.int64],
        weight: int,
        may_grow: Callable[[int], bool] | None = None,
        nulls: tuple[Bitmap, int, bool] = (_NO_BITS, 0, False),
        to_come: int = 0,
    ) -> Ids:
        n_strings = max(len(offsets) - 1, 0)
        ids = np.empty(n_strings, np.int32)
        with self.lock:
            if weight != NONE and not len(self._counts):
                self._counts = np.zeros(len(self._offsets) - 1, np.int64)
            done, n_before = 0, len(self)
            while True:
                slots = self._short, self._long
                done = intern_strings(
                    offsets, data, weights, weight, *nulls, done, *slots, self._offsets, self._arena, self._counts, self._used, ids
                )
                if done == n_strings:
                    return ids
                n_bytes = int(offsets[done + 1]) - int(offsets[done])
                sizes = self._sizes(n_bytes, done, len(self) - n_before, n_strings - done + to_come)
                size = next((size for size in sizes if may_grow is None or may_grow(self._growth(size))), None)
                if size is None:
                    self._find_others(offsets, data, nulls, ids, done)
                    return ids
                self._grow(size)

    def _find_others(self, offsets: Offsets, data: Bytes, nulls: tuple[Bitmap, int, bool], ids: Ids, done: int) -> None:
        """Look up the rows from `done` on, and leave out what is not in the table."""
        left = ids[done:]
        find_strings(offsets[done:], data, self._short, self._long, self._offsets, self._arena, left)
        left[left < 0] = LEFT_OUT
        bits, offset, has_null = nulls
        if has_null:
            left[~is_valid(Column(left, bits, offset + done))] = -1

    def find(self, offsets: Offsets, data: Bytes) -> Ids:
        """Return the id of each string, -1 for one that was never added; the table stays as it is.

        >>> table = StringTable()
        >>> _ = table.add(np.array([0, 1, 3]), np.frombuffer(b"abb", np.uint8))
        >>> table.find(np.array([0, 2, 3]), np.frombuffer(b"bbc", np.uint8)).tolist()
        [1, -1]
        """
        ids = np.empty(max(len(offsets) - 1, 0), np.int32)
        find_strings(offsets, data, self._short, self._long, self._offsets, self._arena, ids)
        return ids

    def _sizes(self, n_bytes: int, n_rows: int, n_new: int, to_come: int) -> Iterator[_Size]:
        """Yield sizes with room for one more string of this length, the best first; the last is the least."""
        foreseen = self._foreseen(n_bytes, n_rows, n_new, to_come)
        if foreseen is not None:
            yield foreseen
        if to_come >= 4 * len(self) and 16 * n_new >= n_rows:  # early, and not at the end of what is new
            yield self._enlarged(n_bytes, 4)
        yield self._enlarged(n_bytes)

    def _enlarged(self, n_bytes: int, times: int = 2) -> _Size:
        """Return so many times of what is used up, with room for one more string of this length."""
        n_short, n_long, most = self._size()
        needed = int(self._used[BYTES]) + n_bytes
        return _Size(
            max(times * n_short, self._capacity) if int(self._used[SHORT]) == room_of(n_short) else n_short,
            max(times * n_long, self._capacity) if int(self._used[LONG]) == room_of(n_long) else n_long,
            max(times * most, needed) if needed > most else most,
        )

    def _foreseen(self, n_bytes: int, n_rows: int, n_new: int, to_come: int) -> _Size | None:
        """Return a size with room for what is new among the strings to come, if it goes on as in the last rows; None if most were known."""
        n_keys = len(self)
        if n_keys < _FORESEEING_KEYS or n_rows < _FORESEEING_ROWS or 2 * n_new < n_rows:
            return None
        expected = n_keys + to_come * n_new // n_rows
        least = self._enlarged(n_bytes)
        if expected <= least.n_keys:
            return None
        # Memory that is not used is never touched: so there are bytes for as many strings as there are slots for.
        n_short = max(_capacity_for(expected * int(self._used[SHORT]) // n_keys), least.n_short)
        n_long = max(_capacity_for(expected * int(self._used[LONG]) // n_keys), least.n_long)
        mean = int(self._used[BYTES]) / n_keys
        return _Size(n_short, n_long, max(int(mean * (room_of(n_short) + room_of(n_long))), least.n_bytes))

    def _size(self) -> _Size:
        return _Size(len(self._short) // 2, len(self._long), len(self._arena))

    def _growth(self, size: _Size) -> int:
        """Return how many bytes more the table has in another size."""
        old = self._size()
        a_key = self._offsets.itemsize + (self._counts.itemsize if len(self._counts) else 0)
        slots = (2 * (size.n_short - old.n_short) + size.n_long - old.n_long) * self._long.itemsize
        return slots + size.n_bytes - old.n_bytes + (size.n_keys - old.n_keys) * a_key

    def _grow(self, size: _Size) -> None:
        old = self._size()
        if size.n_bytes > old.n_bytes:
            self._arena = _resized(self._arena, size.n_bytes, int(self._used[BYTES]))
        if size.n_short > old.n_short:
            self._short = _moved(self._short, 2 * size.n_short, move_slots)
        if size.n_long > old.n_long:
            self._long = _moved(self._long, size.n_long, move_long_slots)
        if size.n_keys > old.n_keys:
            self._offsets = _resized(self._offsets, size.n_keys + 1, len(self) + 1)
            if len(self._counts):
                self._counts = _resized(self._counts, size.n_keys, fill=True)


def _capacity_for(expected: int) -> int:
    return max(_FIRST_CAPACITY, 1 << (8 * expected // 5).bit_length())


def _resized(array: NDArray[Any], length: int, used: int | None = None, *, fill: bool = False) -> NDArray[Any]:
    """Return a longer array that begins as another does, with all of it or what is used.

    What follows is 0 if asked for, else untouched: memory that is not needed yet is not taken.
    """
    used = len(array) if used is None else used
    larger = np.empty(length, array.dtype)
    larger[:used] = array[:used]
    if fill:
        larger[used:] = 0
    return larger


def _moved(slots: NDArray[np.uint64], n_words: int, move: Callable[[NDArray[np.uint64], NDArray[np.uint64]], None]) -> NDArray[np.uint64]:
    """Return larger slots with the same keys."""
    if len(slots) // 4 >= _MOST_KEYS:
        raise OverflowError("more than 2**31 - 1 distinct values")
    larger = np.zeros(n_words, np.uint64)
    move(slots, larger)
    return larger
