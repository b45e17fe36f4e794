"""Writing column chunks of numbers, dates and times without pyarrow's encoder.

pyarrow takes 5 ns a value for the levels of a column without nulls, 8 for packed differences, 12 for a dictionary: 360 ms of CPU for 1M
rows of 40 columns, and a third of that here. Only what is common is written here; `chunk_of` leaves the rest to pyarrow.

Source: the Parquet format's "Data Pages", "Encodings", "Checksumming", and `parquet.thrift` on statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.backends.arrow import footers
from headrace.backends.arrow.footers import Chunk, Piece, varint
from headrace_kernels.column import realigned
from headrace_kernels.packing import MOST_DISTINCT, WIDEST, compact, number_distinct, packed, packed_differences

# A column's values repeat if few among this many are distinct.
SAMPLE_ROWS = 4096
MOST_IN_SAMPLE = SAMPLE_ROWS // 8
# A dictionary of values that repeat is given up at this size.
REPEATED_NBYTES = 1 << 18
# Integers have a dictionary of all between their ends, where there are so many rows for each, and it is no larger than a page.
# Others of a narrow range are packed: of ids by falling frequency, with a part of them in a row group, that is smaller.
RANGE_ROWS = 32
NARROW = 1 << 20
# Bytes of a page's values: it is a reader's unit.
PAGE_NBYTES = 1 << 20

_INT32, _INT64, _FLOAT, _DOUBLE = 1, 2, 4, 5  # the format's physical types
_TIMESTAMPS = frozenset(["ms", "us", "ns"])  # seconds are stored as milliseconds: pyarrow converts them

_Values = NDArray[Any]


class _Kind(NamedTuple):
    """What a type's values are in memory, what they are as stored, of at least 32 bits, and the format's number of that."""

    dtype: np.dtype[Any]
    stored: np.dtype[Any]
    number: int


def _kind(name: str) -> _Kind:
    dtype = np.dtype(name)
    n_bytes = max(4, dtype.itemsize)
    narrow, wide = (_FLOAT, _DOUBLE) if dtype.kind == "f" else (_INT32, _INT64)
    return _Kind(dtype, np.dtype(f"<{dtype.kind}{n_bytes}"), wide if n_bytes == 8 else narrow)


_KINDS = {
    pa.int8().id: _kind("i1"),
    pa.int16().id: _kind("i2"),
    pa.int32().id: _kind("i4"),
    pa.int64().id: _kind("i8"),
    pa.uint8().id: _kind("u1"),
    pa.uint16().id: _kind("u2"),
    pa.uint32().id: _kind("u4"),
    pa.uint64().id: _kind("u8"),
    pa.float32().id: _kind("f4"),
    pa.float64().id: _kind("f8"),
    pa.date32().id: _kind("i4"),
    pa.timestamp("us").id: _kind("i8"),
}
_PACKED = frozenset([pa.int32().id, pa.int64().id])


class _Column(NamedTuple):
    """A column's values where it has some, one after the other, and the bitmap of the rows that have one (None: all)."""

    name: str
    optional: bool
    n_rows: int
    kind: _Kind
    values: _Values
    bits: NDArray[np.uint8] | None


def chunk_of(field: pa.Field, array: pa.Array) -> Chunk | None:
    """Return the chunk of a column, None if pyarrow is to write it: for its type, or because it may compress it.

    The same values give the same bytes, whatever stands under their nulls.
    """
    type_ = field.type
    kind = _KINDS.get(type_.id)
    if kind is None or not len(array) or (array.null_count and not field.nullable):
        return None
    if pa.types.is_timestamp(type_) and type_.unit not in _TIMESTAMPS:
        return None
    column = _opened(field, array, kind)
    values = column.values
    if not len(values):
        return _plain(column, None)
    extremes = _extremes(values)
    can_be_packed = type_.id in _PACKED
    if can_be_packed and _ascends(values):
        return _packed(column, extremes)
    if kind.dtype.kind != "f":
        low, high = (int(end) for end in extremes)
        n_range = high - low + 1
        if n_range * RANGE_ROWS <= len(values) and n_range * kind.stored.itemsize <= PAGE_NBYTES:
            return _with_dictionary(column, extremes, _range(low, n_range, kind.dtype), values, low)
        if can_be_packed and n_range <= NARROW:
            return _packed(column, extremes)
    numbered = _numbered(values, kind.stored.itemsize)
    if numbered is not None:
        return _with_dictionary(column, extremes, *numbered, 0)
    if can_be_packed:
        return _packed(column, extremes)
    return None if pa.types.is_temporal(type_) else _plain(column, extremes)


def _range(low: int, n_values: int, dtype: np.dtype[Any]) -> _Values:
    """Return all integers from `low` on."""
    values = np.uint64(low % (1 << 64)) + np.arange(n_values, dtype=np.uint64)
    return values.astype(f"u{dtype.itemsize}").view(dtype)


def _numbered(values: _Values, n_bytes: int) -> tuple[_Values, NDArray[np.uint16]] | None:
    """Return the distinct values and the number of each value among them; None if they do not repeat, or that would be no smaller.

    A value is stored in `n_bytes`.
    """
    if not _repeats(values):
        return None
    distinct = np.empty(min(MOST_DISTINCT, REPEATED_NBYTES // n_bytes, len(values)), f"u{values.dtype.itemsize}")
    codes = np.empty(len(values), np.uint16)
    n_distinct = number_distinct(_as_bits(values), distinct, codes)
    if n_distinct < 0 or n_distinct * n_bytes + len(values) * _width(n_distinct) // 8 >= len(values) * n_bytes:
        return None
    return distinct[:n_distinct].view(values.dtype), codes


def _opened(field: pa.Field, array: pa.Array, kind: _Kind) -> _Column:
    n_rows, n_nulls, dtype = len(array), array.null_count, kind.dtype
    if n_nulls == n_rows:
        return _Column(field.name, field.nullable, n_rows, kind, np.zeros(0, dtype), np.zeros((n_rows + 7) // 8, np.uint8))
    validity, data = array.buffers()
    values: _Values = np.frombuffer(data, dtype, n_rows, array.offset * dtype.itemsize)
    if not n_nulls:
        return _Column(field.name, field.nullable, n_rows, kind, values, None)
    bits = _read_only(realigned(np.frombuffer(validity, np.uint8), array.offset, n_rows))
    dense = np.empty(n_rows - n_nulls + 1, f"u{dtype.itemsize}")
    compact(_as_bits(values), bits, dense)
    return _Column(field.name, field.nullable, n_rows, kind, dense[:-1].view(dtype), bits)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that cannot be written, as those of Arrow: kernels are compiled for one kind."""
    array = array.view()
    array.flags.writeable = False
    return array


def _as_bits(values: _Values) -> _Values:
    return _read_only(values.view(f"u{values.dtype.itemsize}"))


def _width(n_values: int) -> int:
    """Return the bits of a number below `n_values`, at least one."""
    return max(1, (n_values - 1).bit_length())


def _ascends(values: _Values) -> bool:
    """Whether the first values ascend: differences of keys and times pack to almost nothing."""
    first = values[:SAMPLE_ROWS]
    return bool(len(first) == SAMPLE_ROWS and first[0] != first[-1] and (first[1:] >= first[:-1]).all())


def _repeats(values: _Values) -> bool:
    # Of most numbers the first few hundred are distinct, which answers it.
    sample = values[:: max(len(values) // SAMPLE_ROWS, 1)]
    return _has_few(sample[: MOST_IN_SAMPLE + 1]) and _has_few(sample)


def _has_few(sample: _Values) -> bool:
    distinct = np.empty(MOST_IN_SAMPLE, f"u{sample.dtype.itemsize}")
    return number_distinct(_as_bits(np.ascontiguousarray(sample)), distinct, np.empty(len(sample), np.uint16)) >= 0


def _extremes(values: _Values) -> tuple[Any, Any]:
    """Return the least and the largest value, NaN left aside (NaN if there is no other)."""
    if values.dtype.kind == "f":
        return np.fmin.reduce(values), np.fmax.reduce(values)
    return values.min(), values.max()


def _statistics(column: _Column, extremes: tuple[Any, Any] | None) -> bytes:
    known = None
    dtype, stored, _ = column.kind
    if extremes is not None and extremes[0] == extremes[0]:
        least, largest = extremes
        if dtype.kind == "f":  # 0.0 and -0.0 are equal, and a reader may order them: the least zero is -0.0, the largest 0.0
            least, largest = (-dtype.type(0) if least == 0 else least), (dtype.type(0) if largest == 0 else largest)
        ends = np.array((least, largest), stored).tobytes()
        known = ends[: stored.itemsize], ends[stored.itemsize :]
    return footers.statistics(column.n_rows - len(column.values), known, dtype.kind != "u")


def _plain(column: _Column, extremes: tuple[Any, Any] | None) -> Chunk:
    values = column.values.astype(column.kind.stored, copy=False)
    rows = PAGE_NBYTES // values.itemsize
    pages = [(n_rows, [levels, values[start:stop]]) for n_rows, levels, start, stop in _pages(column, rows)]
    return _chunk(column, extremes, [], footers.PLAIN, pages)


def _packed(column: _Column, extremes: tuple[Any, Any]) -> Chunk | None:
    """Return a chunk of packed differences, None if some are too wide for it."""
    bits = _as_bits(column.values)
    pages: list[tuple[int, list[Piece]]] = []
    for n_rows, levels, start, stop in _pages(column, PAGE_NBYTES // bits.itemsize):
        body = packed_differences(bits[start:stop], levels)
        if body is None:
            return None
        pages.append((n_rows, [body]))
    return _chunk(column, extremes, [], footers.DELTA_BINARY_PACKED, pages)


def _with_dictionary(column: _Column, extremes: tuple[Any, Any], dictionary: _Values, codes: _Values, low: int) -> Chunk:
    """Return a chunk of codes, which are `codes` less `low`, of the values in a dictionary."""
    entries = dictionary.astype(column.kind.stored, copy=False)
    header = footers.page_header(footers.DICTIONARY_PAGE, len(entries), footers.PLAIN, [entries])
    width = _width(len(entries))
    bits = _as_bits(codes)
    pages = []
    for n_rows, levels, start, stop in _pages(column, PAGE_NBYTES * 8 // WIDEST):
        pages.append((n_rows, [_indices(bits[start:stop], low % (1 << 8 * bits.itemsize), width, levels)]))
    return _chunk(column, extremes, [header, entries], footers.RLE_DICTIONARY, pages)


def _indices(values: _Values, low: int, width: int, levels: bytes) -> NDArray[np.uint8]:
    """Return a page's levels and its indices: one run of the only value, or one of all packed."""
    n_values = len(values)
    head = levels + bytes([width])
    if not n_values:
        return np.frombuffer(head, np.uint8)
    if (values[0] == values[-1]) and (values == values[0]).all():
        only = (int(values[0]) - low).to_bytes((width + 7) // 8, "little")
        return np.frombuffer(head + varint(n_values << 1) + only, np.uint8)
    return packed(values, low, width, head + varint((n_values + 7) // 8 << 1 | 1))


def _pages(column: _Column, most_rows: int) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield for each page: its rows, its definition levels with their length, and which of the column's values are in it.

    `most_rows` is a multiple of 8, so that a page's bits begin with a byte.
    """
    done = 0
    for row in range(0, column.n_rows, most_rows):
        n_rows = min(most_rows, column.n_rows - row)
        n_values = n_rows
        levels = b""
        if column.bits is not None:
            bits = column.bits[row // 8 : (row + n_rows + 7) // 8]
            n_values = int(np.bitwise_count(bits).sum(dtype=np.int64))
            levels = varint(len(bits) << 1 | 1) + bits.tobytes()
        elif column.optional:
            levels = varint(n_rows << 1) + b"\1"
        if column.optional:
            levels = len(levels).to_bytes(4, "little") + levels
        yield n_rows, levels, done, done + n_values
        done += n_values


def _chunk(
    column: _Column, extremes: tuple[Any, Any] | None, dictionary: list[Piece], encoding: int, pages: list[tuple[int, list[Piece]]]
) -> Chunk:
    pieces: list[Piece] = []
    for n_rows, page in pages:
        pieces += [footers.page_header(footers.DATA_PAGE, n_rows, encoding, page), *page]
    about = _statistics(column, extremes)
    return footers.chunk_of_pages(column.name, column.kind.number, column.n_rows, dictionary, pieces, (encoding, len(pages)), about)
