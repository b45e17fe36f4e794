"""Reading row groups of Parquet into Arrow columns: dictionary pages stay dictionaries, pages are checked, rows are counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.backends.arrow.pages import PageReader
from headrace.backends.arrow.values import standard_layout
from headrace.dataset import INT96_UNIT, READ_ERRORS, Dataset, RowGroup, filesystem_of
from headrace.errors import DataError
from headrace.schema import Type
from headrace.table import one_array

# Batches of fewer rows are joined with the next ones, also across files, up to so many bytes: each read costs about a millisecond,
# and 2,000 files of 500 rows are 16 batches, not 2,000. Row groups that are large enough stay apart: joined dictionaries are
# hashed once more.
BATCH_BYTES = 64 << 20
LEAST_ROWS = 1 << 16
# Fewer rows are read by pyarrow: our reader has the footer to look at first, and is as fast at 2,000 rows, 40 columns.
LEAST_DECODED = 2_000


@dataclass(frozen=True)
class _Opened:
    """A file's two readers: pyarrow's for everything, ours for the common columns of a large row group."""

    handle: Any
    reader: Any
    columns: Sequence[str]

    @cached_property
    def pages(self) -> PageReader:
        return PageReader(self.handle, self.reader.metadata, self.columns)


def read_batches(dataset: Dataset, groups: Sequence[RowGroup], columns: Sequence[str]) -> Iterator[tuple[int, int, dict[str, pa.Array]]]:
    """Yield (first row, rows, columns) of consecutive row groups, batch by batch.

    Raises
    ------
    DataError
        If a page is damaged (checksums are verified), a value is invalid, or the rows differ from the footer's promise.
    """
    small: list[tuple[int, int, dict[str, pa.Array]]] = []
    rows = nbytes = 0
    for batch in _read_files(dataset, groups, columns):
        small.append(batch)
        rows += batch[1]
        nbytes += sum(array.nbytes for array in batch[2].values())
        if rows >= LEAST_ROWS or nbytes >= BATCH_BYTES:
            yield _as_one(small)
            small, rows, nbytes = [], 0, 0
    if small:
        yield _as_one(small)


def _read_files(dataset: Dataset, groups: Sequence[RowGroup], columns: Sequence[str]) -> Iterator[tuple[int, int, dict[str, pa.Array]]]:
    for file_index, of_file in groupby(groups, key=lambda group: group.file):
        batch: list[RowGroup] = []
        nbytes = 0
        opened = _open(dataset, file_index, columns)
        for group in of_file:
            size = sum(group.nbytes.get(name, 0) for name in columns)
            if batch and (nbytes + size > BATCH_BYTES or sum(one.n_rows for one in batch) >= LEAST_ROWS):
                yield _read(dataset, opened, batch, columns)
                batch, nbytes = [], 0
            batch.append(group)
            nbytes += size
        yield _read(dataset, opened, batch, columns)


def _as_one(batches: Sequence[tuple[int, int, dict[str, pa.Array]]]) -> tuple[int, int, dict[str, pa.Array]]:
    """Join the batches of small files: what a step costs a batch, whatever its rows, is paid once."""
    first_row, n_rows, columns = batches[0]
    if len(batches) == 1:
        return first_row, n_rows, columns
    return first_row, sum(n for _, n, _ in batches), {name: _joined([arrays[name] for _, _, arrays in batches]) for name in columns}


def _joined(arrays: Sequence[pa.Array]) -> pa.Array:
    if not any(pa.types.is_dictionary(array.type) for array in arrays):
        return one_array(pa.chunked_array(arrays))
    if not all(pa.types.is_dictionary(array.type) for array in arrays):  # a file without dictionary pages among others
        return one_array(
            pa.chunked_array([array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array for array in arrays])
        )
    widened = [pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), array.dictionary, safe=False) for array in arrays]
    return narrowed(one_array(pa.chunked_array(widened)))


def _open(dataset: Dataset, file_index: int, columns: Sequence[str]) -> _Opened:
    file = dataset.files[file_index]
    strings = [name for name in columns if name not in file.partition and dataset.schema[name].is_string]
    try:
        filesystem, inner = filesystem_of(file.path)
        handle = filesystem.open_input_file(inner)
        metadata = pq.read_metadata(handle)
        reader = pq.ParquetFile(
            handle,
            metadata=metadata,
            read_dictionary=_in_dictionaries(metadata, strings),
            page_checksum_verification=True,
            coerce_int96_timestamp_unit=INT96_UNIT,
        )
        return _Opened(handle, reader, columns)
    except READ_ERRORS as error:
        raise DataError(
            f"cannot be opened any more: {error}", file=file.path, hint="did the file change since the plan was made?"
        ) from error


def _in_dictionaries(metadata: Any, names: Sequence[str]) -> list[str]:
    """Return which of some columns to read as dictionaries: those that have dictionary pages.

    Of others pyarrow would make a dictionary, which costs more than it saves; and of pages of differences it cannot.
    """
    if not names:
        return []
    index_of = {metadata.schema.column(index).path: index for index in range(metadata.num_columns)}
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    return [name for name in names if all(_has_dictionary(group.column(index_of[name])) for group in groups)]


def _has_dictionary(chunk: Any) -> bool:
    encodings = chunk.encodings
    return any(encoding.endswith("_DICTIONARY") for encoding in encodings) and not any(one.startswith("DELTA_") for one in encodings)


def _read(dataset: Dataset, opened: _Opened, groups: Sequence[RowGroup], columns: Sequence[str]) -> tuple[int, int, dict[str, pa.Array]]:
    file = dataset.files[groups[0].file]
    n_rows = sum(group.n_rows for group in groups)
    stored = [name for name in columns if name not in file.partition]
    try:
        arrays = _decoded(dataset, opened, groups, stored)
        left = [name for name in stored if name not in arrays]
        if left:
            table = opened.reader.read_row_groups([group.index for group in groups], columns=left, use_threads=False)
            if table.num_rows != n_rows:
                raise DataError(f"has {table.num_rows} rows where the footer says {n_rows}", file=file.path, row_group=groups[0].index)
            arrays |= {name: _checked(table.column(name), dataset.schema[name]) for name in left}
    except READ_ERRORS as error:
        raise _located(opened, groups, stored, file.path, error) from error
    for name in columns:
        if name in file.partition:
            arrays[name] = _constant(file.partition[name], dataset.hive[name], n_rows)
    return groups[0].first_row, n_rows, {name: arrays[name] for name in columns}


def _decoded(dataset: Dataset, opened: _Opened, groups: Sequence[RowGroup], columns: Sequence[str]) -> dict[str, pa.Array]:
    """Return those columns of one large row group that need no pyarrow, in the data set's common types."""
    if len(groups) > 1 or groups[0].n_rows < LEAST_DECODED:
        return {}
    found = opened.pages.read(groups[0].index, columns)
    return {name: _of_type(array, dataset.schema[name]) for name, array in found.items() if len(array) == groups[0].n_rows}


def _checked(column: pa.ChunkedArray, type_: Type) -> pa.Array:
    """Return a column as one valid array of the data set's common type."""
    array = one_array(column)
    _validate(array)
    array = _of_type(standard_layout(array), type_)
    return narrowed(array) if pa.types.is_dictionary(array.type) else array


def _of_type(array: pa.Array, type_: Type) -> pa.Array:
    return array if Type.from_arrow(array.type) == type_ else array.cast(type_.arrow)


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


def _constant(text: str, type_: Type, n_rows: int) -> pa.Array:
    values = pa.array([int(text) if type_.is_integer else text], type_.arrow)
    return values.take(pa.array(np.zeros(n_rows, np.int64)))


def _located(opened: _Opened, groups: Sequence[RowGroup], columns: Sequence[str], path: str, error: BaseException) -> DataError:
    """Find the row group and the column of a failed read by reading them one by one."""
    for group in groups:
        for name in columns:
            try:
                one_array(opened.reader.read_row_group(group.index, columns=[name], use_threads=False).column(name)).validate(full=True)
            except READ_ERRORS as narrower:
                reason = (str(narrower).strip().splitlines() or [type(narrower).__name__])[0]
                return DataError(
                    f"cannot be read: {reason}", file=path, row_group=group.index, column=name, hint="the file is damaged: write it anew"
                )
    return DataError(f"cannot be read: {error}", file=path, row_group=groups[0].index, hint="the file is damaged: write it anew")
