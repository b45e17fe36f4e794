"""The verbs of a device, on the CPU: Arrow arrays, pyarrow's kernels and Numba's."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from decimal import MAX_PREC, Context, Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.coded import is_coded, plain, value_counts, values_of
from headrace.backends.arrow.groups import sorted_groups
from headrace.backends.arrow.lookup import encode_strings, find_keys, find_numbered
from headrace.backends.arrow.memory import choose_memory_pool
from headrace.backends.arrow.read import read_batches
from headrace.backends.arrow.values import array_of, cast_safely, float_values, hash_array, kernel_column, standard_layout, to_array
from headrace.counts import Counts, Ints, NumberedCounts, SpilledCounts
from headrace.dataset import Dataset, RowGroup
from headrace.group_stats import ColumnStats, GroupStats, column_stats
from headrace.keys import Keys, factorize, factorize_array, plain_values
from headrace.order import comparable, order_values, units
from headrace.pool import NULL, UNNUMBERED, Pool, Pools, can_be_pooled, repeat_often
from headrace.schema import FLOAT32, Type
from headrace.states import GroupSums, Moments, Quantiles
from headrace.table import Stage, one_array

if TYPE_CHECKING:
    from headrace.expressions import Expression
    from headrace_kernels.kernel import Kernel

Array: TypeAlias = Any

choose_memory_pool()

_FLOAT32 = pa.float32().id
_IN_STAGES = {type_.id for type_ in (pa.float32(), pa.float64(), pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32())}


class ArrowBackend:
    """Columns are Arrow arrays without chunks; strings may be dictionary-encoded, numbers codes of few values (see `coded`)."""

    name = "arrow"

    def __init__(self, pools: Pools | None = None) -> None:
        self.pools = pools or Pools()

    def read(self, dataset: Dataset, groups: Sequence[RowGroup], columns: Sequence[str]) -> Iterator[tuple[int, int, dict[str, Array]]]:
        return read_batches(dataset, groups, columns)

    def from_arrow(self, array: Array) -> Array:
        return standard_layout(array)

    def to_arrow(self, column: Array) -> Array:
        return column

    def plain(self, column: Array) -> Array:
        return plain(column)

    def moving(self, why: str) -> AbstractContextManager[Any]:
        return nullcontext()

    def from_numpy(self, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> Array:
        if valid is None and values.dtype.kind in "biuf":
            return array_of(values)
        return pa.array(values, mask=None if valid is None else ~valid)

    def to_numpy(self, array: npt.NDArray[Any], *, by_row: bool = True) -> npt.NDArray[Any]:
        return array

    def values(self, column: Array) -> npt.NDArray[Any]:
        return column.to_numpy(zero_copy_only=False)

    def row_numbers(self, n_rows: int) -> npt.NDArray[np.int64]:
        return np.arange(n_rows, dtype=np.int64)

    def type_of(self, column: Array) -> Type:
        return Type.from_arrow(column.type)

    def filter(self, columns: Mapping[str, Array], mask: Array) -> dict[str, Array]:
        # pyarrow walks the mask for each column. To find the rows once and to take them is quicker, but for strings that mostly stay.
        rows = np.flatnonzero(self.is_true(mask))
        indices = array_of(rows)
        most = 2 * len(rows) > len(mask)

        def kept(column: Array) -> Array:
            if pa.types.is_boolean(column.type) and not column.null_count and column.true_count in (0, len(column)):
                return column.slice(0, len(rows))  # such as say which rows train: of one value all parts are alike
            return column.filter(mask) if most and _is_string(column.type) else pc.take(column, indices, boundscheck=False)

        return {name: kept(column) for name, column in columns.items()}

    def take(self, columns: Mapping[str, Array], rows: npt.NDArray[np.int64]) -> dict[str, Array]:
        # A mask is a copy, and each column takes the slower way with it.
        has_none = bool(len(rows)) and int(rows.min()) < 0
        indices = pa.array(rows, mask=rows < 0) if has_none else array_of(rows)
        return {name: (plain(column) if has_none else column).take(indices) for name, column in columns.items()}

    def first(self, columns: Mapping[str, Array], n_rows: int) -> dict[str, Array]:
        # A slice costs nothing, and keeps all rows in memory as long as it lives: strings are remembered to the end of a run.
        indices = array_of(self.row_numbers(n_rows))
        return {name: column.take(indices) if _is_string(column.type) else column.slice(0, n_rows) for name, column in columns.items()}

    def concat(self, tables: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
        return {name: one_array(pa.chunked_array([plain(table[name]) for table in tables])) for name in tables[0]}

    def evaluate(self, expression: Expression, columns: Mapping[str, Array], n_rows: int) -> Array:
        from headrace.backends.arrow.expression import evaluate

        return evaluate(expression, columns, n_rows)

    def cast(self, column: Array, type_: Type) -> Array:
        if Type.from_arrow(column.type) == type_:
            return column
        plain = column.dictionary.take(column.indices) if pa.types.is_dictionary(column.type) else column
        return cast_safely(plain, type_)

    # ---- missing values -----------------------------------------------------------------------------------------------

    def is_null(self, column: Array) -> npt.NDArray[np.bool_]:
        if not column.null_count and not pa.types.is_dictionary(column.type) and not pa.types.is_null(column.type):
            return np.zeros(len(column), bool)
        nulls = column.is_null()
        if pa.types.is_dictionary(column.type) and column.dictionary.null_count:  # a null may also be one of the values
            nulls = pc.or_(nulls, column.dictionary.is_null().take(column.indices).fill_null(True))
        return nulls.to_numpy(zero_copy_only=False)

    def is_true(self, mask: Array) -> npt.NDArray[np.bool_]:
        return (mask.fill_null(False) if mask.null_count else mask).to_numpy(zero_copy_only=False)

    def null_count(self, column: Array) -> int:
        return int(column.null_count)

    def count_true(self, mask: Array) -> int:
        return int(pc.sum(mask).as_py() or 0)

    def missing_count(self, column: Array) -> int:
        nans = pc.sum(pc.is_nan(column)).as_py() if pa.types.is_floating(column.type) else 0
        return int(column.null_count) + int(nans or 0)

    def fill(self, column: Array, value: Any) -> Array:
        if pa.types.is_dictionary(column.type):
            return _fill_dictionary(column, value)
        scalar = _scalar(value, column.type)
        if pa.types.is_floating(column.type):
            return pc.if_else(pc.is_null(column, nan_is_null=True), scalar, column)
        return column.fill_null(scalar) if column.null_count else column

    # ---- summaries ----------------------------------------------------------------------------------------------------

    def moments(self, columns: Sequence[Array]) -> list[Moments]:
        from headrace_kernels.exact import exact_moments_of, exact_moments_of_counts

        by_row = iter(exact_moments_of([kernel_column(column) for column in columns if not is_coded(column)]))
        moments = []
        for column in columns:
            if is_coded(column):
                values, counts = kernel_column(values_of(column)).values, value_counts(column)
                found = exact_moments_of_counts(values, counts[: len(values)], int(counts[len(values) :].sum()))
            else:
                found = next(by_row)
            n_infinite = found.n_posinf + found.n_neginf
            moments.append(Moments(found.n, found.n_null, found.n_nan, n_infinite, found.low, found.high, found.total, found.squares))
        return moments

    def quantiles(self, column: Array) -> Quantiles:
        return Quantiles.of(float_values(column.drop_null()))

    def counts(self, columns: Mapping[str, Array]) -> Counts:
        arrays = list(columns.values())
        if len(arrays) == 1:
            name = next(iter(columns))
            if can_be_pooled(arrays[0]):
                return _counted_strings(name, arrays[0], self.pools.of(name))
            codes, distinct = factorize_array(arrays[0])
            return Counts(Keys(pa.table({name: distinct})), np.bincount(codes, minlength=len(distinct)).astype(np.int64))
        rows, firsts = factorize(arrays)
        table = pa.table(dict(columns)).take(pa.array(firsts))
        return Counts(Keys(_decoded(table)), np.bincount(rows, minlength=len(firsts)).astype(np.int64))

    def group_sums(self, columns: Mapping[str, Array], value: Array, fold: npt.NDArray[np.int32], folds: int) -> GroupSums:
        from headrace_kernels.group_sums import exact_group_sums

        codes, firsts = factorize([_small_codes(array, self.pools.of(name)) for name, array in columns.items()])
        keys = Keys(_decoded(pa.table(dict(columns)).take(pa.array(firsts))))
        groups = np.where(fold >= 0, codes * folds + fold, np.int64(-1))
        sums = exact_group_sums(kernel_column(value), groups, len(keys) * folds)
        return GroupSums(keys, folds, sums.counts, sums.limbs, int(sums.base))

    def group_stats(self, columns: Mapping[str, Array], values: Mapping[str, Array], squared: Container[str]) -> GroupStats:
        codes, firsts = factorize([_small_codes(array, self.pools.of(name)) for name, array in columns.items()])
        table = _decoded(pa.table(dict(columns)).take(pa.array(firsts)))
        keys = Keys(pa.table([plain_values(one_array(column)) for column in table.columns], names=table.column_names))
        return GroupStats(keys, self.stats_of_groups(values, codes, len(keys), squared))

    def stats_of_groups(self, values: Mapping[str, Array], groups: Ints, n_groups: int, squared: Container[str]) -> dict[str, ColumnStats]:
        from headrace_kernels.group_stats import group_stats

        found = {name: group_stats(kernel_column(value), groups, n_groups, squared=name in squared) for name, value in values.items()}
        return {name: column_stats(stats, self.type_of(values[name])) for name, stats in found.items()}

    # ---- codes --------------------------------------------------------------------------------------------------------

    def find(self, columns: Mapping[str, Array], keys: Keys) -> npt.NDArray[np.int32]:
        arrays = list(columns.values())
        numbered = (
            find_numbered(arrays[0], keys, self.pools.of(next(iter(columns)))) if len(arrays) == 1 and can_be_pooled(arrays[0]) else None
        )
        return find_keys(arrays, keys) if numbered is None else numbered

    def find_as_of(self, column: Array, times: Array, starts: Ints, groups: Ints, tolerance: float, *, allow_exact: bool) -> Ints:
        from headrace_kernels.as_of import last_at_or_before

        wanted, known = comparable(column, times)
        finer = units(wanted.type) / units(column.type)
        values, missing = order_values(wanted)
        groups = np.where(missing, np.int64(-1), groups)
        return last_at_or_before(order_values(known)[0], starts, groups, values, tolerance=tolerance * finer, allow_exact=allow_exact)

    def encode(self, columns: Mapping[str, Array], keys: Keys, ids: npt.NDArray[np.int32]) -> tuple[Array, int]:
        arrays = list(columns.values())
        if len(arrays) == 1 and can_be_pooled(arrays[0]):
            encoded, n_unseen = encode_strings(arrays[0], keys, ids, self.pools.of(next(iter(columns))))
        else:
            codes = find_keys(arrays, keys)
            encoded, n_unseen = ids[codes + 1], int((codes < 0).sum())
        return array_of(encoded), n_unseen

    def look_up(self, codes: npt.NDArray[Any], values: npt.NDArray[Any]) -> Array:
        return array_of(values[codes])

    def hash_rows(self, columns: Mapping[str, Array], seed: int) -> npt.NDArray[np.uint64]:
        from headrace_kernels.hashing import combine_columns

        arrays = list(columns.values())
        hashes = hash_array(arrays[0], seed)
        for array in arrays[1:]:
            hashes = combine_columns(hashes, hash_array(array, seed))
        return hashes

    def explode(self, column: Array) -> tuple[npt.NDArray[np.int64], Array]:
        lengths = pc.list_value_length(column).cast(pa.int64()).fill_null(-1)
        return lengths.to_numpy(zero_copy_only=False), pc.list_flatten(column)

    def implode(self, lengths: npt.NDArray[np.int64], elements: Array) -> Array:
        ends = np.append(0, np.cumsum(np.maximum(lengths, 0)))
        kind, offsets = (pa.ListArray, pa.int32()) if ends[-1] < 2**31 else (pa.LargeListArray, pa.int64())
        return kind.from_arrays(pa.array(ends, offsets), elements, mask=pa.array(lengths < 0))

    def launch(self, kernel: str | Kernel, columns: Sequence[Array], constants: Mapping[str, Any]) -> tuple[Array, ...]:
        from headrace_kernels import get_kernel

        launched = get_kernel(kernel) if isinstance(kernel, str) else kernel
        found = launched.launch([kernel_column(column) for column in columns], constants)
        return tuple(to_array(column) for column in found)

    def run_stages(self, columns: Sequence[Array], chains: Sequence[Sequence[Stage]]) -> list[tuple[Array, tuple[int, ...]] | None]:
        from headrace.backends.arrow.coded_stages import run_chains_of
        from headrace_kernels import stages as kernels

        by_type: dict[tuple[int, Type], list[int]] = {}
        for index, (column, stages) in enumerate(zip(columns, chains, strict=True)):
            # The loop computes in float32 for a float32 column, in float64 for all else: there are types that neither holds.
            type_, after = (column.type.value_type if is_coded(column) else column.type).id, stages[-1].type
            if type_ in _IN_STAGES and (type_ != _FLOAT32 or after == FLOAT32):
                by_type.setdefault((type_, after), []).append(index)
        found: list[tuple[Array, tuple[int, ...]] | None] = [None] * len(columns)
        for (_, after), indices in by_type.items():
            does = [
                [kernels.Stage(getattr(kernels, stage.does), stage.first, stage.second) for stage in chains[index]] for index in indices
            ]
            made = run_chains_of([columns[index] for index in indices], does, np.dtype(after.arrow.to_pandas_dtype()))
            for index, one in zip(indices, made, strict=True):
                found[index] = one
        return found

    def sorted_groups(self, keys: Sequence[Array], order: Array | None, n_rows: int) -> tuple[Ints, Ints]:
        return sorted_groups(keys, order, n_rows)

    def scan(self, scan: str, columns: Sequence[Array], starts: Ints, constants: Mapping[str, Any]) -> tuple[Array, ...]:
        from headrace_kernels.scans import get_scan

        return tuple(to_array(column) for column in get_scan(scan)([kernel_column(column) for column in columns], starts, constants))

    def matrix(self, columns: Sequence[Array]) -> npt.NDArray[np.float32]:
        matrix = np.empty((len(columns[0]), len(columns)), np.float32)
        for index, column in enumerate(columns):
            matrix[:, index] = float_values(column)
        return matrix


def _is_string(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_binary(type_) or pa.types.is_large_binary(type_)
    )


def _scalar(value: Any, type_: pa.DataType) -> pa.Scalar:
    """Return a value as a scalar of a column's type; for decimals, the nearest of their scale."""
    if pa.types.is_decimal(type_):
        value = Decimal(str(value)).quantize(Decimal(1).scaleb(-type_.scale), context=Context(prec=MAX_PREC))
    return pa.scalar(value, type_)


def _fill_dictionary(column: Array, value: Any) -> Array:
    if not column.null_count:
        return column
    code = pc.index(column.dictionary, pa.scalar(value, column.dictionary.type)).as_py()
    dictionary = column.dictionary
    if code < 0:
        code = len(dictionary)
        dictionary = pa.concat_arrays([dictionary, pa.array([value], dictionary.type)])
    indices = column.indices.cast(pa.int32())
    return pa.DictionaryArray.from_arrays(indices.fill_null(pa.scalar(code, pa.int32())), dictionary)


def _counted_strings(name: str, array: Array, pool: Pool) -> Counts:
    """Return the distinct strings of a column and how often each occurs; of a dictionary only those that occur."""
    from headrace_kernels.counting import count_indices, occurring

    numbers = pool.known(array)
    if numbers is not None or not pa.types.is_dictionary(array.type):
        numbers = pool.remember(array) if numbers is None else numbers
        left = np.flatnonzero(numbers == UNNUMBERED)
        runs = (pool.spill(array.take(pa.array(left)), None),) if len(left) else ()
        counted = NumberedCounts.of_rows(name, pool, numbers if not runs else numbers[numbers != UNNUMBERED])
        return SpilledCounts(counted, runs) if runs else counted
    counts = count_indices(kernel_column(array.indices), len(array.dictionary))
    numbers = pool.remember(array.dictionary, len(array))
    if not (numbers == UNNUMBERED).any():
        return NumberedCounts(name, pool, [occurring(counts, numbers, int(NULL))])
    numbers = np.append(numbers, NULL)
    left = np.flatnonzero((numbers == UNNUMBERED) & (counts > 0))
    runs = (pool.spill(array.dictionary.take(pa.array(left)), counts[left]),) if len(left) else ()
    used = np.flatnonzero((numbers != UNNUMBERED) & (counts > 0))
    counted = NumberedCounts(name, pool, [(numbers[used], counts[used])])
    return SpilledCounts(counted, runs) if runs else counted


def _codes_of_one(array: Array) -> tuple[npt.NDArray[Any], Array]:
    """Return a code a row and the values of the codes; a dictionary's own indices where it has them."""
    if not pa.types.is_dictionary(array.type):
        return factorize_array(array)
    codes = array.indices
    value_codes, distinct = factorize_array(array.dictionary)  # a dictionary may repeat a value or hold a null
    if codes.null_count:
        null_code = pc.index(distinct.is_null(), pa.scalar(True)).as_py()
        if null_code < 0:
            null_code = len(distinct)
            distinct = pa.concat_arrays([distinct, pa.nulls(1, distinct.type)])
        value_codes = np.append(value_codes, np.int32(null_code))
        codes = codes.cast(pa.int32()).fill_null(pa.scalar(len(value_codes) - 1, pa.int32()))
    return value_codes[codes.to_numpy(zero_copy_only=False)], distinct


def _small_codes(array: Array, pool: Pool) -> Array:
    """Return strings as integers, if they repeat: those of a dictionary are hashed once each and not once a row, others not again when looked up."""
    if pa.types.is_dictionary(array.type):
        return array_of(_codes_of_one(array)[0])
    if not can_be_pooled(array) or not repeat_often(array):
        return array
    numbers = pool.remember(array)
    return array if (numbers == UNNUMBERED).any() else array_of(numbers)


def _decoded(table: pa.Table) -> pa.Table:
    """Return a table of plain values: keys are the same bits whatever the layout of the column they came from."""
    return pa.table([plain_values(one_array(column)) for column in table.columns], names=table.column_names)
