"""The compiled half of `tables`: slots, keys and look-ups by open addressing; see there for how they are laid out."""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace_kernels.compiled import jit
from headrace_kernels.hashing import U64, hash_slice, load_word
from headrace_kernels.scalars import Number, inlined
from headrace_kernels.words import AHEAD_BYTES, prefetch, store_word

KEYS, BYTES, SHORT, LONG = range(4)
"""Places in a table's array of what is used: number of keys, bytes of the arena, slots of either kind."""

NONE, ONE, GIVEN = range(3)
"""What each string adds to its count: nothing, one, or the weight given."""

_GOLDEN = U64(0x9E3779B97F4A7C15)
_LOW_32 = U64((1 << 32) - 1)
_AHEAD = 64  # rows whose slots are fetched together: a large table's slots come from memory, 100 ns each one by one


@inlined
def room_of(capacity: int) -> int:
    """Return how many keys so many slots may hold."""
    return capacity * 5 // 8


@inlined
def _home(key: Number, mask: Number) -> Number:
    """The slot where a key is looked for first: the upper bits of Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4).

    Being the upper bits, they keep the order of the keys when a table grows: it is read and written from end to end.
    """
    return (((key * _GOLDEN) >> U64(32)) * (mask + U64(1))) >> U64(32)


@jit
def move_slots(slots: Any, larger: Any) -> None:
    """Put every key of a table into a larger, empty one."""
    mask = U64(len(larger) // 2 - 1)
    taken = np.empty(_AHEAD, np.int64)
    for block in range(0, len(slots), 2 * _AHEAD):
        n_taken = 0
        for s in range(block, min(block + 2 * _AHEAD, len(slots)), 2):  # which slots are taken cannot be foreseen: no branch
            taken[n_taken] = s
            n_taken += slots[s + 1] != 0
        for i in range(n_taken):
            s = taken[i]
            place = _home(slots[s], mask)
            while larger[2 * place + U64(1)] != 0:
                place = (place + U64(1)) & mask
            larger[2 * place] = slots[s]
            larger[2 * place + U64(1)] = slots[s + 1]


@jit
def move_long_slots(slots: Any, larger: Any) -> None:
    """Do the same with slots of one word, the upper half of a hash and an id."""
    n_slots = U64(len(larger))
    taken = np.empty(_AHEAD, np.uint64)
    for block in range(0, len(slots), _AHEAD):
        n_taken = 0
        for s in range(block, min(block + _AHEAD, len(slots))):
            taken[n_taken] = slots[s]
            n_taken += slots[s] != 0
        for i in range(n_taken):
            place = _long_home(taken[i], n_slots)
            while larger[place] != 0:
                place = (place + U64(1)) & (n_slots - U64(1))
            larger[place] = taken[i]


@jit
def intern_ints(values: Any, weights: Any, weighted: bool, first: int, slots: Any, keys: Any, counts: Any, used: Any, ids: Any) -> int:
    """Look values up from row `first` on; stop where there is no room for one more key. Returns the rows done."""
    mask = U64(len(slots) // 2 - 1)
    n_keys = used[KEYS]
    for block in range(first, len(values), _AHEAD):
        stop = min(block + _AHEAD, len(values))
        for i in range(block, stop):
            prefetch(slots, U64(2) * _home(U64(values[i]), mask))
        for i in range(block, stop):
            key = U64(values[i])
            place = _home(key, mask)
            while slots[2 * place + U64(1)] != 0 and slots[2 * place] != key:
                place = (place + U64(1)) & mask
            number = np.int64(slots[2 * place + U64(1)]) - 1
            if number < 0:
                if n_keys == len(keys):
                    used[KEYS] = n_keys
                    return i
                number = n_keys
                slots[2 * place] = key
                slots[2 * place + U64(1)] = U64(number + 1)
                keys[number] = values[i]
                n_keys += 1
            ids[i] = number
            counts[number] += weights[i] if weighted else 1
    used[KEYS] = n_keys
    return len(values)


@inlined
def _string_key(data: Any, start: int, n_bytes: int) -> tuple[Number, bool]:
    """The key of a string: itself if it fits, else its hash; and whether it is a hash."""
    if n_bytes <= 8:
        if start + 8 <= len(data):
            word = load_word(data, start)
            word = word & ((U64(1) << U64(8 * n_bytes)) - U64(1)) if n_bytes < 8 else word
        else:
            word = U64(0)
            for j in range(n_bytes):
                word |= U64(data[start + j]) << U64(8 * j)
        if n_bytes < 8:
            return word | (U64(n_bytes) << U64(56)), False
        if word >> U64(56) >= 8:
            return word, False
    return hash_slice(data, start, start + n_bytes, U64(0)), True


@inlined
def _same_bytes(left: Any, a: int, right: Any, b: int, n_bytes: int) -> bool:
    j = 0
    while j + 8 <= n_bytes:
        if load_word(left, a + j) != load_word(right, b + j):
            return False
        j += 8
    while j < n_bytes:
        if left[a + j] != right[b + j]:
            return False
        j += 1
    return True


@inlined
def _append(data: Any, start: int, n_bytes: int, arena: Any, kept: int) -> None:
    """Copy a string to the end of the arena, eight bytes at a time, and maybe some more, over which the next is written.

    To assign a slice is to ask whether the two overlap, which takes longer than most strings do.
    """
    j = 0
    while j < n_bytes and start + j + 8 <= len(data) and kept + j + 8 <= len(arena):
        store_word(arena, kept + j, load_word(data, start + j))
        j += 8
    while j < n_bytes:
        arena[kept + j] = data[start + j]
        j += 1


@inlined
def _long_home(key: Number, n_slots: Number) -> Number:
    """The slot where a string is looked for first by its hash, whose upper half is kept: so a table grows without hashing anything again.

    Its highest 8 bits count least: whoever deals strings into buckets by them asks a table for those of one bucket, which would pile up.
    """
    half = key >> U64(32)
    return ((((half << U64(8)) | (half >> U64(24))) & U64(0xFFFFFFFF)) * n_slots) >> U64(32)


@inlined
def _find_short(key: Number, slots: Any) -> tuple[Number, int]:
    """Return the slot of a string that is its own key and its id, or the free slot where it belongs and -1."""
    mask = U64(len(slots) // 2 - 1)
    place = _home(key, mask)
    while slots[2 * place + U64(1)] != 0 and slots[2 * place] != key:
        place = (place + U64(1)) & mask
    number: Any = np.int64(slots[2 * place + U64(1)]) - 1
    return place, number


@inlined
def _find_long(key: Number, data: Any, start: int, n_bytes: int, slots: Any, key_offsets: Any, arena: Any) -> tuple[Number, int]:
    """Return the same of a string that is found by its hash."""
    n_slots = U64(len(slots))
    place = _long_home(key, n_slots)
    number: Any = np.int64(slots[place] & _LOW_32) - 1
    while number >= 0:
        if slots[place] >> U64(32) == key >> U64(32):
            kept = key_offsets[number]
            if key_offsets[number + 1] - kept == n_bytes and _same_bytes(data, start, arena, kept, n_bytes):
                break
        place = (place + U64(1)) & (n_slots - U64(1))
        number = np.int64(slots[place] & _LOW_32) - 1
    return place, number


@jit
def find_strings(offsets: Any, data: Any, short: Any, long: Any, key_offsets: Any, arena: Any, ids: Any) -> None:
    """Write the id of each string, -1 for one that is not in the table."""
    for i in range(len(ids)):
        start = np.int64(offsets[i])
        n_bytes = np.int64(offsets[i + 1]) - start
        key, is_long = _string_key(data, start, n_bytes)
        _, ids[i] = _find_long(key, data, start, n_bytes, long, key_offsets, arena) if is_long else _find_short(key, short)


@jit
def intern_strings(
    offsets: Any,
    data: Any,
    weights: Any,
    weight: int,
    bits: Any,
    first_bit: int,
    has_null: bool,
    first: int,
    short: Any,
    long: Any,
    key_offsets: Any,
    arena: Any,
    counts: Any,
    used: Any,
    ids: Any,
) -> int:
    """Look strings up from row `first` on, -1 for a null; stop where there is no room for one more key. Returns the rows done."""
    n_keys, n_short, n_long = used[KEYS], used[SHORT], used[LONG]
    most_short, most_long = room_of(len(short) // 2), room_of(len(long))
    keys, are_long = np.empty(_AHEAD, np.uint64), np.empty(_AHEAD, np.bool_)
    for block in range(first, len(ids), _AHEAD):
        stop = min(block + _AHEAD, len(ids))
        for i in range(block, stop):
            start = np.int64(offsets[i])
            prefetch(data, start + AHEAD_BYTES)
            key, is_long = _string_key(data, start, np.int64(offsets[i + 1]) - start)
            keys[i - block], are_long[i - block] = key, is_long
            if is_long:
                prefetch(long, _long_home(key, U64(len(long))))
            else:
                prefetch(short, U64(2) * _home(key, U64(len(short) // 2 - 1)))
        for i in range(block, stop):
            if has_null and not (bits[(first_bit + i) >> 3] >> ((first_bit + i) & 7)) & 1:
                ids[i] = -1
                continue
            start, key, is_long = np.int64(offsets[i]), keys[i - block], are_long[i - block]
            n_bytes = np.int64(offsets[i + 1]) - start
            place, number = _find_long(key, data, start, n_bytes, long, key_offsets, arena) if is_long else _find_short(key, short)
            if number < 0:
                kept = key_offsets[n_keys]
                has_slot = n_long < most_long if is_long else n_short < most_short
                if not has_slot or n_keys == len(key_offsets) - 1 or kept + n_bytes > len(arena):
                    used[KEYS], used[BYTES], used[SHORT], used[LONG] = n_keys, kept, n_short, n_long
                    return i
                number = n_keys
                n_keys += 1
                if is_long:
                    long[place] = (key & ~_LOW_32) | U64(n_keys)
                    n_long += 1
                else:
                    short[2 * place] = key
                    short[2 * place + U64(1)] = U64(n_keys)
                    n_short += 1
                _append(data, start, n_bytes, arena, kept)
                key_offsets[n_keys] = kept + n_bytes
            ids[i] = number
            if weight != NONE:
                counts[number] += weights[i] if weight == GIVEN else 1
    used[KEYS], used[BYTES], used[SHORT], used[LONG] = n_keys, key_offsets[n_keys], n_short, n_long
    return len(ids)
