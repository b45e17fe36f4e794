"""Distinct rows on the device: codes by first appearance, as `headrace.keys.factorize` numbers them on the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.cudf.column import Coded, Column, Plain, Rows, take
from headrace.backends.cudf.transfers import DISTINCT, STATE, to_host
from headrace.backends.cudf.values import to_arrow, words
from headrace.keys import Keys, plain_values


class Distinct(NamedTuple):
    """A code (int64) a row, and the first row and the number of rows of each code."""

    codes: Rows
    firsts: Rows
    counts: Rows


def distinct_rows(columns: Sequence[Column], *, bitwise: bool = False) -> Distinct:
    """Return the distinct rows of some columns, numbered by first appearance; a null is a value like any other.

    `bitwise`: 0.0 and -0.0 are two values.
    """
    combined, _ = codes_of(columns[0], bitwise=bitwise)
    for column in columns[1:]:
        codes, n_codes = codes_of(column, bitwise=bitwise)
        # Densify before every column after the first: the product of cardinalities stays within 64 bits.
        _, combined = cupy.unique(combined, return_inverse=True)
        combined = combined.astype(np.int64) * n_codes + codes
    _, firsts, inverse, counts = cupy.unique(combined, return_index=True, return_inverse=True, return_counts=True)
    order = cupy.argsort(firsts)
    rank = cupy.empty_like(order)
    rank[order] = cupy.arange(len(order), dtype=order.dtype)
    return Distinct(rank[inverse].astype(np.int64), firsts[order].astype(np.int64), counts[order].astype(np.int64))


def codes_of(column: Column, *, bitwise: bool = False) -> tuple[Rows, int]:
    """Return a code (int64) a row, equal where values are equal, the greatest for nulls; and how many codes there may be."""
    if isinstance(column, Coded):
        codes, n_codes = column.values.astype(np.int64), len(column.distinct)
    else:
        assert isinstance(column, Plain)  # noqa: S101  (ops refuse lists before any row is read)
        found, inverse = cupy.unique(_bits(column) if bitwise else words(column), return_inverse=True)
        codes, n_codes = inverse.astype(np.int64), len(found)
    if column.valid is not None:
        codes = cupy.where(column.valid, codes, np.int64(n_codes))
    return codes, n_codes + 1


def _bits(column: Plain) -> Rows:
    values = column.values
    return values.view(f"i{values.dtype.itemsize}") if values.dtype.kind == "f" else words(column)


def keys_at(columns: Mapping[str, Column], rows: Rows) -> Keys:
    """Return the keys that stand at some rows, on the host; the same bits whatever the layout of the columns."""
    arrays = [plain_values(to_arrow(take(column, rows), DISTINCT)) for column in columns.values()]
    return Keys(pa.table(arrays, names=list(columns)))


def count_keys(columns: Mapping[str, Column]) -> tuple[Keys, np.ndarray]:
    """Return the distinct keys of one or more columns and how many rows have each."""
    found = distinct_rows(list(columns.values()))
    return keys_at(columns, found.firsts), to_host(found.counts, STATE)
