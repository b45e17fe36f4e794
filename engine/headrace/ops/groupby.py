"""Groupby: one row of each key, with statistics of all its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from headrace.group_stats import statistic_type
from headrace.ops.base import Columns, Declaration, Grouping, Sources, ThinningOp, check_columns, made_once, operator
from headrace.ops.join_groupby import StatsOfColumns, squared_columns
from headrace.ops.ordering import check_grouping
from headrace.schema import Schema
from headrace.states import Ints
from headrace.table import ByRow, Device, Table


@operator
class Groupby(ThinningOp):
    """Make one row of all rows of a key: the key, and statistics of columns as ``<column>_<stat>``; the steps after see these rows.

    It sums up the rows at hand, those that it is fitted on as those that are transformed or predicted later; nothing is
    learnt. (`JoinGroupby` keeps the rows and brings what the training rows say.) A group has the place, the row key and the
    split of its key's first row in the source. Sums are exact and rounded once.

    Parameters
    ----------
    keys : list of str
        Columns that together are one key.
    stats : mapping of str to list of str
        Number or boolean column: any of ``count``, ``sum``, ``mean``, ``std`` (of a sample: n - 1), ``min``, ``max``.

    Returns
    -------
    The keys, then ``count`` as int64, ``sum``, ``mean`` and ``std`` as float64, ``min`` and ``max`` in the column's type
    (decimals: float64). All other columns are gone.

    Nulls and NaN
    -------------
    A null key is a key, NaN equals NaN. Nulls, NaN and infinities of the columns take no part, in the count neither. A group
    without a value has the count 0 and nulls, ``std`` needs two values.

    Examples
    --------
    >>> Groupby(["tailnum"], stats={"air_time": ["count", "sum"]}).settings()
    {'keys': ['tailnum'], 'stats': {'air_time': ['count', 'sum']}}
    """

    name: ClassVar[str] = "groupby"
    shorthand: ClassVar[str] = "keys"
    keys: Columns
    stats: StatsOfColumns

    def grouping(self) -> Grouping:
        return Grouping(self.keys, None, tuple(self.stats))

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_grouping(schema, self.grouping(), "keys")
        check_columns(schema, tuple(self.stats), lambda type_: type_.is_feature, "a number or boolean", "stats")
        wanted = self._wanted()
        made = {output: statistic_type(stat, schema[column]) for output, (column, stat) in wanted.items()}
        makes = {output: Sources(values=(column,), keys=self.keys) for output, (column, _) in wanted.items()}
        made_once([*((key, Sources(values=(key,))) for key in self.keys), *makes.items()])
        return Declaration(self.grouping().reads, schema.select(self.keys).with_columns(made), makes, drops_rows=True)

    def kept(self, starts: Ints) -> Ints:
        return starts[:-1]

    def scan(self, table: Table, starts: Ints) -> dict[str, Device]:
        n_groups = len(starts) - 1
        group_of_row = np.repeat(table.backend.row_numbers(n_groups), np.diff(starts))
        found = table.stats_of_groups(tuple(self.stats), group_of_row, n_groups, squared_columns(self.stats))
        return {output: table.backend.from_arrow(found[column].values(stat)) for output, (column, stat) in self._wanted().items()}

    def apply(self, table: Table, found: ByRow) -> Table:
        return found.kept(table).select(dict.fromkeys([*self.keys, *self._wanted()]))

    def _wanted(self) -> dict[str, tuple[str, str]]:
        return {f"{column}_{stat}": (column, stat) for column, stats in self.stats.items() for stat in stats}
