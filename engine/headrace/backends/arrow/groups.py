"""Rows of a key brought together in their order, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from headrace.keys import factorize
from headrace.order import order_of_codes, order_values
from headrace.states import Ints


def sorted_groups(keys: Sequence[pa.Array], order: pa.Array | None, n_rows: int) -> tuple[Ints, Ints]:
    """Return the rows sorted by key, order and place, and where among them each group starts; see `Backend.sorted_groups`."""
    codes = factorize(keys)[0] if keys else np.zeros(n_rows, np.int64)
    by_order = None if order is None else _by_order(order)
    rows = order_of_codes(codes) if by_order is None else by_order[order_of_codes(codes[by_order])]
    in_order = codes[rows]
    changes = np.flatnonzero(in_order[1:] != in_order[:-1]) + 1
    return rows, np.concatenate([[0] if n_rows else [], changes, [n_rows]]).astype(np.int64)


def _by_order(array: pa.Array) -> Ints | None:
    """Return the rows sorted by a column, missing values last; None if they lie so, as those of times often do."""
    values, missing = order_values(array)
    if not missing.any() and (values[1:] >= values[:-1]).all():
        return None
    return np.lexsort([values, missing]).astype(np.int64)
