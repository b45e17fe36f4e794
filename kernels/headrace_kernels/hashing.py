"""hash64: XXH64 of numbers and strings, the same bits in plain Python, on a CPU and on a GPU.

Source: Y. Collet, *xxHash fast digest algorithm*, specification 0.1.1, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md

- A string is hashed as its UTF-8 bytes.
- An integer of any width, and a truth value, is hashed as the 8 little-endian bytes of its 64-bit value.
- A float of any width is hashed as the 8 little-endian bytes of its float64; -0.0 as 0.0 and every NaN as the one of bits 7ff8000000000000.
- Several columns: hash each, then `combine_hashes` from left to right.

>>> hex(hash_bytes(b"", 0)), hex(hash_bytes(b"abc", 0))
('0xef46db3751d8e999', '0x44bc2cf5ad770999')
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.kernel import kernel
from headrace_kernels.numba_names import intrinsic, overload, types
from headrace_kernels.scalars import Number, inlined, to_bits
from headrace_kernels.words import AHEAD_BYTES, prefetch

U64 = np.uint64
Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int32] | NDArray[np.int64]
Hashes = NDArray[np.uint64]

_PRIME_1 = U64(0x9E3779B185EBCA87)
_PRIME_2 = U64(0xC2B2AE3D27D4EB4F)
_PRIME_3 = U64(0x165667B19E3779F9)
_PRIME_4 = U64(0x85EBCA77C2B2AE63)
_PRIME_5 = U64(0x27D4EB2F165667C5)
_EIGHT = U64(8)
_NAN_BITS = 0x7FF8000000000000
_AHEAD = 32  # strings, where they are not hashed in the order in which they lie


@inlined
def _rotated(x: Number, bits: int) -> Number:
    return (x << U64(bits)) | (x >> U64(64 - bits))


@inlined
def _mixed(total: Number, lane: Number) -> Number:
    return _rotated(total + lane * _PRIME_2, 31) * _PRIME_1


@inlined
def _avalanche(h: Number) -> Number:
    h = (h ^ (h >> U64(33))) * _PRIME_2
    h = (h ^ (h >> U64(29))) * _PRIME_3
    return h ^ (h >> U64(32))


@inlined
def hash_word(word: Number, seed: Number) -> Number:
    """Return XXH64 of the 8 little-endian bytes of a uint64."""
    h = (seed + _PRIME_5 + _EIGHT) ^ _mixed(U64(0), word)
    return _avalanche(_rotated(h, 27) * _PRIME_1 + _PRIME_4)


@inlined
def combine_hashes(left: Number, right: Number) -> Number:
    """Return the hash of a pair of hashes: XXH64 of the right one with the left one as seed. The order matters.

    Parameters
    ----------
    left, right : uint64 or ndarray of uint64
        Hashes of the first and the second column; `left` may be the result for the columns so far.
    """
    return hash_word(right, left)


def word_of(value: Number) -> Number:
    """Return the 64 bits that a number is hashed as.

    >>> hex(word_of(-1)), hex(word_of(-0.0))
    ('0xffffffffffffffff', '0x0')
    """
    if isinstance(value, float | np.floating):
        bits = to_bits(float(value) + 0.0) if value == value else _NAN_BITS
        return U64(bits & 0xFFFFFFFFFFFFFFFF)
    return U64(int(value) & 0xFFFFFFFFFFFFFFFF)


@overload(word_of, strict=False)
def _compile_word_of(value: Any) -> Any:
    if isinstance(value, types.Float):

        def word_of_float(value: Any) -> Any:
            number = np.float64(value)
            return U64(to_bits(number + 0.0) if number == number else _NAN_BITS)

        return word_of_float
    return lambda value: U64(value)


@kernel(output="uint64")
def hash64(value: Number, seed: Number = 0) -> Number:
    """XXH64 of a number's 64 bits (see the module for which); a null gives null, every NaN the same hash."""
    return hash_word(word_of(value), U64(seed))


@inlined
def _byte_word(data: Bytes, start: int, n_bytes: int) -> Number:
    """Return up to 8 bytes as a little-endian number."""
    word = U64(0)
    for j in range(n_bytes):
        word |= U64(data[start + j]) << U64(8 * j)
    return word


def load_word(data: Bytes, start: int) -> Number:
    """Return the 8 bytes from `start` on as a little-endian uint64.

    >>> hex(load_word(np.arange(9, dtype=np.uint8), 1))
    '0x807060504030201'
    """
    return U64(int.from_bytes(data[start : start + 8].tobytes(), "little"))


def _build_load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    address = builder.gep(array.data, [arguments[1]])
    word = context.get_value_type(types.uint64)
    return builder.load(builder.bitcast(address, word.as_pointer()), align=1)


@intrinsic
def _load_unaligned(typingctx: Any, data: Any, start: Any) -> Any:
    return types.uint64(data, types.intp), _build_load


@overload(load_word, strict=False)
def _compile_load_word(data: Any, start: Any) -> Any:
    return lambda data, start: _load_unaligned(data, types.intp(start))


@inlined
def _kept(old: Number, new: Number, flag: Number) -> Number:
    """Return `new` if the flag is 1, `old` if it is 0."""
    return old ^ ((old ^ new) & (U64(0) - flag))


@inlined
def _short_tail(h: Number, data: Bytes, start: int, stop: int) -> Number:
    """Take in the last bytes, fewer than 32, and finish."""
    while stop - start >= 8:
        h = _rotated(h ^ _mixed(U64(0), load_word(data, start)), 27) * _PRIME_1 + _PRIME_4
        start += 8
    n_left = U64(stop - start)
    if n_left == U64(0):
        return _avalanche(h)
    # Of strings of many lengths the last bytes are guessed wrong at every turn, 5 ns each: all steps are taken, and kept by masks.
    word = load_word(data, start) if start + 8 <= len(data) else _byte_word(data, start, stop - start)
    four = n_left >> U64(2)
    h = _kept(h, _rotated(h ^ ((word & U64(0xFFFFFFFF)) * _PRIME_1), 23) * _PRIME_2 + _PRIME_3, four)
    word >>= four << U64(5)
    n_left &= U64(3)
    h = _kept(h, _rotated(h ^ ((word & U64(0xFF)) * _PRIME_5), 11) * _PRIME_1, (n_left + U64(3)) >> U64(2))
    h = _kept(h, _rotated(h ^ (((word >> U64(8)) & U64(0xFF)) * _PRIME_5), 11) * _PRIME_1, n_left >> U64(1))
    h = _kept(h, _rotated(h ^ (((word >> U64(16)) & U64(0xFF)) * _PRIME_5), 11) * _PRIME_1, (n_left + U64(1)) >> U64(2))
    return _avalanche(h)


@inlined
def hash_slice(data: Bytes, start: int, stop: int, seed: Number) -> Number:
    """Return XXH64 of the bytes `start` to `stop` of a buffer."""
    n_bytes = U64(stop - start)
    if stop - start < 32:
        return _short_tail(seed + _PRIME_5 + n_bytes, data, start, stop)
    a, b, c, d = seed + _PRIME_1 + _PRIME_2, seed + _PRIME_2, seed, seed - _PRIME_1
    while stop - start >= 32:
        a, b = _mixed(a, load_word(data, start)), _mixed(b, load_word(data, start + 8))
        c, d = _mixed(c, load_word(data, start + 16)), _mixed(d, load_word(data, start + 24))
        start += 32
    h = _rotated(a, 1) + _rotated(b, 7) + _rotated(c, 12) + _rotated(d, 18)
    for lane in (a, b, c, d):
        h = (h ^ _mixed(U64(0), lane)) * _PRIME_1 + _PRIME_4
    return _short_tail(h + n_bytes, data, start, stop)


@jit
def _hash_numbers(values: NDArray[Any], seed: np.uint64, out: Hashes) -> None:
    for i in range(len(values)):
        out[i] = hash_word(word_of(values[i]), seed)


@jit
def _hash_slices(offsets: Offsets, data: Bytes, seed: np.uint64, out: Hashes) -> None:
    for i in range(len(out)):
        start = np.int64(offsets[i])
        prefetch(data, start + AHEAD_BYTES)
        out[i] = hash_slice(data, start, np.int64(offsets[i + 1]), seed)


@jit
def _hash_slices_of(rows: Any, offsets: Offsets, data: Bytes, seed: np.uint64, out: Hashes) -> None:
    for i in range(len(rows)):
        prefetch(data, np.int64(offsets[rows[min(i + _AHEAD, len(rows) - 1)]]))
        out[i] = hash_slice(data, np.int64(offsets[rows[i]]), np.int64(offsets[rows[i] + 1]), seed)


@jit
def _combine(left: Hashes, right: Hashes, out: Hashes) -> None:
    for i in range(len(out)):
        out[i] = combine_hashes(left[i], right[i])


def combine_columns(left: Hashes, right: Hashes) -> Hashes:
    """Return `combine_hashes` of arrays on a CPU, in one loop where NumPy would take 15.

    >>> columns = np.array([1, 2], np.uint64), np.array([3, 4], np.uint64)
    >>> combine_columns(*columns).tolist() == combine_hashes(*columns).tolist()
    True
    """
    out = np.empty(len(left), np.uint64)
    _combine(left, right, out)
    return out


def hash64_ints(values: NDArray[Any], seed: int = 0) -> Hashes:
    """Return XXH64 of each number (integers, truth values or floats), as `hash64` does; values under nulls are hashed too.

    Parameters
    ----------
    values : ndarray
        Numbers of any width.
    seed : int
        XXH64's seed, 0 <= seed < 2**64.
    """
    out = np.empty(len(values), np.uint64)
    _hash_numbers(values, U64(seed), out)
    return out


def hash64_strings(offsets: Offsets, data: Bytes, seed: int = 0, rows: NDArray[Any] | None = None) -> Hashes:
    """Return XXH64 of each string of an Arrow array, or of some.

    Parameters
    ----------
    offsets : ndarray of int32 or int64
        One more than strings, already sliced to them; they need not start at 0.
    data : ndarray of uint8
        The bytes of all strings.
    seed : int
        XXH64's seed, 0 <= seed < 2**64.
    rows : ndarray of int, optional
        Which strings, in any order. Default: all.

    Examples
    --------
    >>> hex(hash64_strings(np.array([0, 3], np.int32), np.frombuffer(b"abc", np.uint8))[0])
    '0x44bc2cf5ad770999'
    """
    if rows is not None:
        out = np.empty(len(rows), np.uint64)
        _hash_slices_of(rows, offsets, data, U64(seed), out)
        return out
    out = np.empty(max(len(offsets) - 1, 0), np.uint64)
    _hash_slices(offsets, data, U64(seed), out)
    return out


def hash_bytes(text: bytes, seed: int = 0) -> int:
    """Return XXH64 of a byte string by the same function in plain Python: the reference."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        return int(hash_slice(np.frombuffer(text, np.uint8), 0, len(text), U64(seed)))
