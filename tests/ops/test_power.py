"""Power: the Yeo-Johnson transform of highest likelihood."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import FLOAT64, assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import DataError, JobErrors
from headrace.ops.power import HIGHEST, LOWEST, Power, best_power, yeo_johnson
from headrace.states import Quantiles
from headrace.table import Backend

NAN, INF = math.nan, math.inf


def column(values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def by_hand(x: float, power: float) -> float:
    """Return Yeo and Johnson's equation 2.1, case by case."""
    if x >= 0:
        return ((x + 1) ** power - 1) / power if power != 0 else math.log(x + 1)
    return -((1 - x) ** (2 - power) - 1) / (2 - power) if power != 2 else -math.log(1 - x)


def log_likelihood(values: np.ndarray, power: float) -> float:
    """Return Yeo and Johnson's equation 3.1 without its constant."""
    transformed = np.array([by_hand(float(x), power) for x in values])
    return float(-len(values) / 2 * math.log(transformed.var()) + (power - 1) * np.sum(np.sign(values) * np.log1p(np.abs(values))))


@pytest.mark.parametrize("power", [-1.5, 0.0, 0.5, 1.0, 2.0, 3.0])
def test_the_transform_is_the_papers(power: float) -> None:
    values = [-10.0, -1.0, -1e-9, 0.0, 1e-9, 1.0, 10.0]
    np.testing.assert_allclose(yeo_johnson(np.array(values), power), [by_hand(x, power) for x in values], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_power_is_likelier(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = [random.lognormal(size=300), random.normal(2, 3, 300), -random.chisquare(3, 300), random.poisson(2, 300) - 1.0][seed]
    distinct, counts = np.unique(values, return_counts=True)
    found = best_power(distinct, counts.astype(float))
    highest = log_likelihood(values, found)
    assert all(log_likelihood(values, power) <= highest + 1e-9 for power in np.linspace(-5, 5, 201))


def test_logarithms_of_a_lognormal_column_are_found(backend: Backend) -> None:
    # 1 + x is lognormal, so the power is 0 and the result normal
    values = np.expm1(np.abs(np.random.default_rng(0).normal(5, 1, 20_000)))
    made = applied(backend, Power(["x"], dtype="float64"), column(list(values)))
    assert abs(made.state.powers["x"]) < 0.02
    result = np.array(made["x"])
    assert abs(result.mean()) < 1e-12
    assert abs(result.std() - 1) < 1e-12
    assert abs((result**3).mean()) < 0.05


def test_bins_of_neighbours_hardly_move_the_power() -> None:
    values = np.random.default_rng(0).lognormal(0, 3, 200_000)
    binned = Quantiles.of(values)
    assert binned.precision < 52
    distinct, counts = np.unique(values, return_counts=True)
    assert abs(best_power(binned.values(), binned.counts.astype(float)) - best_power(distinct, counts.astype(float))) < 1e-5


def test_a_column_far_from_0_keeps_its_digits(backend: Backend) -> None:
    values = np.random.default_rng(0).normal(1.7e9, 1.0, 5_000)
    result = np.array(applied(backend, Power(["x"], dtype="float64"), column(list(values)))["x"])
    assert abs(result.std() - 1) < 1e-6
    assert np.corrcoef(result, values)[0, 1] > 0.999999


def test_missing_values_stay_and_infinities_become_the_limit(backend: Backend) -> None:
    data = column([None, NAN, INF, -INF, 1.0, 2.0, 4.0, 8.0, 16.0])
    made = applied(backend, Power(["x"], standardise=False, dtype="float64"), data)
    power = made.state.powers["x"]
    assert power < 0  # so the transform has a limit above, and none below
    expected = [None, NAN, -1 / power, -INF, *(by_hand(x, power) for x in (1.0, 2.0, 4.0, 8.0, 16.0))]
    assert_same_column(made.table["x"], pa.array(expected), 1e-12)


@pytest.mark.parametrize(("value", "type_"), [(5, pa.int8()), (7.3, pa.float64()), (-3.3, pa.float32()), (123456.789, pa.float64())])
def test_a_constant_column_becomes_0(backend: Backend, value: float, type_: pa.DataType) -> None:
    made = applied(backend, Power(["x"], dtype="float64"), column([value, value, None], type_))
    assert made["x"] == [0.0, 0.0, None]
    assert made.state.powers == {"x": 1.0}


def test_integers_and_decimals_are_taken(backend: Backend) -> None:
    for values, type_ in (([1, 2, 9], pa.uint64()), ([Decimal("1.00"), Decimal("2.00"), Decimal("9.00")], pa.decimal128(5, 2))):
        made = applied(backend, Power(["x"], dtype="float64"), column(list(values), type_))
        as_float = applied(backend, Power(["x"], dtype="float64"), column([1.0, 2.0, 9.0]))
        assert_same_column(made.table["x"], as_float.table["x"], FLOAT64)


def test_a_column_without_a_value_or_of_text_is_refused(backend: Backend) -> None:
    with pytest.raises(DataError, match="column 'x': has no finite value in the training rows"):
        applied(backend, Power(["x"]), column([None, INF], pa.float64()))
    with pytest.raises(JobErrors, match=r"columns\[0\]: 'x' is string, and a number is needed"):
        applied(backend, Power(["x"]), column(["a"]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e307, 1e307), min_size=1))
def test_any_finite_numbers_give_a_power_and_keep_their_order(values: list[float]) -> None:
    made = applied(ArrowBackend(), Power(["x"], dtype="float64"), column(list(values)))
    assert LOWEST <= made.state.powers["x"] <= HIGHEST
    order = np.argsort(values, kind="stable")
    result = np.array(made["x"])[order]
    assert not np.isnan(result).any()
    assert (np.diff(result) >= -1e-6).all()
