"""Bucketize: numbers to the numbers of intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from headrace.errors import DataError, JobError
from headrace.expressions import parse
from headrace.ops.base import Columns, Declaration, FittedOp, Setting, check_columns, default, made_in_place, operator
from headrace.schema import INT32, Schema
from headrace.states import Floats, Moments, Quantiles
from headrace.table import Table

Edge = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Buckets:
    """The edges between buckets of one column, ascending; for buckets of one width the extremes of the training rows too."""

    edges: Floats
    low: float
    high: float


@operator
class Bucketize(FittedOp[dict[str, Any], dict[str, Buckets]]):
    """Replace numbers by the number of the interval that they lie in, in place: int32, from 0.

    Bucket i holds ``edges[i - 1] <= x < edges[i]``; the first and the last are open to the outside.

    Parameters
    ----------
    columns : list of str
        Numbers; compared in float64.
    edges : list of float, optional
        Ascending; n edges make n + 1 buckets.
    bins : int, optional
        Instead: so many buckets, learnt from the training rows.
    method : "quantile" or "uniform"
        How `bins` are cut: with about equally many rows in each (fewer buckets where values repeat), or of one width between
        the training rows' extremes. Quantiles are exact up to 65,536 distinct values.

    Nulls and NaN
    -------------
    Both become null and take no part in what is learnt. Infinities are ranked like other numbers, and left out of the
    extremes. With ``uniform``, values beyond the extremes get the first or last bucket and are counted as `out_of_range`.

    Raises
    ------
    JobError
        If not exactly one of `edges` and `bins` is given, or the edges do not ascend.
    DataError
        If a column has no finite value to learn from.

    Examples
    --------
    >>> Bucketize(["age"], edges=[18, 65]).settings()
    {'columns': ['age'], 'edges': [18.0, 65.0]}
    >>> Bucketize(["fare"], bins=10).settings()
    {'columns': ['fare'], 'bins': 10}
    """

    name: ClassVar[str] = "bucketize"
    columns: Columns
    edges: Setting[Annotated[tuple[Edge, ...], Field(min_length=1)] | None, Sequence[float] | None] = default(None)
    bins: Annotated[int, Field(strict=True, ge=2, le=65536)] | None = None
    method: Literal["quantile", "uniform"] = "quantile"

    def __post_init__(self) -> None:
        if (self.edges is None) == (self.bins is None):
            raise JobError("either edges or bins is needed, not both", key="edges")
        if any(left >= right for left, right in pairwise(self.edges or ())):
            raise JobError(f"edges ascend, not {list(self.edges or ())}", key="edges")

    @property
    def learns(self) -> bool:
        return self.bins is not None

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_number, "a number")
        return Declaration(self.columns, schema.with_columns(dict.fromkeys(self.columns, INT32)), made_in_place(self.columns))

    def part_type(self) -> Any:
        return dict[str, Moments] if self.method == "uniform" else dict[str, Quantiles]

    def state_type(self) -> Any:
        return dict[str, Buckets]

    def observe(self, table: Table) -> dict[str, Any]:
        if self.method == "uniform":
            return table.moments(self.columns)
        return {column: table.quantiles(column) for column in self.columns}

    def finish(self, part: dict[str, Any]) -> dict[str, Buckets]:
        if self.edges is not None:
            return dict.fromkeys(self.columns, Buckets(np.array(self.edges), -math.inf, math.inf))
        return {column: self._learnt_buckets(column, part[column]) for column in self.columns}

    def apply(self, table: Table, state: dict[str, Buckets]) -> Table:
        made = {}
        for column in self.columns:
            buckets = state[column]
            codes = table.launch("bucketize", [column], {"edges": buckets.edges})[0]
            made[column] = table.backend.evaluate(parse("nullif(code, -1)"), {"code": codes}, table.n_rows)
            if math.isfinite(buckets.low):
                beyond = parse(f"(x < {buckets.low:.17e} OR x > {buckets.high:.17e}) AND code >= 0")
                n_beyond = table.backend.count_true(table.backend.evaluate(beyond, {"x": table[column], "code": codes}, table.n_rows))
                table.count("out_of_range", column, n_beyond)
            made[column] = table.backend.cast(made[column], INT32)
        return table.with_columns(made)

    def learnt(self, state: dict[str, Buckets]) -> str:
        return ", ".join(f"{column}: {len(buckets.edges) + 1} buckets" for column, buckets in state.items()) if self.learns else ""

    def _learnt_buckets(self, column: str, part: Moments | Quantiles) -> Buckets:
        assert self.bins is not None  # noqa: S101  (only then something is learnt)
        shares = np.arange(1, self.bins) / self.bins
        if isinstance(part, Moments) and part.minimum is not None and part.maximum is not None:
            low, high = float(part.minimum), float(part.maximum)
            edges = np.unique(low * (1 - shares) + high * shares)
            return Buckets(edges[edges > low], low, high)
        if isinstance(part, Quantiles) and part.count:
            edges = np.unique(_quantiles(part, shares))
            # an edge at the minimum would leave bucket 0 empty
            return Buckets(edges[np.isfinite(edges) & (edges > part.values()[0])], -math.inf, math.inf)
        raise DataError("has no finite value in the training rows", column=column, hint="drop the column, or fill_missing first")


def _quantiles(part: Quantiles, shares: Floats) -> Floats:
    """Return many quantiles at once; linear between the two nearest ranks, as `Quantiles.quantile`."""
    values, ends = part.values(), np.cumsum(part.counts)
    positions = shares * (ends[-1] - 1)
    ranks = np.floor(positions)
    first = values[np.searchsorted(ends, ranks, side="right")]
    second = values[np.searchsorted(ends, np.ceil(positions), side="right")]
    with np.errstate(invalid="ignore", over="ignore"):
        between = first + (second - first) * (positions - ranks)
    return np.where(np.isfinite(between), between, first)
