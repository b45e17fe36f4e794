"""Headers of pages and footers of Parquet files, as the bytes that stand in a file.

What a footer says of a schema (elements, logical types, Arrow's own schema, column orders) is taken from an empty file that pyarrow wrote,
so columns come back with the same types whoever wrote their values.

Source: `parquet.thrift` of the Parquet format; Apache Thrift, "Thrift Compact protocol encoding".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.versions import version
from headrace_kernels.struct_fields import StructField, list_starts, struct_fields
from headrace_kernels.thrift import BINARY, I32, I64, LIST, STRUCT, TRUE

MAGIC = b"PAR1"
PLAIN, RLE, DELTA_BINARY_PACKED, RLE_DICTIONARY = 0, 3, 5, 8
DATA_PAGE, DICTIONARY_PAGE = 0, 2

Piece = Any  # whatever has the bytes: bytes, a contiguous NumPy array, an Arrow buffer
Cut = tuple[bytes, ...]  # bytes that are cut wherever something is not known yet
Value = tuple[int, bytes | Cut]  # a field's kind and its bytes

# Of what is the same for all columns of a kind in a row group, so many are kept: there may be thousands of columns.
_ALIKE, _NAMES = 64, 1 << 13

_BYTES = [bytes([number]) for number in range(256)]
_OPEN: Cut = (b"", b"")

# Numbers of fields: of a file's metadata, of a row group, of a column chunk, and of its metadata.
_VERSION, _SCHEMA, _FILE_ROWS, _GROUPS, _KEY_VALUES, _CREATED_BY, _COLUMN_ORDERS = range(1, 8)
_COLUMNS, _GROUP_BYTES, _GROUP_ROWS, _, _GROUP_OFFSET, _GROUP_STORED = range(1, 7)
_CHUNK_OFFSET, _CHUNK_META = 2, 3
_TYPE, _ENCODINGS, _PATH, _CODEC, _VALUES, _UNPACKED, _STORED = range(1, 8)
_DATA_AT, _DICTIONARY_AT, _STATISTICS, _ENCODING_COUNTS = 9, 11, 12, 13


class Chunk(NamedTuple):
    """A column chunk that may be put anywhere in a file.

    Parameters
    ----------
    pieces : sequence of bytes-like
        Its pages, in order.
    meta : tuple of bytes
        What a footer says of it, cut where the places of its pages belong.
    places : tuple of int
        These places, from its beginning on.
    n_bytes, n_unpacked : int
        Its size as stored, and decompressed.
    """

    pieces: Sequence[Piece]
    meta: Cut
    places: tuple[int, ...]
    n_bytes: int
    n_unpacked: int


def varint(number: int) -> bytes:
    r"""Write a number that is not negative, 7 bits a byte, the lowest first.

    >>> varint(300)
    b'\xac\x02'
    """
    if number < 0x80:
        return _BYTES[number]
    out = []
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _signed(number: int) -> bytes:
    if 0 <= number < 0x40:
        return _BYTES[number << 1]
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _i32(number: int) -> Value:
    return I32, _signed(number)


def _i64(number: int) -> Value:
    return I64, _signed(number)


def _binary(content: bytes) -> bytes:
    return varint(len(content)) + content


def _list(kind: int, items: Sequence[bytes]) -> bytes:
    n_items = len(items)
    head = bytes([n_items << 4 | kind]) if n_items < 15 else bytes([0xF0 | kind]) + varint(n_items)
    return head + b"".join(items)


def _struct(fields: Iterable[tuple[int, Value]]) -> bytes:
    """Write a struct of fields with ascending numbers."""
    return b"".join(_cut_struct(fields))


def _cut_struct(fields: Iterable[tuple[int, Value]]) -> Cut:
    """Write a struct of fields with ascending numbers, cut where contents are: of most structs all but a few numbers is known before."""
    pieces, last = [b""], 0
    for number, (kind, content) in fields:
        step = number - last
        pieces[-1] += _BYTES[step << 4 | kind] if step < 16 else _BYTES[kind] + _signed(number)
        first, *others = (content,) if isinstance(content, bytes) else content
        pieces[-1] += first
        pieces += others
        last = number
    pieces[-1] += b"\0"
    return tuple(pieces)


def _filled(cut: Cut, contents: Iterable[bytes | None]) -> Cut:
    """Write contents where bytes are cut; they stay cut where one is None."""
    pieces, joined = [], [cut[0]]
    for content, following in zip(contents, cut[1:], strict=True):
        if content is None:
            pieces.append(b"".join(joined))
            joined = [following]
        else:
            joined += (content, following)
    return (*pieces, b"".join(joined))


def _cut_header(kind: int) -> Cut:
    about: list[tuple[int, Value]] = [(1, (I32, _OPEN)), (2, (I32, _OPEN))]
    if kind == DATA_PAGE:
        about += [(3, _i32(RLE)), (4, _i32(RLE))]
    sizes: list[tuple[int, Value]] = [(number, (I32, _OPEN)) for number in (2, 3, 4)]
    return _cut_struct([(1, _i32(kind)), *sizes, (kind + 5, (STRUCT, _cut_struct(about)))])


_HEADERS = {kind: _cut_header(kind) for kind in (DATA_PAGE, DICTIONARY_PAGE)}


@lru_cache(_ALIKE)
def _header_without_crc(kind: int, n_values: int, encoding: int, size: int) -> Cut:
    n_bytes = _signed(size)
    return _filled(_HEADERS[kind], (n_bytes, n_bytes, None, _signed(n_values), _signed(encoding)))


def page_header(kind: int, n_values: int, encoding: int, size: int, crc: int) -> bytes:
    """Return the header of a page that is not compressed, with its size and checksum.

    `kind` is DATA_PAGE, with levels in the RLE encoding, or DICTIONARY_PAGE.
    """
    before, after = _header_without_crc(kind, n_values, encoding, size)
    return before + _signed(crc - (1 << 32) if crc >> 31 else crc) + after


def nbytes(piece: Piece) -> int:
    """Return the size of a piece in bytes."""
    return len(piece) if isinstance(piece, bytes) else int(piece.nbytes)


def _cut_statistics(signed: bool) -> Cut:
    ends: list[tuple[int, Value]] = [(1, (BINARY, _OPEN)), (2, (BINARY, _OPEN))]
    exact: list[tuple[int, Value]] = [(5, (BINARY, _OPEN)), (6, (BINARY, _OPEN)), (7, (TRUE, b"")), (8, (TRUE, b""))]
    return _cut_struct([*(ends if signed else ()), (3, (I64, _OPEN)), *exact])


_NULLS_ONLY = _cut_struct([(3, (I64, _OPEN))])
_UNSIGNED_ENDS, _SIGNED_ENDS = _cut_statistics(False), _cut_statistics(True)


@lru_cache(_ALIKE)
def _statistics_without_ends(n_nulls: int, width: int, signed: bool) -> Cut:
    cut = _SIGNED_ENDS if signed else _UNSIGNED_ENDS
    places = iter(_filled(cut, (None, None, _signed(n_nulls), None, None) if signed else (_signed(n_nulls), None, None)))
    return (*(next(places) + varint(width) for _ in range(4 if signed else 2)), next(places))


def statistics(n_nulls: int, extremes: tuple[bytes, bytes] | None, signed: bool) -> bytes:
    """Return the statistics of a chunk: its nulls, and its least and largest value as they are stored, if it has any.

    `signed` values have the older fields, too, whose order is that of signed numbers.
    """
    if extremes is None:
        return _filled(_NULLS_ONLY, (_signed(n_nulls),))[0]
    least, largest = extremes
    cut = _statistics_without_ends(n_nulls, len(least), signed)
    if signed:
        return b"".join((cut[0], largest, cut[1], least, cut[2], largest, cut[3], least, cut[4]))
    return b"".join((cut[0], largest, cut[1], least, cut[2]))


def _cut_meta(*places: int) -> Cut:
    """Return what a footer says of a chunk that is not compressed and has these fields for the places of its pages."""
    meta: list[tuple[int, Value]] = [
        (_TYPE, (I32, _OPEN)),
        (_ENCODINGS, (LIST, _OPEN)),
        (_PATH, (LIST, _OPEN)),
        (_CODEC, _i32(0)),
        *((number, (I64, _OPEN)) for number in (_VALUES, _UNPACKED, _STORED, *places)),
        (_STATISTICS, (STRUCT, _OPEN)),
        (_ENCODING_COUNTS, (LIST, _OPEN)),
    ]
    return _cut_struct([(_CHUNK_OFFSET, _i64(0)), (_CHUNK_META, (STRUCT, _cut_struct(meta)))])


_META, _META_WITH_DICTIONARY = _cut_meta(_DATA_AT), _cut_meta(_DATA_AT, _DICTIONARY_AT)


def _encodings(encoding: int, n_pages: int, has_dictionary: bool) -> tuple[bytes, bytes]:
    """Return the list of a chunk's encodings, and that of how many pages have which."""
    by_page = [_struct([(1, _i32(DATA_PAGE)), (2, _i32(encoding)), (3, _i32(n_pages))])]
    if has_dictionary:
        by_page.insert(0, _struct([(1, _i32(DICTIONARY_PAGE)), (2, _i32(PLAIN)), (3, _i32(1))]))
    encodings = (PLAIN, RLE, RLE_DICTIONARY) if has_dictionary else (RLE, encoding)
    return _list(I32, [_signed(number) for number in encodings]), _list(STRUCT, by_page)


@lru_cache(_ALIKE)
def _meta_of_kind(stored_as: int, n_rows: int, n_bytes: int, counts: tuple[int, int], has_dictionary: bool) -> Cut:
    """Return what a footer says of all chunks of a kind and size, cut where the path, the places and the statistics belong."""
    encodings, by_page = _encodings(*counts, has_dictionary)
    size = _signed(n_bytes)
    places = (None, None) if has_dictionary else (None,)
    known = _signed(stored_as), encodings, None, _signed(n_rows), size, size
    return _filled(_META_WITH_DICTIONARY if has_dictionary else _META, (*known, *places, None, by_page))


@lru_cache(_NAMES)
def _path(name: str) -> bytes:
    return _list(BINARY, [_binary(name.encode())])


def chunk_of_pages(
    name: str, stored_as: int, n_rows: int, dictionary: Sequence[Piece], pages: Sequence[Piece], counts: tuple[int, int], about: bytes
) -> Chunk:
    """Return a chunk of a flat column that is not compressed.

    Parameters
    ----------
    name : str
        The column.
    stored_as : int
        The format's number of its physical type.
    dictionary, pages : sequence of bytes-like
        The dictionary page with its header, if there is one, and the data pages with theirs.
    counts : (int, int)
        The encoding of the data pages, and how many they are.
    about : bytes
        From `statistics`.
    """
    n_dictionary = sum(map(nbytes, dictionary))
    n_bytes = n_dictionary + sum(map(nbytes, pages))
    before, after, *between, before_about, end = _meta_of_kind(stored_as, n_rows, n_bytes, counts, bool(dictionary))
    meta = (before + _path(name) + after, *between, before_about + about + end)
    return Chunk([*dictionary, *pages], meta, (n_dictionary, 0) if dictionary else (n_dictionary,), n_bytes, n_bytes)


def chunks_of_file(file: pa.Buffer) -> list[Chunk]:
    """Return the column chunks of a whole file in memory that has one row group."""
    footer = _footer_of(file)
    data = _bytes_of(footer)
    groups = _by_number(struct_fields(data, 0)[0])[_GROUPS]
    group = _by_number(struct_fields(data, list_starts(data, groups)[0])[0])
    chunks = []
    for start in list_starts(data, group[_COLUMNS]):
        about = _by_number(struct_fields(data, start)[0])[_CHUNK_META]
        fields = _by_number(struct_fields(data, about.start)[0])
        numbers = {number: _number(footer, field) for number, field in fields.items() if field.kind in (I32, I64)}
        places = {number: numbers[number] for number in (_DATA_AT, _DICTIONARY_AT) if number in numbers}
        first = min(places.values())
        contents = [
            (number, (field.kind, _OPEN if number in places else footer[field.start : field.stop])) for number, field in fields.items()
        ]
        meta = _cut_struct([(_CHUNK_OFFSET, _i64(0)), (_CHUNK_META, (STRUCT, _cut_struct(contents)))])
        piece = memoryview(file.slice(first, numbers[_STORED]))
        chunks.append(Chunk([piece], meta, tuple(place - first for place in places.values()), numbers[_STORED], numbers[_UNPACKED]))
    return chunks


def row_group(chunks: Sequence[Chunk], n_rows: int, start: int) -> bytes:
    """Return what a footer says of a row group whose chunks stand one after the other from `start` on."""
    at = start
    columns: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.meta
        columns.append(first + b"".join([_signed(at + place) + other for place, other in zip(chunk.places, others, strict=True)]))
        at += chunk.n_bytes
    fields = [
        (_COLUMNS, (LIST, _list(STRUCT, columns))),
        (_GROUP_BYTES, _i64(sum(chunk.n_unpacked for chunk in chunks))),
        (_GROUP_ROWS, _i64(n_rows)),
        (_GROUP_OFFSET, _i64(start)),
        (_GROUP_STORED, _i64(at - start)),
    ]
    return _struct(fields)


def file_end(schema: pa.Schema, row_groups: Sequence[bytes], n_rows: int) -> bytes:
    """Return all that stands in a file after its row groups: the footer, its length, the magic bytes."""
    fields = {
        **_schema_fields(schema),
        _FILE_ROWS: _i64(n_rows),
        _GROUPS: (LIST, _list(STRUCT, row_groups)),
        _CREATED_BY: (BINARY, _binary(f"headrace version {version('headrace')}".encode())),
    }
    footer = _struct(sorted(fields.items()))
    return footer + len(footer).to_bytes(4, "little") + MAGIC


def _schema_fields(schema: pa.Schema) -> dict[int, Value]:
    """Return the fields of a footer that a schema decides."""
    empty = pa.BufferOutputStream()
    pq.ParquetWriter(empty, schema).close()
    footer = _footer_of(empty.getvalue())
    fields, _ = struct_fields(_bytes_of(footer), 0)
    wanted = (_VERSION, _SCHEMA, _KEY_VALUES, _COLUMN_ORDERS)
    return {field.number: (field.kind, footer[field.start : field.stop]) for field in fields if field.number in wanted}


def _footer_of(file: pa.Buffer) -> bytes:
    n_footer = int.from_bytes(file.slice(file.size - 8, 4).to_pybytes(), "little")
    return bytes(file.slice(file.size - 8 - n_footer, n_footer).to_pybytes())


def _bytes_of(content: bytes) -> Any:
    return np.frombuffer(content, np.uint8)


def _by_number(fields: Iterable[StructField]) -> dict[int, StructField]:
    return {field.number: field for field in fields}


def _number(content: bytes, field: StructField) -> int:
    number = 0
    for place, byte in enumerate(content[field.start : field.stop]):
        number |= (byte & 0x7F) << (7 * place)
    return (number >> 1) ^ -(number & 1)
