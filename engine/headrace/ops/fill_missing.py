"""FillMissing: put a constant or a statistic of the training rows where values are missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import MAX_PREC, Context, Decimal
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from headrace import expressions as sql
from headrace.counts import Counts
from headrace.errors import DataError, JobError
from headrace.keys import Keys
from headrace.ops.base import Columns, Declaration, FittedOp, Names, Sources, check_columns, default, made_in_place, operator
from headrace.ops.columnwise import ColumnOp
from headrace.ops.group_statistics import GroupStatistic, group_means, group_medians, group_modes
from headrace.schema import FLOAT64, Schema, Type
from headrace.states import GroupSums, Moments, Quantiles, Scalar
from headrace.table import Device, Stage, Table

STATISTICS = ("mean", "median", "mode")


@dataclass(frozen=True)
class GroupValues:
    """The value for each group, and after them the one for groups that are unseen or hold no value."""

    keys: Keys
    values: npt.NDArray[Any]


@dataclass(frozen=True)
class FillValues:
    """The value to fill each column with: one for all rows, or one a group."""

    values: dict[str, Scalar]
    groups: dict[str, GroupValues] = field(default_factory=dict)


@operator
class FillMissing(ColumnOp, FittedOp[dict[str, Any], FillValues]):
    """Replace nulls, and NaN of floats, in place; how many is counted in the ledger.

    Parameters
    ----------
    columns : list of str
    value : number, string, bool, or one of ``mean``, ``median``, ``mode``
        A constant, or a statistic of the training rows. Integers filled with their mean become float64; their median
        is rounded down, so that they stay integers. The most frequent value (the smallest of
        equals) is the mode.
    by : list of str, optional
        Take the statistic of the training rows that agree in these columns. Rows of a group that is unseen, or has no
        value, get the statistic of all training rows. Means are exact; so are medians and modes, at the price of counting
        every pair of group and value.

    Nulls and NaN
    -------------
    Both are missing; neither takes part in the statistic. A null in `by` is a group like any other.

    Raises
    ------
    JobError
        If the value does not fit the column's type.
    DataError
        If a column has no value at all to take a statistic of.

    Examples
    --------
    >>> FillMissing(["temp"], value="median").settings()
    {'columns': ['temp'], 'value': 'median'}
    >>> FillMissing(["temp"], value="mean", by="origin").settings()
    {'columns': ['temp'], 'value': 'mean', 'by': ['origin']}
    """

    name: ClassVar[str] = "fill_missing"
    columns: Columns
    value: bool | int | float | str
    by: Names = default(())

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        numeric = self.value in ("mean", "median")
        accepts = (lambda t: t.is_number) if numeric else (lambda t: t.is_number or t.is_string or t.is_boolean)
        check_columns(schema, self.columns, accepts, "a number" if numeric else "a number, string or boolean")
        types: dict[str, Type] = {}
        for column in self.columns:
            if self.value == "mean" and not schema[column].is_float:
                types[column] = FLOAT64
            elif self.value not in STATISTICS:
                _check_constant(self.value, column, schema[column])
        if not self.by:
            return Declaration(self.columns, schema.with_columns(types), made_in_place(self.columns))
        self._check_by(schema)
        makes = {column: Sources(values=(column,), keys=self.by) for column in self.columns}
        return Declaration((*self.columns, *self.by), schema.with_columns(types), makes)

    @property
    def learns(self) -> bool:
        return self.value in STATISTICS

    def part_type(self) -> Any:
        if self.by:
            return dict[str, GroupSums] if self.value == "mean" else dict[str, Counts]
        kinds: dict[Any, Any] = {"mean": dict[str, Moments], "median": dict[str, Quantiles]}
        return kinds.get(self.value, dict[str, Counts])

    def state_type(self) -> Any:
        return FillValues

    def observe(self, table: Table) -> dict[str, Any]:
        if self.by and self.value == "mean":
            one_fold = np.zeros_like(table.backend.row_numbers(table.n_rows), dtype=np.int32)
            return {column: table.group_sums(self.by, column, one_fold, 1) for column in self.columns}
        if self.by:
            return {column: table.counts([*self.by, column]) for column in self.columns}
        if self.value == "mean":
            return table.moments(self.columns)
        if self.value == "median":
            return {column: table.quantiles(column) for column in self.columns}
        return {column: table.counts([column]) for column in self.columns}

    def finish(self, part: dict[str, Any]) -> FillValues:
        if not self.learns:
            return FillValues(dict.fromkeys(self.columns, self.value))
        if self.by:
            return self._group_fills(part)
        return FillValues({column: self._statistic(column, part[column]) for column in self.columns})

    def stage(self, column: str, type_: Type, state: FillValues) -> Stage | None:
        if self.by or not (type_.is_integer or type_.is_float):
            return None
        after = FLOAT64 if self.value == "mean" and not type_.is_float else type_
        return Stage("FILL", _fitting(state.values[column], after), 0.0, "nulls_filled", after)

    def apply_column(self, table: Table, column: str, state: FillValues) -> Device:
        values = table[column]
        table.count("nulls_filled", column, table.backend.missing_count(values))
        if self.value == "mean" and not table.backend.type_of(values).is_float:
            values = _as_floats(table, column)
        if self.by:
            return self._filled_by_group(table, values, state.groups[column])
        return table.backend.fill(values, _fitting(state.values[column], table.backend.type_of(values)))

    def learnt(self, state: FillValues) -> str:
        if self.by:
            known = (
                f"{column} of {len(groups.keys):,} groups, else {_shown(groups.values[-1])}" for column, groups in state.groups.items()
            )
            return ", ".join(known)
        return ", ".join(f"{column} = {_shown(value)}" for column, value in state.values.items())

    def _check_by(self, schema: Schema) -> None:
        check_columns(schema, self.by, lambda type_: not type_.is_nested, "a group", "by")
        if not self.learns:
            raise JobError(
                f"the constant {self.value!r} is the same for every group",
                key="by",
                hint="leave `by` out, or fill with mean, median or mode",
            )
        both = next((index for index, column in enumerate(self.by) if column in self.columns), None)
        if both is not None:
            raise JobError(f"{self.by[both]!r} is filled itself: it names no groups", key=f"by[{both}]")

    def _group_fills(self, part: dict[str, Any]) -> FillValues:
        groups = {}
        for column in self.columns:
            found = self._group_statistic(column, part[column])
            if found.overall is None:
                raise self._no_value(column)
            # by value, so that the order in which groups were met leaves no trace
            order = found.keys.order(np.arange(len(found.keys)), np.zeros(len(found.keys), np.int64))
            known = [found.values[row] for row in order.tolist()]
            values = [found.overall if value is None else value for value in (*known, found.overall)]
            groups[column] = GroupValues(found.keys.take(order), _as_array(values))
        return FillValues({}, groups)

    def _group_statistic(self, column: str, part: Any) -> GroupStatistic:
        if self.value == "mean":
            return group_means(part)
        return (group_medians if self.value == "median" else group_modes)(part, self.by, column)

    def _filled_by_group(self, table: Table, values: Device, groups: GroupValues) -> Device:
        type_ = table.backend.type_of(values)
        fitting = _as_array([_fitting(value, type_) for value in groups.values.tolist()])
        codes = table.find(self.by, groups.keys).astype(np.int64)
        codes[codes < 0] = len(groups.keys)
        fills = table.backend.take({"fill": table.backend.from_numpy(fitting)}, codes)
        missing = sql.Call("is_null", (sql.Column("x"),))
        if type_.is_float:
            missing = sql.Call("or", (missing, sql.Call("isnan", (sql.Column("x"),))))
        fill = sql.Cast(sql.Column("fill"), type_, strict=True)
        merged = sql.Expression("fill_missing", sql.Call("case", (missing, fill, sql.Column("x"))))
        return table.backend.evaluate(merged, {"x": values, **fills}, table.n_rows)

    def _statistic(self, column: str, part: Any) -> float | int | str | bool:
        if isinstance(part, Moments) and part.count:
            return part.mean_and_std()[0]
        if isinstance(part, Quantiles) and part.count:
            return part.quantile(0.5)
        if isinstance(part, Counts):
            found = most_frequent(part)
            if found is not None:
                return str(found) if isinstance(found, Decimal) else found  # a state holds no Decimal; its text is exact
        raise self._no_value(column)

    def _no_value(self, column: str) -> DataError:
        return DataError(f"has no value to take the {self.value} of", column=column, hint="fill it with a constant, or drop the column")


def _as_floats(table: Table, column: str) -> Device:
    try:
        return table.backend.cast(table[column], FLOAT64)
    except DataError as error:
        hint = "a mean makes the column float64, which does not hold each of its values: fill with median, mode or a constant"
        raise DataError(error.message, column=column, hint=hint) from error


def _as_array(values: list[Any]) -> npt.NDArray[Any]:
    """Return scalars of one kind as an array; decimals as their texts, which are exact."""
    if isinstance(values[0], str | Decimal):
        return np.array([str(value) for value in values], object)  # NumPy's own texts are all as wide as the longest
    if isinstance(values[0], int) and not isinstance(values[0], bool):  # small and large integers together would be floats
        return np.array(values, np.uint64 if max(values) >= 2**63 else np.int64)
    return np.array(values)


def most_frequent(part: Counts) -> Any:
    """Return the most frequent value that is neither null nor NaN, the smallest of equals; None if there is none."""
    pairs = []
    for piece in part.pieces():
        values = piece.keys.table.column(0).to_pylist()
        counted = [(-int(n), value) for n, value in zip(piece.counts, values, strict=True) if value is not None and value == value]
        pairs += [min(counted)] if counted else []
    return min(pairs)[1] if pairs else None


def _check_constant(value: Any, column: str, type_: Type) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise JobError(f"a finite number is needed, not {value}", key="value")
    fits = (
        (type_.is_string and isinstance(value, str))
        or (type_.is_boolean and isinstance(value, bool))
        or (type_.is_integer and isinstance(value, int) and not isinstance(value, bool) and _within(value, type_) == value)
        or (type_.is_float and isinstance(value, int | float) and not isinstance(value, bool))
        or (type_.is_decimal and isinstance(value, int | float) and not isinstance(value, bool) and _is_exact(value, type_))
    )
    if not fits:
        raise JobError(f"{value!r} does not fit {column!r}, which is {type_}", key="value")


def _fitting(value: Any, type_: Type) -> Any:
    """Return a statistic in the column's type: the lower middle value of integers, which beyond 2**53 is near the true one.

    A decimal is its text; one that is rounded beyond the type is the type's last.
    """
    if type_.is_decimal and isinstance(value, float):
        digits, scale = type_.arrow.precision, type_.arrow.scale
        context = Context(prec=MAX_PREC)
        last = Decimal(10**digits - 1).scaleb(-scale, context)
        rounded = Decimal(str(value)).quantize(Decimal(1).scaleb(-scale), context=context)
        return str(max(min(rounded, last), last.copy_negate()))
    return _within(math.floor(value), type_) if type_.is_integer and isinstance(value, float) else value


def _within(value: int, type_: Type) -> int:
    ends = np.iinfo(type_.arrow.to_pandas_dtype())
    return min(max(value, int(ends.min)), int(ends.max))


def _is_exact(value: float, type_: Type) -> bool:
    """Say whether a decimal type holds a number without rounding it."""
    sign_digits_exponent = Decimal(str(value)).as_tuple()
    if not isinstance(sign_digits_exponent.exponent, int):  # NaN and infinities
        return False
    whole = len(sign_digits_exponent.digits) + sign_digits_exponent.exponent
    return -sign_digits_exponent.exponent <= type_.arrow.scale and whole <= type_.arrow.precision - type_.arrow.scale


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
