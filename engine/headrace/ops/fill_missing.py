"""FillMissing: put a constant or a statistic of the training rows where values are missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from headrace.errors import DataError, JobError
from headrace.ops.base import Columns, Declaration, FittedOp, check_columns, made_in_place, operator
from headrace.schema import FLOAT64, Schema, Type
from headrace.states import Counts, Moments, Quantiles, Scalar
from headrace.table import Table

STATISTICS = ("mean", "median", "mode")


@dataclass(frozen=True)
class FillValues:
    """The value to fill each column with."""

    values: dict[str, Scalar]


@operator
class FillMissing(FittedOp[dict[str, Any], FillValues]):
    """Replace nulls, and NaN of floats, in place; how many is counted in the ledger.

    Parameters
    ----------
    columns : list of str
    value : number, string, bool, or one of ``mean``, ``median``, ``mode``
        A constant, or a statistic of the training rows. Integers filled with their mean become float64; their median
        is rounded down, so that they stay integers. The most frequent value (the smallest of
        equals) is the mode.

    Nulls and NaN
    -------------
    Both are missing; neither takes part in the statistic.

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
    """

    name: ClassVar[str] = "fill_missing"
    columns: Columns
    value: bool | int | float | str

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
        return Declaration(self.columns, schema.with_columns(types), made_in_place(self.columns))

    @property
    def learns(self) -> bool:
        return self.value in STATISTICS

    def part_type(self) -> Any:
        kinds: dict[Any, Any] = {"mean": dict[str, Moments], "median": dict[str, Quantiles]}
        return kinds.get(self.value, dict[str, Counts])

    def state_type(self) -> Any:
        return FillValues

    def observe(self, table: Table) -> dict[str, Any]:
        if self.value == "mean":
            return {column: table.moments(column) for column in self.columns}
        if self.value == "median":
            return {column: table.quantiles(column) for column in self.columns}
        return {column: table.counts([column]) for column in self.columns}

    def finish(self, part: dict[str, Any]) -> FillValues:
        if not self.learns:
            return FillValues(dict.fromkeys(self.columns, self.value))
        return FillValues({column: self._statistic(column, part[column]) for column in self.columns})

    def apply(self, table: Table, state: FillValues) -> Table:
        filled = {}
        for column in self.columns:
            values = table[column]
            table.count("nulls_filled", column, table.backend.missing_count(values))
            if self.value == "mean" and not table.backend.type_of(values).is_float:
                values = table.backend.cast(values, FLOAT64)
            filled[column] = table.backend.fill(values, _fitting(state.values[column], table.backend.type_of(values)))
        return table.with_columns(filled)

    def learnt(self, state: FillValues) -> str:
        return ", ".join(f"{column} = {_shown(value)}" for column, value in state.values.items())

    def _statistic(self, column: str, part: Any) -> float | int | str | bool:
        if isinstance(part, Moments) and part.count:
            return part.mean_and_std()[0]
        if isinstance(part, Quantiles) and part.count:
            return part.quantile(0.5)
        if isinstance(part, Counts):
            found = most_frequent(part)
            if found is not None:
                return found
        raise DataError(f"has no value to take the {self.value} of", column=column, hint="fill it with a constant, or drop the column")


def most_frequent(part: Counts) -> Any:
    """Return the most frequent value that is neither null nor NaN, the smallest of equals; None if there is none."""
    values = part.keys.table.column(0).to_pylist()
    pairs = [(-int(n), value) for n, value in zip(part.counts, values, strict=True) if value is not None and value == value]  # noqa: PLR0124
    return min(pairs)[1] if pairs else None


def _check_constant(value: Any, column: str, type_: Type) -> None:
    fits = (
        (type_.is_string and isinstance(value, str))
        or (type_.is_boolean and isinstance(value, bool))
        or (type_.is_integer and isinstance(value, int) and not isinstance(value, bool))
        or ((type_.is_float or type_.is_decimal) and isinstance(value, int | float) and not isinstance(value, bool))
    )
    if not fits:
        raise JobError(f"{value!r} does not fit {column!r}, which is {type_}", key="value")


def _fitting(value: Any, type_: Type) -> Any:
    """Return a statistic in the column's type: the lower middle value of integers."""
    return math.floor(value) if type_.is_integer and isinstance(value, float) else value


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
