"""Sample: keep a fraction of the rows, chosen by a hash of each row's identity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from headrace.ops.base import Count, Declaration, Names, PlainOp, check_columns, default, operator
from headrace.schema import Schema
from headrace.table import Table


@operator
class Sample(PlainOp):
    """Keep about `fraction` of all rows: those whose hashed identity is small enough.

    Whether a row is kept depends on its identity and the seed alone: not on other rows, their order or the partitions. A
    larger fraction keeps the rows of a smaller one and more.

    Parameters
    ----------
    fraction : float
        From 0 to 1.
    key : list of str, optional
        Columns that identify a row; all rows of one key stay or go together. Default: the job's `source.key`, else the
        row's number in the source.
    seed : int, optional
        Default: the job's `run.seed`, else 0.

    Nulls and NaN
    -------------
    A null in the key is a value like any other.

    Examples
    --------
    >>> Sample(0.1, seed=7).settings()
    {'fraction': 0.1, 'seed': 7}
    """

    name: ClassVar[str] = "sample"
    shorthand: ClassVar[str] = "fraction"
    fraction: Annotated[float, Field(strict=True, ge=0, le=1)]
    key: Names = default(())
    seed: Count | None = None

    @property
    def needs_all_rows(self) -> bool:
        return not self.key

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.key, lambda type_: not type_.is_nested, "an identity", "key")
        return Declaration(self.key, schema, {}, drops_rows=True)

    def apply(self, table: Table) -> Table:
        # The whole hash is compared, in integers: a fraction of 1 keeps the largest hash too.
        limit = math.floor(self.fraction * 2**64)
        hashes = table.row_hashes(self.key, self.seed or 0)
        kept = hashes < np.uint64(limit) if limit < 2**64 else np.ones_like(hashes, dtype=bool)
        return table.filter(table.backend.from_numpy(kept))
