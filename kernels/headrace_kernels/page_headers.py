"""Where column chunks and their pages are, and how they are packed, as tables of integers.

Only what finding and decoding a page takes is kept; statistics are skipped. pyarrow shows the same of a footer, but to ask it for a
chunk ends the process if its histograms are of other sizes than its levels, or its compression is none (exceptions of C++ that nobody
catches, pyarrow 26): one wrong bit suffices.

Source: `parquet.thrift` of the Parquet format, `PageHeader` and `FileMetaData` and what is in them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.scalars import Number, inlined
from headrace_kernels.thrift import BINARY, DEEPEST, FALSE, I32, I64, STRUCT, TRUE, step

BODY, KIND, SIZE, STORED_SIZE, CRC = range(5)
"""Places in a page's row: where its bytes begin, its type, its bytes unpacked and as stored, its checksum."""

V1_VALUES, V1_ENCODING, V1_LEVELS, V1_REPETITION = 5, 6, 7, 8
DICTIONARY_VALUES, DICTIONARY_ENCODING = 9, 10
V2_VALUES, V2_NULLS, V2_ROWS, V2_ENCODING, V2_LEVEL_BYTES, V2_REPETITION_BYTES, V2_COMPRESSED = range(12, 19)
"""Places of what the header of each kind of page says: rows, encodings, bytes of levels."""

WIDTH = 19
ABSENT = -(1 << 62)
DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 0, 2, 3

CHUNK_CODEC, CHUNK_VALUES, CHUNK_UNPACKED, CHUNK_BYTES, CHUNK_DATA, CHUNK_DICTIONARY, CHUNK_ELSEWHERE, CHUNK_ENCODINGS = range(8)
"""Places in a column chunk's row: its compression, values, bytes unpacked and as stored, where its data pages and its dictionary
begin, whether it is in another file or encrypted, and its encodings: the bit of each one's number."""

CHUNK_WIDTH = 8

FIRST, END, UNPACKED, LARGEST = range(4)
"""Places in a chunk's span: its first page, the page after its last, and the bytes unpacked of all of them, and of the largest."""

_FULL = -2


def scan_pages(stored: NDArray[np.uint8], chunks: NDArray[np.int64], n_values: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return one row of header fields a page, ABSENT for a field that is not there, and for each chunk which pages are its own.

    Parameters
    ----------
    stored : ndarray of uint8
        The bytes of column chunks.
    chunks : ndarray of int64, shape (n_chunks, 2)
        Where each begins, and how many bytes it has.
    n_values : int
        How many values the data pages of each hold together: with the last of them the chunk ends.

    Returns
    -------
    pages : ndarray of int64, shape (n_pages, 19)
    spans : ndarray of int64, shape (n_chunks, 4)
        FIRST, END, UNPACKED and LARGEST of each chunk. One whose bytes are no headers and pages has no page.

    Examples
    --------
    >>> header = bytes([0x15, 0, 0x15, 4, 0x15, 4, 0x2C, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0])
    >>> pages, spans = scan_pages(np.frombuffer(header + b"ab", np.uint8), np.array([[0, 19], [1, 18]]), 1)
    >>> page = pages[0]
    >>> int(page[BODY]), int(page[SIZE]), int(page[V1_VALUES]), page[CRC] == ABSENT, spans.tolist()
    (17, 2, 1, np.True_, [[0, 1, 2, 2], [1, 1, 0, 0]])
    """
    room = 32 + 4 * len(chunks)
    spans = np.empty((len(chunks), 4), np.int64)
    while True:
        pages = np.empty((room, WIDTH), np.int64)
        found = _scan_chunks(stored, chunks, n_values, pages, spans)
        if found != _FULL:
            return pages[:found], spans
        room *= 8


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
    walk = np.zeros((DEEPEST, 3), np.int64)
    depth = np.int64(0)
    while at >= 0 and depth >= 0:
        at, depth, kind, number = step(data, at, depth, walk)
        if kind in (TRUE, FALSE, I32) and 0 <= depth <= 1:
            place = _place_of(0, walk[0, 2]) if depth == 0 else _place_of(walk[0, 2], walk[1, 2])
            if place >= 0:
                if (kind == I32) == (place == V2_COMPRESSED) or number != np.int32(number):
                    return np.int64(-1)
                page[place] = number
    return at


@jit
def _scan_chunks(stored: Any, chunks: Any, n_values: int, pages: Any, spans: Any) -> int:
    """Fill both tables; return the number of pages, -2 if there are more than rows."""
    n_pages = 0
    for c in range(len(chunks)):
        first, stop = n_pages, chunks[c, 0] + chunks[c, 1]
        found = _scan(stored[:stop], chunks[c, 0], n_values, pages[first:]) if 0 <= chunks[c, 0] <= stop <= len(stored) else -1
        if found == _FULL:
            return _FULL
        n_pages += max(found, 0)
        spans[c, FIRST], spans[c, END] = first, n_pages
        spans[c, UNPACKED] = spans[c, LARGEST] = 0
        for p in range(first, n_pages):
            spans[c, UNPACKED] += pages[p, SIZE]
            spans[c, LARGEST] = max(spans[c, LARGEST], pages[p, SIZE])
    return n_pages


@jit
def _scan(data: Any, at: Number, n_values: int, pages: Any) -> int:
    """Fill the rows of one chunk, which begins at `at` and ends with the data; return the number of pages, -1 for damage, -2 for no room."""
    n_pages = 0
    left = n_values
    while left > 0:
        if n_pages == len(pages):
            return _FULL
        page = pages[n_pages]
        page[:] = ABSENT
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


class Footer(NamedTuple):
    """Of each column chunk a row of fields [row group, column, field], ABSENT for what is not there, and the rows of each row group."""

    chunks: NDArray[np.int64]
    n_rows: NDArray[np.int64]


def scan_footer(footer: NDArray[np.uint8], n_groups: int, n_columns: int) -> Footer | None:
    """Return what a footer says of its row groups, None if it is of another shape.

    Parameters
    ----------
    footer : ndarray of uint8
        The file's metadata, without its length and magic.
    n_groups, n_columns : int
        How many row groups and leaf columns there are.
    """
    chunks = np.full((n_groups * n_columns, CHUNK_WIDTH), ABSENT, np.int64)
    n_rows = np.full(n_groups, ABSENT, np.int64)
    if _scan_footer(footer, n_columns, chunks, n_rows) != len(chunks):
        return None
    return Footer(chunks.reshape(n_groups, n_columns, CHUNK_WIDTH), n_rows)


@inlined
def _place_in_chunk(field: Number) -> int:
    if 4 <= field <= 7:
        return field - 4 + CHUNK_CODEC
    return CHUNK_DATA if field == 9 else CHUNK_DICTIONARY if field == 11 else -1


@jit
def _scan_footer(data: Any, n_columns: int, chunks: Any, n_rows: Any) -> Number:
    """Fill the table of column chunks and the rows of row groups, and return how many chunks there are, -1 for damage."""
    walk = np.zeros((DEEPEST, 3), np.int64)
    at = depth = np.int64(0)
    group = chunk = np.int64(-1)
    while depth >= 0:
        at, depth, kind, number = step(data, at, depth, walk)
        if at < 0:
            return np.int64(-1)
        # the fields on the way: 4 row groups, 1 columns, 3 the chunk's metadata
        if walk[0, 2] != 4:
            continue
        if depth == 2 and kind == STRUCT:
            group += 1
            if chunk + 1 != group * n_columns:
                return np.int64(-1)
        elif depth == 2 and walk[2, 2] == 3 and kind == I64:
            if group >= len(n_rows):
                return np.int64(-1)
            n_rows[group] = number
        elif depth >= 4 and walk[2, 2] == 1:
            if depth == 4 and kind == STRUCT:
                chunk += 1
                if chunk >= len(chunks):
                    return np.int64(-1)
                chunks[chunk, CHUNK_ELSEWHERE] = chunks[chunk, CHUNK_ENCODINGS] = 0
            elif (depth == 4 and kind == BINARY) or (depth == 5 and kind == STRUCT and walk[4, 2] == 8):
                chunks[chunk, CHUNK_ELSEWHERE] = 1
            elif depth == 5 and walk[4, 2] == 3 and kind in (I32, I64):
                place = _place_in_chunk(walk[5, 2])
                if place >= 0:
                    chunks[chunk, place] = number
            elif depth == 6 and walk[4, 2] == 3 and walk[5, 2] == 2 and kind == I32 and 0 <= number < 63:
                chunks[chunk, CHUNK_ENCODINGS] |= 1 << number
    return chunk + 1
