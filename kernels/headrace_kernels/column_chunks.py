"""Decode column chunks of Parquet, all pages of one or of many in one call: verify, unpack, decode.

A page takes ten calls otherwise, of which each hands over Python's lock: two threads that read columns of 25,000 rows took as long as
one. What a page is was found by `page_headers.scan_pages`; whatever is not as expected makes its chunk damaged, and no other.

Source: the Parquet format's "Data Pages", "Encodings" and "Checksumming".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace_kernels.addresses import array_at, checksum_of
from headrace_kernels.bitmaps import spread_bits
from headrace_kernels.compiled import jit
from headrace_kernels.page_headers import (
    ABSENT,
    BODY,
    CRC,
    DATA_PAGE,
    DICTIONARY_ENCODING,
    DICTIONARY_PAGE,
    DICTIONARY_VALUES,
    END,
    FIRST,
    KIND,
    SIZE,
    STORED_SIZE,
    V1_ENCODING,
    V1_LEVELS,
    V1_REPETITION,
    V1_VALUES,
    V2_COMPRESSED,
    V2_ENCODING,
    V2_LEVEL_BYTES,
    V2_NULLS,
    V2_REPETITION_BYTES,
    V2_ROWS,
    V2_VALUES,
)
from headrace_kernels.pages import (
    DAMAGED,
    LEVELS_APART,
    LEVELS_BEFORE,
    NO_LEVELS,
    SPARE,
    decode_codes,
    decode_numbers,
    decode_strings,
    open_page,
    place_offsets,
    spread,
)
from headrace_kernels.scalars import Number
from headrace_kernels.snappy import unpack
from headrace_kernels.words import copy_bytes

PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY = 0, 2, 3, 8
NOT_PACKED, SNAPPY = 0, 1
"""The format's numbers of encodings, and of the codecs that are known here."""

CODEC, OPTIONAL, VALUES, BITS = range(4)
"""Places in a chunk's row: its codec, whether it has levels, and the addresses of its values and of its bitmap."""

_UNKNOWN = -2
_BLOCK = 1024


@jit
def _unpacked(data: Any, page: Any, skip: Number, codec: int, packed: Number, space: Any) -> tuple[bool, Any]:
    """Return whether a page's bytes after the first `skip` are as many as its header says, and what they are unpacked."""
    stored = data[page[BODY] + skip : page[BODY] + page[STORED_SIZE]]
    size = page[SIZE] - skip
    if codec != SNAPPY or packed == 0:
        return len(stored) == size, stored
    return unpack(stored, size, space), space[:size]


@jit
def _is_whole(data: Any, page: Any, checksum: int) -> bool:
    """Whether the bytes of a page are those that its checksum is of, if it has one."""
    if page[CRC] == ABSENT:
        return True
    stored = data[page[BODY] : page[BODY] + page[STORED_SIZE]]
    return bool(checksum_of(checksum, 0, stored) == page[CRC] & 0xFFFFFFFF)


@jit
def _open(data: Any, page: Any, codec: int, optional: bool, checksum: int, space: Any) -> tuple[Any, ...]:
    """Return of a data page its rows, or DAMAGED; how many have a value, if it says so; its encoding; its levels and bytes."""
    nothing = data[:0]
    damaged = (np.int64(DAMAGED), np.int64(0), np.int64(0), np.int64(NO_LEVELS), nothing, nothing)
    if not _is_whole(data, page, checksum):
        return damaged
    if page[KIND] == DATA_PAGE:
        if (optional and page[V1_LEVELS] != RLE) or page[V1_LEVELS] == ABSENT or page[V1_REPETITION] == ABSENT:
            return damaged
        good, body = _unpacked(data, page, np.int64(0), codec, np.int64(1), space)
        placed = LEVELS_BEFORE if optional else NO_LEVELS
        return (page[V1_VALUES], np.int64(_UNKNOWN), page[V1_ENCODING], np.int64(placed), nothing, body) if good else damaged
    n_levels = page[V2_LEVEL_BYTES]
    if n_levels < 0 or n_levels > min(page[STORED_SIZE], page[SIZE]) or page[V2_REPETITION_BYTES] != 0 or (n_levels and not optional):
        return damaged
    if page[V2_ROWS] != page[V2_VALUES]:
        return damaged
    # a header that does not say is of a compressed page
    good, body = _unpacked(data, page, n_levels, codec, page[V2_COMPRESSED], space)
    placed = LEVELS_APART if optional else NO_LEVELS
    levels = data[page[BODY] : page[BODY] + n_levels]
    n_wanted = page[V2_VALUES] - page[V2_NULLS]
    return (page[V2_VALUES], n_wanted, page[V2_ENCODING], np.int64(placed), levels, body) if good else damaged


@jit
def _open_dictionary(data: Any, page: Any, codec: int, checksum: int, space: Any) -> tuple[Number, Any]:
    """Return how many values a dictionary page has, or DAMAGED, and its bytes."""
    is_plain = page[DICTIONARY_ENCODING] == PLAIN or page[DICTIONARY_ENCODING] == PLAIN_DICTIONARY
    if not is_plain or page[DICTIONARY_VALUES] < 0 or not _is_whole(data, page, checksum):
        return np.int64(DAMAGED), data[:0]
    good, body = _unpacked(data, page, np.int64(0), codec, np.int64(1), space)
    return page[DICTIONARY_VALUES] if good else np.int64(DAMAGED), body


@jit
def _has_indices(encoding: int) -> bool:
    return encoding in (RLE_DICTIONARY, PLAIN_DICTIONARY)


@jit
def _bits_at(address: int, optional: bool, n_rows: int, like: Any) -> Any:
    """Return a chunk's bitmap with the byte to spare that `bitmap_space` gives it."""
    return array_at(address, ((n_rows if optional else 0) + 7) // 8 + 1, like)


@jit
def read_numbers(
    stored: Any, pages: Any, spans: Any, chunks: Any, n_rows: int, signed: bool, checksum: int, space: Any, like: Any, found: Any
) -> None:
    """Decode chunks of numbers of one type, each into the memory that its row names.

    Parameters
    ----------
    stored : ndarray of uint8
        What was read.
    pages, spans : ndarray of int64
        From `scan_pages`, `spans` with a row for each chunk.
    chunks : ndarray of int64, shape (n_chunks, 4)
        CODEC, OPTIONAL, VALUES and BITS of each. The values have room for `n_rows`, the bits are from `bitmap_space`.
    n_rows : int
        Rows of each chunk.
    signed : bool
        Whether values of less than 32 bits, which are stored as 32, are signed.
    checksum : int
        The address of a `CHECKSUM` function: CRC-32.
    space : ndarray of uint8
        Room for the largest page unpacked, and `snappy.SPARE` bytes.
    like : ndarray of unsigned integers
        Of the width that the values have in memory.
    found : ndarray of int64
        Gets how many rows of each chunk have a value, or DAMAGED.
    """
    data = array_at(stored.ctypes.data, len(stored), space)
    scratch = np.empty(n_rows + 1, np.int32)
    for c in range(len(chunks)):
        chunk = chunks[c]
        optional = chunk[OPTIONAL] != 0
        bits = _bits_at(chunk[BITS], optional, n_rows, space)
        out = array_at(chunk[VALUES], n_rows, like)
        of_chunk = pages[spans[c, FIRST] : spans[c, END]]
        found[c] = _read_numbers(data, of_chunk, chunk[CODEC], optional, signed, checksum, space, scratch, bits, out)


@jit
def _read_numbers(
    data: Any, pages: Any, codec: int, optional: bool, signed: bool, checksum: int, space: Any, scratch: Any, bits: Any, out: Any
) -> Number:
    dictionary = out[:0]
    has_dictionary = False
    width = max(4, out.itemsize)
    row: Number = np.int64(0)
    n_valid: Number = np.int64(0)
    for p in range(len(pages)):
        page = pages[p]
        if page[KIND] == DICTIONARY_PAGE:
            n_values, body = _open_dictionary(data, page, codec, checksum, space)
            if p or n_values < 0 or len(body) != n_values * width:
                return np.int64(DAMAGED)
            has_dictionary = True
            dictionary = np.empty(n_values, out.dtype)
            if not _take_plain(body, signed, dictionary):
                return np.int64(DAMAGED)
            continue
        n_here, n_wanted, encoding, placed, levels, body = _open(data, page, codec, optional, checksum, space)
        if n_here < 0 or row + n_here > len(out):
            return np.int64(DAMAGED)
        n_found: Number = np.int64(DAMAGED)
        if encoding == PLAIN:
            n_found, start = open_page(levels, placed, body, row, n_here, bits)
            if n_found >= 0 and not _place_plain(body[start:], n_found, signed, bits, row, out[row : row + n_here]):
                return np.int64(DAMAGED)
        elif _has_indices(encoding) and has_dictionary:
            n_found = decode_numbers(levels, placed, body, dictionary, row, n_here, bits, scratch, out)
        if n_found < 0 or n_wanted not in (_UNKNOWN, n_found):
            return np.int64(DAMAGED)
        n_valid += n_found
        row += n_here
    return n_valid if row == len(out) else np.int64(DAMAGED)


@jit
def _place_plain(body: Any, n_values: int, signed: bool, bits: Any, first_row: int, out: Any) -> bool:
    """Write a page's first values to the rows that have one; return False if they are not there, or of more bits."""
    if n_values * max(4, out.itemsize) > len(body):
        return False
    if n_values == len(out):
        return _take_plain(body, signed, out)
    packed = np.empty(n_values + 1, out.dtype)
    packed[n_values] = 0
    if not _take_plain(body, signed, packed[:n_values]):
        return False
    spread(packed, bits, first_row, out)
    return True


@jit
def _take_plain(body: Any, signed: bool, out: Any) -> bool:
    """Copy as many values as `out` has; return False if one of those that are stored wider does not fit."""
    if out.itemsize >= 4:
        n_bytes = out.itemsize * len(out)
        copy_bytes(body, 0, n_bytes, array_at(out.ctypes.data, n_bytes, body), 0)
        return True
    fits = True
    shift = np.uint32(32 - 8 * out.itemsize)
    for i in range(len(out)):
        value = np.uint32(body[4 * i]) | np.uint32(body[4 * i + 1]) << np.uint32(8)
        value |= np.uint32(body[4 * i + 2]) << np.uint32(16) | np.uint32(body[4 * i + 3]) << np.uint32(24)
        narrow = value << shift
        again = np.uint32(np.int32(narrow) >> np.int32(shift)) if signed else narrow >> shift
        fits &= again == value
        out[i] = value
    return fits


@jit
def read_dictionary(stored: Any, page: Any, codec: int, checksum: int, space: Any, offsets: Any, data: Any) -> int:
    """Decode a dictionary page of strings as `decode_strings` does; DAMAGED, too, if it is of another number of them than `offsets`."""
    n_values, body = _open_dictionary(array_at(stored.ctypes.data, len(stored), space), page, codec, checksum, space)
    return decode_strings(body, offsets, data) if n_values == len(offsets) - 1 else DAMAGED


@jit
def read_number_dictionary(stored: Any, page: Any, codec: int, signed: bool, checksum: int, space: Any, out: Any) -> bool:
    """Decode a dictionary page of as many numbers as `out` has, unsigned integers of their width; return False if it is not as it should be."""
    n_values, body = _open_dictionary(array_at(stored.ctypes.data, len(stored), space), page, codec, checksum, space)
    return n_values == len(out) and len(body) == n_values * max(4, out.itemsize) and _take_plain(body, signed, out)


@jit
def set_codes_of_nulls(bits: Any, null: int, codes: Any) -> None:
    """Write a code to the rows whose bit is not set."""
    valid = np.empty(_BLOCK, np.uint8)
    for start in range(0, len(codes), _BLOCK):
        part = codes[start : start + _BLOCK]
        spread_bits(bits, start, len(part), valid)
        for i in range(len(part)):
            part[i] = part[i] if valid[i] else null


@jit
def read_codes(
    stored: Any, pages: Any, codec: int, optional: bool, n_codes: int, checksum: int, space: Any, bits: Any, codes: Any
) -> Number:
    """Decode the data pages of a chunk of dictionary indices; return how many rows have a value, or DAMAGED.

    As `read_numbers`; `bits` and `codes` are as `decode_codes` takes them.
    """
    data = array_at(stored.ctypes.data, len(stored), space)
    scratch = np.empty(len(codes) + 1, np.int32)
    row: Number = np.int64(0)
    n_valid: Number = np.int64(0)
    for p in range(len(pages)):
        n_here, n_wanted, encoding, placed, levels, body = _open(data, pages[p], codec, optional, checksum, space)
        if n_here < 0 or not _has_indices(encoding):
            return np.int64(DAMAGED)
        n_found = decode_codes(levels, placed, body, n_codes, row, n_here, bits, scratch, codes)
        if n_found < 0 or n_wanted not in (_UNKNOWN, n_found):
            return np.int64(DAMAGED)
        n_valid += n_found
        row += n_here
    return n_valid if row == len(codes) else np.int64(DAMAGED)


@jit
def read_strings(
    stored: Any, pages: Any, codec: int, optional: bool, checksum: int, space: Any, bits: Any, strings: Any, ends: Any
) -> tuple[Number, Number, bool]:
    """Decode a chunk of plain strings; return how many rows have one, or DAMAGED, the bytes of all, and whether they are ASCII.

    Parameters
    ----------
    strings : ndarray of uint8
        Gets the strings side by side; as large as the pages are unpacked, and SPARE bytes.
    ends : ndarray of int32
        Gets where the string of each row ends: a null's where that of the row before it does.
    """
    data = array_at(stored.ctypes.data, len(stored), space)
    row: Number = np.int64(0)
    n_valid: Number = np.int64(0)
    end: Number = np.int64(0)
    only_ascii = True
    for p in range(len(pages)):
        n_here, n_wanted, encoding, placed, levels, body = _open(data, pages[p], codec, optional, checksum, space)
        if n_here < 0 or encoding != PLAIN or row + n_here > len(ends):
            return np.int64(DAMAGED), end, only_ascii
        n_found, start = open_page(levels, placed, body, row, n_here, bits)
        n_bytes = len(body) - start - 4 * n_found
        if n_found < 0 or n_wanted not in (_UNKNOWN, n_found) or n_bytes < 0 or end + n_bytes + SPARE > len(strings):
            return np.int64(DAMAGED), end, only_ascii
        offsets = np.empty(n_found + 1, np.int32)
        kind = decode_strings(body[start:], offsets, strings[end : end + n_bytes + SPARE])
        if kind == DAMAGED:
            return np.int64(DAMAGED), end, only_ascii
        only_ascii &= kind == 0
        place_offsets(offsets, bits, row, end, ends[row : row + n_here])
        n_valid += n_found
        row += n_here
        end += n_bytes
    return n_valid if row == len(ends) else np.int64(DAMAGED), end, only_ascii
