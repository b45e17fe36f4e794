"""RankGauss: ranks as quantiles of the normal distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from headrace.errors import DataError
from headrace.ops.base import Columns, Declaration, FittedOp, check_columns, made_in_place, operator
from headrace.schema import Schema, Type
from headrace.states import Floats, Quantiles
from headrace.table import Table


@dataclass(frozen=True)
class Curve:
    """Points of the increasing line from values to normal quantiles, both ascending."""

    values: Floats
    quantiles: Floats


@operator
class RankGauss(FittedOp[dict[str, Quantiles], dict[str, Curve]]):
    """Give columns a normal distribution: each value becomes the normal quantile of its rank, in place.

    A value's share is ``(rows below + rows equal / 2) / rows`` in the training rows, its result the standard normal's
    quantile of that share. It is learnt at `points` ranks, evenly spread, and straight between them.

    Parameters
    ----------
    columns : list of str
        Numbers.
    points : int
        How many points of the curve are kept. A column of fewer distinct values is exact.
    clip : float
        No result is further from 0. Default 5.2, which one row in ten million of a normal distribution exceeds.
    dtype : "float32" or "float64"
        Of the result.

    Nulls and NaN
    -------------
    They have no rank and stay what they are. Infinities have none either; they, and unseen values beyond the training rows'
    extremes, get the first or last result. A constant column becomes 0.

    Raises
    ------
    DataError
        If a column has no finite value in the training rows.

    Source
    ------
    Shares of ranks: Bliss, Statistics in Biology, 1967 (rankits); as a transform: Beasley, Erickson and Allison, Behavior
    Genetics 39(5), 2009. Normal quantiles: Wichura, Applied Statistics 37(3), 1988 (AS 241).

    Examples
    --------
    >>> RankGauss(["fare"]).settings()
    ['fare']
    """

    name: ClassVar[str] = "rank_gauss"
    columns: Columns
    points: Annotated[int, Field(strict=True, ge=2)] = 1000
    clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.2
    dtype: Literal["float32", "float64"] = "float32"

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_number, "a number")
        return Declaration(self.columns, schema.with_columns(dict.fromkeys(self.columns, Type.of(self.dtype))), made_in_place(self.columns))

    def part_type(self) -> Any:
        return dict[str, Quantiles]

    def state_type(self) -> Any:
        return dict[str, Curve]

    def observe(self, table: Table) -> dict[str, Quantiles]:
        return {column: table.quantiles(column) for column in self.columns}

    def finish(self, part: dict[str, Quantiles]) -> dict[str, Curve]:
        return {column: self._curve(column, part[column]) for column in self.columns}

    def apply(self, table: Table, state: dict[str, Curve]) -> Table:
        made = {}
        for column in self.columns:
            constants = {"xs": state[column].values, "ys": state[column].quantiles}
            made[column] = table.launch(f"interpolate_{self.dtype}", [column], constants)[0]
        return table.with_columns(made)

    def learnt(self, state: dict[str, Curve]) -> str:
        return ", ".join(
            f"{column}: {curve.values[0]:.6g} to {curve.values[-1]:.6g} at {len(curve.values)} points" for column, curve in state.items()
        )

    def _curve(self, column: str, part: Quantiles) -> Curve:
        values = part.values()
        finite = np.isfinite(values)
        values, counts = values[finite], part.counts[finite]
        if not len(values):
            raise DataError("has no finite value in the training rows", column=column, hint="drop the column, or fill_missing first")
        ends = np.cumsum(counts)
        total = int(ends[-1])
        kept = np.arange(len(values))
        if len(values) > self.points:
            # the values at evenly spread ranks, the first and the last among them
            ranks = np.linspace(0, total - 1, self.points).round().astype(np.int64)
            kept = np.unique(np.searchsorted(ends, ranks, side="right"))
        shares = (ends[kept] - counts[kept] / 2) / total
        normal = NormalDist()
        quantiles = np.array([normal.inv_cdf(float(share)) for share in shares])
        return Curve(values[kept], np.clip(quantiles, -self.clip, self.clip))
