"""cudf.read_parquet: Arrow decodes, and types become those that libcudf reads."""

from __future__ import annotations

from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from tests.gpu.standin.memory import allocate
from tests.gpu.standin.offered import offered_function

from cudf._column import Column, _in_one_piece, _normal
from cudf._dtypes import dtype_of
from cudf._frame import DataFrame


@offered_function("cudf")
def read_parquet(
    filepath_or_buffer: Any,
    engine: str = "cudf",
    columns: list[str] | None = None,
    storage_options: Any = None,
    filesystem: Any = None,
    filters: Any = None,
    row_groups: Any = None,
    use_pandas_metadata: bool = True,
    categorical_partitions: bool = True,
    bytes_per_thread: Any = None,
    dataset_kwargs: Any = None,
    nrows: int | None = None,
    skip_rows: int | None = None,
    allow_mismatched_pq_schemas: bool = False,
    ignore_missing_columns: bool = True,
    case_sensitive_names: bool = True,
) -> DataFrame:
    """Read files' row groups; a list of row groups for each file. A column that a file lacks is left out unless that is refused.

    As the real one takes a path for a pattern, makes the index of what pandas called so, whether told to or not, and columns of
    folders named key=value, in the place of the file's own, unless `dataset_kwargs` says that there is no partitioning.
    """
    given = (storage_options, filesystem, filters, bytes_per_thread, nrows, skip_rows)
    if engine != "cudf" or any(value is not None for value in given) or allow_mismatched_pq_schemas or not case_sensitive_names:
        raise NotImplementedError("the stand-in reads whole row groups of local files")
    if use_pandas_metadata:
        raise NotImplementedError("the stand-in makes no index of pandas' metadata: use_pandas_metadata=False")
    sources = filepath_or_buffer if isinstance(filepath_or_buffer, list | tuple) else [filepath_or_buffer]
    if row_groups is None:
        groups = [None] * len(sources)
    else:
        lists = row_groups if isinstance(row_groups, list | tuple) else [row_groups]
        groups = lists if isinstance(lists[0], list | tuple) else [lists]
    if len(groups) != len(sources):
        raise ValueError("Must specify row groups for each source")
    files = _found(sources)
    tables = [_read(source, columns, chosen, ignore_missing_columns) for source, chosen in zip(files, groups, strict=True)]
    if len({tuple(table.schema.types) for table in tables}) > 1:
        raise RuntimeError("All sources must have the same schema")
    table = pa.concat_tables(tables)
    made = {name: _decoded(column) for name, column in zip(table.column_names, table.columns, strict=True)}
    if not (dataset_kwargs and dataset_kwargs.get("partitioning", "hive") is None):
        for key, value in _keys_of(files):
            made[key] = _decoded(pa.chunked_array([pa.repeat(value, table.num_rows)]))  # the real one's is categorical
    described = [one for source in files for one in _described_index(source)]
    if table.num_rows > 1 and any(one["step"] != 1 for one in described if isinstance(one, dict)):
        raise ValueError(f"Length mismatch: Expected axis has {table.num_rows} elements, new values have fewer")
    index = {one for one in described if isinstance(one, str)}
    if index <= made.keys():
        made = {name: column for name, column in made.items() if name not in index}
    return DataFrame._of(made, table.num_rows)


def _found(sources: Any) -> list[str]:
    """Return the paths that fsspec makes of sources; what none matches stays what it is."""
    paths = [str(source) for source in sources]
    _, _, found = fsspec.core.get_fs_token_paths(paths, mode="rb")
    return found or paths


def _keys_of(paths: list[str]) -> list[tuple[str, str]]:
    if len(paths) > 1:
        raise NotImplementedError("the stand-in gives one file's folders to columns")
    return [(key, value) for part in paths[0].split("/")[:-1] for key, equals, value in [part.partition("=")] if equals]


def _described_index(source: str) -> list[Any]:
    return list((pq.read_schema(source).pandas_metadata or {}).get("index_columns", ()))


def _read(source: str, columns: list[str] | None, row_groups: list[int] | None, ignore_missing: bool) -> pa.Table:
    with pq.ParquetFile(source) as file:
        names = file.schema_arrow.names
        missing = [name for name in columns or () if name not in names]
        if missing and not ignore_missing:
            raise RuntimeError(f"Encountered unselected column: {missing[0]}")
        structs = [f"{field.name}." for field in file.schema_arrow if pa.types.is_struct(field.type)]
        # the real one then has the struct of which a name with a dot is a field, and no column of that name
        wanted = names if columns is None else [name for name in columns if name in names and not name.startswith(tuple(structs))]
        chosen = range(file.num_row_groups) if row_groups is None else row_groups
        for group in chosen:
            if not 0 <= group < file.num_row_groups:
                raise IndexError(f"Invalid rowgroup index {group}")
        return file.read_row_groups(list(chosen), columns=wanted).select(wanted)


def _decoded(column: pa.ChunkedArray) -> Column:
    """Return a column as libcudf reads it: instants without their zone, dictionaries as what they stand for."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays(array.chunks)
    array = _plain(array)
    allocate(array.nbytes)
    return Column(_in_one_piece(_normal(array)), dtype_of(array.type))


def _plain(array: pa.Array) -> pa.Array:
    type_ = array.type
    if pa.types.is_dictionary(type_):
        return _plain(array.dictionary_decode())
    if pa.types.is_timestamp(type_) and type_.tz is not None:
        return array.view(pa.timestamp(type_.unit))
    if pa.types.is_large_list(type_) or pa.types.is_list(type_):
        elements = _plain(array.flatten())
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        ends = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
        return pa.ListArray.from_arrays(ends, elements, mask=array.is_null() if array.null_count else None)
    if not _is_read(type_):
        raise NotImplementedError(f"the stand-in reads no column of {type_}")
    return array


def _is_read(type_: pa.DataType) -> bool:
    numbers = pa.types.is_integer(type_) or pa.types.is_boolean(type_) or type_ in (pa.float32(), pa.float64())
    times = pa.types.is_timestamp(type_) or pa.types.is_date32(type_) or pa.types.is_duration(type_)
    return numbers or times or pa.types.is_string(type_) or pa.types.is_large_string(type_)
