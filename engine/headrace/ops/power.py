"""Power: the power transform that makes a column most like a normal distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from headrace.errors import DataError
from headrace.ops.base import Columns, Declaration, FittedOp, check_columns, made_in_place, operator
from headrace.schema import Schema, Type
from headrace.states import Floats, Quantiles
from headrace.table import Table

LOWEST, HIGHEST = -8.0, 8.0
COARSE_STEP, TOLERANCE = 0.25, 1e-9
# A standard deviation of less than this, measured by the largest value, leaves the result fewer than seven digits.
LEAST_LOG_SPREAD = math.log(1e-9)
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Powers:
    """The power of each column, and the mean and standard deviation of the transformed training rows."""

    powers: dict[str, float]
    means: dict[str, float]
    stds: dict[str, float]


@operator
class Power(FittedOp[dict[str, Quantiles], Powers]):
    """Make skewed columns like a normal distribution by the Yeo-Johnson transform, in place, then standardise them.

    ``((1 + x)**p - 1) / p`` for x >= 0 and ``-((1 - x)**(2 - p) - 1) / (2 - p)`` below, with logarithms where an exponent
    is 0. Each column's p is the one of highest likelihood under a normal distribution, from -8 to 8.

    It is found on the counts of distinct values: exact up to 65,536 of them; beyond that neighbours share a bin, with a
    relative error of at most 2**-12 in columns of all magnitudes, which moves p by less than 1e-5 (in the tests, 1e-6).

    Parameters
    ----------
    columns : list of str
        Numbers.
    standardise : bool
        Bring the result to mean 0 and standard deviation 1 (default).
    dtype : "float32" or "float64"
        Of the result; the arithmetic is float64.

    Nulls and NaN
    -------------
    They take no part in the fit and stay what they are. Infinities take no part either, and become the transform's limit.
    A constant column keeps its shape (p = 1) and becomes 0.

    Raises
    ------
    DataError
        If a column has no finite value in the training rows, or one at the end of float64's range.

    Source
    ------
    Yeo and Johnson, A new family of power transformations to improve normality or symmetry, Biometrika 87(4), 2000,
    sections 2 and 3.

    Examples
    --------
    >>> Power(["fare"]).settings()
    ['fare']
    """

    name: ClassVar[str] = "power"
    columns: Columns
    standardise: bool = True
    dtype: Literal["float32", "float64"] = "float32"

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_number, "a number")
        return Declaration(self.columns, schema.with_columns(dict.fromkeys(self.columns, Type.of(self.dtype))), made_in_place(self.columns))

    def part_type(self) -> Any:
        return dict[str, Quantiles]

    def state_type(self) -> Any:
        return Powers

    def observe(self, table: Table) -> dict[str, Quantiles]:
        return {column: table.quantiles(column) for column in self.columns}

    def finish(self, part: dict[str, Quantiles]) -> Powers:
        powers, means, stds = {}, {}, {}
        for column in self.columns:
            values = part[column].values()
            finite = np.isfinite(values)
            values, weights = values[finite], part[column].counts[finite].astype(np.float64)
            if not len(values):
                raise DataError("has no finite value in the training rows", column=column, hint="drop the column, or fill_missing first")
            powers[column] = best_power(values, weights)
            transformed = yeo_johnson(values, powers[column])
            if not np.abs(transformed).max() < 1e308:  # the kernel rounds otherwise, and its end is reached a little sooner
                raise DataError(f"holds {values[np.argmax(np.abs(values))]}, too large to transform", column=column, hint="clip it first")
            means[column], stds[column] = self._mean_and_std(transformed, weights)
        return Powers(powers, means, stds)

    def apply(self, table: Table, state: Powers) -> Table:
        made = {}
        for column in self.columns:
            constants = {"power": state.powers[column], "mean": state.means[column], "std": state.stds[column]}
            made[column] = table.launch(f"yeo_johnson_{self.dtype}", [column], constants)[0]
        return table.with_columns(made)

    def learnt(self, state: Powers) -> str:
        return ", ".join(f"{column}: power {power:.4g}" for column, power in state.powers.items())

    def _mean_and_std(self, values: Floats, weights: Floats) -> tuple[float, float]:
        if not self.standardise:
            return 0.0, 1.0
        # in units of the largest: squares of large values are beyond float64
        largest = float(np.abs(values).max()) or 1.0
        shares = values / largest
        mean = float(np.average(shares, weights=weights))
        return mean * largest, math.sqrt(float(np.average((shares - mean) ** 2, weights=weights))) * largest or 1.0


def yeo_johnson(values: Floats, power: float) -> Floats:
    """Return the Yeo-Johnson transform of finite values; infinite where it is beyond float64."""
    exponents = np.where(values < 0, 2 - power, power)
    logs = np.log1p(np.abs(values))
    straight = exponents == 0
    with np.errstate(over="ignore"):
        grown = np.expm1(exponents * logs) / np.where(straight, 1.0, exponents)
    sizes = np.where(exponents == 1, np.abs(values), np.where(straight, logs, grown))
    return np.copysign(sizes, values)


def best_power(values: Floats, weights: Floats) -> float:
    """Return the power of highest likelihood for distinct finite values and how often each occurs; 1 for a single value.

    Powers that would press the values together until float64 cannot tell them apart are none: far from 0 and close to each
    other, values are nearly as likely under any power.
    """
    logs = np.log1p(np.abs(values))
    tilt, total = float(np.sum(weights * np.copysign(logs, values))), float(weights.sum())

    def likelihood(power: float) -> float:
        log_std = _log_variance(values, logs, weights, power) / 2
        with np.errstate(divide="ignore"):
            log_largest = float(np.log(np.abs(yeo_johnson(values[[0, -1]], power)).max()))
        apart = math.isfinite(log_largest) and log_std - log_largest > LEAST_LOG_SPREAD
        return (power - 1) * tilt - total * log_std if apart else -math.inf

    powers = np.arange(LOWEST, HIGHEST + COARSE_STEP, COARSE_STEP).tolist()
    likelihoods = [likelihood(power) for power in powers]
    best = powers[likelihoods.index(max(likelihoods))]
    if max(likelihoods) == -math.inf:
        return 1.0
    return _golden_section(likelihood, max(best - COARSE_STEP, LOWEST), min(best + COARSE_STEP, HIGHEST))


def _log_variance(values: Floats, logs: Floats, weights: Floats, power: float) -> float:
    """Return the logarithm of the transformed values' variance; -inf where they are all equal, inf beyond float64."""
    if values[0] >= 0 or values[-1] < 0:
        # One branch of the transform: the variance of exp(exponent * log) alone. The 1 taken away and the large common factor,
        # which would swamp it, are left out of the sum and put back as logarithms.
        exponent = power if values[0] >= 0 else 2 - power
        if exponent == 0:
            return _log_of_variance(logs, weights)
        powers = exponent * logs
        return _log_of_variance(np.expm1(powers - powers.max()), weights) + 2 * (float(powers.max()) - math.log(abs(exponent)))
    transformed = yeo_johnson(values, power)
    largest = float(np.abs(transformed).max())
    return _log_of_variance(transformed / largest, weights) + 2 * math.log(largest) if math.isfinite(largest) else math.inf


def _log_of_variance(values: Floats, weights: Floats) -> float:
    mean = np.average(values, weights=weights)
    variance = float(np.average((values - mean) ** 2, weights=weights))
    return math.log(variance) if variance > 0 else -math.inf


def _golden_section(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function with one peak between `low` and `high` is highest."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > TOLERANCE:
        if at_left >= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2
