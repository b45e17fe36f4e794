"""Reading row groups of Parquet into Arrow columns: dictionary pages stay dictionaries, pages are checked, rows are counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.backends.arrow.coded import is_codes_of, plain
from headrace.backends.arrow.pages import LEAST_CODED_ROWS, Layout, PageReader, read_layout
from headrace.backends.arrow.values import standard_layout
from headrace.dataset import Dataset, RowGroup
from headrace.errors import DataError
from headrace.footer import INT96_UNIT, READ_ERRORS, File, refuse_changed
from headrace.listing import filesystem_of, hive_value
from headrace.schema import Type
from headrace.table import one_array

# Batches of fewer rows are joined with the next ones, also across files, up to so many bytes: each read costs about a millisecond,
# and 2,000 files of 500 rows are 16 batches, not 2,000. Row groups that are large enough stay apart: joined dictionaries are
# hashed once more.
BATCH_BYTES = 64 << 20
LEAST_ROWS = LEAST_CODED_ROWS
# One logical type may have 32-bit offsets in one file and 64-bit ones in the next.
_WIDE = {pa.large_string().id, pa.large_binary().id, pa.large_list(pa.int8()).id}


# Fewer rows are read by pyarrow: our reader has the footer to look at first, and is as fast at 2,000 rows, 40 columns.
LEAST_DECODED = 2_000


# The layouts of so many files are kept for their other row groups: a task has some of a file, and to learn the layout takes 8 us a column.
MOST_LAYOUTS = 16
_layouts: dict[tuple[str, tuple[str, ...]], Layout] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class _Opened:
    """A file with two readers: pyarrow's for everything, ours for the common columns of a large row group."""

    file: File
    handle: Any
    strings: AbstractSet[str]
    columns: Sequence[str]

    @cached_property
    def reader(self) -> Any:
        return pq.ParquetFile(
            self.handle,
            # Of columns without dictionary pages pyarrow would make dictionaries, which costs more than it saves.
            read_dictionary=sorted(self.strings & self.file.dictionaries),
            page_checksum_verification=True,
            coerce_int96_timestamp_unit=INT96_UNIT,
        )

    @cached_property
    def pages(self) -> PageReader:
        key = self.file.digest, tuple(self.columns)
        layout = _layouts.get(key)
        if layout is None:
            layout = read_layout(self.handle, self.reader.metadata, self.columns)
            with _lock:
                while len(_layouts) >= MOST_LAYOUTS:
                    _layouts.pop(next(iter(_layouts)))
                _layouts[key] = layout
        return PageReader(self.handle, layout)


class _Piece(NamedTuple):
    """Consecutive row groups of a file as they were read: valid, and in the file's own types."""

    file: File
    first_row: int
    n_rows: int
    nbytes: int
    table: pa.Table


def read_batches(dataset: Dataset, groups: Sequence[RowGroup], columns: Sequence[str]) -> Iterator[tuple[int, int, dict[str, pa.Array]]]:
    """Yield (first row, rows, columns) of consecutive row groups, batch by batch.

    Raises
    ------
    DataError
        If a page is damaged (checksums are verified), a value is invalid, or the rows differ from the footer's promise.
    """
    small: list[_Piece] = []
    rows = nbytes = 0
    for piece in _read_files(dataset, groups, columns):
        small.append(piece)
        rows += piece.n_rows
        nbytes += piece.nbytes
        if rows >= LEAST_ROWS or nbytes >= BATCH_BYTES:
            yield _as_one(dataset, small, columns)
            small, rows, nbytes = [], 0, 0
    if small:
        yield _as_one(dataset, small, columns)


def _read_files(dataset: Dataset, groups: Sequence[RowGroup], columns: Sequence[str]) -> Iterator[_Piece]:
    strings = {name for name in columns if name not in dataset.hive and dataset.schema[name].is_string}
    stored = [name for name in columns if name not in dataset.hive]
    for file_index, of_file in groupby(groups, key=lambda group: group.file):
        file = dataset.files[file_index]
        batch: list[RowGroup] = []
        nbytes = n_rows = 0
        opened = _open(file, strings, stored)
        for group in of_file:
            size = sum(map(group.nbytes.__getitem__, stored))
            if batch and (nbytes + size > BATCH_BYTES or n_rows >= LEAST_ROWS):
                yield _Piece(file, batch[0].first_row, n_rows, nbytes, _read(file, opened, batch, stored))
                batch, nbytes, n_rows = [], 0, 0
            batch.append(group)
            nbytes += size
            n_rows += group.n_rows
        yield _Piece(file, batch[0].first_row, n_rows, nbytes, _read(file, opened, batch, stored))


def read_columns(dataset: Dataset, groups: Sequence[RowGroup], columns: Sequence[str]) -> dict[str, pa.Array]:
    """Return stored columns of some row groups of one file, in the data set's types; raise DataError as `read_batches` does."""
    file = dataset.files[groups[0].file]
    opened = _open(file, {name for name in columns if dataset.schema[name].is_string}, columns)
    piece = _Piece(file, groups[0].first_row, 0, 0, _read(file, opened, groups, columns))
    return {name: plain(_settled([piece.table], name, dataset.schema[name], [piece])[0]) for name in columns}


def _as_one(dataset: Dataset, pieces: Sequence[_Piece], columns: Sequence[str]) -> tuple[int, int, dict[str, pa.Array]]:
    """Join the rows of small files, and give them the data set's types: what a column costs, whatever its rows, is paid once a batch."""
    tables = [piece.table for piece in pieces]
    if len(tables) > 1 and all(table.schema.equals(tables[0].schema) for table in tables[1:]):
        tables = [pa.concat_tables(tables)]
    # A table takes microseconds to find a column by its name.
    stored = [dict(zip(table.column_names, table.columns, strict=True)) for table in tables]
    arrays = {}
    for name in columns:
        if name in dataset.hive:
            arrays[name] = _joined([constant_column(piece.file.partition[name], dataset.hive[name], piece.n_rows) for piece in pieces])
        else:
            arrays[name] = _joined(_settled(stored, name, dataset.schema[name], pieces))
    return pieces[0].first_row, sum(piece.n_rows for piece in pieces), arrays


def _joined(arrays: Sequence[pa.Array]) -> pa.Array:
    if len(arrays) == 1:
        return arrays[0]
    arrays = [plain(array) for array in arrays]
    if not all(pa.types.is_dictionary(array.type) for array in arrays):  # files with and without dictionary pages
        decoded = [array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array for array in arrays]
        wide = next((array.type for array in decoded if array.type.id in _WIDE), decoded[0].type)
        return one_array(pa.chunked_array([array.cast(wide) for array in decoded]))
    widened = [pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), array.dictionary, safe=False) for array in arrays]
    return narrowed(one_array(pa.chunked_array(widened)))


def _open(file: File, strings: AbstractSet[str], columns: Sequence[str]) -> _Opened:
    try:
        filesystem, inner = filesystem_of(file.path)
        handle = filesystem.open_input_file(inner)
        refuse_changed(file, handle)
        return _Opened(file, handle, strings, columns)
    except READ_ERRORS as error:
        raise DataError(
            f"cannot be opened any more: {error}", file=file.path, hint="did the file change since the plan was made?"
        ) from error


def _read(file: File, opened: _Opened, groups: Sequence[RowGroup], columns: Sequence[str]) -> pa.Table:
    n_rows = sum(group.n_rows for group in groups)
    try:
        decoded = _decoded(opened, groups, columns)
        left = [name for name in columns if name not in decoded]
        if decoded and not left:
            return pa.table(decoded)
        table = _read_by_arrow(opened, groups, left)
        # A file read for no column at all still has its rows: the footer's count stands.
        if left and table.num_rows != n_rows:
            raise DataError(f"has {table.num_rows} rows where the footer says {n_rows}", file=file.path, row_group=groups[0].index)
        if n_rows < LEAST_ROWS:
            table.validate(full=True)  # one call for all columns
        else:
            for column in table.columns:
                for chunk in column.chunks:
                    _validate(chunk)
    except READ_ERRORS as error:
        raise _located(opened, groups, columns, file.path, error) from error
    return pa.table({name: decoded[name] if name in decoded else table.column(name) for name in columns}) if decoded else table


def _read_by_arrow(opened: _Opened, groups: Sequence[RowGroup], columns: Sequence[str]) -> pa.Table:
    try:
        return opened.reader.read_row_groups([group.index for group in groups], columns=columns, use_threads=False)
    except pa.ArrowNotImplementedError:  # lists of dictionaries: Arrow makes them of one row group alone
        if len(groups) == 1:
            raise
        return pa.concat_tables([_read_by_arrow(opened, [group], columns) for group in groups])


def _decoded(opened: _Opened, groups: Sequence[RowGroup], columns: Sequence[str]) -> dict[str, pa.Array]:
    """Return those columns of one large row group that need no pyarrow; they are valid."""
    if len(groups) > 1 or groups[0].n_rows < LEAST_DECODED:
        return {}
    return opened.pages.read(groups[0].index, columns)


def _settled(
    tables: Sequence[Mapping[str, pa.ChunkedArray] | pa.Table], name: str, type_: Type, pieces: Sequence[_Piece]
) -> list[pa.Array]:
    """Return a column of some tables, which hold the rows of `pieces`, in the data set's common type and this backend's layout."""
    try:
        return [_settled_array(one_array(table[name]), type_) for table in tables]
    except pa.ArrowException:  # only now look for which file it is
        for piece in pieces:
            try:
                _settled_array(one_array(piece.table[name]), type_)
            except pa.ArrowException as error:
                own = Type.from_arrow(piece.table[name].type)
                hint = f"write all files with {own}, or this column as text"
                raise DataError(
                    f"is {own} here, and {type_} does not hold it: {error}", file=piece.file.path, column=name, hint=hint
                ) from error
        raise


def _settled_array(array: pa.Array, type_: Type) -> pa.Array:
    if is_codes_of(array, type_.arrow):
        return array
    array = standard_layout(array)
    if Type.from_arrow(array.type) != type_:
        array = array.cast(type_.arrow)
    return narrowed(array) if pa.types.is_dictionary(array.type) else array


def _validate(array: pa.Array) -> None:
    """Raise ArrowInvalid for values that are not what the column's type promises."""
    if not pa.types.is_dictionary(array.type):
        array.validate(full=True)
        return
    array.validate()
    array.dictionary.validate(full=True)
    ends = pc.min_max(array.indices)  # a fifth of what Arrow's own look at each index takes
    if ends["min"].is_valid and not 0 <= ends["min"].as_py() <= ends["max"].as_py() < len(array.dictionary):
        raise pa.ArrowInvalid(f"an index is not in the dictionary of {len(array.dictionary)} values")


def narrowed(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return a dictionary column with the smallest indices that hold its codes: kept rows cost half the memory, and less time."""
    size = len(array.dictionary)
    indices = pa.int8() if size < 1 << 7 else pa.int16() if size < 1 << 15 else pa.int32()
    if array.indices.type == indices:
        return array
    return pa.DictionaryArray.from_arrays(array.indices.cast(indices, safe=False), array.dictionary, safe=False)


def constant_column(text: str, type_: Type, n_rows: int) -> pa.Array:
    """Return a value of a hive folder's name, as a column."""
    values = pa.array([hive_value(text, type_)], type_.arrow)
    return values.take(pa.array(np.zeros(n_rows, np.int64)))


def _located(opened: _Opened, groups: Sequence[RowGroup], columns: Sequence[str], path: str, error: BaseException) -> DataError:
    """Find the row group and the column of a failed read by reading them one by one."""
    for group in groups:
        for name in columns:
            try:
                one_array(opened.reader.read_row_group(group.index, columns=[name], use_threads=False).column(name)).validate(full=True)
            except READ_ERRORS as narrower:
                return _unreadable(narrower, file=path, row_group=group.index, column=name)
    return _unreadable(error, file=path, row_group=groups[0].index)


def _unreadable(error: BaseException, **place: Any) -> DataError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    hint = "the file is damaged: write it anew"
    # a valid file: as differences of strings under a schema that says dictionary
    if isinstance(error, pa.ArrowNotImplementedError) or "not yet implemented" in reason.lower():
        hint = "pyarrow does not read what is encoded so: write the file with other settings"
    return DataError(f"cannot be read: {reason}", **place, hint=hint)
