"""Cyclical: a number that comes round, as a point on a circle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from headrace.ops.base import Declaration, PlainOp, Sources, check_columns, operator
from headrace.schema import FLOAT32, Schema
from headrace.table import Table

Period = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@operator
class Cyclical(PlainOp):
    """Make sine and cosine of numbers that come round, as ``<column>_sin`` and ``<column>_cos``.

    ``sin(2 pi x / period)`` and ``cos(2 pi x / period)``: 23 o'clock lies beside 0 o'clock. Both are needed: one alone
    has the same value at two places of the circle.

    Parameters
    ----------
    columns : mapping of str to number
        Column: its period in its own unit (hour: 24, month: 12, day_of_week: 7, degrees: 360).

    Returns
    -------
    float32, -1 to 1, with an error of at most 2e-7 for values of up to ten million periods.

    Nulls and NaN
    -------------
    Null gives null; NaN and infinities give NaN.

    Examples
    --------
    >>> Cyclical({"hour": 24}).settings()
    {'columns': {'hour': 24.0}}
    """

    name: ClassVar[str] = "cyclical"
    columns: Annotated[dict[str, Period], Field(min_length=1)]

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, tuple(self.columns), lambda type_: type_.is_number, "a number")
        makes = {f"{column}_{name}": Sources(values=(column,)) for column in self.columns for name in ("sin", "cos")}
        return Declaration(tuple(self.columns), schema.with_columns(dict.fromkeys(makes, FLOAT32)), makes)

    def apply(self, table: Table) -> Table:
        made = {}
        for column, period in self.columns.items():
            made[f"{column}_sin"], made[f"{column}_cos"] = table.launch("cyclical", [column], {"period": period})
        return table.with_columns(made)
