"""HashedCross: an id for each combination of several columns without learning any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from headrace.ops.base import Count, Declaration, PlainOp, Setting, Sources, check_columns, operator
from headrace.ops.hash_bucket import Buckets, bucket_column
from headrace.schema import INT32, Schema
from headrace.table import Table


@operator
class HashedCross(PlainOp):
    """Make one column of several categories: the number of the hash bucket of their combination, 1 to `buckets`; 0 is null.

    The column is named ``<columns>_cross``, the names joined by ``_``. Each value is hashed as by `HashBucket`, and the
    hashes are combined from left to right, so the order of the columns matters.

    Parameters
    ----------
    columns : list of str
        Two or more; one cross a step.
    buckets : int
    seed : int
        Another seed gives other collisions.

    Returns
    -------
    int32, 0 to `buckets`.

    Nulls and NaN
    -------------
    A null is a value like any other; the cross is 0 if all are null. NaN is a value; -0.0 is 0.0.

    Examples
    --------
    >>> HashedCross(["origin", "dest"], buckets=1000).settings()
    {'columns': ['origin', 'dest'], 'buckets': 1000}
    """

    name: ClassVar[str] = "hashed_cross"
    columns: Setting[Annotated[tuple[str, ...], Field(min_length=2)], Sequence[str]]
    buckets: Buckets
    seed: Count = 0

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: not type_.is_nested, "a string, integer, boolean, date or number")
        makes = {self._output: Sources(values=self.columns)}
        return Declaration(self.columns, schema.with_columns({self._output: INT32}), makes)

    def apply(self, table: Table) -> Table:
        return table.with_columns({self._output: bucket_column(table, self.columns, self.buckets, self.seed)})

    @property
    def _output(self) -> str:
        return f"{'_'.join(self.columns)}_cross"
