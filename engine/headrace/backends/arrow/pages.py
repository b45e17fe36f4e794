"""Reading column chunks of Parquet without pyarrow's decoder: dictionary-encoded strings as their codes, plain strings and numbers.

pyarrow's `read_dictionary` takes 14 ns a value, the decoder here 3: it costs most of what a job reads. Only what is common is decoded
here: flat columns of strings or plain numbers. Whatever is unusual or damaged in a chunk leaves its column to pyarrow, which reads it,
or refuses it with its own error. Nothing is accepted here that pyarrow would refuse: checksums, sizes and counts are all compared.

Source: the Parquet format's `parquet.thrift`, "Data Pages", "Encodings", "Checksumming" and "Compression".
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from zlib_ng.zlib_ng import crc32

from headrace.backends.arrow.checksums import CRC32
from headrace.backends.arrow.coded import LEAST_ROWS_A_VALUE, MOST_VALUES, VALUE_TYPES
from headrace.backends.arrow.values import array_of
from headrace.schema import Type
from headrace_kernels import column_chunks as kernels
from headrace_kernels import page_headers as header
from headrace_kernels.column_chunks import NOT_PACKED, SNAPPY
from headrace_kernels.pages import DAMAGED, SPARE, bitmap_space, string_space
from headrace_kernels.snappy import SPARE as UNPACKING_SPARE

Bytes = NDArray[np.uint8]

# A page may claim to unpack to more than memory holds. pyarrow reads larger chunks, and has its own limits.
LARGEST_CHUNK = 1 << 30
# Batches of fewer rows are joined with others (see `read`), for which codes would have to be those of common values.
LEAST_CODED_ROWS = 1 << 16
KEPT_SPACE = 4 << 20  # a thread keeps memory for a page of so many bytes; a usual one has up to 1 MiB
# Chunks that stand one after the other are read and decoded together up to so many bytes, which the processor's cache holds.
READ_NBYTES = 4 << 20

_MOST_STRING_BYTES = (1 << 31) - 1  # what offsets of 32 bits reach

_MAGIC = b"PAR1"


class _Number(NamedTuple):
    """A type of numbers: what it is in a file, its values in memory and as stored, of at least 32 bits, and as what kernels move them.

    Kernels move bits and know no types: four widths are compiled instead of ten types.
    """

    arrow: pa.DataType
    physical: str
    dtype: np.dtype[Any]
    stored: np.dtype[Any]
    moved: np.dtype[Any]


def _number(arrow: pa.DataType) -> _Number:
    dtype = np.dtype(arrow.to_pandas_dtype())
    n_bytes = max(4, dtype.itemsize)
    narrow, wide = ("FLOAT", "DOUBLE") if dtype.kind == "f" else ("INT32", "INT64")
    return _Number(arrow, wide if n_bytes == 8 else narrow, dtype, np.dtype(f"<{dtype.kind}{n_bytes}"), np.dtype(f"u{dtype.itemsize}"))


# A type that is stored otherwise is converted by pyarrow.
_INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
_NUMBERS = {type_: _number(type_) for type_ in (*_INTEGERS, pa.float32(), pa.float64())}


class _Irregular(Exception):
    """Something in a chunk is not as expected: pyarrow is to look at it."""


class _Known(NamedTuple):
    """A column that can be read here: its place in the file, whether nulls may be, and of what type its numbers are (None: strings)."""

    place: int
    optional: bool
    number: _Number | None


class _Chunk(NamedTuple):
    """A column of a row group: what is known of it, where its bytes begin and how many they are, packed and unpacked, and its codec."""

    name: str
    column: _Known
    start: int
    n_bytes: int
    n_unpacked: int
    codec: int


class _Pages(NamedTuple):
    """The bytes of a chunk, or of several, the table of its pages, and where in it each chunk has its own (see `scan_pages`)."""

    stored: Bytes
    table: NDArray[np.int64]
    spans: NDArray[np.int64]


class Layout(NamedTuple):
    """What a footer says of the columns that this decoder can read.

    `footer` is None if it is of another shape than it should be.
    """

    footer: header.Footer | None
    columns: dict[str, _Known]


def read_layout(handle: Any, metadata: Any, names: Sequence[str]) -> Layout:
    """Return what the footer of a file says of its columns.

    Parameters
    ----------
    handle : pyarrow.NativeFile
        The file, open for random access.
    metadata : pyarrow.parquet.FileMetaData
        Its footer. Columns that are encrypted must have been refused before.
    names : sequence of str
        The top-level columns that will be asked for.
    """
    # The footer is read once more: what pyarrow shows of it takes 20 us a chunk, and not all of it can be asked for.
    n_footer = metadata.serialized_size
    footer = _array(handle.read_at(n_footer, max(0, handle.size() - 8 - n_footer)))
    found = header.scan_footer(footer, metadata.num_row_groups, metadata.num_columns)
    return Layout(found, dict(_known_columns(metadata, frozenset(names))))


class PageReader:
    """Reads those columns of a file, open for random access, that this decoder can read."""

    def __init__(self, handle: Any, layout: Layout) -> None:
        self._handle = handle
        self._size = handle.size()
        self._footer, self._columns = layout

    def read(self, row_group: int, names: Sequence[str]) -> dict[str, pa.Array]:
        """Return the columns of a row group that can be read here, the others left out.

        Strings with a dictionary page are dictionary arrays with the smallest signed indices that hold their codes, each value checked to
        be UTF-8 and each index to be in the dictionary; others are plain. Numbers are arrays of the column's type, or codes of few values (see `coded`).
        """
        if self._footer is None or row_group >= len(self._footer.n_rows):
            return {}
        found: dict[str, pa.Array] = {}
        n_rows = int(self._footer.n_rows[row_group])
        for run in _runs(self._chunks_of(self._footer.chunks[row_group], n_rows, names)):
            found |= self._read_run(run, n_rows)
        return {name: found[name] for name in names if name in found}

    def _chunks_of(self, chunks: NDArray[np.int64], n_rows: int, names: Sequence[str]) -> Iterator[_Chunk]:
        """Yield what can be read here of a row group, as it stands in the file."""
        table, known = chunks.tolist(), self._columns
        for name in sorted((name for name in names if name in known), key=lambda name: table[known[name].place][header.CHUNK_DATA]):
            chunk = table[known[name].place]
            start, n_bytes, n_unpacked = chunk[header.CHUNK_DATA], chunk[header.CHUNK_BYTES], chunk[header.CHUNK_UNPACKED]
            if 0 < chunk[header.CHUNK_DICTIONARY] < start:
                start = chunk[header.CHUNK_DICTIONARY]
            codec = chunk[header.CHUNK_CODEC]
            is_known = codec in (NOT_PACKED, SNAPPY) or codec in _CODECS
            if not is_known or n_rows <= 0 or chunk[header.CHUNK_VALUES] != n_rows or chunk[header.CHUNK_ELSEWHERE]:
                continue
            if start >= len(_MAGIC) and 0 <= n_bytes <= self._size - start and n_unpacked <= LARGEST_CHUNK:
                yield _Chunk(name, known[name], start, n_bytes, n_unpacked, codec)

    def _read_run(self, run: Sequence[_Chunk], n_rows: int) -> dict[str, pa.Array]:
        """Return the columns of chunks that stand one after the other, without those of which anything is not as it should be."""
        first, n_bytes = run[0].start, sum(chunk.n_bytes for chunk in run)
        try:
            stored = _array(self._handle.read_at(n_bytes, first))
        except (OSError, MemoryError):
            return {}
        if len(stored) != n_bytes:
            return {}
        places = np.array([(chunk.start - first, chunk.n_bytes) for chunk in run], np.int64)
        pages = _Pages(stored, *header.scan_pages(stored, places, n_rows))
        found: dict[str, pa.Array] = {}
        numbers: dict[int, list[tuple[_Chunk, int]]] = {}
        for place, (chunk, span) in enumerate(zip(run, pages.spans.tolist(), strict=True)):
            if span[header.FIRST] == span[header.END] or span[header.UNPACKED] > chunk.n_unpacked:
                continue
            try:
                if chunk.codec in _CODECS:
                    found[chunk.name] = _one_unpacked(chunk, _unpacked(pages, span, chunk.codec), n_rows)
                elif chunk.column.number is None:
                    found[chunk.name] = _strings(chunk, pages, place, n_rows)
                elif (coded := _coded_numbers(chunk, pages, place, n_rows)) is not None:
                    found[chunk.name] = coded
                else:
                    numbers.setdefault(chunk.column.number.arrow.id, []).append((chunk, place))
            except (_Irregular, pa.ArrowException, OSError, ValueError, OverflowError, MemoryError):
                continue
        for chunks in numbers.values():
            with suppress(MemoryError, ValueError, OverflowError):  # a file may claim any number of rows
                found |= _numbers(chunks, pages, n_rows)
        return found


def _runs(chunks: Iterator[_Chunk]) -> Iterator[list[_Chunk]]:
    """Cut chunks where bytes of others stand between them, and where they are many."""
    run: list[_Chunk] = []
    end = 0
    for chunk in chunks:
        if run and (chunk.start != end or end + chunk.n_bytes - run[0].start > READ_NBYTES):
            yield run
            run = []
        run.append(chunk)
        end = chunk.start + chunk.n_bytes
    if run:
        yield run


def _known_columns(metadata: Any, names: Set[str]) -> Iterator[tuple[str, _Known]]:
    """Yield the name of each column that is of a known kind, and what is known of it."""
    schema = metadata.schema.to_arrow_schema()
    for index in range(metadata.num_columns):
        column = metadata.schema.column(index)
        if column.name not in names:
            continue
        field = schema.get_field_index(column.name)
        if column.max_repetition_level or column.max_definition_level > 1 or column.path != column.name or "." in column.name or field < 0:
            continue
        type_ = schema.field(field).type
        number = _NUMBERS.get(type_)
        if column.physical_type == "BYTE_ARRAY":
            # pyarrow's `read_dictionary` gives strings of 32-bit offsets, too, whatever was written
            is_known = column.logical_type.type == "STRING" and Type.from_arrow(type_).is_string
        else:
            is_known = number is not None and number.physical == column.physical_type
        if is_known:
            yield column.name, _Known(index, column.max_definition_level == 1, number)


def _numbers(chunks: Sequence[tuple[_Chunk, int]], pages: _Pages, n_rows: int) -> dict[str, pa.Array]:
    """Return the columns of chunks of one type that are as they should be."""
    number = chunks[0][0].column.number
    assert number is not None  # noqa: S101  (these are no strings)
    values = [pa.py_buffer(np.empty(n_rows, number.moved)) for _ in chunks]
    bitmaps = [pa.py_buffer(bitmap_space(n_rows if chunk.column.optional else 0)) for chunk, _ in chunks]
    about = [(chunk.codec, chunk.column.optional, v.address, b.address) for (chunk, _), v, b in zip(chunks, values, bitmaps, strict=True)]
    spans = pages.spans[[place for _, place in chunks]]
    space = _space.of(int(spans[:, header.LARGEST].max()))
    found = np.empty(len(chunks), np.int64)
    table = np.array(about, np.int64)
    like = np.empty(0, number.moved)
    kernels.read_numbers(pages.stored, pages.table, spans, table, n_rows, number.dtype.kind == "i", CRC32, space, like, found)
    return {
        chunk.name: _as_arrow(number.arrow, n_rows, data, bits, n_valid)
        for (chunk, _), data, bits, n_valid in zip(chunks, values, bitmaps, found.tolist(), strict=True)
        if n_valid != DAMAGED
    }


def _coded_numbers(chunk: _Chunk, pages: _Pages, place: int, n_rows: int) -> pa.Array | None:
    """Return a column of numbers as codes, if there are many rows, and few values in a dictionary page that all other pages refer to."""
    if n_rows < LEAST_CODED_ROWS:
        return None
    number = chunk.column.number
    assert number is not None  # noqa: S101  (these are no strings)
    first, end, _, largest = pages.spans[place].tolist()
    table = pages.table[first:end]
    n_values = int(table[0, header.DICTIONARY_VALUES]) if table[0, header.KIND] == header.DICTIONARY_PAGE else 0
    if number.arrow not in VALUE_TYPES or not 0 < n_values <= min(MOST_VALUES, n_rows // LEAST_ROWS_A_VALUE):
        return None
    values, space = np.empty(n_values, number.moved), _space.of(largest)
    is_signed, optional = number.dtype.kind == "i", chunk.column.optional
    if not kernels.read_number_dictionary(pages.stored, table[0], chunk.codec, is_signed, CRC32, space, values):
        return None
    bits, codes = bitmap_space(n_rows if optional else 0), np.empty(n_rows, np.int16)
    n_valid = kernels.read_codes(pages.stored, table[1:], chunk.codec, optional, n_values, CRC32, space, bits, codes)
    if n_valid == DAMAGED:
        return None
    found = array_of(values.view(number.dtype))
    if n_valid < n_rows:
        kernels.set_codes_of_nulls(bits, n_values, codes)
        found = pa.concat_arrays([found, pa.nulls(1, found.type)])
    return pa.DictionaryArray.from_arrays(array_of(codes), found, safe=False)


def _strings(chunk: _Chunk, pages: _Pages, place: int, n_rows: int) -> pa.Array:
    """Return a column of strings, a dictionary array if there is a dictionary page."""
    first, end, n_unpacked, largest = pages.spans[place].tolist()
    table, space, codec, optional = pages.table[first:end], _space.of(largest), chunk.codec, chunk.column.optional
    bits = bitmap_space(n_rows if optional else 0)
    if table[0, header.KIND] != header.DICTIONARY_PAGE:
        return _plain_strings(pages.stored, table, codec, optional, space, bits, n_rows, n_unpacked)
    values = _dictionary_of_strings(pages.stored, table[0], codec, space)
    n_codes = len(values)
    codes = np.empty(n_rows, np.int8 if n_codes < 1 << 7 else np.int16 if n_codes < 1 << 15 else np.int32)
    n_valid = kernels.read_codes(pages.stored, table[1:], codec, optional, n_codes, CRC32, space, bits, codes)
    if n_valid == DAMAGED:
        raise _Irregular
    indices = _as_arrow(pa.from_numpy_dtype(codes.dtype), n_rows, pa.py_buffer(codes), pa.py_buffer(bits), n_valid)
    return pa.DictionaryArray.from_arrays(indices, values, safe=False)


def _plain_strings(
    stored: Bytes, table: NDArray[np.int64], codec: int, optional: bool, space: Bytes, bits: Bytes, n_rows: int, n_unpacked: int
) -> pa.StringArray:
    """Return the strings of pages without a dictionary, written side by side into one buffer."""
    data = np.empty(n_unpacked + SPARE, np.uint8)
    ends = np.zeros(n_rows + 1, np.int32)
    n_valid, end, only_ascii = kernels.read_strings(stored, table, codec, optional, CRC32, space, bits, data, ends[1:])
    if n_valid == DAMAGED or end > _MOST_STRING_BYTES:
        raise _Irregular
    validity = pa.py_buffer(bits) if n_valid < n_rows else None
    values = pa.Array.from_buffers(pa.string(), n_rows, [validity, pa.py_buffer(ends), pa.py_buffer(data)], n_rows - n_valid)
    if not only_ascii:
        values.validate(full=True)
    return values


def _dictionary_of_strings(stored: Bytes, page: NDArray[np.int64], codec: int, space: Bytes) -> pa.StringArray:
    n_values = int(page[header.DICTIONARY_VALUES])
    offsets, data = string_space(n_values, int(page[header.SIZE]))
    damaged_or_ascii = kernels.read_dictionary(stored, page, codec, CRC32, space, offsets, data)
    if damaged_or_ascii == DAMAGED:
        raise _Irregular
    values = pa.StringArray.from_buffers(n_values, pa.py_buffer(offsets), pa.py_buffer(data))
    if damaged_or_ascii:
        values.validate(full=True)
    return values


def _as_arrow(type_: pa.DataType, n_rows: int, values: pa.Buffer, bits: pa.Buffer, n_valid: int) -> pa.Array:
    return pa.Array.from_buffers(type_, n_rows, [bits if n_valid < n_rows else None, values], n_rows - n_valid)


def _array(buffer: Any) -> Bytes:
    """Return bytes as an array that cannot be written: kernels are compiled for one kind."""
    array = np.frombuffer(buffer, np.uint8)
    array.setflags(write=False)
    return array


def _one_unpacked(chunk: _Chunk, pages: _Pages, n_rows: int) -> pa.Array:
    """Return the column of a chunk whose pages have been unpacked."""
    chunk = chunk._replace(codec=NOT_PACKED)
    if chunk.column.number is None:
        return _strings(chunk, pages, 0, n_rows)
    coded = _coded_numbers(chunk, pages, 0, n_rows)
    if coded is not None:
        return coded
    found = _numbers([(chunk, 0)], pages, n_rows)
    if not found:
        raise _Irregular
    return found[chunk.name]


def _unpacked(pages: _Pages, span: list[int], codec: int) -> _Pages:
    """Return the pages of a chunk whose codec kernels do not know, verified and unpacked."""
    table = pages.table[span[header.FIRST] : span[header.END]].copy()
    pieces, at = [], 0
    for row in table:
        n_levels = int(row[header.V2_LEVEL_BYTES]) if row[header.KIND] == header.DATA_PAGE_V2 else 0
        body = pages.stored[row[header.BODY] : row[header.BODY] + row[header.STORED_SIZE]]
        if row[header.CRC] != header.ABSENT and crc32(body.data) != row[header.CRC] & 0xFFFFFFFF:
            raise _Irregular
        if not 0 <= n_levels <= min(len(body), row[header.SIZE]):
            raise _Irregular
        packed, size = body[n_levels:], int(row[header.SIZE]) - n_levels
        is_packed = row[header.KIND] != header.DATA_PAGE_V2 or row[header.V2_COMPRESSED] != 0
        pieces += [body[:n_levels], _decompressed(packed, size, _CODECS[codec]) if is_packed else packed]
        row[header.BODY], row[header.CRC] = at, header.ABSENT
        row[header.STORED_SIZE] = sum(len(piece) for piece in pieces[-2:])
        at += row[header.STORED_SIZE]
    spans = np.array([[0, len(table), *span[header.UNPACKED :]]], np.int64)
    return _Pages(_array(np.concatenate(pieces)), table, spans)


def _decompressed(packed: Bytes, size: int, name: str) -> Bytes:
    """Return the bytes that a page unpacks to, as many as it should be: `Codec.decompress` does not tell."""
    with pa.CompressedInputStream(pa.BufferReader(packed), name) as stream:
        buffer = stream.read_buffer(size + 1)
    if buffer.size != size:
        raise _Irregular
    return np.frombuffer(buffer, np.uint8)


# By the format's numbers, those that Arrow unpacks. Of LZ4 there are three framings, and few files: pyarrow knows them.
_CODECS: Mapping[int, str] = {2: "gzip", 4: "brotli", 6: "zstd"}


class _Space(threading.local):
    """A thread's memory for one page: pages are taken in one after another, and memory that was just used is in the cache."""

    memory = np.empty(0, np.uint8)

    def of(self, n_bytes: int) -> Bytes:
        """Return room for so many bytes unpacked."""
        n_bytes += UNPACKING_SPARE
        if n_bytes > KEPT_SPACE:
            return np.empty(n_bytes, np.uint8)
        if n_bytes > len(self.memory):
            self.memory = np.empty(n_bytes, np.uint8)
        return self.memory


_space = _Space()
