"""NormalizeMinMax: the training rows' range becomes 0 to 1."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from headrace.errors import DataError
from headrace.ops.base import Columns, operator
from headrace.ops.shift_and_scale import ShiftAndScale, ShiftingOp
from headrace.states import Moments
from headrace.table import Table


@operator
class NormalizeMinMax(ShiftingOp[Moments]):
    """Bring columns to the range 0 to 1: ``(x - min) / (max - min)``, in place.

    Unseen rows beyond the training rows' extremes come out below 0 or above 1; `clip` them if that matters.

    Parameters
    ----------
    columns : list of str
        Numbers or booleans.
    dtype : "float32" or "float64"
        Of the result; the arithmetic is float64.

    Nulls and NaN
    -------------
    They take no part in the extremes and stay what they are. Infinities take no part either, and stay infinite. A constant
    column becomes 0.

    Raises
    ------
    DataError
        If a column has no finite value in the training rows, or a range beyond float64.

    Examples
    --------
    >>> NormalizeMinMax(["km"]).settings()
    ['km']
    """

    name: ClassVar[str] = "normalize_min_max"
    columns: Columns
    dtype: Literal["float32", "float64"] = "float32"

    def part_type(self) -> Any:
        return dict[str, Moments]

    def observe(self, table: Table) -> dict[str, Moments]:
        return table.moments(self.columns)

    def finish(self, part: dict[str, Moments]) -> ShiftAndScale:
        shifts, scales = {}, {}
        for column in self.columns:
            low, high = part[column].minimum, part[column].maximum
            if low is None or high is None:
                raise DataError("has no finite value in the training rows", column=column, hint="drop the column, or fill_missing first")
            shifts[column], scales[column] = float(low), float(high - low) or 1.0
            if math.isinf(scales[column]):
                raise DataError(f"spans {low} to {high}, more than a float64 can hold", column=column, hint="clip it first")
        return ShiftAndScale(shifts, scales)

    def learnt(self, state: ShiftAndScale) -> str:
        return ", ".join(f"{column}: {shift:.6g} to {shift + state.scales[column]:.6g}" for column, shift in state.shifts.items())
