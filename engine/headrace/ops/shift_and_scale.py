"""A shift and a scale learnt from the training rows: what NormalizeMinMax and RobustScale share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal

from headrace.ops.base import Columns, Declaration, FittedOp, P, check_columns, made_in_place
from headrace.ops.columnwise import ColumnOp
from headrace.schema import Schema, Type
from headrace.table import Device, Stage, Table


@dataclass(frozen=True)
class ShiftAndScale:
    """What is taken away from each column, and what it is then divided by."""

    shifts: dict[str, float]
    scales: dict[str, float]


class ShiftingOp(ColumnOp, FittedOp[dict[str, P], ShiftAndScale], Generic[P]):
    """An op that computes ``(x - shift) / scale``, in place, in float64, as `dtype`."""

    columns: Columns
    dtype: Literal["float32", "float64"]

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_feature, "a number or boolean")
        return Declaration(self.columns, schema.with_columns(dict.fromkeys(self.columns, Type.of(self.dtype))), made_in_place(self.columns))

    def state_type(self) -> Any:
        return ShiftAndScale

    def stage(self, column: str, type_: Type, state: ShiftAndScale) -> Stage:
        return Stage("SCALE", state.shifts[column], state.scales[column], "", Type.of(self.dtype))

    def apply_column(self, table: Table, column: str, state: ShiftAndScale) -> Device:
        constants = {"mean": state.shifts[column], "std": state.scales[column]}
        return table.launch(f"standardise_{self.dtype}", [column], constants)[0]
