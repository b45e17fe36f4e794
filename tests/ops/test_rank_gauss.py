"""RankGauss: the normal quantile of each value's rank."""

from __future__ import annotations

import math
from decimal import Decimal
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import FLOAT64, assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import DataError, JobErrors
from headrace.ops.rank_gauss import RankGauss
from headrace.table import Backend

NAN, INF = math.nan, math.inf
QUANTILE = NormalDist().inv_cdf


def column(values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def test_ranks_become_normal_quantiles_and_ties_share_one(backend: Backend) -> None:
    made = applied(backend, RankGauss(["x"], dtype="float64"), column([10.0, 10.0, 500.0, -3.0]))
    # shares: -3 is (0 + 1/2)/4, the tens (1 + 2/2)/4, 500 (3 + 1/2)/4
    assert_same_column(made.table["x"], pa.array([0.0, 0.0, QUANTILE(0.875), QUANTILE(0.125)]), FLOAT64)


def test_unseen_values_lie_between_or_get_the_last_result(backend: Backend) -> None:
    made = applied(backend, RankGauss(["x"], dtype="float64"), column([0.5, 9.0, -9.0, INF, -INF]), learnt_from=column([0.0, 1.0]))
    top = QUANTILE(0.75)
    assert_same_column(made.table["x"], pa.array([0.0, top, -top, top, -top]), FLOAT64)


def test_missing_values_stay_and_take_no_part(backend: Backend) -> None:
    made = applied(backend, RankGauss(["x"]), column([None, NAN, INF, 1.0]))
    assert_same_column(made.table["x"], pa.array([None, NAN, 0.0, 0.0], pa.float32()))


def test_the_tails_are_clipped(backend: Backend) -> None:
    made = applied(backend, RankGauss(["x"], clip=1.5), column(list(range(1000))))
    assert min(made["x"]) == -1.5
    assert max(made["x"]) == 1.5


def test_a_thousand_points_are_near_the_exact_ranks(backend: Backend) -> None:
    values = np.random.default_rng(0).lognormal(0, 2, 50_000)
    result = np.array(applied(backend, RankGauss(["x"], dtype="float64"), column(list(values)))["x"])
    shares = (values.argsort().argsort() + 0.5) / len(values)
    exact = np.array([QUANTILE(float(share)) for share in shares])
    inner = np.abs(exact) < 3
    assert np.abs(result - exact)[inner].max() < 0.02
    assert abs(result.std() - 1) < 0.01


def test_every_kind_of_number(backend: Backend) -> None:
    top = QUANTILE(0.75)
    for values, type_ in (
        ([-(2**63), 2**63 - 1], pa.int64()),
        ([0, 2**64 - 1], pa.uint64()),
        ([Decimal("1.5"), Decimal("2.5")], pa.decimal128(3, 1)),
        ([-1.7e308, 1.7e308], pa.float64()),
    ):
        assert_same_column(
            applied(backend, RankGauss(["x"], dtype="float64"), column(list(values), type_)).table["x"], pa.array([-top, top])
        )


def test_a_constant_column_becomes_0_and_an_empty_one_stays_empty(backend: Backend) -> None:
    assert applied(backend, RankGauss(["x"]), column([3, 3]))["x"] == [0.0, 0.0]
    assert applied(backend, RankGauss(["x"]), column([], pa.int8()), learnt_from=column([3], pa.int8()))["x"] == []


def test_a_column_without_a_value_or_of_text_is_refused(backend: Backend) -> None:
    with pytest.raises(DataError, match="column 'x': has no finite value in the training rows"):
        applied(backend, RankGauss(["x"]), column([None, INF], pa.float64()))
    with pytest.raises(JobErrors, match=r"columns\[0\]: 'x' is string, and a number is needed"):
        applied(backend, RankGauss(["x"]), column(["a"]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200))
def test_it_is_the_formula(values: list[float]) -> None:
    made = applied(ArrowBackend(), RankGauss(["x"], dtype="float64"), column(list(values)))
    shares = [(sum(other < x for other in values) + sum(other == x for other in values) / 2) / len(values) for x in values]
    np.testing.assert_allclose(made["x"], [QUANTILE(share) for share in shares], rtol=1e-9, atol=1e-12)
