"""One way to compare columns and tables: strict on type, length, order, null against NaN, and the sign of zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from headrace.schema import Type

EXACT = 0.0
# One rounding to float32 of a float64 that two ways of computing agree on.
FLOAT32 = 2.0**-23
# A few roundings of float64.
FLOAT64 = 1e-14


def assert_same_column(actual: Any, expected: Any, tolerance: float = EXACT, name: str = "column") -> None:
    """Fail unless two Arrow columns have the same logical type, length, nulls, NaN and values.

    Floats may differ by `tolerance` of the expected value; with EXACT they are the same bits, but for the payload of NaN.
    How a column is laid out (dictionary, large_string, chunks) is no difference.
    """
    left, right = _plain(actual), _plain(expected)
    if left.type != right.type:
        raise AssertionError(f"{name} is {left.type}, and {right.type} was expected")
    if len(left) != len(right):
        raise AssertionError(f"{name} has {len(left)} rows, and {len(right)} were expected")
    _refuse(name, left, right, left.is_null().to_numpy(False) != right.is_null().to_numpy(False))
    if pa.types.is_floating(left.type):
        _refuse(name, left, right, ~_close(_floats(left), _floats(right), tolerance))
    elif not left.equals(right):
        _refuse(name, left, right, np.array([a != b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)]))


def assert_same_table(actual: pa.Table, expected: pa.Table, tolerance: float = EXACT) -> None:
    """Fail unless two Arrow tables have the same columns in the same order, each the same as `assert_same_column` has it."""
    if actual.column_names != expected.column_names:
        raise AssertionError(f"the columns are {actual.column_names}, and {expected.column_names} were expected")
    if actual.num_rows != expected.num_rows:
        raise AssertionError(f"there are {actual.num_rows} rows, and {expected.num_rows} were expected")
    for name in expected.column_names:
        assert_same_column(actual[name], expected[name], tolerance, name)


def _plain(column: Any) -> pa.Array:
    """Return a column as one array in its logical type."""
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks() if pa.types.is_dictionary(column.type) else column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # more than 2 GiB, or no chunk at all
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary.take(column.indices)
    return column.cast(Type.from_arrow(column.type).arrow)


def _floats(array: pa.Array) -> np.ndarray:
    return array.fill_null(pa.scalar(0.0, array.type)).to_numpy(False)


def _close(left: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
    unsigned = {2: np.uint16, 4: np.uint32, 8: np.uint64}[left.dtype.itemsize]
    same = (left.view(unsigned) == right.view(unsigned)) | (np.isnan(left) & np.isnan(right))
    if tolerance == EXACT:
        return same
    with np.errstate(invalid="ignore"):
        return same | (np.abs(left - right) <= tolerance * np.abs(right))


def _refuse(name: str, left: pa.Array, right: pa.Array, differs: np.ndarray) -> None:
    rows = np.flatnonzero(differs)
    if len(rows):
        row = int(rows[0])
        shown = f"{left[row].as_py()!r}, and {right[row].as_py()!r} was expected"
        raise AssertionError(f"{name}, row {row}: {shown} ({len(rows)} of {len(left)} rows differ)")
