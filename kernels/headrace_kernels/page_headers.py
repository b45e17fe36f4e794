"""The headers of a column chunk's pages, read from Thrift's compact protocol into one table of integers.

Only what finding and decoding a page takes is kept; statistics are skipped. Source: `parquet.thrift` (`PageHeader` and the headers in
it) of the Parquet format, and "Thrift Compact protocol encoding" of Apache Thrift.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.elementary import Number, inlined

BODY, KIND, SIZE, STORED_SIZE, CRC = range(5)
"""Places in a page's row: where its bytes begin, its type, its bytes unpacked and as stored, its checksum."""

V1_VALUES, V1_ENCODING, V1_LEVELS = 5, 6, 7
DICTIONARY_VALUES, DICTIONARY_ENCODING = 9, 10
V2_VALUES, V2_NULLS, V2_ROWS, V2_ENCODING, V2_LEVEL_BYTES, V2_REPETITION_BYTES, V2_COMPRESSED = range(12, 19)
"""Places of what the header of each kind of page says: rows, encodings, bytes of levels."""

WIDTH = 19
ABSENT = -(1 << 62)
DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 0, 2, 3

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 12
_DEEPEST = 8
_FULL = -2


def scan_pages(chunk: NDArray[np.uint8], n_values: int) -> NDArray[np.int64] | None:
    """Return one row of header fields a page, ABSENT for a field that is not there; None if the bytes are no headers and pages.

    Parameters
    ----------
    chunk : ndarray of uint8
        The bytes of a column chunk.
    n_values : int
        How many values its data pages hold together: with the last of them the chunk ends.

    Examples
    --------
    >>> header = bytes([0x15, 0, 0x15, 4, 0x15, 4, 0x2C, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0])
    >>> page = scan_pages(np.frombuffer(header + b"ab", np.uint8), 1)[0]
    >>> int(page[BODY]), int(page[SIZE]), int(page[V1_VALUES]), page[CRC] == ABSENT
    (17, 2, 1, np.True_)
    """
    room = 32
    while True:
        pages = np.full((room, WIDTH), ABSENT, np.int64)
        found = _scan(chunk, n_values, pages)
        if found != _FULL:
            return pages[:found] if found >= 0 else None
        room *= 8


@inlined
def read_varint(data: Any, at: Number, stop: Number) -> tuple[Number, Number]:
    """Return a number of 7 bits a byte, the lowest first, and the place after it; a place of -1 if there is none before `stop`."""
    value = np.int64(0)
    shift = np.int64(0)
    while at < stop and shift < 70:
        byte = np.int64(data[at])
        at += 1
        value |= (byte & 0x7F) << min(shift, np.int64(63))
        if byte < 0x80:
            return value, at
        shift += 7
    return np.int64(0), -1


@inlined
def _place_of(outer: Number, field: Number) -> int:
    """Return where a field is kept, -1 for one that is skipped; `outer` is the field of the struct around it, 0 for the header."""
    if outer == 0:
        return field if 1 <= field <= 4 else -1
    if outer == 5:
        return V1_VALUES + field - 1 if 1 <= field <= 4 else -1
    if outer == 7:
        return DICTIONARY_VALUES + field - 1 if 1 <= field <= 2 else -1
    if outer == 8:
        return V2_VALUES + field - 1 if 1 <= field <= 7 else -1
    return -1


@jit
def _read_header(data: Any, at: Number, page: Any) -> Number:
    """Write the fields of the header at `at` and return the place after it, -1 if it is none."""
    stop = len(data)
    depth = 0
    fields = np.zeros(_DEEPEST, np.int64)  # the last field read, of each struct that is open
    while at < stop:
        head = np.int64(data[at])
        at += 1
        if head == 0:
            if depth == 0:
                return at
            depth -= 1
            continue
        kind = head & 15
        if head >> 4:
            fields[depth] += head >> 4
        else:
            number, at = read_varint(data, at, stop)
            if at < 0:
                return -1
            fields[depth] = (number >> 1) ^ -(number & 1)
        place = -1
        if depth == 0:
            place = _place_of(0, fields[0])
        elif depth == 1:
            place = _place_of(fields[0], fields[1])
        if kind in (_I16, _I32, _I64):
            number, at = read_varint(data, at, stop)
            if at < 0:
                return -1
            if place >= 0:
                if kind != _I32 or number < 0 or number >> 32:
                    return -1
                page[place] = (number >> 1) ^ -(number & 1)
        elif kind in (_TRUE, _FALSE):
            if place >= 0:
                if place != V2_COMPRESSED:
                    return -1
                page[place] = 1 if kind == _TRUE else 0
        elif place >= 0:
            return -1
        elif kind == _STRUCT:
            depth += 1
            if depth == _DEEPEST:
                return -1
            fields[depth] = 0
        elif kind == _BINARY:
            number, at = read_varint(data, at, stop)
            if at < 0 or number < 0 or number > stop - at:
                return -1
            at += number
        elif kind in (_BYTE, _DOUBLE):
            at += 1 if kind == _BYTE else 8
        else:  # lists and maps are in no header of a page
            return -1
    return -1


@jit
def _scan(data: Any, n_values: int, pages: Any) -> int:
    """Fill the table; return the number of pages, -1 for damage, -2 if there are more pages than rows."""
    at = 0
    n_pages = 0
    left = n_values
    while left > 0:
        if n_pages == len(pages):
            return _FULL
        page = pages[n_pages]
        at = _read_header(data, at, page)
        if at < 0 or page[SIZE] < 0 or page[STORED_SIZE] < 0 or page[STORED_SIZE] > len(data) - at:
            return -1
        page[BODY] = at
        at += page[STORED_SIZE]
        if page[KIND] == DATA_PAGE or page[KIND] == DATA_PAGE_V2:
            n_here = page[V1_VALUES] if page[KIND] == DATA_PAGE else page[V2_VALUES]
            if n_here < 0 or n_here > left:
                return -1
            left -= n_here
        elif page[KIND] != DICTIONARY_PAGE:
            return -1
        n_pages += 1
    return n_pages if at == len(data) else -1
