"""Bad rows: which file and row group an error about values came from, found by trying the rows again, row group by row group."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from headrace.dataset import Dataset
from headrace.errors import DataError
from headrace.fallbacks import part
from headrace.partitions import Source
from headrace.table import ROW, Table

R = TypeVar("R")


def naming_the_file(source: Source, table: Table, use: Callable[[Table], R]) -> R:
    """Return what `use` makes of rows of a source; a DataError that names no file gets the one, and its row group, in which it arises."""
    try:
        return use(table)
    except DataError as error:
        if not isinstance(source, Dataset) or error.file is not None or ROW not in table.columns:
            raise
        raise _placed(source, table, use, error) from error


def _placed(source: Dataset, table: Table, use: Callable[[Table], R], error: DataError) -> DataError:
    numbers = table.backend.to_numpy(table.backend.values(table.columns[ROW]))
    groups = source.row_groups
    places = np.searchsorted([group.first_row for group in groups], numbers, side="right") - 1
    for place in np.unique(places):
        start, stop = np.flatnonzero(places == place)[[0, -1]]
        try:
            use(part(table, slice(int(start), int(stop) + 1)))
        except DataError as found:
            return found.at(file=source.files[groups[place].file].path, row_group=groups[place].index)
    return error
