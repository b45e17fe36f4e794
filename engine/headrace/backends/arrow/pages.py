"""Reading column chunks of Parquet without pyarrow's decoder: dictionary-encoded strings as their codes, plain strings and numbers.

pyarrow's `read_dictionary` takes 14 ns a value, the decoder here 3: it costs most of what a job reads. Only what is common is decoded
here: flat columns of strings or plain numbers. Whatever is unusual or damaged in a chunk leaves its column to pyarrow, which reads it,
or refuses it with its own error. Nothing is accepted here that pyarrow would refuse: checksums, sizes and counts are all compared.

Source: the Parquet format's `parquet.thrift`, "Data Pages", "Encodings", "Checksumming" and "Compression".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from zlib_ng.zlib_ng import crc32

from headrace.schema import Type
from headrace_kernels import page_headers as header
from headrace_kernels import pages as kernels
from headrace_kernels.snappy import SPARE, unpack_snappy

Bytes = NDArray[np.uint8]
_Unpack = Callable[[Bytes, int], Bytes]
_Decode = Callable[..., pa.Array]

# A page may claim to unpack to more than memory holds. pyarrow reads larger chunks, and has its own limits.
LARGEST_CHUNK = 1 << 30
KEPT_SPACE = 4 << 20  # a thread keeps memory for a page of so many bytes; a usual one has up to 1 MiB

_MOST_STRING_BYTES = (1 << 31) - 1  # what offsets of 32 bits reach

_MAGIC = b"PAR1"
_PLAIN, _PLAIN_DICTIONARY, _RLE, _RLE_DICTIONARY = 0, 2, 3, 8


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
_NOTHING: Bytes = np.zeros(0, np.uint8)
_NOTHING.flags.writeable = False


class _Irregular(Exception):
    """Something in a chunk is not as expected: pyarrow is to look at it."""


class _Page(NamedTuple):
    """A data page, decompressed: its rows, its bytes (until the next page is), and where its definition levels are."""

    n_rows: int
    encoding: int
    placed: int
    levels: Bytes
    body: Bytes
    n_nulls: int | None


class Layout(NamedTuple):
    """What a footer says of the columns that this decoder can read.

    `chunks` has the fields of each column chunk [row group, column] (see `scan_footer`; None: it is of another shape), `n_rows` the rows of
    each row group, `columns` by name the index, whether nulls may be, and the decoder.
    """

    chunks: NDArray[np.int64] | None
    n_rows: list[int]
    columns: dict[str, tuple[int, bool, _Decode]]


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
    chunks = header.scan_footer(footer, metadata.num_row_groups, metadata.num_columns)
    n_rows = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    return Layout(chunks, n_rows, dict(_known_columns(metadata, frozenset(names))))


class PageReader:
    """Reads those columns of a file, open for random access, that this decoder can read."""

    def __init__(self, handle: Any, layout: Layout) -> None:
        self._handle = handle
        self._size = handle.size()
        self._chunks, self._n_rows, self._columns = layout

    def read(self, row_group: int, names: Sequence[str]) -> dict[str, pa.Array]:
        """Return the columns of a row group that can be read here, the others left out.

        Strings with a dictionary page are dictionary arrays with the smallest signed indices that hold their codes, each value checked to
        be UTF-8 and each index to be in the dictionary; others are plain. Numbers are arrays of the column's type.
        """
        if self._chunks is None or row_group >= len(self._n_rows):
            return {}
        found = {}
        chunks, n_rows = self._chunks[row_group].tolist(), self._n_rows[row_group]
        for name in names:
            if name in self._columns:
                index, optional, decode = self._columns[name]
                array = self._read_chunk(chunks[index], n_rows, optional, decode)
                if array is not None:
                    found[name] = array
        return found

    def _read_chunk(self, chunk: list[int], n_rows: int, optional: bool, decode: _Decode) -> pa.Array | None:
        """Return one column of a row group; None if anything of it is not as it should be."""
        codec = _CODECS.get(chunk[header.CHUNK_CODEC])
        start, n_bytes, n_unpacked = chunk[header.CHUNK_DATA], chunk[header.CHUNK_BYTES], chunk[header.CHUNK_UNPACKED]
        if 0 < chunk[header.CHUNK_DICTIONARY] < start:
            start = chunk[header.CHUNK_DICTIONARY]
        if codec is None or not n_rows or chunk[header.CHUNK_VALUES] != n_rows or chunk[header.CHUNK_ELSEWHERE]:
            return None
        if start < len(_MAGIC) or not 0 <= n_bytes <= self._size - start or n_unpacked > LARGEST_CHUNK:
            return None
        try:
            stored = _array(self._handle.read_at(n_bytes, start))
            table = header.scan_pages(stored, n_rows)
            if len(stored) != n_bytes or table is None:
                return None
            rows = table.tolist()
            n_page_bytes = sum(row[header.SIZE] for row in rows)
            if n_page_bytes > n_unpacked:
                return None
            dictionary = _dictionary_page(stored, rows, codec)
            pages = (_data_page(stored, row, codec, optional) for row in rows if row[header.KIND] != header.DICTIONARY_PAGE)
            return decode(dictionary, pages, n_rows, optional, n_page_bytes)
        except (_Irregular, pa.ArrowException, OSError, ValueError, OverflowError, MemoryError):
            return None


def _known_columns(metadata: Any, names: Set[str]) -> Iterator[tuple[str, tuple[int, bool, _Decode]]]:
    """Yield the name, the index, whether nulls may be, and the decoder of each column that is of a known kind."""
    schema = metadata.schema.to_arrow_schema()
    for index in range(metadata.num_columns):
        column = metadata.schema.column(index)
        if column.name not in names:
            continue
        field = schema.get_field_index(column.name)
        if column.max_repetition_level or column.max_definition_level > 1 or column.path != column.name or "." in column.name or field < 0:
            continue
        decode = _decoder_of(column, schema.field(field).type)
        if decode is not None:
            yield column.name, (index, column.max_definition_level == 1, decode)


def _decoder_of(column: Any, type_: pa.DataType) -> _Decode | None:
    """Return what decodes a column of this type, None for pyarrow."""
    if column.physical_type == "BYTE_ARRAY":
        # pyarrow's `read_dictionary` gives strings of 32-bit offsets, too, whatever was written
        return _strings if column.logical_type.type == "STRING" and Type.from_arrow(type_).is_string else None
    number = _NUMBERS.get(type_)
    return partial(_numbers, number) if number is not None and number.physical == column.physical_type else None


def _strings(dictionary: tuple[int, Bytes] | None, pages: Iterator[_Page], n_rows: int, optional: bool, n_page_bytes: int) -> pa.Array:
    if dictionary is None:
        return _plain_strings(pages, n_rows, optional, n_page_bytes)
    values = _dictionary_of_strings(*dictionary)
    n_codes = len(values)
    codes = np.empty(n_rows, np.int8 if n_codes < 1 << 7 else np.int16 if n_codes < 1 << 15 else np.int32)
    bits = kernels.bitmap_space(n_rows if optional else 0)
    scratch = np.empty(0, np.int32)
    row = n_valid = 0
    for page in pages:
        if page.encoding not in (_RLE_DICTIONARY, _PLAIN_DICTIONARY):
            raise _Irregular
        if len(scratch) <= page.n_rows:
            scratch = np.empty(page.n_rows + 1, np.int32)
        place = (page.levels, page.placed, page.body, n_codes, row, page.n_rows)
        n_valid += _checked(kernels.decode_codes(*place, bits, scratch, codes), page)
        row += page.n_rows
    return pa.DictionaryArray.from_arrays(_as_arrow(pa.from_numpy_dtype(codes.dtype), codes, bits, n_valid), values, safe=False)


def _plain_strings(pages: Iterator[_Page], n_rows: int, optional: bool, n_page_bytes: int) -> pa.StringArray:
    """Return the strings of pages without a dictionary, written side by side into one buffer."""
    data = np.empty(n_page_bytes + kernels.SPARE, np.uint8)
    ends = np.zeros(n_rows + 1, np.int32)
    bits = kernels.bitmap_space(n_rows if optional else 0)
    row = n_valid = end = 0
    only_ascii = True
    for page in pages:
        if page.encoding != _PLAIN or row + page.n_rows > n_rows:
            raise _Irregular
        n_here, start = kernels.open_page(page.levels, page.placed, page.body, row, page.n_rows, bits)
        n_valid += _checked(n_here, page)
        body = page.body[start:]
        n_bytes = len(body) - 4 * n_here
        if n_bytes < 0:
            raise _Irregular
        offsets = np.empty(n_here + 1, np.int32)
        found = kernels.decode_strings(body, offsets, data[end : end + n_bytes + kernels.SPARE])
        if found == kernels.DAMAGED:
            raise _Irregular
        only_ascii &= not found
        kernels.place_offsets(offsets, bits, row, end, ends[1 + row : 1 + row + page.n_rows])
        row += page.n_rows
        end += n_bytes
    if row != n_rows or end > _MOST_STRING_BYTES:
        raise _Irregular
    validity = pa.py_buffer(bits) if n_valid < n_rows else None
    buffers = [validity, pa.py_buffer(ends), pa.py_buffer(data)]
    values = pa.Array.from_buffers(pa.string(), n_rows, buffers, n_rows - n_valid)
    if not only_ascii:
        values.validate(full=True)
    return values


def _dictionary_of_strings(n_values: int, page: Bytes) -> pa.StringArray:
    offsets, data = kernels.string_space(n_values, len(page))
    damaged_or_ascii = kernels.decode_strings(page, offsets, data)
    if damaged_or_ascii == kernels.DAMAGED or len(offsets) != n_values + 1:
        raise _Irregular
    values = pa.StringArray.from_buffers(n_values, pa.py_buffer(offsets), pa.py_buffer(data))
    if damaged_or_ascii:
        values.validate(full=True)
    return values


def _numbers(
    number: _Number, dictionary: tuple[int, Bytes] | None, pages: Iterator[_Page], n_rows: int, optional: bool, _n_page_bytes: int
) -> pa.Array:
    values = _NOTHING
    if dictionary is not None:
        n_values, page_bytes = dictionary
        # aligned, and of one kind: kernels are compiled for each
        values = _plain_numbers(page_bytes, n_values, number).copy().view(number.moved)
        if len(page_bytes) != n_values * number.stored.itemsize:
            raise _Irregular
    out = np.empty(n_rows, number.moved)
    bits = kernels.bitmap_space(n_rows if optional else 0)
    scratch = np.empty(0, np.int32)
    row = n_valid = 0
    for page in pages:
        if page.encoding == _PLAIN:
            n_here, start = kernels.open_page(page.levels, page.placed, page.body, row, page.n_rows, bits)
            n_valid += _checked(n_here, page)
            numbers = _plain_numbers(page.body[start:], n_here, number).view(number.moved)
            rows = out[row : row + page.n_rows]
            if n_here == page.n_rows:
                rows[:] = numbers
            else:
                kernels.spread(np.append(numbers, number.moved.type(0)), bits, row, rows)
        elif page.encoding in (_RLE_DICTIONARY, _PLAIN_DICTIONARY) and dictionary is not None:
            if len(scratch) <= page.n_rows:
                scratch = np.empty(page.n_rows + 1, np.int32)
            place = (page.levels, page.placed, page.body, values, row, page.n_rows)
            n_valid += _checked(kernels.decode_numbers(*place, bits, scratch, out), page)
        else:
            raise _Irregular
        row += page.n_rows
    return _as_arrow(number.arrow, out, bits, n_valid)


def _plain_numbers(page: Bytes, n_values: int, number: _Number) -> NDArray[Any]:
    wide = np.frombuffer(page, number.stored, n_values)
    if number.dtype.itemsize >= 4:
        return wide.view(number.dtype)
    narrow = wide.astype(number.dtype)
    if not np.array_equal(narrow, wide):
        raise _Irregular
    return narrow


def _checked(n_valid: int, page: _Page) -> int:
    """Return how many values a page has, if that is known, and is what its header says."""
    if n_valid < 0 or (page.n_nulls is not None and n_valid != page.n_rows - page.n_nulls):
        raise _Irregular
    return n_valid


def _as_arrow(type_: pa.DataType, values: NDArray[Any], bits: Bytes, n_valid: int) -> pa.Array:
    n_rows = len(values)
    validity = pa.py_buffer(bits) if n_valid < n_rows else None
    return pa.Array.from_buffers(type_, n_rows, [validity, pa.py_buffer(values)], n_rows - n_valid)


def _array(buffer: Any) -> Bytes:
    """Return bytes as an array that cannot be written: kernels are compiled for one kind."""
    array = np.frombuffer(buffer, np.uint8)
    array.setflags(write=False)
    return array


def _dictionary_page(stored: Bytes, rows: Sequence[list[int]], codec: _Unpack) -> tuple[int, Bytes] | None:
    """Return the number of values and the bytes of the dictionary, None if there is none."""
    kinds = [row[header.KIND] for row in rows]
    if header.DICTIONARY_PAGE not in kinds:
        return None
    row = rows[0]
    if kinds[0] != header.DICTIONARY_PAGE or header.DICTIONARY_PAGE in kinds[1:]:
        raise _Irregular
    if row[header.DICTIONARY_ENCODING] not in (_PLAIN, _PLAIN_DICTIONARY) or row[header.DICTIONARY_VALUES] < 0:
        raise _Irregular
    return row[header.DICTIONARY_VALUES], codec(_verified(stored, row), row[header.SIZE])


def _data_page(stored: Bytes, row: list[int], codec: _Unpack, optional: bool) -> _Page:
    body = _verified(stored, row)
    if row[header.KIND] == header.DATA_PAGE:
        if (optional and row[header.V1_LEVELS] != _RLE) or header.ABSENT in (row[header.V1_LEVELS], row[header.V1_REPETITION]):
            raise _Irregular
        placed = kernels.LEVELS_BEFORE if optional else kernels.NO_LEVELS
        return _Page(row[header.V1_VALUES], row[header.V1_ENCODING], placed, _NOTHING, codec(body, row[header.SIZE]), None)
    n_levels = row[header.V2_LEVEL_BYTES]
    if not 0 <= n_levels <= min(len(body), row[header.SIZE]) or row[header.V2_REPETITION_BYTES] or (n_levels and not optional):
        raise _Irregular
    if row[header.V2_ROWS] != row[header.V2_VALUES]:
        raise _Irregular
    levels, body = body[:n_levels], body[n_levels:]
    unpack = codec if row[header.V2_COMPRESSED] else _not_compressed  # a header that does not say is of a compressed page
    placed = kernels.LEVELS_APART if optional else kernels.NO_LEVELS
    body = unpack(body, row[header.SIZE] - n_levels)
    return _Page(row[header.V2_VALUES], row[header.V2_ENCODING], placed, levels, body, row[header.V2_NULLS])


def _verified(stored: Bytes, row: list[int]) -> Bytes:
    body = stored[row[header.BODY] : row[header.BODY] + row[header.STORED_SIZE]]
    if row[header.CRC] != header.ABSENT and crc32(body.data) != row[header.CRC] & 0xFFFFFFFF:
        raise _Irregular
    return body


def _not_compressed(body: Bytes, size: int) -> Bytes:
    if len(body) != size:
        raise _Irregular
    return body


class _Space(threading.local):
    """A thread's memory for one page: pages are taken in one after another, and memory that was just used is in the cache."""

    memory = np.empty(0, np.uint8)

    def of(self, n_bytes: int) -> Bytes:
        if n_bytes > KEPT_SPACE:
            return np.empty(n_bytes, np.uint8)
        if n_bytes > len(self.memory):
            self.memory = np.empty(n_bytes, np.uint8)
        return self.memory


_space = _Space()


def _snappy(body: Bytes, size: int) -> Bytes:
    unpacked = unpack_snappy(body, size, _space.of(size + SPARE))
    if unpacked is None:
        raise _Irregular
    return _array(unpacked)


def _streamed(name: str) -> _Unpack:
    """Return a decompressor that sees how many bytes there really are: `Codec.decompress` does not tell."""

    def decompress(body: Bytes, size: int) -> Bytes:
        with pa.CompressedInputStream(pa.BufferReader(body), name) as stream:
            buffer = stream.read_buffer(size + 1)
        if buffer.size != size:
            raise _Irregular
        return _array(buffer)

    return decompress


# By the format's numbers. Of LZ4 there are three framings, and few files: pyarrow knows them.
_CODECS: Mapping[int, _Unpack] = {0: _not_compressed, 1: _snappy, 2: _streamed("gzip"), 4: _streamed("brotli"), 6: _streamed("zstd")}
