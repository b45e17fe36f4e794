"""ListHash: lists of any values as lists of bucket numbers, or as a count for each bucket."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from headrace.errors import JobError
from headrace.ops.base import Columns, Count, Declaration, PlainOp, Sources, check_columns, operator
from headrace.ops.hash_bucket import Buckets, bucket_numbers
from headrace.schema import INT32, Schema, Type
from headrace.states import Ints
from headrace.table import Device, Table

Output = Literal["counts", "list"]
LIST_OF_INT32 = Type.of("list<int32>")
MAX_COLUMNS = 4096


@operator
class ListHash(PlainOp):
    """Hash the elements of lists to buckets 1 to `buckets`, as `HashBucket` does, and count them or list them.

    Parameters
    ----------
    columns : list of str
    buckets : int
        How many; with counts at most 4,096.
    output : "counts" or "list"
        Counts make a column for each bucket, ``<column>_1`` to ``<column>_<buckets>``, which a model can take; a list
        of the elements' buckets, in place, is what an embedding takes.
    seed : int
        Another seed gives other collisions.

    Returns
    -------
    int32 counts, or lists of int32.

    Nulls and NaN
    -------------
    A null list gives nulls. A null element is 0 in a list and not counted.

    Examples
    --------
    >>> ListHash(["tags"], buckets=64).settings()
    {'columns': ['tags'], 'buckets': 64}
    """

    name: ClassVar[str] = "list_hash"
    columns: Columns
    buckets: Buckets
    output: Output = "counts"
    seed: Count = 0

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, _holds_values, "a list of strings, numbers, booleans or dates")
        return declare_hashed(schema, self.columns, self.buckets, self.output)

    def apply(self, table: Table) -> Table:
        made: dict[str, Device] = {}
        for column in self.columns:
            lengths, elements = table.backend.explode(table[column])
            ids = hashed_elements(table, elements, self.buckets, self.seed)
            made |= hashed_columns(table, lengths, ids, output_types(column, self.buckets, self.output))
        return table.with_columns(made)


def declare_hashed(schema: Schema, columns: tuple[str, ...], buckets: int, output: Output) -> Declaration:
    """Return the declaration of an op that hashes the elements of each of `columns`."""
    if output == "counts" and buckets > MAX_COLUMNS:
        raise JobError(
            f"counts make a column for each bucket: {MAX_COLUMNS:,} at most, not {buckets:,}", key="buckets", hint="or output: list"
        )
    types: dict[str, Type] = {}
    makes: dict[str, Sources] = {}
    for column in columns:
        made = output_types(column, buckets, output)
        types |= made
        makes |= dict.fromkeys(made, Sources(values=(column,)))
    return Declaration(columns, schema.with_columns(types), makes)


def output_types(column: str, buckets: int, output: Output) -> dict[str, Type]:
    """Return the columns that a column of lists becomes: itself, or one for each bucket."""
    return {column: LIST_OF_INT32} if output == "list" else {f"{column}_{bucket}": INT32 for bucket in range(1, buckets + 1)}


def hashed_elements(table: Table, elements: Device, buckets: int, seed: int) -> npt.NDArray[np.int32]:
    """Return the bucket of each element of all lists, 0 for a null."""
    ids = bucket_numbers(table.backend.hash_rows({"element": elements}, seed), buckets)
    return np.where(table.backend.is_null(elements), np.int32(0), ids)


def hashed_columns(table: Table, lengths: Ints, ids: npt.NDArray[np.int32], types: Mapping[str, Type]) -> dict[str, Device]:
    """Return lists of `lengths` of the elements' buckets, or how often each row has each bucket, by the names of `types`."""
    backend = table.backend
    if LIST_OF_INT32 in types.values():
        return {name: backend.implode(lengths, backend.from_numpy(ids)) for name in types}
    order = np.argsort(ids, kind="stable")
    rows = np.repeat(backend.row_numbers(len(lengths)), np.maximum(lengths, 0))[order]
    edges = backend.to_numpy(np.searchsorted(ids[order], backend.row_numbers(len(types) + 1) + 1), by_row=False).tolist()
    valid = lengths >= 0 if (lengths < 0).any() else None
    counts = (np.bincount(rows[start:stop], minlength=len(lengths)) for start, stop in pairwise(edges))
    return {name: backend.from_numpy(found.astype(np.int32), valid) for name, found in zip(types, counts, strict=True)}


def _holds_values(type_: Type) -> bool:
    return type_.is_list and not Type.from_arrow(type_.arrow.value_type).is_nested
