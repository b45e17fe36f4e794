"""Growing tables that give each distinct string or integer an id, in first-seen order, and count it.

>>> table = StringTable()
>>> table.add(np.array([0, 1, 3]), np.frombuffer(b"abb", np.uint8), np.array([5, 7])).tolist()
[0, 1]
>>> table.add(np.array([0, 2, 3]), np.frombuffer(b"bbc", np.uint8)).tolist(), table.counts.tolist()
([1, 2], [5, 8, 1])

Open addressing with linear probing, at most half full. A slot is a pair (key, id + 1) in one cache line. A string of up to 8 bytes is its
own key, so that a look-up touches nothing else; a longer one has 56 bits of its hash64 as key and is compared byte by byte with the
bytes kept in one arena. The highest byte of a key says which: 0 to 7 is a length, 255 a hash, any other the eighth byte of a string.

Adding takes a lock and releases the GIL, so many threads may share a table. Ids then depend on who comes first; order the keys by what
they are, not by their ids, where the result must not.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.elementary import Number, inlined
from headrace_kernels.hashing import U64, Bytes, Offsets, hash_slice, load_word

Ids = NDArray[np.int32]
_FIRST_CAPACITY = 1 << 10
_MOST_KEYS = (1 << 31) - 1
_GOLDEN = U64(0x9E3779B97F4A7C15)
_LOW_56 = U64((1 << 56) - 1)
_HASHED = U64(0xFF << 56)
_KEYS, _BYTES = range(2)
_ONES = np.ones(1, np.int64)
_AHEAD = 64  # rows whose slots are fetched together: a large table's slots come from memory, 100 ns each one by one
_BYTE_POINTER = ir.IntType(8).as_pointer()


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
        self._keys = np.empty(capacity // 2, np.int64)
        self._counts = np.zeros(capacity // 2, np.int64)
        self._used = np.zeros(2, np.int64)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._used[_KEYS])

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
                done = _intern_ints(values, weights, weighted, done, self._slots, self._keys, self._counts, self._used, ids)
                if done == len(values):
                    return ids
                self._slots = _doubled(self._slots)
                self._keys, self._counts = _resized(self._keys), _resized(self._counts)


class StringTable:
    """Ids and counts of distinct strings of any length.

    Parameters
    ----------
    expected : int
        Number of distinct strings to make room for at once.
    """

    def __init__(self, expected: int = 0) -> None:
        capacity = _capacity_for(expected)
        self._slots = np.zeros(2 * capacity, np.uint64)
        self._offsets = np.zeros(capacity // 2 + 1, np.int64)
        self._counts = np.zeros(capacity // 2, np.int64)
        self._arena = np.empty(8 * capacity, np.uint8)
        self._used = np.zeros(2, np.int64)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._used[_KEYS])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Sum of the weights of each id."""
        return self._counts[: len(self)]

    @property
    def nbytes(self) -> int:
        return self._slots.nbytes + self._offsets.nbytes + self._counts.nbytes + self._arena.nbytes

    def keys(self) -> tuple[NDArray[np.int64], Bytes]:
        """Return the strings in the order of their ids, as Arrow's offsets and data."""
        return self._offsets[: len(self) + 1], self._arena[: int(self._used[_BYTES])]

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
        n_strings = max(len(offsets) - 1, 0)
        ids = np.empty(n_strings, np.int32)
        weights, weighted = (_ONES, False) if counts is None else (counts, True)
        with self._lock:
            done = 0
            while True:
                done = _intern_strings(
                    offsets, data, weights, weighted, done, self._slots, self._offsets, self._arena, self._counts, self._used, ids
                )
                if done == n_strings:
                    return ids
                self._grow(int(offsets[done + 1]) - int(offsets[done]))

    def find(self, offsets: Offsets, data: Bytes) -> Ids:
        """Return the id of each string, -1 for one that was never added; the table stays as it is.

        >>> table = StringTable()
        >>> _ = table.add(np.array([0, 1, 3]), np.frombuffer(b"abb", np.uint8))
        >>> table.find(np.array([0, 2, 3]), np.frombuffer(b"bbc", np.uint8)).tolist()
        [1, -1]
        """
        ids = np.empty(max(len(offsets) - 1, 0), np.int32)
        _find_strings(offsets, data, self._slots, self._offsets, self._arena, ids)
        return ids

    def _grow(self, n_bytes: int) -> None:
        """Make room for one more string of this length."""
        used = int(self._used[_BYTES])
        if used + n_bytes > len(self._arena):
            self._arena = _resized(self._arena, used + n_bytes)
        if len(self) == len(self._counts):
            self._slots, self._counts = _doubled(self._slots), _resized(self._counts)
            self._offsets = _resized(self._offsets, len(self._counts) + 1)


def _capacity_for(expected: int) -> int:
    return max(_FIRST_CAPACITY, 1 << (2 * expected).bit_length())


def _resized(array: NDArray[Any], at_least: int = 0) -> NDArray[Any]:
    larger = np.zeros(max(2 * len(array), at_least), array.dtype)
    larger[: len(array)] = array
    return larger


def _doubled(slots: NDArray[np.uint64]) -> NDArray[np.uint64]:
    if len(slots) // 4 >= _MOST_KEYS:
        raise OverflowError("more than 2**31 - 1 distinct values")
    larger = np.zeros(2 * len(slots), np.uint64)
    _move_slots(slots, larger)
    return larger


@inlined
def _home(key: Number, mask: Number) -> Number:
    h = key * _GOLDEN
    return (h ^ (h >> U64(32))) & mask


@jit
def _move_slots(slots: Any, larger: Any) -> None:
    mask = U64(len(larger) // 2 - 1)
    for s in range(0, len(slots), 2):
        if slots[s + 1] != 0:
            place = _home(slots[s], mask)
            while larger[2 * place + U64(1)] != 0:
                place = (place + U64(1)) & mask
            larger[2 * place] = slots[s]
            larger[2 * place + U64(1)] = slots[s + 1]


def prefetch(slots: NDArray[np.uint64], i: Any) -> None:
    """Have the processor fetch `slots[i]`, which will be needed soon; nothing in plain Python."""


def _build_prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    address = builder.bitcast(builder.gep(array.data, [arguments[1]]), _BYTE_POINTER)
    kind = ir.FunctionType(ir.VoidType(), [_BYTE_POINTER, *[ir.IntType(32)] * 3])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    builder.call(function, [address, *(ir.Constant(ir.IntType(32), flag) for flag in (0, 3, 1))])  # to read, keep, data
    return context.get_dummy_value()


@intrinsic
def _prefetch(typingctx: Any, slots: Any, i: Any) -> Any:
    return types.void(slots, types.uintp), _build_prefetch


@overload(prefetch, strict=False)
def _compile_prefetch(slots: Any, i: Any) -> Any:
    return lambda slots, i: _prefetch(slots, np.uintp(i))


@jit
def _intern_ints(values: Any, weights: Any, weighted: bool, first: int, slots: Any, keys: Any, counts: Any, used: Any, ids: Any) -> int:
    """Look values up from row `first` on; stop where there is no room for one more key. Returns the rows done."""
    mask = U64(len(slots) // 2 - 1)
    n_keys = used[_KEYS]
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
                    used[_KEYS] = n_keys
                    return i
                number = n_keys
                slots[2 * place] = key
                slots[2 * place + U64(1)] = U64(number + 1)
                keys[number] = values[i]
                n_keys += 1
            ids[i] = number
            counts[number] += weights[i] if weighted else 1
    used[_KEYS] = n_keys
    return len(values)


@inlined
def _string_key(data: Any, start: int, n_bytes: int) -> Number:
    """The key of a string: itself if it fits, else 56 bits of its hash under a mark."""
    if n_bytes <= 8:
        if start + 8 <= len(data):
            word = load_word(data, start)
            word = word & ((U64(1) << U64(8 * n_bytes)) - U64(1)) if n_bytes < 8 else word
        else:
            word = U64(0)
            for j in range(n_bytes):
                word |= U64(data[start + j]) << U64(8 * j)
        if n_bytes < 8:
            return word | (U64(n_bytes) << U64(56))
        top = word >> U64(56)
        if top >= 8 and top != 255:
            return word
    return (hash_slice(data, start, start + n_bytes, U64(0)) & _LOW_56) | _HASHED


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


@jit
def _find_strings(offsets: Any, data: Any, slots: Any, key_offsets: Any, arena: Any, ids: Any) -> None:
    mask = U64(len(slots) // 2 - 1)
    for i in range(len(ids)):
        start = np.int64(offsets[i])
        n_bytes = np.int64(offsets[i + 1]) - start
        key = _string_key(data, start, n_bytes)
        place = _home(key, mask)
        number = np.int64(slots[2 * place + U64(1)]) - 1
        while number >= 0:
            if slots[2 * place] == key:
                kept = key_offsets[number]
                if key < _HASHED or (key_offsets[number + 1] - kept == n_bytes and _same_bytes(data, start, arena, kept, n_bytes)):
                    break
            place = (place + U64(1)) & mask
            number = np.int64(slots[2 * place + U64(1)]) - 1
        ids[i] = number


@inlined
def _find_string(
    key: Number, data: Any, start: int, n_bytes: int, mask: Number, slots: Any, key_offsets: Any, arena: Any
) -> tuple[Number, int]:
    """Return the slot of a string and its id, or the free slot where it belongs and -1."""
    hashed = key >= _HASHED
    place = _home(key, mask)
    number: Any = np.int64(slots[2 * place + U64(1)]) - 1
    while number >= 0:
        if slots[2 * place] == key:
            kept = key_offsets[number]
            if not hashed or (key_offsets[number + 1] - kept == n_bytes and _same_bytes(data, start, arena, kept, n_bytes)):
                break
        place = (place + U64(1)) & mask
        number = np.int64(slots[2 * place + U64(1)]) - 1
    return place, number


@jit
def _intern_strings(
    offsets: Any,
    data: Any,
    weights: Any,
    weighted: bool,
    first: int,
    slots: Any,
    key_offsets: Any,
    arena: Any,
    counts: Any,
    used: Any,
    ids: Any,
) -> int:
    """Look strings up from row `first` on; stop where there is no room for one more key. Returns the rows done."""
    mask = U64(len(slots) // 2 - 1)
    n_keys = used[_KEYS]
    block_keys = np.empty(_AHEAD, np.uint64)
    for block in range(first, len(ids), _AHEAD):
        stop = min(block + _AHEAD, len(ids))
        for i in range(block, stop):
            start = np.int64(offsets[i])
            block_keys[i - block] = _string_key(data, start, np.int64(offsets[i + 1]) - start)
            prefetch(slots, U64(2) * _home(block_keys[i - block], mask))
        for i in range(block, stop):
            start, key = np.int64(offsets[i]), block_keys[i - block]
            n_bytes = np.int64(offsets[i + 1]) - start
            place, number = _find_string(key, data, start, n_bytes, mask, slots, key_offsets, arena)
            if number < 0:
                kept = key_offsets[n_keys]
                if n_keys == len(counts) or kept + n_bytes > len(arena):
                    used[_KEYS], used[_BYTES] = n_keys, kept
                    return i
                number = n_keys
                slots[2 * place] = key
                slots[2 * place + U64(1)] = U64(number + 1)
                arena[kept : kept + n_bytes] = data[start : start + n_bytes]
                key_offsets[number + 1] = kept + n_bytes
                n_keys += 1
            ids[i] = number
            counts[number] += weights[i] if weighted else 1
    used[_KEYS], used[_BYTES] = n_keys, key_offsets[n_keys]
    return len(ids)
