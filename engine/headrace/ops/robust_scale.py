"""RobustScale: median 0 and the distance of two percentiles 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from headrace.errors import DataError, JobError
from headrace.ops.base import Columns, Setting, default, operator
from headrace.ops.shift_and_scale import ShiftAndScale, ShiftingOp
from headrace.states import Quantiles
from headrace.table import Table

Percent = Annotated[float, Field(ge=0, le=100)]


@operator
class RobustScale(ShiftingOp[Quantiles]):
    """Scale columns by what outliers hardly move: ``(x - median) / (upper quartile - lower quartile)``, in place.

    Median and quartiles are those of the training rows: exact up to 65,536 distinct values, else with the relative error of
    `Quantiles` (2**-12 for a column of all magnitudes, far less for most).

    Parameters
    ----------
    columns : list of str
        Numbers or booleans.
    quantile_range : (float, float)
        The two percentiles whose distance is the scale. Default 25 and 75.
    dtype : "float32" or "float64"
        Of the result; the arithmetic is float64.

    Nulls and NaN
    -------------
    They take no part in the quantiles and stay what they are. Infinities are ranked like other numbers, and stay infinite.
    Where both percentiles are equal, nothing is divided: a constant column becomes 0.

    Raises
    ------
    DataError
        If a column has no value in the training rows, or its percentiles are infinite.

    Examples
    --------
    >>> RobustScale(["fare"], quantile_range=(10, 90)).settings()
    {'columns': ['fare'], 'quantile_range': [10.0, 90.0]}
    """

    name: ClassVar[str] = "robust_scale"
    columns: Columns
    quantile_range: Setting[tuple[Percent, Percent], Sequence[float]] = default((25.0, 75.0))
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        low, high = self.quantile_range
        if low >= high:
            raise JobError(f"the lower percentile comes first, not {low} and {high}", key="quantile_range")

    def part_type(self) -> Any:
        return dict[str, Quantiles]

    def observe(self, table: Table) -> dict[str, Quantiles]:
        return {column: table.quantiles(column) for column in self.columns}

    def finish(self, part: dict[str, Quantiles]) -> ShiftAndScale:
        shifts, scales = {}, {}
        for column in self.columns:
            found = part[column]
            if not found.count:
                raise DataError("has no value in the training rows", column=column, hint="drop the column, or fill_missing first")
            low, median, high = (found.quantile(q) for q in (self.quantile_range[0] / 100, 0.5, self.quantile_range[1] / 100))
            if not math.isfinite(high - low) or not math.isfinite(median):
                raise DataError(f"has the percentiles {low} and {high}, too far apart to scale by", column=column, hint="clip it first")
            shifts[column], scales[column] = median, high - low or 1.0
        return ShiftAndScale(shifts, scales)

    def learnt(self, state: ShiftAndScale) -> str:
        return ", ".join(f"{column}: median {shift:.6g}, range {state.scales[column]:.6g}" for column, shift in state.shifts.items())
