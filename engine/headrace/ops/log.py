"""Log: logarithms of columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from headrace.expressions import parse
from headrace.ops.base import Columns, Declaration, PlainOp, check_columns, made_in_place, operator
from headrace.ops.columnwise import ColumnOp
from headrace.schema import FLOAT32, FLOAT64, Schema, Type
from headrace.table import Backend, Device, Stage, Table

_UNITS = {"e": 1.0, 2: math.log(2.0), 10: math.log(10.0)}


@operator
class Log(ColumnOp, PlainOp):
    """Replace x by ``log(x + plus)``, in place; with the defaults that is ``log1p(x)``, exact for small x too.

    Relative error at most 1e-15 for float64 and 4e-7 for float32.

    Parameters
    ----------
    columns : list of str
        Numbers. float32 stays float32, all else becomes float64.
    base : "e", 2 or 10
    plus : float
        Added before the logarithm is taken, so that counts of 0 have one. Default 1.

    Nulls and NaN
    -------------
    Null stays null and NaN stays NaN. Values at or below ``-plus``, which have no logarithm, become null and are counted
    as `not_positive`.

    Examples
    --------
    >>> Log(["distance"]).settings()
    ['distance']
    >>> Log(["distance"], base=10, plus=0.0).text()
    'columns: distance, base: 10, plus: 0.0'
    """

    name: ClassVar[str] = "log"
    columns: Columns
    base: Literal["e", 2, 10] = "e"
    plus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_number, "a number")
        types = {column: FLOAT32 if schema[column] == FLOAT32 else FLOAT64 for column in self.columns}
        return Declaration(self.columns, schema.with_columns(types), made_in_place(self.columns))

    def stage(self, column: str, type_: Type, state: Any) -> Stage:
        unit, after = _UNITS[self.base], FLOAT32 if type_ == FLOAT32 else FLOAT64
        if self.plus == 1.0:
            return Stage("LOG1P", unit, 0.0, "not_positive", after)
        return Stage("LOG", self.plus, unit, "not_positive", after)

    def apply_column(self, table: Table, column: str, state: Any) -> Device:
        values = table[column]
        # float32 columns are computed in float32: there the border is where the kernel's own sum is 0
        single = table.backend.type_of(values) == FLOAT32
        border = float(np.float32(self.plus)) if single else self.plus
        # NaN is greater than every number, in SQL: it stays
        positive = table.backend.evaluate(parse(f"CASE WHEN x > {-border:.17e} THEN x END"), {"x": values}, table.n_rows)
        table.count("not_positive", column, table.backend.null_count(positive) - table.backend.null_count(values))
        return self._logarithm(table.backend, positive)

    def _logarithm(self, backend: Backend, positive: Device) -> Device:
        unit = {"unit": _UNITS[self.base]}
        if self.plus == 1.0:
            return backend.launch("log_plus_one", [positive], unit)[0]
        return backend.launch("log_plus", [positive], {"plus": self.plus, **unit})[0]
