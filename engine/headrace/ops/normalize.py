"""Normalize: mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from headrace.errors import DataError
from headrace.ops.base import Columns, Declaration, FittedOp, check_columns, made_in_place, operator
from headrace.ops.columnwise import ColumnOp
from headrace.schema import Schema, Type
from headrace.states import Moments
from headrace.table import Device, Stage, Table


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each column."""

    means: dict[str, float]
    stds: dict[str, float]


@operator
class Normalize(ColumnOp, FittedOp[dict[str, Moments], Scale]):
    """Standardise columns to mean 0 and standard deviation 1: ``(x - mean) / std``, in place.

    Mean and (population) standard deviation are those of the training rows, from exact sums: the same bits for any
    order of rows and any partitions, and right where the mean is large beside the deviation.

    Parameters
    ----------
    columns : list of str
        Numbers or booleans.
    dtype : "float32" or "float64"
        Of the result; the arithmetic is float64, which integers beyond 2^53 are rounded to. Default float32, which is what models take.

    Nulls and NaN
    -------------
    They take no part in the statistics and stay what they are. Infinities take no part either, and stay infinite.
    A constant column becomes 0.

    Raises
    ------
    DataError
        If a column has no finite value in the training rows.

    Examples
    --------
    >>> Normalize(["km"]).settings()
    ['km']
    """

    name: ClassVar[str] = "normalize"
    columns: Columns
    dtype: Literal["float32", "float64"] = "float32"

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_feature, "a number or boolean")
        return Declaration(self.columns, schema.with_columns(dict.fromkeys(self.columns, Type.of(self.dtype))), made_in_place(self.columns))

    def part_type(self) -> Any:
        return dict[str, Moments]

    def state_type(self) -> Any:
        return Scale

    def observe(self, table: Table) -> dict[str, Moments]:
        return table.moments(self.columns)

    def finish(self, part: dict[str, Moments]) -> Scale:
        means, stds = {}, {}
        for column in self.columns:
            if not part[column].count:
                raise DataError(
                    "has no finite value in the training rows to take the mean of",
                    column=column,
                    hint="drop the column, or fill_missing first",
                )
            means[column], stds[column] = part[column].mean_and_std()
        return Scale(means, stds)

    def stage(self, column: str, type_: Type, state: Scale) -> Stage:
        return Stage("SCALE", state.means[column], state.stds[column] or 1.0, "", Type.of(self.dtype))

    def apply_column(self, table: Table, column: str, state: Scale) -> Device:
        constants = {"mean": state.means[column], "std": state.stds[column] or 1.0}
        return table.launch(f"standardise_{self.dtype}", [column], constants)[0]

    def learnt(self, state: Scale) -> str:
        return ", ".join(f"{column}: mean {state.means[column]:.6g}, std {state.stds[column]:.6g}" for column in self.columns)
