"""Training rows that a model keeps: written as Arrow beside ``model.json``, which holds their length and checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.errors import BundleError
from headrace.models.store import read_bytes

_FILE = "rows.arrow"


def write_rows(folder: Path, matrix: np.ndarray, **values: np.ndarray) -> dict[str, Any]:
    """Write a float32 matrix and named float64 values a row; return what ``model.json`` says of them."""
    folder.mkdir(parents=True, exist_ok=True)
    width = matrix.shape[1]
    rows = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix, np.float32).ravel()), width)
    columns = [rows, *(pa.array(value.astype(np.float64)) for value in values.values())]
    table = pa.table(columns, names=["row", *values]).cast(_schema(width, tuple(values)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    (folder / _FILE).write_bytes(content)
    return {"rows": _sum_of(content)}


def read_rows(folder: Path, description: dict[str, Any], n_features: int, *names: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Read back what `write_rows` wrote: the matrix, and the values of each name.

    Raises
    ------
    BundleError
        The bytes are not those that ``model.json`` describes, or hold other columns, no row, nulls, NaN or infinities.
    """
    path = folder / _FILE
    content = read_bytes(path)
    if description.get("rows") != _sum_of(content):
        raise BundleError(f"not the {len(content)} bytes that were saved with the model", file=str(path), hint="copy the bundle again")
    try:
        table = pa.ipc.open_file(pa.py_buffer(content)).read_all().cast(_schema(n_features, names)).combine_chunks()
        matrix = table["row"].combine_chunks().values.to_numpy().reshape(table.num_rows, n_features)
        values = [table[name].to_numpy() for name in names]
    except (KeyError, TypeError, ValueError, pa.ArrowInvalid) as error:
        raise BundleError(f"rows that do not fit {n_features} features: {error}", file=str(path)) from error
    if not table.num_rows or not all(np.isfinite(numbers).all() for numbers in (matrix, *values)):
        raise BundleError("rows that no training leaves: none, or not finite", file=str(path))
    return matrix, values


def _sum_of(content: bytes) -> dict[str, Any]:
    return {"nbytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _schema(width: int, names: tuple[str, ...]) -> pa.Schema:
    row = pa.list_(pa.field("item", pa.float32(), nullable=False), width)
    return pa.schema([pa.field("row", row, nullable=False), *(pa.field(name, pa.float64(), nullable=False) for name in names)])
