"""Clip: bring values that lie outside of bounds to the bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator

from headrace.errors import JobError, JobErrors
from headrace.expressions import parse
from headrace.ops.base import Columns, Declaration, PlainOp, check_columns, made_in_place, operator
from headrace.ops.columnwise import ColumnOp
from headrace.schema import FLOAT32, Schema, Type
from headrace.table import Device, Stage, Table


def _is_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a finite number is needed")
    return value


Bound = Annotated[int | float, BeforeValidator(_is_number)]


@operator
class Clip(ColumnOp, PlainOp):
    """Replace values below `min` by `min` and above `max` by `max`, in place; how many is counted in the ledger.

    Parameters
    ----------
    columns : list of str
        Numbers. They keep their type.
    min, max : number
        At least one of them.

    Nulls and NaN
    -------------
    Null stays null and NaN stays NaN; infinities are clipped.

    Raises
    ------
    JobError
        If there is no bound, if `min` is above `max`, or if a bound is no value of a column's type (0.5 for integers).

    Examples
    --------
    >>> Clip(["seats"], min=0, max=400).settings()
    {'columns': ['seats'], 'min': 0, 'max': 400}
    """

    name: ClassVar[str] = "clip"
    columns: Columns
    min: Bound | None = None
    max: Bound | None = None

    def __post_init__(self) -> None:
        if self.min is None and self.max is None:
            raise JobError("at least one bound is needed: min, max or both", key="min")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise JobError(f"min {self.min} is above max {self.max}", key="min")

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_number, "a number")
        errors = [
            JobError(f"{bound} is no value of {column!r}, which is {schema[column]}", key=key)
            for column in self.columns
            for key, bound in (("min", self.min), ("max", self.max))
            if bound is not None and not _is_value_of(bound, schema[column])
        ]
        if errors:
            raise JobErrors(errors)
        return Declaration(self.columns, schema, made_in_place(self.columns))

    def stage(self, column: str, type_: Type, state: Any) -> Stage | None:
        if type_.is_decimal:
            return None
        low = -math.inf if self.min is None else float(_fitting(self.min, type_))
        high = math.inf if self.max is None else float(_fitting(self.max, type_))
        return Stage("CLIP", low, high, "clipped", type_)

    def apply_column(self, table: Table, column: str, state: Any) -> Device:
        type_ = table.backend.type_of(table[column])
        bounds = {name: _fitting(bound, type_) for name, bound in (("low", self.min), ("high", self.max)) if bound is not None}
        outside = " OR ".join(f"x {_BEYOND[name]} {_sql(bound)}" for name, bound in bounds.items())
        is_outside = parse(f"({outside}) AND NOT isnan(x)" if type_.is_float else outside)
        table.count("clipped", column, table.backend.count_true(table.backend.evaluate(is_outside, {"x": table[column]}, table.n_rows)))
        return _clipped_floats(table, column, bounds) if type_.is_float else _clipped_exactly(table, column, bounds)


_BEYOND = {"low": "<", "high": ">"}


def _clipped_floats(table: Table, column: str, bounds: Mapping[str, Any]) -> Device:
    return table.launch("clip", [column], bounds)[0]


def _clipped_exactly(table: Table, column: str, bounds: Mapping[str, Any]) -> Device:
    """Clip integers and decimals in their own arithmetic: a float64 does not hold all of them."""
    cases = " ".join(f"WHEN x {_BEYOND[name]} {_sql(bound)} THEN {_sql(bound)}" for name, bound in bounds.items())
    nearest = table.backend.evaluate(parse(f"CASE {cases} ELSE x END"), {"x": table[column]}, table.n_rows)
    return table.backend.cast(nearest, table.backend.type_of(table[column]))


def _is_value_of(bound: float, type_: Type) -> bool:
    if type_.is_integer:
        return isinstance(bound, int)
    if type_.is_decimal:
        digits = Decimal(str(bound)).normalize().as_tuple()
        assert isinstance(digits.exponent, int)  # noqa: S101  (a bound is finite)
        return -digits.exponent <= type_.arrow.scale and len(digits.digits) + digits.exponent <= type_.arrow.precision - type_.arrow.scale
    return True


def _fitting(bound: float, type_: Type) -> int | float | Decimal:
    """Return a bound as a value of the column's type; a bound beyond an integer type becomes that type's last value."""
    if type_.is_integer:
        ends = np.iinfo(type_.arrow.to_pandas_dtype())
        return min(max(int(bound), int(ends.min)), int(ends.max))
    if type_.is_decimal:
        return Decimal(str(bound))
    return float(np.float32(bound)) if type_ == FLOAT32 else float(bound)


def _sql(bound: int | float | Decimal) -> str:
    return f"{bound:.17e}" if isinstance(bound, float) else f"{bound:f}" if isinstance(bound, Decimal) else str(bound)
