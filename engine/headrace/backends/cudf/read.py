"""Reading row groups of Parquet into device columns: cuDF decodes pages on the device, rows are counted.

What cuDF holds in another way than the file has it (decimals, bytes, half floats, times of day) is read by Arrow and uploaded, and so
are files that lie elsewhere: of these Arrow fetches the pages that are asked for, cuDF all of a file, with a package of its own.
cuDF verifies no page checksums and believes what pages' headers say: a damaged file is found only where it cannot be decoded.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import cudf
import cupy
import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from headrace.backends.arrow.read import constant_column, read_columns
from headrace.backends.cudf.column import Coded, Column, Lists, Plain, Rows, concat, storage
from headrace.backends.cudf.transfers import DISTINCT, brought
from headrace.backends.cudf.values import converted, from_arrow, towards_zero
from headrace.dataset import Dataset, RowGroup
from headrace.errors import DataError
from headrace.footer import refuse_changed
from headrace.listing import filesystem_of
from headrace.schema import Schema, Type

# A device is busy only with millions of rows at once; a partition of the usual size is one batch, or few.
BATCH_BYTES = 512 << 20
# Of a row group that the device has no room to decode.
UPLOAD_ROWS = 1 << 18
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_SECONDS_A_DAY = 86_400

Batch = tuple[int, int, dict[str, Column]]


def read_batches(dataset: Dataset, groups: Sequence[RowGroup], columns: Sequence[str]) -> Iterator[Batch]:
    """Yield (first row, rows, columns) of consecutive row groups, batch by batch.

    Raises
    ------
    DataError
        If a file cannot be decoded, has changed since its footer was read, or has other rows than that promised.
    """
    batch: list[RowGroup] = []
    nbytes = 0
    for group in groups:
        size = sum(group.nbytes.get(name, 0) for name in columns)
        if batch and nbytes + size > BATCH_BYTES:
            yield from _within_memory(dataset, batch, columns)
            batch, nbytes = [], 0
        batch.append(group)
        nbytes += size
    if batch:
        yield from _within_memory(dataset, batch, columns)


def _within_memory(dataset: Dataset, groups: Sequence[RowGroup], columns: Sequence[str]) -> Iterator[Batch]:
    """Read row groups together, or half of them at a time where the device has no room for all."""
    try:
        read = _read_groups(dataset, groups, columns)
    except MemoryError:
        read = None  # nothing is tried again in here: the error's traceback keeps what this try has put on the device
    if read is not None:
        yield read
        return
    if len(groups) == 1:
        yield from _by_arrow(dataset, groups[0], columns)
        return
    middle = len(groups) // 2
    yield from _within_memory(dataset, groups[:middle], columns)
    yield from _within_memory(dataset, groups[middle:], columns)


def _by_arrow(dataset: Dataset, group: RowGroup, columns: Sequence[str]) -> Iterator[Batch]:
    """Decode a row group on the host, which the device cannot, and upload some rows of it at a time."""
    file = dataset.files[group.file]
    arrays = read_columns(dataset, [group], [name for name in columns if name not in file.partition])
    for name in columns:
        if name in file.partition:
            arrays[name] = constant_column(file.partition[name], dataset.hive[name], group.n_rows)
    for start in range(0, group.n_rows, UPLOAD_ROWS):
        n_rows = min(UPLOAD_ROWS, group.n_rows - start)
        yield group.first_row + start, n_rows, {name: from_arrow(arrays[name].slice(start, n_rows)) for name in columns}


def _read_groups(dataset: Dataset, groups: Sequence[RowGroup], columns: Sequence[str]) -> Batch:
    pieces = [_read_file(dataset, index, list(of_file), columns) for index, of_file in groupby(groups, key=lambda group: group.file)]
    n_rows = sum(group.n_rows for group in groups)
    return groups[0].first_row, n_rows, {name: concat([piece[name] for piece in pieces]) for name in columns}


def _read_file(dataset: Dataset, index: int, groups: Sequence[RowGroup], columns: Sequence[str]) -> dict[str, Column]:
    file = dataset.files[index]
    n_rows = sum(group.n_rows for group in groups)
    stored = [name for name in columns if name not in file.partition]
    own, in_index = Schema.from_arrow(file.schema), _index_of_pandas(file.schema)
    on_device = [
        name
        for name in (stored if _is_local(file.path) else ())
        if _is_read_by_cudf(file.schema.field(name).type)
        and not _is_checked(own[name], dataset.schema[name])
        and name not in in_index
        and not _is_path(name, file.schema)
    ]
    if any(pa.types.is_timestamp(file.schema.field(name).type) for name in on_device):
        on_device = [name for name in on_device if name not in _in_96_bits(file.path)]
    found: dict[str, Column] = {}
    if on_device:
        found = _decoded(dataset, index, groups, on_device, n_rows)
    others = [name for name in stored if name not in found]
    if others:
        found |= {name: from_arrow(array) for name, array in read_columns(dataset, groups, others).items()}
    for name in columns:
        if name in file.partition:
            found[name] = from_arrow(constant_column(file.partition[name], dataset.hive[name], n_rows))
    return found


def _is_checked(own: Type, common: Type) -> bool:
    """Say whether a file's values may not fit the data set's type: Arrow's cast refuses those, a device's does not."""
    return (own.is_integer and common.is_float) or (own.is_timestamp and own.arrow.unit != common.arrow.unit)


def _is_local(path: str) -> bool:
    return isinstance(filesystem_of(path)[0], pafs.LocalFileSystem)


def _index_of_pandas(schema: pa.Schema) -> frozenset[str]:
    """Return the columns that a file of pandas' calls its index: cuDF makes labels of rows of them, even if told to leave that.

    All columns where labels are a range with gaps: cuDF takes its step within the rows of a row group, finds too few labels, and refuses.
    """
    described = (schema.pandas_metadata or {}).get("index_columns", ())
    if any(one["step"] != 1 for one in described if isinstance(one, dict)):
        return frozenset(schema.names)
    return frozenset(name for name in described if isinstance(name, str))


def _is_path(name: str, schema: pa.Schema) -> bool:
    """Say whether cuDF takes a column's name for a field of another column."""
    return any(pa.types.is_nested(field.type) and name.startswith(f"{field.name}.") for field in schema)


@lru_cache(maxsize=4096)
def _in_96_bits(path: str) -> frozenset[str]:
    """Return the columns of a file whose instants have 96 bits, as Spark once wrote them: cuDF reads nanoseconds of 64."""
    filesystem, inner = filesystem_of(path)
    with filesystem.open_input_file(inner) as handle:
        schema = pq.read_metadata(handle).schema
    return frozenset(schema.column(place).path for place in range(len(schema)) if schema.column(place).physical_type == "INT96")


def _is_read_by_cudf(type_: pa.DataType) -> bool:
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        # of lists of lists cuDF tells the innermost elements alone
        return not pa.types.is_nested(type_.value_type) and _is_read_by_cudf(type_.value_type)
    if pa.types.is_dictionary(type_):
        return _is_read_by_cudf(type_.value_type)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_timestamp(type_) or pa.types.is_date32(type_):
        return True
    return storage(type_) is not None and not pa.types.is_temporal(type_) and not pa.types.is_float16(type_)


def _decoded(dataset: Dataset, index: int, groups: Sequence[RowGroup], names: Sequence[str], n_rows: int) -> dict[str, Column]:
    file = dataset.files[index]
    path = file.path
    wanted = [group.index for group in groups]
    try:
        filesystem, inner = filesystem_of(path)
        with filesystem.open_input_file(inner) as handle:
            refuse_changed(file, handle)
        frame = cudf.read_parquet(
            glob.escape(inner),  # a name may have the signs of a pattern
            columns=list(names),
            row_groups=[wanted],
            use_pandas_metadata=False,
            dataset_kwargs={"partitioning": None},  # else folders named key=value replace the file's own columns
        )
        found = {name: from_series(frame[name], dataset.schema[name].arrow) for name in names}
    except (RuntimeError, ValueError, TypeError, NotImplementedError, OSError, pa.ArrowException) as error:
        if isinstance(error, MemoryError):
            raise
        # Arrow finds the place where the file is damaged, or reads what cuDF does not.
        try:
            arrays = read_columns(dataset, groups, names)
        except DataError as located:
            raise located from error
        return {name: from_arrow(array) for name, array in arrays.items()}
    if len(frame) != n_rows:
        raise DataError(f"has {len(frame)} rows where the footer says {n_rows}", file=path, row_group=wanted[0])
    return found


def from_series(series: Any, type_: pa.DataType) -> Column:
    """Return a column that cuDF read, as a column of the data set's type; NaN is a value and no null."""
    if pa.types.is_list(type_):
        lengths = series.list.len()
        valid = _valid(lengths)
        values = (lengths if valid is None else lengths.fillna(0)).values.astype(np.int64)
        return Lists(values, valid, from_series(series.list.leaves, type_.value_type))
    if pa.types.is_string(type_):
        codes, index = series.factorize()
        distinct = brought(index.to_arrow(), DISTINCT)
        valid = codes >= 0 if series.null_count else None
        return Coded(cupy.maximum(codes, 0).astype(np.int32), valid, distinct.cast(pa.large_string()))
    if pa.types.is_temporal(type_):
        return _times(series, type_)
    valid = _valid(series)
    if storage(type_) is None:  # a file of integers among files of decimals
        raise DataError(
            f"a column of {series.dtype} cannot become {type_} on a GPU", hint="write the files with one type, or run.device: cpu"
        )
    dtype = np.dtype(type_.to_pandas_dtype())
    if valid is None:
        return Plain(converted(series.values, dtype), None, type_)
    values = series.fillna(value=False if dtype.kind == "b" else 0).values
    if values.dtype.kind == "f":
        is_nan = (series != series).fillna(value=False).values  # NaN alone differs from itself
        values = cupy.where(is_nan, values.dtype.type(np.nan), values)
    return Plain(converted(values, dtype), valid, type_)


def _valid(series: Any) -> Rows | None:
    """Return which rows are not null, NaN among them; None for all."""
    if not series.null_count:
        return None
    # `isna` takes NaN for missing, too; compared with itself NaN is false, and null is null. Times of cuDF are false there.
    return ~(series == series if series.dtype.kind == "f" else series).isna().values


def _times(series: Any, type_: pa.DataType) -> Plain:
    """Return instants and dates as integers of the type's own unit; cuDF reads a date as the seconds of its midnight."""
    valid = _valid(series)
    unit = series.dtype.unit if hasattr(series.dtype, "unit") else np.datetime_data(series.dtype)[0]
    counts = series.astype("int64")
    counts = (counts if valid is None else counts.fillna(0)).values
    if pa.types.is_date(type_):
        days = counts // (_SECONDS_A_DAY * _PER_SECOND[unit])
        return Plain(days.astype(np.int32), valid, type_)
    have, want = _PER_SECOND[unit], _PER_SECOND[type_.unit]
    scaled = counts * (want // have) if want >= have else towards_zero(counts, have // want)
    return Plain(scaled.astype(np.int64), valid, type_)
