"""Rows of a key brought together in their order, on the device."""

from __future__ import annotations

from collections.abc import Sequence

import cupy
import numpy as np

from headrace.backends.cudf.column import Column, Rows, is_valid
from headrace.backends.cudf.grouping import distinct_rows
from headrace.backends.cudf.values import as_float64, numbers


def sorted_groups(keys: Sequence[Column], order: Column | None, n_rows: int) -> tuple[Rows, Rows]:
    """Return the rows sorted by key, order and place, and where among them each group starts; see `Backend.sorted_groups`."""
    codes = distinct_rows(keys).codes if keys else cupy.zeros(n_rows, np.int64)
    ranks, n_ranks = (0, 1) if order is None else _ranks(order)
    rows = cupy.argsort(codes * n_ranks + ranks)  # a stable sort: rows of one key and order stay as they stand
    in_order = codes[rows]
    changes = cupy.flatnonzero(in_order[1:] != in_order[:-1]) + 1
    head, end = cupy.zeros(min(n_rows, 1), np.int64), cupy.full(1, n_rows, np.int64)
    return rows, cupy.concatenate([head, changes, end])


def _ranks(column: Column) -> tuple[Rows, int]:
    """Return the place of each value among the distinct ones, the last for null and NaN; and how many places there are."""
    values, missing = numbers(column).values, ~is_valid(column)
    if values.dtype.kind == "f":
        values = as_float64(values)
        missing = missing | cupy.isnan(values)
        values = cupy.where(missing, 0.0, values)
    distinct, ranks = cupy.unique(values, return_inverse=True)
    return cupy.where(missing, len(distinct), ranks).astype(np.int64), len(distinct) + 1
