"""A table sorted by key and time, and the last of its rows at or before a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace.keys import Keys, factorize
from headrace.order import order_values
from headrace.states import Ints
from headrace.table import Table, one_array


@dataclass(frozen=True)
class AsOfTable:
    """Rows sorted by key and time.

    `keys` are the distinct keys (of one without columns there is none); rows `starts[k]` to `starts[k + 1]` of `times` and
    `values` are those of key k, by time.
    """

    keys: Keys
    starts: Ints
    times: pa.Array
    values: pa.Table

    @classmethod
    def of(cls, by: pa.Table, times: pa.ChunkedArray, values: pa.Table) -> AsOfTable:
        """Sort a table; rows without a time are left out, rows of one time keep their order."""
        time = one_array(times)
        order_by, missing = order_values(time)
        codes, firsts = _groups(by, len(time))
        rows = np.flatnonzero(~missing)
        rows = rows[np.lexsort((order_by[rows], codes[rows]))]
        starts = np.searchsorted(codes[rows], np.arange(len(firsts) + 1)).astype(np.int64)
        taken = pa.array(rows)
        return cls(Keys(by.take(pa.array(firsts))), starts, time.take(taken), values.take(taken).combine_chunks())

    def rows_for(self, table: Table, by: Sequence[str], on: str, tolerance: float, *, allow_exact: bool) -> Ints:
        """Return for each row of a table the row here that it finds, -1 where there is none.

        `tolerance` is in the units of the table's own column.
        """
        backend = table.backend
        groups = table.find(by, self.keys).astype(np.int64) if by else np.zeros_like(backend.row_numbers(table.n_rows))
        return backend.find_as_of(table[on], self.times, self.starts, groups, tolerance, allow_exact=allow_exact)


def _groups(by: pa.Table, n_rows: int) -> tuple[Ints, Ints]:
    if not by.num_columns:
        return np.zeros(n_rows, np.int64), np.zeros(1, np.int64)
    return factorize([one_array(column) for column in by.columns])
