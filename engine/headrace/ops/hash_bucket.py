"""HashBucket: an id for each category without learning any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from headrace.ops.base import Columns, Count, Declaration, PlainOp, check_columns, made_in_place, operator
from headrace.schema import INT32, Schema
from headrace.table import Device, Table, remainders

Buckets = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]


@operator
class HashBucket(PlainOp):
    """Replace categories by the number of a hash bucket, 1 to `buckets`, in place; 0 is null.

    ``1 + hash64(value) % buckets``: no pass over the data and nothing to keep, at the price that categories collide.
    The hash is XXH64 of a string's UTF-8 or of a number's 8 bytes, so int32 5 and int64 5 share a bucket.

    Parameters
    ----------
    columns : list of str
    buckets : int
        How many. With n categories a share of about ``1 - exp(-n / buckets)`` collides with another.
    seed : int
        Another seed gives other collisions.

    Returns
    -------
    int32, 0 to `buckets`: an embedding needs ``buckets + 1`` rows.

    Nulls and NaN
    -------------
    Null is 0, as for `Categorify`. NaN is a value; -0.0 is 0.0.

    Source
    ------
    Weinberger et al., *Feature Hashing for Large Scale Multitask Learning*, ICML 2009.

    Examples
    --------
    >>> HashBucket(["tailnum"], buckets=1000).settings()
    {'columns': ['tailnum'], 'buckets': 1000}
    """

    name: ClassVar[str] = "hash_bucket"
    columns: Columns
    buckets: Buckets
    seed: Count = 0

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: not type_.is_nested, "a string, integer, boolean, date or number")
        return Declaration(self.columns, schema.with_columns(dict.fromkeys(self.columns, INT32)), made_in_place(self.columns))

    def apply(self, table: Table) -> Table:
        return table.with_columns({column: bucket_column(table, [column], self.buckets, self.seed) for column in self.columns})


def bucket_column(table: Table, names: Sequence[str], buckets: int, seed: int) -> Device:
    """Return the bucket of each row's values as a column: 0 where all are null, else 1 to `buckets`."""
    ids = bucket_numbers(table.backend.hash_rows(table.pick(names), seed), buckets)
    null = reduce(np.logical_and, [table.backend.is_null(table[name]) for name in names])
    return table.backend.from_numpy(np.where(null, np.int32(0), ids))


def bucket_numbers(hashes: npt.NDArray[np.uint64], buckets: int) -> npt.NDArray[np.int32]:
    """Return the bucket of each hash, 1 to `buckets`."""
    return remainders(hashes, buckets).astype(np.int32) + np.int32(1)
