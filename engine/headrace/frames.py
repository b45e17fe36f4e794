"""Tables of other libraries in, the same kind out: pyarrow as it is, pandas, polars and others through narwhals, Dask's by partition."""

from __future__ import annotations

from collections.abc import Callable, Collection
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

    Raises DataError if it returns something else.

    >>> call_on_frame(lambda frame: frame.select("x"), pa.table({"x": [1], "y": [2]})).column_names
    ['x']
    """
    import narwhals as nw

    returned = nw.to_native(function(nw.from_native(table, eager_only=True)), pass_through=True)
    try:
        return to_arrow(returned)[0]
    except JobError as error:
        kind = type(returned)
        hint = "return a frame, as `frame.select(...)` makes one, or a pyarrow, pandas or polars table"
        raise DataError(f"it returned a {kind.__module__}.{kind.__qualname__}, which is no frame", hint=hint) from error


def to_arrow(frame: Any, wanted: Collection[str] | None = None) -> tuple[pa.Table, Callable[[pa.Table], Any]]:
    """Return a frame as an Arrow table, and a function that turns an Arrow table into the frame's kind.

    Parameters
    ----------
    wanted : collection of str, optional
        The columns that are asked for. Others of another library's frame are only there by name, without values: they need not be of a
        type that Arrow has.

    Raises
    ------
    JobError
        If it is no table of a library that narwhals knows, or a lazy one.
    DataError
        If a column's name stands twice, or a column holds values of several types, or of one that Arrow does not have.
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

    names = [str(name) for name in wrapped.columns]  # in pandas a name may be anything
    taken = [place for place, name in enumerate(names) if wanted is None or name in wanted]
    try:
        table = wrapped[:, taken].to_arrow() if wanted is not None else wrapped.to_arrow()
    except (pa.ArrowException, TypeError) as error:
        told = f"a column of the table has values of several types, or of one that Arrow does not have: {error.args[0]}"
        raise DataError(told, hint=_hint_of(error)) from error
    values = dict(zip(taken, table.columns, strict=False))  # behind the columns stands pandas' index, which is none
    nothing = pa.nulls(len(wrapped))
    table = pa.table([values.get(place, nothing) for place in range(len(names))], names=names)
    return _checked(table), back


def _checked(table: pa.Table) -> pa.Table:
    odd = odd_name(table.column_names)
    if odd is not None:
        raise DataError(odd[1], column=odd[0])
    return table


def _hint_of(error: BaseException) -> str:
    """Return what pandas has added to an error of Arrow's, which column it was, and what to do."""
    return "\n".join([*map(str, error.args[1:]), "leave the column out, or give it one type that Arrow has"])
