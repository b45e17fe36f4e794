"""DifferenceLag: what was some rows ago, or how much has changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from headrace.errors import DataError
from headrace.expressions import infer_type, parse
from headrace.ops.base import Columns, Declaration, Grouping, OrderedOp, Setting, Sources, check_columns, default, operator
from headrace.ops.ordering import By, check_grouping
from headrace.schema import Schema, Type
from headrace.states import Ints
from headrace.table import Device, Table


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, int) else value


Lag = Annotated[int, Field(strict=True, ge=1)]
Lags = Setting[Annotated[tuple[Lag, ...], BeforeValidator(_as_tuple), Field(min_length=1)], int | Sequence[int]]


@operator
class DifferenceLag(OrderedOp):
    """Subtract a column's value some rows before in the same key: ``<column>_difference_lag_<n>``; or bring it: ``<column>_lag_<n>``.

    Parameters
    ----------
    columns : list of str
        Numbers; with ``output: value`` any columns.
    order : str
        A date, timestamp or number. Rows of one time come in the order of the source.
    by : list of str, optional
        The key. Default: all rows are one group.
    lags : list of int, at least 1
        How many rows back. Default 1.
    output : "difference" or "value"

    Returns
    -------
    A difference of integers is int64, of float32 float32, of other floats and decimals float64; a value has the column's
    type.

    Nulls and NaN
    -------------
    Null where there is no such row, or one of the two values is null. Rows whose order is null or NaN come last in their
    key, in the order of the source.

    Raises
    ------
    DataError
        If a difference of integers does not fit int64.

    Examples
    --------
    >>> DifferenceLag(["balance"], order="time", by=["account"], lags=[1, 7]).settings()
    {'columns': ['balance'], 'order': 'time', 'by': ['account'], 'lags': [1, 7]}
    """

    name: ClassVar[str] = "difference_lag"
    columns: Columns
    order: str
    by: By = default(())
    lags: Lags = default((1,))
    output: Literal["difference", "value"] = "difference"

    def grouping(self) -> Grouping:
        return Grouping(self.by, self.order, self.columns)

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        if self.output == "difference":
            check_columns(schema, self.columns, lambda type_: type_.is_number, "a number")
        schema.require(self.columns)
        check_grouping(schema, self.grouping())
        pairs = [(column, lag) for column in self.columns for lag in self.lags]
        makes = {self._output(column, lag): Sources(values=(column,), keys=(*self.by, self.order)) for column, lag in pairs}
        types = {self._output(column, lag): self._type(schema[column]) for column, lag in pairs}
        return Declaration(self.grouping().reads, schema.with_columns(types), makes)

    def scan(self, table: Table, starts: Ints) -> dict[str, Device]:
        made = {}
        for lag in self.lags:
            lagged = table.backend.take(table.pick(self.columns), _rows_before(table, starts, lag))
            for column in self.columns:
                made[self._output(column, lag)] = self._made(table, column, lagged[column])
        return made

    def _made(self, table: Table, column: str, lagged: Device) -> Device:
        if self.output == "value":
            return lagged
        type_ = table.backend.type_of(table[column])
        try:
            return table.backend.evaluate(parse(_difference(type_)), {"now": table[column], "before": lagged}, table.n_rows)
        except DataError as error:
            message = error.message.removesuffix(f" in the expression {_difference(type_)!r}")
            raise DataError(message, column=column, hint="cast the column to float64 before") from error

    def _type(self, type_: Type) -> Type:
        if self.output == "value":
            return type_
        return infer_type(parse(_difference(type_)), Schema({"now": type_, "before": type_}))

    def _output(self, column: str, lag: int) -> str:
        return f"{column}_{'difference_' if self.output == 'difference' else ''}lag_{lag}"


def _difference(type_: Type) -> str:
    if type_.is_float:
        return "now - before"
    wide = "BIGINT" if type_.is_integer else "DOUBLE"
    return f"CAST(now AS {wide}) - CAST(before AS {wide})"


def _rows_before(table: Table, starts: Ints, lag: int) -> Ints:
    """Return for each row the row so many before in its group, -1 where there is none."""
    rows = table.backend.row_numbers(table.n_rows) - lag
    first = np.repeat(starts[:-1], np.diff(starts))
    return np.where(rows >= first, rows, np.int64(-1))
