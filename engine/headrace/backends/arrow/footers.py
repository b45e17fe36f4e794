"""Headers of pages and footers of Parquet files, as the bytes that stand in a file.

What a footer says of a schema (elements, logical types, Arrow's own schema, column orders) is taken from an empty file that pyarrow wrote,
so columns come back with the same types whoever wrote their values.

Source: `parquet.thrift` of the Parquet format; Apache Thrift, "Thrift Compact protocol encoding".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
Value = tuple[int, bytes]  # a field's kind and its bytes

_BYTES = [bytes([number]) for number in range(256)]

# Numbers of fields: of a file's metadata, of a row group, of a column chunk, and of its metadata.
_VERSION, _SCHEMA, _FILE_ROWS, _GROUPS, _KEY_VALUES, _CREATED_BY, _COLUMN_ORDERS = range(1, 8)
_COLUMNS, _GROUP_BYTES, _GROUP_ROWS, _, _GROUP_OFFSET, _GROUP_STORED = range(1, 7)
_CHUNK_OFFSET, _CHUNK_META = 2, 3
_TYPE, _ENCODINGS, _PATH, _CODEC, _VALUES, _UNPACKED, _STORED = range(1, 8)
_DATA_AT, _DICTIONARY_AT, _STATISTICS, _ENCODING_COUNTS = 9, 11, 12, 13


@dataclass(frozen=True)
class Chunk:
    """A column chunk that may be put anywhere in a file.

    Parameters
    ----------
    pieces : sequence of bytes-like
        Its pages, in order.
    meta : dict of int to Value
        Fields of its metadata, but for the places of its pages.
    n_bytes, n_unpacked : int
        Its size as stored, and decompressed.
    data_at, dictionary_at : int
        Where in it the data pages begin, and its dictionary page (None: there is none).
    """

    pieces: Sequence[Piece]
    meta: Mapping[int, Value]
    n_bytes: int
    n_unpacked: int
    data_at: int
    dictionary_at: int | None


def varint(number: int) -> bytes:
    r"""Write a number that is not negative, 7 bits a byte, the lowest first.

    >>> varint(300)
    b'\xac\x02'
    """
    if number < 0x80:
        return _BYTES[number]
    out = bytearray()
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


def _binary(content: bytes) -> Value:
    return BINARY, varint(len(content)) + content


def _list(kind: int, items: Sequence[bytes]) -> Value:
    n_items = len(items)
    head = bytes([n_items << 4 | kind]) if n_items < 15 else bytes([0xF0 | kind]) + varint(n_items)
    return LIST, head + b"".join(items)


def _struct(fields: Iterable[tuple[int, Value]]) -> bytes:
    """Write a struct of fields with ascending numbers."""
    out, last = [], 0
    for number, (kind, content) in fields:
        step = number - last
        out.append(_BYTES[step << 4 | kind] if step < 16 else _BYTES[kind] + _signed(number))
        out.append(content)
        last = number
    return b"".join([*out, b"\0"])


def page_header(kind: int, n_values: int, encoding: int, pieces: Sequence[Piece]) -> bytes:
    """Return the header of a page that is not compressed, with its checksum.

    Parameters
    ----------
    kind : int
        DATA_PAGE, with levels in the RLE encoding, or DICTIONARY_PAGE.
    pieces : sequence of bytes-like
        All of the page.
    """
    size, crc = 0, 0
    for piece in pieces:
        size += nbytes(piece)
        crc = zlib.crc32(piece, crc)
    about: list[tuple[int, Value]] = [(1, _i32(n_values)), (2, _i32(encoding))]
    if kind == DATA_PAGE:
        about += [(3, _i32(RLE)), (4, _i32(RLE))]
    signed_crc = crc - (1 << 32) if crc >> 31 else crc
    fields = [(1, _i32(kind)), (2, _i32(size)), (3, _i32(size)), (4, _i32(signed_crc)), (kind + 5, (STRUCT, _struct(about)))]
    return _struct(fields)


def nbytes(piece: Piece) -> int:
    """Return the size of a piece in bytes."""
    return len(piece) if isinstance(piece, bytes) else int(piece.nbytes)


def statistics(n_nulls: int, extremes: tuple[bytes, bytes] | None, signed: bool) -> Value:
    """Return the statistics of a chunk: its nulls, and its least and largest value as they are stored, if it has any.

    `signed` values have the older fields, too, whose order is that of signed numbers.
    """
    fields: list[tuple[int, Value]] = [(3, (I64, _signed(n_nulls)))]
    if extremes is not None:
        least, largest = _binary(extremes[0]), _binary(extremes[1])
        if signed:
            fields = [(1, largest), (2, least), *fields]
        fields += [(5, largest), (6, least), (7, (TRUE, b"")), (8, (TRUE, b""))]
    return STRUCT, _struct(fields)


def chunk_of_pages(
    name: str, stored_as: int, n_rows: int, dictionary: Sequence[Piece], pages: Sequence[Piece], counts: tuple[int, int], about: Value
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
    about : Value
        From `statistics`.
    """
    encoding, n_pages = counts
    n_dictionary = sum(nbytes(piece) for piece in dictionary)
    n_bytes = n_dictionary + sum(nbytes(piece) for piece in pages)
    by_page = [_struct([(1, _i32(DATA_PAGE)), (2, _i32(encoding)), (3, _i32(n_pages))])]
    if dictionary:
        by_page.insert(0, _struct([(1, _i32(DICTIONARY_PAGE)), (2, _i32(PLAIN)), (3, _i32(1))]))
    encodings = (PLAIN, RLE, RLE_DICTIONARY) if dictionary else (RLE, encoding)
    meta = {
        _TYPE: _i32(stored_as),
        _ENCODINGS: _list(I32, [_signed(number) for number in encodings]),
        _PATH: _list(BINARY, [_binary(name.encode())[1]]),
        _CODEC: _i32(0),
        _VALUES: _i64(n_rows),
        _UNPACKED: _i64(n_bytes),
        _STORED: _i64(n_bytes),
        _STATISTICS: about,
        _ENCODING_COUNTS: _list(STRUCT, by_page),
    }
    return Chunk([*dictionary, *pages], meta, n_bytes, n_bytes, n_dictionary, 0 if dictionary else None)


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
        data_at, dictionary_at = numbers[_DATA_AT], numbers.get(_DICTIONARY_AT)
        first = data_at if dictionary_at is None else dictionary_at
        meta = {
            number: (field.kind, footer[field.start : field.stop])
            for number, field in fields.items()
            if number not in (_DATA_AT, _DICTIONARY_AT)
        }
        piece = file.slice(first, numbers[_STORED])
        at = None if dictionary_at is None else 0
        chunks.append(Chunk([memoryview(piece)], meta, numbers[_STORED], numbers[_UNPACKED], data_at - first, at))
    return chunks


def row_group(chunks: Sequence[Chunk], n_rows: int, start: int) -> bytes:
    """Return what a footer says of a row group whose chunks stand one after the other from `start` on."""
    at, columns = start, []
    for chunk in chunks:
        meta = {**chunk.meta, _DATA_AT: _i64(at + chunk.data_at)}
        if chunk.dictionary_at is not None:
            meta[_DICTIONARY_AT] = _i64(at + chunk.dictionary_at)
        columns.append(_struct([(_CHUNK_OFFSET, _i64(0)), (_CHUNK_META, (STRUCT, _struct(sorted(meta.items()))))]))
        at += chunk.n_bytes
    fields = [
        (_COLUMNS, _list(STRUCT, columns)),
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
        _GROUPS: _list(STRUCT, row_groups),
        _CREATED_BY: _binary(f"headrace version {version('headrace')}".encode()),
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
