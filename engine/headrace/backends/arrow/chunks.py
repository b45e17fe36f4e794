"""Writing column chunks of numbers, dates and times without pyarrow's encoder.

pyarrow takes 5 ns a value for the levels of a column without nulls, 8 for packed differences, 12 for a dictionary: 360 ms of CPU for 1M
rows of 40 columns, and a third of that here. Only what is common is written here; `chunks_of` leaves the rest to pyarrow.

Source: the Parquet format's "Data Pages", "Encodings", "Checksumming", and `parquet.thrift` on statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from zlib_ng.zlib_ng import crc32

from headrace.backends.arrow import footers
from headrace.backends.arrow.checksums import CRC32
from headrace.backends.arrow.coded import codes_of, is_codes_of, plain
from headrace.backends.arrow.footers import Chunk, Piece, varint
from headrace.backends.arrow.values import array_of
from headrace_kernels.addresses import VALUES, Places, checksums_at, places_of
from headrace_kernels.column import Column
from headrace_kernels.packing import MOST_DISTINCT, WIDEST, number_codes, number_distinct, packed, packed_differences
from headrace_kernels.surveys import repeats, survey_floats, survey_integers

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
    """What a type's values are in memory, as what kernels move them, as what they are stored, of at least 32 bits, and the format's number."""

    dtype: np.dtype[Any]
    bits: np.dtype[Any]
    stored: np.dtype[Any]
    number: int


def _kind(name: str) -> _Kind:
    dtype = np.dtype(name)
    n_bytes = max(4, dtype.itemsize)
    narrow, wide = (_FLOAT, _DOUBLE) if dtype.kind == "f" else (_INT32, _INT64)
    return _Kind(dtype, np.dtype(f"u{dtype.itemsize}"), np.dtype(f"<{dtype.kind}{n_bytes}"), wide if n_bytes == 8 else narrow)


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
    type: pa.DataType
    kind: _Kind
    values: _Values
    bits: NDArray[np.uint8] | None


class _Survey(NamedTuple):
    """The least and the largest value, as numbers and as they are stored (None: no value is a number).

    And whether the values repeat if they are floats, the first of them ascend if they are integers.
    """

    low: int | float
    high: int | float
    stored: tuple[bytes, bytes] | None
    is_so: bool


class _Page(NamedTuple):
    """A page of `n_values` rows or entries: its first bytes, and the others."""

    n_values: int
    head: bytes
    body: NDArray[Any]


class _Draft(NamedTuple):
    """A chunk whose pages have no headers yet: the dictionary page, if it has one, and the data pages."""

    column: _Column
    statistics: bytes
    dictionary: list[_Page]
    encoding: int
    pages: list[_Page]


def chunks_of(fields: Sequence[pa.Field], arrays: Sequence[pa.Array]) -> list[Chunk | None]:
    """Return the chunk of each of some columns, None if pyarrow is to write it: for its type, or because it may compress it.

    The same values give the same bytes, whatever stands under their nulls. What takes no more than a look at the values is done for all
    columns in one call, so that threads that write columns of few rows do not wait for each other.
    """
    arrays = list(arrays)
    by_type: dict[int, list[int]] = {}
    made: dict[int, Chunk] = {}
    drafts: dict[int, _Draft] = {}
    for index, (field, array) in enumerate(zip(fields, arrays, strict=True)):
        if is_codes_of(array, field.type):
            draft = _of_codes(field, array)
            if draft is not None:
                drafts[index] = draft
                continue
            arrays[index] = plain(array)
        if _is_known(field, arrays[index]):
            by_type.setdefault(field.type.id, []).append(index)
    for type_, indices in by_type.items():
        look = _look([arrays[index] for index in indices], _KINDS[type_])
        alike, others = _alike(look)
        made |= zip(
            (indices[place] for place in alike), _plain_alike(look, alike, [fields[indices[place]] for place in alike]), strict=True
        )
        for place, survey in zip(others, _surveys(look, others), strict=True):
            draft = _drafted(_column(fields[indices[place]], look, place), survey)
            if draft is not None:
                drafts[indices[place]] = draft
    made |= zip(drafts, _finished(list(drafts.values())), strict=True)
    return [made.get(index) for index in range(len(arrays))]


def _of_codes(field: pa.Field, array: pa.Array) -> _Draft | None:
    """Return floats that are codes of few values with the dictionary that they would get by the row; None if that would be no smaller.

    Integers have other encodings to choose from (see `_drafted`).
    """
    kind = _KINDS[field.type.id]
    if kind.dtype.kind != "f" or (array.dictionary.null_count and not field.nullable):
        return None
    dictionary = array.dictionary
    has_null = bool(dictionary.null_count)
    values = _given(dictionary, kind.dtype).values
    distinct, value_of = np.empty(len(values), kind.bits), np.empty(len(values), np.uint16)
    n_values = number_distinct(_as_bits(values), distinct, value_of)
    codes = codes_of(array)
    order, numbers = np.empty(n_values, np.uint16), np.empty(len(array) + 1, np.uint16)
    n_found, n_rows = number_codes(codes, len(dictionary) - 1 if has_null else -1, value_of, order, numbers)
    width = kind.stored.itemsize
    if n_found * width > REPEATED_NBYTES or n_found * width + n_rows * _width(n_found) // 8 >= n_rows * width:
        return None
    found = distinct[order[:n_found]].view(kind.dtype)
    (survey,) = _surveys(_look([array_of(found)], kind), [0])
    bits = _read_only(np.packbits(codes != len(dictionary) - 1, bitorder="little")) if n_rows < len(array) else None
    column = _Column(field.name, field.nullable, len(array), field.type, kind, numbers[:n_rows], bits)
    return _with_dictionary(column, survey, found, column.values, 0)


def _is_known(field: pa.Field, array: pa.Array) -> bool:
    type_ = field.type
    if type_.id not in _KINDS or not len(array) or (array.null_count and not field.nullable):
        return False
    return not pa.types.is_timestamp(type_) or type_.unit in _TIMESTAMPS


def _drafted(column: _Column, survey: _Survey) -> _Draft | None:
    """Return a column in the encoding that suits its values."""
    type_, kind, values = column.type, column.kind, column.values
    if not len(values):
        return _plain(column, survey)
    can_be_packed = type_.id in _PACKED
    if can_be_packed and survey.is_so:
        return _packed(column, survey)
    if kind.dtype.kind != "f":
        low = int(survey.low)
        n_range = int(survey.high) - low + 1
        if n_range * RANGE_ROWS <= len(values) and n_range * kind.stored.itemsize <= PAGE_NBYTES:
            return _with_dictionary(column, survey, _range(low, n_range, kind.dtype), values, low)
        if can_be_packed and n_range <= NARROW:
            return _packed(column, survey)
    repeat = survey.is_so if kind.dtype.kind == "f" else repeats(_as_bits(values))
    numbered = _numbered(values, kind.stored.itemsize) if repeat else None
    if numbered is not None:
        return _with_dictionary(column, survey, *numbered, 0)
    if can_be_packed:
        return _packed(column, survey)
    return None if pa.types.is_temporal(type_) else _plain(column, survey)


def _range(low: int, n_values: int, dtype: np.dtype[Any]) -> _Values:
    """Return all integers from `low` on."""
    values = np.uint64(low % (1 << 64)) + np.arange(n_values, dtype=np.uint64)
    return values.astype(f"u{dtype.itemsize}").view(dtype)


def _numbered(values: _Values, n_bytes: int) -> tuple[_Values, NDArray[np.uint16]] | None:
    """Return the distinct values and the number of each value among them; None if they are too many, or that would be no smaller.

    A value is stored in `n_bytes`.
    """
    distinct = np.empty(min(MOST_DISTINCT, REPEATED_NBYTES // n_bytes, len(values)), f"u{values.dtype.itemsize}")
    codes = np.empty(len(values), np.uint16)
    n_distinct = number_distinct(_as_bits(values), distinct, codes)
    if n_distinct < 0 or n_distinct * n_bytes + len(values) * _width(n_distinct) // 8 >= len(values) * n_bytes:
        return None
    return distinct[:n_distinct].view(values.dtype), codes


class _Look(NamedTuple):
    """What a look at arrays of one kind found, an item or a row for each: extremes, and what `_Survey` says of its truth value."""

    kind: _Kind
    arrays: Sequence[pa.Array]
    given: list[Column]
    places: Places
    rooms: dict[int, _Values]  # the values of arrays with nulls, brought together, and one more
    extremes: _Values
    found: NDArray[np.bool_]


def _look(arrays: Sequence[pa.Array], kind: _Kind) -> _Look:
    """Look at the values of arrays of one kind."""
    given = [_given(array, kind.dtype) for array in arrays]
    places = places_of(given)
    # of columns with nulls, room for the others; one more: `compact` writes the values that are not wanted, too
    n_values = [len(array) - array.null_count for array in arrays]
    rooms = {place: np.empty(n_values[place] + 1, kind.bits) for place, bits in enumerate(places.kept) if len(bits)}
    dense = np.array([(n, rooms[place].ctypes.data if place in rooms else 0) for place, n in enumerate(n_values)], np.int64)
    extremes, found = np.empty((len(arrays), 2), kind.dtype), np.empty(len(arrays), np.bool_)
    where = places.table, dense, np.empty(0, kind.dtype), np.empty(0, kind.bits)
    if kind.dtype.kind == "f":
        survey_floats(*where, np.empty(0, f"i{kind.dtype.itemsize}"), extremes, found)
    else:
        survey_integers(*where, extremes, found)
    return _Look(kind, arrays, given, places, rooms, extremes, found)


def _column(field: pa.Field, look: _Look, place: int) -> _Column:
    n_rows, kind = len(look.arrays[place]), look.kind
    if place in look.rooms:
        values, bits = look.rooms[place][:-1].view(kind.dtype), _read_only(look.places.kept[place])
        return _Column(field.name, field.nullable, n_rows, field.type, kind, values, bits)
    return _Column(field.name, field.nullable, n_rows, field.type, kind, look.given[place].values, None)


def _given(array: pa.Array, dtype: np.dtype[Any]) -> Column:
    """Return the values and the bitmap of an array of any type that is stored as numbers."""
    validity, data = array.buffers()
    if array.null_count == len(array):  # there may be no values at all
        return Column(np.zeros(len(array), dtype), np.zeros((len(array) + 7) // 8, np.uint8))
    values: _Values = np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize)
    return Column(values, np.frombuffer(validity, np.uint8), array.offset) if array.null_count else Column(values)


def _surveys(look: _Look, places: Sequence[int]) -> list[_Survey]:
    extremes, found = look.extremes[places], look.found[places]
    stored, width = _stored_ends(look.kind, extremes), look.kind.stored.itemsize
    surveys = []
    for index, ((low, high), is_so) in enumerate(zip(extremes.tolist(), found.tolist(), strict=True)):
        at = 2 * width * index
        both = (stored[at : at + width], stored[at + width : at + 2 * width]) if low == low else None
        surveys.append(_Survey(low, high, both, is_so))
    return surveys


def _stored_ends(kind: _Kind, extremes: _Values) -> bytes:
    """Return the least and the largest value of each column as they are stored."""
    # 0.0 and -0.0 are equal, and a reader may order them: the least zero is -0.0, the largest 0.0
    if kind.dtype.kind == "f" and not extremes.all():
        extremes = np.where(extremes == 0, [-0.0, 0.0], extremes)
    return extremes.astype(kind.stored).tobytes()


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


def _statistics(column: _Column, survey: _Survey) -> bytes:
    known = survey.stored if len(column.values) else None
    return footers.statistics(column.n_rows - len(column.values), known, column.kind.dtype.kind != "u")


def _plain(column: _Column, survey: _Survey) -> _Draft:
    values = column.values.astype(column.kind.stored, copy=False)
    rows = PAGE_NBYTES // values.itemsize
    pages = [_Page(n_rows, levels, values[start:stop]) for n_rows, levels, start, stop in _pages(column, rows)]
    return _Draft(column, _statistics(column, survey), [], footers.PLAIN, pages)


def _alike(look: _Look) -> tuple[list[int], list[int]]:
    """Part columns whose chunks differ in nothing but the values of their one plain page from the others."""
    kind, n_rows = look.kind, len(look.arrays[0])
    if kind.dtype.kind != "f" or n_rows * kind.stored.itemsize > PAGE_NBYTES:
        return [], list(range(len(look.arrays)))
    alike: list[int] = []
    others: list[int] = []
    has_extremes = look.extremes[:, 0] == look.extremes[:, 0]
    for place, is_plain in enumerate((has_extremes & ~look.found).tolist()):
        (alike if is_plain and place not in look.rooms else others).append(place)
    return alike, others


def _plain_alike(look: _Look, places: Sequence[int], fields: Sequence[pa.Field]) -> list[Chunk]:
    """Return the chunks of such columns as `_plain` and `_finished` would: of thousands of columns these are most, and cost a third so."""
    kind, n_rows = look.kind, len(look.arrays[0])
    width, n_bytes = kind.stored.itemsize, n_rows * kind.stored.itemsize
    levels = _levels(n_rows)
    heads = [levels if field.nullable else b"" for field in fields]
    about = np.empty((len(places), 3), np.int64)
    about[:, 0] = [crc32(head) for head in heads]
    about[:, 1] = look.places.table[places, VALUES]
    about[:, 2] = n_bytes
    checksums, stored = _checksums(about), _stored_ends(kind, look.extremes[places])
    chunks = []
    for index, (place, field, head) in enumerate(zip(places, fields, heads, strict=True)):
        header = footers.page_header(footers.DATA_PAGE, n_rows, footers.PLAIN, len(head) + n_bytes, checksums[index])
        at = 2 * width * index
        statistics = footers.statistics(0, (stored[at : at + width], stored[at + width : at + 2 * width]), signed=True)
        pieces = header + head, look.given[place].values
        chunks.append(footers.chunk_of_pages(field.name, kind.number, n_rows, (), pieces, (footers.PLAIN, 1), statistics))
    return chunks


def _packed(column: _Column, survey: _Survey) -> _Draft | None:
    """Return a chunk of packed differences, None if some are too wide for it."""
    bits = _as_bits(column.values)
    pages = []
    for n_rows, levels, start, stop in _pages(column, PAGE_NBYTES // bits.itemsize):
        body = packed_differences(bits[start:stop], levels)
        if body is None:
            return None
        pages.append(_Page(n_rows, b"", body))
    return _Draft(column, _statistics(column, survey), [], footers.DELTA_BINARY_PACKED, pages)


def _with_dictionary(column: _Column, survey: _Survey, dictionary: _Values, codes: _Values, low: int) -> _Draft:
    """Return a chunk of codes, which are `codes` less `low`, of the values in a dictionary."""
    entries = dictionary.astype(column.kind.stored, copy=False)
    width = _width(len(entries))
    bits = _as_bits(codes)
    pages = []
    for n_rows, levels, start, stop in _pages(column, PAGE_NBYTES * 8 // WIDEST):
        pages.append(_Page(n_rows, b"", _indices(bits[start:stop], low % (1 << 8 * bits.itemsize), width, levels)))
    return _Draft(column, _statistics(column, survey), [_Page(len(entries), b"", entries)], footers.RLE_DICTIONARY, pages)


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
            levels = len(levels).to_bytes(4, "little") + levels
        elif column.optional:
            levels = _levels(n_rows)
        yield n_rows, levels, done, done + n_values
        done += n_values


def _levels(n_rows: int) -> bytes:
    """Return the definition levels of rows that all have a value, with their length."""
    levels = varint(n_rows << 1) + b"\1"
    return len(levels).to_bytes(4, "little") + levels


def _checksums(about: NDArray[np.int64]) -> list[int]:
    """Return the CRC-32 of each page, given that of what stands before its body, and where that is and how long."""
    checksums = np.empty(len(about), np.int64)
    checksums_at(CRC32, about, np.empty(0, np.uint8), checksums)
    return checksums.tolist()


def _finished(drafts: Sequence[_Draft]) -> list[Chunk]:
    """Return the chunks with headers before their pages, whose checksums are taken in one call."""
    pages = [page for draft in drafts for page in (*draft.dictionary, *draft.pages)]
    about = [(crc32(page.head), page.body.ctypes.data, page.body.nbytes) for page in pages]
    of_page = iter(_checksums(np.array(about, np.int64).reshape(-1, 3)))
    return [_chunk(draft, of_page) for draft in drafts]


def _chunk(draft: _Draft, checksums: Iterator[int]) -> Chunk:
    column = draft.column
    dictionary = [piece for page in draft.dictionary for piece in _with_header(page, footers.DICTIONARY_PAGE, footers.PLAIN, checksums)]
    pieces = [piece for page in draft.pages for piece in _with_header(page, footers.DATA_PAGE, draft.encoding, checksums)]
    counts = draft.encoding, len(draft.pages)
    return footers.chunk_of_pages(column.name, column.kind.number, column.n_rows, dictionary, pieces, counts, draft.statistics)


def _with_header(page: _Page, kind: int, encoding: int, checksums: Iterator[int]) -> tuple[Piece, Piece]:
    header = footers.page_header(kind, page.n_values, encoding, len(page.head) + page.body.nbytes, next(checksums))
    return header + page.head, page.body
