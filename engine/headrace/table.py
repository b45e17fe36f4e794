"""Table: columns of equal length on one device, and the verbs that operators ask of them.

An op sees only this. What a column is (an Arrow array, a cuDF series) is known to the backend alone. A table also
knows, for each of its rows, its number in the source and whether it is a training row: that is what folds and splits
are made of, and it follows the rows through every filter and join.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.counts import Counts, Ints
from headrace.errors import JobError, unknown_name
from headrace.group_stats import ColumnStats, GroupStats
from headrace.keys import Keys
from headrace.ledger import Ledger
from headrace.schema import Schema, Type
from headrace.states import GroupSums, Moments, Quantiles

if TYPE_CHECKING:
    from headrace.dataset import Dataset, RowGroup
    from headrace.expressions import Expression
    from headrace_kernels.kernel import Kernel

# Columns that travel with the rows and are no part of the schema. A name with a NUL cannot stand in a Parquet file.
ROW = "\0row"
TRAINING = "\0training"
KEY = "\0key:"  # then the name: a column of the row key as the source has it, whatever the steps make of that column

Device = Any  # a column on its device: known to the backend alone


class Stage(NamedTuple):
    """One step of a chain on a column: what `headrace_kernels.stages` does, its two constants, the event under which changed
    rows are counted, and the column's type after it.
    """

    does: str
    first: float
    second: float
    event: str
    type: Type


class Backend(Protocol):
    """The few verbs asked of a device. A column argument is whatever the backend itself made.

    An array of rows (a code, a hash, a truth value for each) lies where the columns do: NumPy's on a CPU, CuPy's on a GPU.
    NumPy's functions take both, and give back what they were given. Arrays that are part of a state are NumPy's everywhere.
    """

    name: str

    def read(self, dataset: Dataset, groups: Sequence[RowGroup], columns: Sequence[str]) -> Iterator[tuple[int, int, dict[str, Device]]]:
        """Yield (first row, rows, columns) of consecutive row groups."""

    def from_arrow(self, array: pa.Array) -> Device:
        """Take a host column."""

    def to_arrow(self, column: Device) -> pa.Array:
        """Hand a column to the host."""

    def plain(self, column: Device) -> Device:
        """Return a column with a value a row. Codes are taken by `take`, `filter`, `first`, `concat`, `moments`, `run_stages`, `type_of`, `to_arrow`."""

    def moving(self, why: str) -> AbstractContextManager[Any]:
        """Count rows that this thread hands to the host inside under a reason: ``output``, ``exchange``, or ``fallback`` to the CPU."""

    def from_numpy(self, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> Device:
        """Take computed values of rows; null where `valid` is false."""

    def to_numpy(self, array: npt.NDArray[Any], *, by_row: bool = True) -> npt.NDArray[Any]:
        """Hand an array to the host; `by_row` tells whether it has a value a row, which is counted as such."""

    def values(self, column: Device) -> npt.NDArray[Any]:
        """Return the values of a number or truth column that holds no null, as an array of rows."""

    def row_numbers(self, n_rows: int) -> npt.NDArray[np.int64]:
        """Return 0, 1, 2, ... on the device: what other arrays of rows are made of."""

    def type_of(self, column: Device) -> Type:
        """Return the logical type of a column."""

    def filter(self, columns: Mapping[str, Device], mask: Device) -> dict[str, Device]:
        """Keep the rows where `mask` is true; null counts as false."""

    def take(self, columns: Mapping[str, Device], rows: npt.NDArray[np.int64]) -> dict[str, Device]:
        """Return the rows at `rows`, in that order; a row of -1 is null in every column."""

    def first(self, columns: Mapping[str, Device], n_rows: int) -> dict[str, Device]:
        """Return the first `n_rows` rows."""

    def concat(self, tables: Sequence[Mapping[str, Device]]) -> dict[str, Device]:
        """Return the rows of many tables of the same columns, one after another."""

    def evaluate(self, expression: Expression, columns: Mapping[str, Device], n_rows: int) -> Device:
        """Evaluate a SQL expression."""

    def cast(self, column: Device, type_: Type) -> Device:
        """Convert a column; raise DataError for a value that does not fit."""

    def is_null(self, column: Device) -> npt.NDArray[np.bool_]:
        """Return which rows are null, NaN not among them."""

    def is_true(self, mask: Device) -> npt.NDArray[np.bool_]:
        """Return which rows of a truth column are true; null counts as false."""

    def null_count(self, column: Device) -> int:
        """Count nulls, NaN not among them."""

    def count_true(self, mask: Device) -> int:
        """Count the rows where a truth column is true; null counts as false."""

    def fill(self, column: Device, value: Any) -> Device:
        """Replace nulls, and NaN of floats, by `value`."""

    def missing_count(self, column: Device) -> int:
        """Count nulls and NaN."""

    def moments(self, columns: Sequence[Device]) -> list[Moments]:
        """Return count, extremes and exact sums of each of some number or boolean columns."""

    def quantiles(self, column: Device) -> Quantiles:
        """Return the counts of a number column's values by bins."""

    def counts(self, columns: Mapping[str, Device]) -> Counts:
        """Return distinct keys of one or more columns and their counts."""

    def group_sums(self, columns: Mapping[str, Device], value: Device, fold: npt.NDArray[np.int32], folds: int) -> GroupSums:
        """Return counts and exact sums of `value` by key and fold; rows of a negative fold, and values that are not finite, are left out."""

    def group_stats(self, columns: Mapping[str, Device], values: Mapping[str, Device], squared: Container[str]) -> GroupStats:
        """Return count, exact sums of values and, of those `squared`, of squares, and extremes of number columns by key."""

    def stats_of_groups(self, values: Mapping[str, Device], groups: Ints, n_groups: int, squared: Container[str]) -> dict[str, ColumnStats]:
        """Return the same of rows whose group is known."""

    def find(self, columns: Mapping[str, Device], keys: Keys) -> npt.NDArray[np.int32]:
        """Return the code of each row's key in `keys`, -1 where it is not there."""

    def find_as_of(self, column: Device, times: pa.Array, starts: Ints, groups: Ints, tolerance: float, *, allow_exact: bool) -> Ints:
        """Return the last of the sorted `times` of each row's group that is not after the row's time, -1 where there is none.

        Those of group k are `starts[k]` to `starts[k + 1]`; a negative group has none. `tolerance` is in the column's units.
        """

    def encode(self, columns: Mapping[str, Device], keys: Keys, ids: npt.NDArray[np.int32]) -> tuple[Device, int]:
        """Return ids[code + 1] of each row's code in `keys` as a column, and how many rows are unseen (code -1)."""

    def look_up(self, codes: npt.NDArray[Any], values: npt.NDArray[Any]) -> Device:
        """Return values[codes] as a column."""

    def hash_rows(self, columns: Mapping[str, Device], seed: int) -> npt.NDArray[np.uint64]:
        """Return a hash of each row's values, the same on every device."""

    def explode(self, column: Device) -> tuple[npt.NDArray[np.int64], Device]:
        """Return the length of each row's list, -1 for a null, and the elements of all lists one after another."""

    def implode(self, lengths: npt.NDArray[np.int64], elements: Device) -> Device:
        """Return lists of these lengths, null for -1, of consecutive elements: the inverse of `explode`."""

    def launch(self, kernel: str | Kernel, columns: Sequence[Device], constants: Mapping[str, Any]) -> tuple[Device, ...]:
        """Run a kernel over columns: one of `headrace_kernels` by its name, or a user's."""

    def run_stages(self, columns: Sequence[Device], chains: Sequence[Sequence[Stage]]) -> list[tuple[Device, tuple[int, ...]] | None]:
        """Take each column through its chain of stages in one loop; return it and how many rows each changed.

        None for what does not fit such a loop.
        """

    def sorted_groups(self, keys: Sequence[Device], order: Device | None, n_rows: int) -> tuple[Ints, Ints]:
        """Return the rows sorted by key, order and place, and where among them each group starts, with the number of rows at the end.

        Groups come by their first row; without keys all rows are one. Rows whose order is null or NaN come last in their group. Both are
        arrays on the device.
        """

    def scan(self, scan: str, columns: Sequence[Device], starts: Ints, constants: Mapping[str, Any]) -> tuple[Device, ...]:
        """Run a scan of `headrace_kernels.scans` over the groups of `sorted_groups`."""

    def matrix(self, columns: Sequence[Device]) -> npt.NDArray[np.float32]:
        """Return columns side by side as float32 [rows, columns]; null becomes NaN."""


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length on one device.

    Parameters
    ----------
    backend : Backend
        The device's verbs.
    columns : mapping of str to device columns
    n_rows : int
    ledger : Ledger
        Where the step at work counts what it changed; shared by all tables made of this one.
    """

    backend: Backend
    columns: Mapping[str, Device]
    n_rows: int
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns if not name.startswith("\0"))

    @property
    def schema(self) -> Schema:
        return Schema({name: self.backend.type_of(self.columns[name]) for name in self.names})

    def __getitem__(self, name: str) -> Device:
        return self.backend.plain(self._as_kept(name))

    def _as_kept(self, name: str) -> Device:
        try:
            return self.columns[name]
        except KeyError:
            message, hint = unknown_name("column", name, self.names)
            raise JobError(message, hint=hint) from None

    def pick(self, names: Iterable[str]) -> dict[str, Device]:
        """Return some columns by name."""
        return {name: self[name] for name in names}

    def pick_kept(self, names: Iterable[str]) -> dict[str, Device]:
        """Return some columns by name as they are kept: numbers may be codes of few values, which `Backend.plain` decodes."""
        return {name: self._as_kept(name) for name in names}

    def with_columns(self, columns: Mapping[str, Device]) -> Table:
        """Return the table with columns replaced in place or added at the end."""
        return replace(self, columns={**self.columns, **columns})

    def without(self, names: Iterable[str]) -> Table:
        """Return the table without some columns."""
        gone = set(names)
        return replace(self, columns={name: column for name, column in self.columns.items() if name not in gone})

    def select(self, names: Iterable[str]) -> Table:
        """Return only `names`, in their order; what travels with the rows stays."""
        hidden = {name: column for name, column in self.columns.items() if name.startswith("\0")}
        return replace(self, columns={**self.pick_kept(names), **hidden})

    def only(self, names: Iterable[str]) -> Table:
        """Return the columns that are among `names`, in the table's order; what travels with the rows stays."""
        wanted = set(names)
        return replace(self, columns={name: column for name, column in self.columns.items() if name in wanted or name.startswith("\0")})

    def count(self, event: str, column: str, n: int) -> None:
        """Count an event of a column in the ledger."""
        self.ledger.count(event, column, n)

    # ---- rows ---------------------------------------------------------------------------------------------------------

    def filter(self, mask: Device) -> Table:
        """Keep the rows where `mask` is true."""
        columns = self.backend.filter(self.columns or {"\0mask": mask}, mask)
        n_rows = len(next(iter(columns.values())))
        return replace(self, columns=columns if self.columns else {}, n_rows=n_rows)

    def first(self, n_rows: int) -> Table:
        """Keep the first rows."""
        n_rows = min(n_rows, self.n_rows)
        return replace(self, columns=self.backend.first(self.columns, n_rows), n_rows=n_rows)

    def training_rows(self) -> Table:
        """Keep the training rows; a table that knows of no split is all training rows."""
        if TRAINING not in self.columns or self.backend.count_true(self.columns[TRAINING]) == self.n_rows:
            return self
        return self.filter(self.columns[TRAINING])

    def row_hashes(self, key: Sequence[str], seed: int) -> npt.NDArray[np.uint64]:
        """Return a hash of each row's identity, the same in any partition.

        The identity is the `key` columns; without them the source's row key; without that the row's number in the source.
        """
        named = {name: column for name, column in self.columns.items() if name.startswith(KEY)}
        return self.backend.hash_rows(self.pick(key) if key else named or {ROW: self.columns[ROW]}, seed)

    def folds(self, folds: int, key: Sequence[str], seed: int) -> npt.NDArray[np.int32]:
        """Return the fold of each row: the hash of its identity (see `row_hashes`) modulo `folds`.

        Rows that are no training rows, and all rows of a table that is not being fitted, are in none: -1.
        """
        if TRAINING not in self.columns:
            return np.full_like(self.backend.row_numbers(self.n_rows), -1, dtype=np.int32)
        fold = remainders(self.row_hashes(key, seed), folds).astype(np.int32)
        return np.where(self.backend.is_true(self.columns[TRAINING]), fold, np.int32(-1))

    # ---- verbs of the device ------------------------------------------------------------------------------------------

    def evaluate(self, expression: Expression) -> Device:
        """Evaluate a SQL expression over this table's columns."""
        return self.backend.evaluate(expression, self.pick(expression.columns), self.n_rows)

    def moments(self, names: Sequence[str]) -> dict[str, Moments]:
        """Return count, extremes and exact sums of each of some columns."""
        return dict(zip(names, self.backend.moments(list(self.pick_kept(names).values())), strict=True))

    def quantiles(self, name: str) -> Quantiles:
        """Return the counts of a column's values by bins."""
        return self.backend.quantiles(self[name])

    def counts(self, names: Sequence[str]) -> Counts:
        """Return distinct keys of some columns and their counts."""
        return self.backend.counts(self.pick(names))

    def group_sums(self, names: Sequence[str], value: str, fold: npt.NDArray[np.int32], folds: int) -> GroupSums:
        """Return rows and exact sums of a column by key and fold."""
        return self.backend.group_sums(self.pick(names), self[value], fold, folds)

    def group_stats(self, names: Sequence[str], values: Sequence[str], squared: Container[str]) -> GroupStats:
        """Return statistics of some columns by key; those that are `squared` can have a standard deviation."""
        return self.backend.group_stats(self.pick(names), self.pick(values), squared)

    def stats_of_groups(self, values: Sequence[str], groups: Ints, n_groups: int, squared: Container[str]) -> dict[str, ColumnStats]:
        """Return statistics of some columns by group."""
        return self.backend.stats_of_groups(self.pick(values), groups, n_groups, squared)

    def find(self, names: Sequence[str], keys: Keys) -> npt.NDArray[np.int32]:
        """Return the code of each row's key, -1 where it is unseen."""
        return self.backend.find(self.pick(names), keys)

    def encode(self, names: Sequence[str], keys: Keys, ids: npt.NDArray[np.int32]) -> tuple[Device, int]:
        """Return ids[code + 1] of each row's key as a column, and how many rows are unseen (code -1)."""
        return self.backend.encode(self.pick(names), keys, ids)

    def look_up(self, codes: npt.NDArray[Any], values: npt.NDArray[Any]) -> Device:
        """Return values[codes] as a column."""
        return self.backend.look_up(codes, values)

    def launch(self, kernel: str | Kernel, names: Sequence[str], constants: Mapping[str, Any]) -> tuple[Device, ...]:
        """Run a kernel over some columns."""
        return self.backend.launch(kernel, [self[name] for name in names], constants)

    def scan(self, scan: str, names: Sequence[str], starts: Ints, constants: Mapping[str, Any]) -> tuple[Device, ...]:
        """Run a scan over groups of rows that stand together."""
        return self.backend.scan(scan, [self[name] for name in names], starts, constants)

    def to_arrow(self) -> pa.Table:
        """Return the visible columns as an Arrow table on the host."""
        arrays = {name: self.backend.to_arrow(self[name]) for name in self.names}
        return pa.table(arrays) if arrays else pa.table({}).select([])

    @classmethod
    def from_arrow(cls, backend: Backend, table: pa.Table, ledger: Ledger | None = None) -> Table:
        """Return an Arrow table's columns on the device of `backend`."""
        columns = {name: backend.from_arrow(one_array(column)) for name, column in zip(table.column_names, table.columns, strict=True)}
        return cls(backend, columns, table.num_rows, ledger or Ledger())


@dataclass(frozen=True, eq=False)
class ByRow:
    """Columns that an exchange found for single rows: `rows` are their numbers in the source, ascending, int64."""

    rows: npt.NDArray[np.int64]
    columns: Mapping[str, pa.Array]

    def of(self, table: Table) -> dict[str, Device]:
        """Return the columns for a table's rows, which must be among these."""
        wanted = table.backend.values(table.columns[ROW])
        known = table.backend.values(table.backend.from_numpy(self.rows))
        columns = {name: table.backend.from_arrow(array) for name, array in self.columns.items()}
        if np.array_equal(known, wanted):  # nothing was dropped since
            return columns
        places = np.searchsorted(known, wanted)
        if len(wanted) and not (len(known) and np.array_equal(known[np.minimum(places, len(known) - 1)], wanted)):
            raise ValueError("an exchange found nothing for some of the rows that need it")
        return table.backend.take(columns, places.astype(np.int64))

    def kept(self, table: Table) -> Table:
        """Return those of a table's rows, which are in the order of their numbers, that are among these, with the columns."""
        backend = table.backend
        numbers, known = backend.values(table.columns[ROW]), backend.values(backend.from_numpy(self.rows))
        places = np.searchsorted(numbers, known)
        is_here = places < len(numbers)
        is_here[is_here] = numbers[places[is_here]] == known[is_here]
        mask = np.zeros_like(numbers, dtype=bool)
        mask[places[is_here]] = True
        columns = {name: backend.from_arrow(array) for name, array in self.columns.items()}
        return table.filter(backend.from_numpy(mask)).with_columns(backend.take(columns, np.flatnonzero(is_here)))


def remainders(hashes: npt.NDArray[np.uint64], n: int) -> npt.NDArray[np.uint64]:
    """Return each hash modulo `n`: NumPy divides by one number for all in a third of the time that it takes for remainders.

    >>> remainders(np.array([7, 2**64 - 1], np.uint64), 5).tolist()
    [2, 0]
    """
    divisor = np.uint64(n)
    return hashes - hashes // divisor * divisor


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """Return a chunked array as one array; chunks of unlike dictionaries get a common one."""
    if column.num_chunks == 1:
        return column.chunk(0)
    if not column.num_chunks:
        return pa.nulls(0, column.type)  # Arrow makes no array out of no chunks of a dictionary of times or decimals
    if pa.types.is_dictionary(column.type):
        # Arrow unifies no dictionaries that hold a null, or views of texts, and those of float16 to wrong numbers.
        if column.type.value_type not in (pa.string(), pa.large_string()) or any(chunk.dictionary.null_count for chunk in column.chunks):
            return _side_by_side(column.chunks)
        column = column.unify_dictionaries()
    combined = column.combine_chunks()
    # pyarrow keeps a column of more than 2 GiB of strings chunked: only 64-bit offsets can hold it in one array
    if isinstance(combined, pa.ChunkedArray):
        wide = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}[column.type]
        combined = column.cast(wide).combine_chunks()
    return combined


def in_type(array: pa.Array, type_: pa.DataType) -> pa.Array | pa.ChunkedArray:
    """Return an array in another layout of its type."""
    if array.type == type_:
        return array
    if not counts_within_32_bits(array):
        array = pa.concat_arrays([array])  # of rows out of the middle of others, it counts the bytes of its texts from the first of them
    return pa.chunked_array([array]).cast(type_)


def counts_within_32_bits(array: pa.Array) -> bool:
    """Say whether an array has no texts counted by 64 bits beyond what 32 bits count.

    >>> counts_within_32_bits(pa.array(["a"], pa.large_string()))
    True
    """
    if not len(array) or array.type not in (pa.large_string(), pa.large_binary()):
        return True
    last = array.offset + len(array)
    return bool(np.frombuffer(array.buffers()[1], np.int64, 1, 8 * last)[0] < 1 << 31)


def _side_by_side(chunks: Sequence[pa.DictionaryArray]) -> pa.DictionaryArray:
    """Return dictionary columns as one, whose dictionary is all of theirs, one behind the other."""
    starts = accumulate((len(chunk.dictionary) for chunk in chunks[:-1]), initial=0)
    indices = [pc.add(chunk.indices.cast(pa.int64()), start) for chunk, start in zip(chunks, starts, strict=True)]
    return pa.DictionaryArray.from_arrays(pa.concat_arrays(indices), pa.concat_arrays([chunk.dictionary for chunk in chunks]))
