"""Tables of other libraries in, the same kind out: pyarrow as it is, pandas, polars and others through narwhals, Dask's by partition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from headrace.errors import DataError, JobError
from headrace.schema import odd_name

# What makes a table of other things of Arrow's.
_ARROW_WAYS = {
    "RecordBatch": "give `pyarrow.Table.from_batches([batch])`",
    "RecordBatchReader": "give `reader.read_all()`",
    "FileSystemDataset": "give `dataset.to_table()`, or the path of its files",
    "InMemoryDataset": "give `dataset.to_table()`",
    "Scanner": "give `scanner.to_table()`",
}


def is_path(source: Any) -> bool:
    """Say whether a source names files: a path or a list of paths."""
    import os

    if isinstance(source, list | tuple):
        return all(isinstance(item, str | os.PathLike) for item in source)
    return isinstance(source, str | os.PathLike)


def is_dask(frame: Any) -> bool:
    """Say whether a table is one of Dask's: partitions that are computed when somebody asks for them."""
    return type(frame).__module__.partition(".")[0] in ("dask", "dask_cudf") and hasattr(frame, "map_partitions")


def map_partitions(function: Callable[..., Any], frame: Any, empty: pa.Table, **settings: Any) -> Any:
    """Return a Dask table of what `function(partition, **settings)` will make of each partition.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
    empty : pyarrow.Table
        No rows of what the function returns, for its names and types.
    """
    back = to_arrow(frame._meta)[1]  # what partitions are made of: pandas or cuDF
    return frame.map_partitions(function, meta=back(empty), clear_divisions=True, **settings)


def call_on_frame(function: Callable[..., Any], table: pa.Table) -> pa.Table:
    """Return what a function makes of a table that it is given as a narwhals frame; it may return any library's frame.

    >>> call_on_frame(lambda frame: frame.select("x"), pa.table({"x": [1], "y": [2]})).column_names
    ['x']
    """
    import narwhals as nw

    returned = function(nw.from_native(table, eager_only=True))
    return to_arrow(nw.to_native(returned, pass_through=True))[0]


def to_arrow(frame: Any) -> tuple[pa.Table, Callable[[pa.Table], Any]]:
    """Return a frame as an Arrow table, and a function that turns an Arrow table into the frame's kind.

    Raises
    ------
    JobError
        If it is no table of a library that narwhals knows, or a lazy one.
    DataError
        If a column's name stands twice, or a column holds values of several types.
    """
    if isinstance(frame, pa.Table):
        return _checked(frame), lambda table: table
    import narwhals as nw

    try:
        wrapped = nw.from_native(frame, eager_only=True)
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"the names of the table's columns are not unique: {error}") from error
    except TypeError as error:
        hint = _ARROW_WAYS.get(type(frame).__name__, "give a path, or a pyarrow, pandas or polars table (collect a lazy one first)")
        if is_dask(frame):
            hint = "write it with `to_parquet` and give the folder; only `transform` takes tables of Dask as they are"
        raise JobError(f"a {type(frame).__module__}.{type(frame).__qualname__} is no table in memory", hint=hint) from error
    library = wrapped.implementation

    def back(table: pa.Table) -> Any:
        return nw.from_arrow(table, backend=library).to_native()

    try:
        return _checked(wrapped.to_arrow()), back
    except (pa.ArrowException, TypeError) as error:
        raise DataError(f"a column of the table has no one type: {error.args[0]}", hint=_hint_of(error)) from error


def _checked(table: pa.Table) -> pa.Table:
    odd = odd_name(table.column_names)
    if odd is not None:
        raise DataError(odd[1], column=odd[0])
    return table


def _hint_of(error: BaseException) -> str | None:
    """Return what pandas has added to an error of Arrow's: which column it was."""
    return str(error.args[1]) if len(error.args) > 1 else None
