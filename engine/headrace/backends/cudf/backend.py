"""The verbs of a device, on a GPU: CuPy arrays, kernels compiled for CUDA, Parquet read by cuDF."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import cupy
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.cudf import exact
from headrace.backends.cudf.casts import cast_exactly
from headrace.backends.cudf.column import Coded, Column, Lists, Plain, Rows, concat, is_valid, null_count, take
from headrace.backends.cudf.grouping import count_keys, distinct_rows, keys_at
from headrace.backends.cudf.kernels import launch
from headrace.backends.cudf.lookup import find_keys
from headrace.backends.cudf.transfers import ROWS, STATE, counted_as, to_host
from headrace.backends.cudf.values import float_values, from_arrow, hash_column, merged_valid, numbers, of_rows, to_arrow
from headrace.counts import Counts, Ints
from headrace.dataset import Dataset, RowGroup
from headrace.group_stats import ColumnStats, GroupStats
from headrace.keys import Keys
from headrace.schema import Type
from headrace.states import GroupSums, Moments, Quantiles
from headrace.table import Stage

if TYPE_CHECKING:
    from headrace.expressions import Expression
    from headrace_kernels.kernel import Kernel


class CudfBackend:
    """Columns are those of `headrace.backends.cudf.column`; arrays of rows are CuPy's."""

    name = "cudf"

    def read(self, dataset: Dataset, groups: Sequence[RowGroup], columns: Sequence[str]) -> Iterator[tuple[int, int, dict[str, Column]]]:
        from headrace.backends.cudf.read import read_batches

        return read_batches(dataset, groups, columns)

    def from_arrow(self, array: pa.Array) -> Column:
        return from_arrow(array)

    def to_arrow(self, column: Column) -> pa.Array:
        return to_arrow(column)

    def plain(self, column: Column) -> Column:
        return column

    def moving(self, why: str) -> AbstractContextManager[Any]:
        return counted_as(why)

    def from_numpy(self, values: Any, valid: Any = None) -> Column:
        return of_rows(values, valid)

    def to_numpy(self, array: Rows, *, by_row: bool = True) -> npt.NDArray[Any]:
        return to_host(array, ROWS if by_row else STATE)

    def values(self, column: Column) -> Rows:
        assert isinstance(column, Plain)  # noqa: S101  (what travels with the rows)
        return column.values

    def row_numbers(self, n_rows: int) -> Rows:
        return cupy.arange(n_rows, dtype=np.int64)

    def type_of(self, column: Column) -> Type:
        return Type.from_arrow(column.type)

    def filter(self, columns: Mapping[str, Column], mask: Column) -> dict[str, Column]:
        rows = cupy.flatnonzero(self.is_true(mask))
        return {name: take(column, rows) for name, column in columns.items()}

    def take(self, columns: Mapping[str, Column], rows: Any) -> dict[str, Column]:
        places = cupy.asarray(rows)
        return {name: take(column, places) for name, column in columns.items()}

    def first(self, columns: Mapping[str, Column], n_rows: int) -> dict[str, Column]:
        return self.take(columns, self.row_numbers(n_rows))

    def concat(self, tables: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
        return {name: concat([table[name] for table in tables]) for name in tables[0]}

    def evaluate(self, expression: Expression, columns: Mapping[str, Column], n_rows: int) -> Column:
        from headrace.backends.cudf.expression import evaluate

        return evaluate(expression, columns, n_rows)

    def cast(self, column: Column, type_: Type) -> Column:
        return cast_exactly(column, type_)

    # ---- missing values -----------------------------------------------------------------------------------------------

    def is_null(self, column: Column) -> Rows:
        return ~is_valid(column)

    def is_true(self, mask: Column) -> Rows:
        assert isinstance(mask, Plain | Coded)  # noqa: S101  (a truth column; of nothing but nulls it has no type)
        if isinstance(mask, Coded):
            return cupy.zeros(len(mask), bool)
        return mask.values.astype(bool) if mask.valid is None else mask.values.astype(bool) & mask.valid

    def null_count(self, column: Column) -> int:
        return null_count(column)

    def count_true(self, mask: Column) -> int:
        return int(cupy.count_nonzero(self.is_true(mask)))

    def missing_count(self, column: Column) -> int:
        nans = 0
        if isinstance(column, Plain) and column.values.dtype.kind == "f":
            nans = int(cupy.count_nonzero(cupy.isnan(column.values) & is_valid(column)))
        return null_count(column) + nans

    def fill(self, column: Column, value: Any) -> Column:
        if isinstance(column, Coded):
            return self._fill_coded(column, value)
        assert isinstance(column, Plain)  # noqa: S101  (lists are not filled)
        missing = ~is_valid(column)
        if column.values.dtype.kind == "f":
            missing = missing | cupy.isnan(column.values)
        return Plain(cupy.where(missing, column.values.dtype.type(value), column.values), None, column.type)

    def _fill_coded(self, column: Coded, value: Any) -> Column:
        from headrace.backends.arrow.backend import _scalar

        if column.valid is None:
            return column
        scalar = _scalar(value, column.type)
        code = pc.index(column.distinct, scalar).as_py()
        distinct = column.distinct
        if code < 0:
            code = len(distinct)
            distinct = pa.concat_arrays([distinct, pa.array([scalar.as_py()], distinct.type)])
        return Coded(cupy.where(column.valid, column.values, np.int32(code)), None, distinct)

    # ---- summaries ----------------------------------------------------------------------------------------------------

    def moments(self, columns: Sequence[Column]) -> list[Moments]:
        return [exact.moments(column) for column in columns]

    def quantiles(self, column: Column) -> Quantiles:
        return exact.quantiles(float_values(column))

    def counts(self, columns: Mapping[str, Column]) -> Counts:
        return Counts(*count_keys(columns))

    def group_sums(self, columns: Mapping[str, Column], value: Column, fold: Rows, folds: int) -> GroupSums:
        found = distinct_rows(list(columns.values()))
        keys = keys_at(columns, found.firsts)
        groups = cupy.where(fold >= 0, found.codes * folds + fold, np.int64(-1))
        sums = exact.group_sums(value, groups, len(keys) * folds)
        return GroupSums(keys, folds, sums.counts, sums.limbs, int(sums.base))

    def group_stats(self, columns: Mapping[str, Column], values: Mapping[str, Column], squared: Container[str]) -> GroupStats:
        found = distinct_rows(list(columns.values()))
        keys = keys_at(columns, found.firsts)
        return GroupStats(keys, self.stats_of_groups(values, found.codes, len(keys), squared))

    def stats_of_groups(self, values: Mapping[str, Column], groups: Rows, n_groups: int, squared: Container[str]) -> dict[str, ColumnStats]:
        return {
            name: exact.group_stats(value, groups, n_groups, self.type_of(value), squared=name in squared) for name, value in values.items()
        }

    # ---- codes --------------------------------------------------------------------------------------------------------

    def find(self, columns: Mapping[str, Column], keys: Keys) -> Rows:
        return find_keys(list(columns.values()), keys)

    def find_as_of(self, column: Column, times: pa.Array, starts: Ints, groups: Rows, tolerance: float, *, allow_exact: bool) -> Rows:
        from headrace.backends.cudf.as_of import find_as_of

        return find_as_of(column, times, starts, groups, tolerance, allow_exact=allow_exact)

    def encode(self, columns: Mapping[str, Column], keys: Keys, ids: npt.NDArray[np.int32]) -> tuple[Column, int]:
        codes = find_keys(list(columns.values()), keys)
        return self.look_up(codes + 1, ids), int(cupy.count_nonzero(codes < 0))

    def look_up(self, codes: Rows, values: npt.NDArray[Any]) -> Column:
        return of_rows(cupy.asarray(values)[codes])

    def hash_rows(self, columns: Mapping[str, Column], seed: int) -> Rows:
        from headrace_kernels.hashing import combine_hashes

        first, *others = columns.values()
        hashes = hash_column(first, seed)
        for column in others:
            hashes = combine_hashes(hashes, hash_column(column, seed))
        return hashes

    def explode(self, column: Column) -> tuple[Rows, Column]:
        assert isinstance(column, Lists)  # noqa: S101  (ops ask it of lists alone)
        lengths = column.lengths if column.valid is None else cupy.where(column.valid, column.lengths, np.int64(-1))
        return lengths, column.elements

    def implode(self, lengths: Rows, elements: Column) -> Column:
        valid = lengths >= 0
        return Lists(cupy.maximum(lengths, 0), None if bool(valid.all()) else valid, elements)

    def launch(self, kernel: str | Kernel, columns: Sequence[Column], constants: Mapping[str, Any]) -> tuple[Column, ...]:
        inputs = [numbers(column) for column in columns]
        valid = merged_valid(inputs)
        made = launch(kernel, [column.values for column in inputs], constants)
        return tuple(Plain(values, valid, pa.from_numpy_dtype(values.dtype)) for values in made)

    def run_stages(self, columns: Sequence[Column], chains: Sequence[Sequence[Stage]]) -> list[tuple[Column, tuple[int, ...]] | None]:
        from headrace.backends.cudf.stages import run_stages

        return [run_stages(column, stages) for column, stages in zip(columns, chains, strict=True)]

    def sorted_groups(self, keys: Sequence[Column], order: Column | None, n_rows: int) -> tuple[Rows, Rows]:
        from headrace.backends.cudf.groups import sorted_groups

        return sorted_groups(keys, order, n_rows)

    def scan(self, scan: str, columns: Sequence[Column], starts: Rows, constants: Mapping[str, Any]) -> tuple[Column, ...]:
        from headrace.backends.cudf import scans

        return scans.scan(scan, columns, starts, constants)

    def matrix(self, columns: Sequence[Column]) -> Any:
        matrix = cupy.empty((len(columns[0]), len(columns)), np.float32)
        for index, column in enumerate(columns):
            matrix[:, index] = float_values(column).astype(np.float32)
        return matrix
