"""Decode the pages of Parquet's dictionary-encoded columns: levels, indices, and the dictionaries of strings.

pyarrow takes 14 ns a value for a dictionary column of strings: it hashes each dictionary anew and appends the indices one by one.
Here indices are unpacked into codes as they are. Bytes of a file may be anything: every function checks each length that it reads
against the page and its results, and says that a page is damaged instead of reading or writing outside.

Source: the Parquet format's "Encodings" (PLAIN; RLE/bit-packing hybrid) and "Data Pages".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.hashing import U64, load_word
from headrace_kernels.scalars import Number, inlined
from headrace_kernels.thrift import read_varint
from headrace_kernels.words import store_word

NO_LEVELS, LEVELS_BEFORE, LEVELS_APART = range(3)
"""Where a page's definition levels are: nowhere (no nulls), before its values with their length (v1), in bytes of their own (v2)."""

DAMAGED = -1
WIDEST = 32  # bits of an index
SPARE = 8  # bytes after the strings that a copy of whole words may write to

_LENGTH = U64(0xFFFFFFFF)
_HIGH_BITS = U64(0x8080808080808080)


def string_space(n_values: int, n_bytes: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return room for a dictionary page of `n_bytes`: offsets, and the bytes of all strings.

    A page that cannot hold so many gets room for no string: `decode_strings` then finds it damaged.
    """
    if n_values < 0 or 4 * n_values > n_bytes:
        return np.zeros(1, np.int32), np.empty(SPARE, np.uint8)
    return np.empty(n_values + 1, np.int32), np.empty(n_bytes - 4 * n_values + SPARE, np.uint8)


def bitmap_space(n_rows: int) -> NDArray[np.uint8]:
    """Return an empty bitmap with a byte to spare, which a run that is not aligned may touch."""
    return np.zeros((n_rows + 7) // 8 + 1, np.uint8)


@inlined
def _length_at(page: Any, at: Number) -> Number:
    """Return the 4 bytes from `at` on, the lowest first."""
    return np.int64(page[at]) | np.int64(page[at + 1]) << 8 | np.int64(page[at + 2]) << 16 | np.int64(page[at + 3]) << 24


@jit
def decode_strings(page: Any, offsets: Any, data: Any) -> int:
    r"""Decode a PLAIN page of byte arrays into room from `string_space`.

    Returns
    -------
    int
        0 if all bytes are ASCII, 1 if some are not, DAMAGED if the page does not hold exactly these strings.

    Examples
    --------
    >>> offsets, data = string_space(2, 11)
    >>> decode_strings(np.frombuffer(b"\x02\0\0\0ab\x01\0\0\0c", np.uint8), offsets, data), offsets.tolist(), bytes(data[:3])
    (0, [0, 2, 3], b'abc')
    """
    n_values = len(offsets) - 1
    stop = len(page)
    room = len(data) - SPARE
    at: Number = np.int64(0)
    end: Number = np.int64(0)
    seen = U64(0)
    offsets[0] = 0
    i: Number = np.int64(0)
    while i < n_values:
        if stop - at < 4:
            return DAMAGED
        n_bytes = _length_at(page, at)
        if n_bytes <= 8 and stop - at >= 12:
            # Strings of one length, as identifiers are: no step of this loop has to wait for the length that it reads.
            n_alike = min(n_values - i, (stop - at - 12) // (4 + n_bytes) + 1)
            if n_bytes:
                n_alike = min(n_alike, (room - end) // n_bytes)
            mask = U64(0xFFFFFFFFFFFFFFFF) >> U64(64 - 8 * n_bytes) if n_bytes else U64(0)
            for _ in range(n_alike):
                if load_word(page, at) & _LENGTH != U64(n_bytes):
                    break
                word = load_word(page, at + 4)
                seen |= word & mask
                store_word(data, end, word)
                at += 4 + n_bytes
                end += n_bytes
                i += 1
                offsets[i] = end
            if n_alike > 0:
                continue
        at += 4
        if n_bytes > stop - at or n_bytes > room - end:
            return DAMAGED
        j: Number = np.int64(0)
        while j < n_bytes and at + j + 8 <= stop:
            word = load_word(page, at + j)
            left = n_bytes - j
            seen |= word if left >= 8 else word & ((U64(1) << U64(8 * left)) - U64(1))
            store_word(data, end + j, word)
            j += 8
        while j < n_bytes:
            seen |= U64(page[at + j])
            data[end + j] = page[at + j]
            j += 1
        at += n_bytes
        end += n_bytes
        i += 1
        offsets[i] = end
    if at != stop or end != room:
        return DAMAGED
    return 1 if seen & _HIGH_BITS else 0


@jit
def decode_levels(page: Any, at: Number, stop: Number, first_row: Number, n_rows: Number, bits: Any) -> Number:
    """Decode definition levels of 0 and 1 into a bitmap from `bitmap_space`, from bit `first_row` on.

    Returns
    -------
    int
        How many rows have a value; DAMAGED if the bytes from `at` to `stop` do not hold `n_rows` levels.

    Examples
    --------
    >>> bits = bitmap_space(7)
    >>> decode_levels(np.array([2 * 3, 1, 3, 0b0101], np.uint8), 0, 4, 0, 7, bits), bin(bits[0])
    (5, '0b101111')
    """
    if first_row < 0 or n_rows < 0 or first_row + n_rows > 8 * (len(bits) - 1) or at < 0 or stop > len(page):
        return DAMAGED
    row = np.int64(first_row)
    last = row + n_rows
    n_valid = np.int64(0)
    while row < last:
        header, at = read_varint(page, at, stop)
        if at < 0 or header <= 1 or header >> 32 or at >= stop:
            return DAMAGED
        if header & 1:
            n_run = min((header >> 1) * 8, last - row)
            n_bytes = (n_run + 7) >> 3
            if header >> 1 > stop - at:
                return DAMAGED
            place, shift = row >> 3, row & 7
            for j in range(n_bytes):
                byte = np.int64(page[at + j])
                if 8 * j + 8 > n_run:
                    byte &= (1 << (n_run - 8 * j)) - 1
                bits[place + j] |= np.uint8((byte << shift) & 0xFF)
                bits[place + j + 1] |= np.uint8(byte >> (8 - shift))
                pairs = byte - ((byte >> 1) & 0x55)
                fours = (pairs & 0x33) + ((pairs >> 2) & 0x33)
                n_valid += (fours + (fours >> 4)) & 15
            at += header >> 1
        else:
            n_run = min(header >> 1, last - row)
            if page[at] > 1:
                return DAMAGED
            if page[at] == 1:
                _set_bits(bits, row, row + n_run)
                n_valid += n_run
            at += 1
        row += n_run
    return n_valid


@inlined
def _set_bits(bits: Any, row: int, last: int) -> None:
    while row < last and row & 7:
        bits[row >> 3] |= np.uint8(1 << (row & 7))
        row += 1
    while row + 8 <= last:
        bits[row >> 3] = np.uint8(0xFF)
        row += 8
    while row < last:
        bits[row >> 3] |= np.uint8(1 << (row & 7))
        row += 1


@inlined
def _unpack(page: Any, at: Number, stop: Number, width: Number, out: Any) -> Number:
    """Unpack the lowest bits first, `width` a value, and return the largest; the caller has seen that the bytes are there."""
    mask = (U64(1) << U64(width)) - U64(1)
    n_values = len(out)
    largest = U64(0)
    # whole words while 8 bytes from the value's first byte on are in the page
    n_fast = min(n_values, 8 * (stop - at - 8) // width + 1) if width and stop - at >= 8 else 0
    done = 0
    if width <= 16:
        done = n_fast >> 3 << 3
        largest = _unpack_eights(page, at, U64(width), mask, out[:done])
    for i in range(done, n_fast):
        place = i * width
        value = (load_word(page, at + (place >> 3)) >> U64(place & 7)) & mask
        largest = max(largest, value)
        out[i] = value
    for i in range(n_fast, n_values):
        value = U64(0)
        for bit in range(i * width, (i + 1) * width):
            value |= U64((page[at + (bit >> 3)] >> (bit & 7)) & 1) << U64(bit - i * width)
        largest = max(largest, value)
        out[i] = value
    return largest


@inlined
def _unpack_eights(page: Any, at: Number, width: Number, mask: Number, out: Any) -> Number:
    """Unpack values of at most 16 bits, two words for each eight of them: a third of the time that a word a value takes."""
    largest = U64(0)
    second, odd = np.int64(width >> U64(1)), (width & U64(1)) << U64(2)  # the fifth value begins in the middle of a byte, if any does
    w2, w3 = U64(2) * width, U64(3) * width
    place = U64(0)
    for _ in range(len(out) >> 3):
        low = load_word(page, at)
        high = load_word(page, at + second) >> odd
        a, b, c, d = low & mask, (low >> width) & mask, (low >> w2) & mask, (low >> w3) & mask
        e, f, g, h = high & mask, (high >> width) & mask, (high >> w2) & mask, (high >> w3) & mask
        largest = max(largest, max(max(max(a, b), max(c, d)), max(max(e, f), max(g, h))))
        # unsigned places: a signed one is looked at for being negative, each time
        out[place], out[place + U64(1)], out[place + U64(2)], out[place + U64(3)] = a, b, c, d
        out[place + U64(4)], out[place + U64(5)], out[place + U64(6)], out[place + U64(7)] = e, f, g, h
        place += U64(8)
        at += np.int64(width)
    return largest


@jit
def decode_indices(page: Any, start: Number, stop: Number, n_codes: Number, out: Any) -> bool:
    """Decode a page's dictionary indices, all of them below `n_codes`, into `out`; return False if they are damaged.

    The first byte is the width in bits; runs follow, of one value repeated or of values packed by eights.

    Examples
    --------
    >>> out = np.zeros(5, np.int8)
    >>> decode_indices(np.array([2, 2 * 3, 1, 3, 0b1110, 0], np.uint8), 0, 6, 4, out), out.tolist()
    (True, [1, 1, 1, 2, 3])
    """
    n_values = len(out)
    if n_values == 0:
        return True
    if start < 0 or start >= stop or stop > len(page):
        return False
    width = np.int64(page[start])
    if width > WIDEST:
        return False
    at = np.int64(start + 1)
    done = np.int64(0)
    largest = U64(0)
    while done < n_values:
        header, at = read_varint(page, at, stop)
        if at < 0 or header <= 1 or header >> 32:
            return False
        if header & 1:
            n_run = min((header >> 1) * 8, n_values - done)
            if (header >> 1) * width > stop - at:  # a run must be whole, even where its end is not wanted
                return False
            largest = max(largest, _unpack(page, at, stop, width, out[done : done + n_run]))
            at += (header >> 1) * width
        else:
            n_run = min(header >> 1, n_values - done)
            n_bytes = (width + 7) >> 3
            if n_bytes > stop - at:
                return False
            value = U64(0)
            for j in range(n_bytes):
                value |= U64(page[at + j]) << U64(8 * j)
            largest = max(largest, value)
            run = out[done : done + n_run]
            for i in range(n_run):
                run[i] = value
            at += n_bytes
        done += n_run
    return bool(largest < U64(n_codes))


@jit
def spread(packed: Any, bits: Any, first_row: int, out: Any) -> None:
    """Write integers to the rows that have one, in order; the other rows become 0.

    The caller counted the bits: `packed` has one integer for each that is set from `first_row` on, and one more that is not used.

    >>> out = np.zeros(4, np.int8)
    >>> spread(np.array([7, 8, 0]), np.array([0b1010], np.uint8), 0, out)
    >>> out.tolist()
    [0, 7, 0, 8]
    """
    k = U64(0)
    n_rows = len(out)
    i = min(n_rows, -first_row & 7)
    k = _spread_bits(packed, k, bits, first_row, 0, i, out)
    for _ in range((n_rows - i) >> 3):
        byte = bits[(first_row + i) >> 3]
        place = U64(i)
        if byte == 0xFF:
            for j in range(8):
                out[place + U64(j)] = packed[k + U64(j)]
            k += U64(8)
        else:
            for j in range(8):
                bit = U64(byte >> j) & U64(1)
                # A product, since LLVM makes branches of selects and masks here: nulls come as they like, and a wrong guess costs 5 ns.
                out[place + U64(j)] = U64(packed[k]) * bit
                k += bit
        i += 8
    _spread_bits(packed, k, bits, first_row, i, n_rows, out)


@inlined
def _spread_bits(packed: Any, k: Number, bits: Any, first_row: Number, start: Number, stop: Number, out: Any) -> Number:
    for i in range(start, stop):
        row = first_row + i
        bit = U64(bits[row >> 3] >> (row & 7)) & U64(1)
        out[i] = U64(packed[k]) * bit
        k += bit
    return k


@jit
def place_offsets(found: Any, bits: Any, first_row: int, base: int, ends: Any) -> None:
    """Write for each row where its string ends, after `base` bytes of pages before: a null's where that of the row before it does.

    `found` are the offsets of the strings that are there: as many as bits are set from `first_row` on, and one.

    >>> ends = np.zeros(3, np.int32)
    >>> place_offsets(np.array([0, 2, 5], np.int32), np.array([0b101], np.uint8), 0, 10, ends)
    >>> ends.tolist()
    [12, 12, 15]
    """
    if len(found) == len(ends) + 1:
        for i in range(len(ends)):
            ends[i] = base + found[i + 1]
        return
    k = U64(0)
    for i in range(len(ends)):
        row = first_row + i
        k += U64(bits[row >> 3] >> (row & 7)) & U64(1)
        ends[i] = base + found[k]


@inlined
def _open_page(levels: Any, placed: int, page: Any, first_row: int, n_rows: int, bits: Any) -> tuple[int, int]:
    """Decode a page's levels; return how many rows have a value (DAMAGED if that is not known) and where the values begin."""
    if placed == NO_LEVELS:
        return n_rows, 0
    if placed == LEVELS_APART:
        return decode_levels(levels, np.int64(0), len(levels), first_row, n_rows, bits), 0
    if len(page) < 4:
        return DAMAGED, 0
    stop = 4 + _length_at(page, 0)
    if stop > len(page):
        return DAMAGED, 0
    return decode_levels(page, np.int64(4), stop, first_row, n_rows, bits), stop


@jit
def open_page(levels: Any, placed: int, page: Any, first_row: int, n_rows: int, bits: Any) -> tuple[int, int]:
    """Decode the levels of a page alone: the number of its values (or DAMAGED), and where in `page` they begin."""
    return _open_page(levels, placed, page, first_row, n_rows, bits)


@jit
def decode_codes(
    levels: Any, placed: int, page: Any, n_codes: int, first_row: int, n_rows: int, bits: Any, scratch: Any, codes: Any
) -> int:
    """Decode a data page of dictionary indices into `codes` and `bits` from row `first_row` on; null rows get code 0.

    Parameters
    ----------
    levels : ndarray of uint8
        The definition levels, where `placed` is LEVELS_APART.
    placed : int
        NO_LEVELS, LEVELS_BEFORE or LEVELS_APART.
    page : ndarray of uint8
        The page, decompressed.
    n_codes : int
        The size of the dictionary.
    bits : ndarray of uint8
        From `bitmap_space`; not touched if there are no levels.
    scratch : ndarray of int32
        Longer than the page has rows.
    codes : ndarray of int8, int16 or int32
        One a row of the whole chunk.

    Returns
    -------
    int
        How many of the rows have a value; DAMAGED if the page is.
    """
    if first_row < 0 or n_rows < 0 or first_row + n_rows > len(codes) or n_rows >= len(scratch):
        return DAMAGED
    n_valid, start = _open_page(levels, placed, page, first_row, n_rows, bits)
    if n_valid < 0:
        return DAMAGED
    out = codes[first_row : first_row + n_rows]
    if n_valid == n_rows:
        return n_valid if decode_indices(page, start, len(page), n_codes, out) else DAMAGED
    if not decode_indices(page, start, len(page), n_codes, scratch[:n_valid]):
        return DAMAGED
    scratch[n_valid] = 0
    spread(scratch, bits, first_row, out)
    return n_valid


@jit
def decode_numbers(
    levels: Any, placed: int, page: Any, dictionary: Any, first_row: int, n_rows: int, bits: Any, scratch: Any, numbers: Any
) -> int:
    """Decode a data page of dictionary indices into the numbers that they stand for; null rows become 0.

    As `decode_codes`; `dictionary` and `numbers` are of one unsigned type.
    """
    if first_row < 0 or n_rows < 0 or first_row + n_rows > len(numbers) or n_rows >= len(scratch):
        return DAMAGED
    n_valid, start = _open_page(levels, placed, page, first_row, n_rows, bits)
    if n_valid < 0 or not decode_indices(page, start, len(page), len(dictionary), scratch[:n_valid]):
        return DAMAGED
    out = numbers[first_row : first_row + n_rows]
    if n_valid == n_rows:
        for i in range(n_rows):
            out[i] = dictionary[U64(scratch[i])]
    elif n_valid == 0:
        out[:] = 0
    else:
        scratch[n_valid] = 0
        k = U64(0)
        for i in range(n_rows):
            row = first_row + i
            bit = U64(bits[row >> 3] >> (row & 7)) & U64(1)
            out[i] = U64(dictionary[U64(scratch[k])]) * bit
            k += bit
    return n_valid
