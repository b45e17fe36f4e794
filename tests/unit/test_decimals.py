"""Decimals become the nearest floats, wherever a number is needed."""

from __future__ import annotations

import decimal
import random

import pyarrow as pa
import pytest

from headrace.decimals import nearest_floats
from headrace.ops.bucketize import Bucketize
from headrace.ops.derive import Derive
from headrace.ops.fill_missing import FillMissing
from headrace.ops.groupby import Groupby
from headrace.pipeline import Pipeline

WIDE = decimal.Context(prec=80)


@pytest.mark.parametrize(("precision", "scale"), [(9, 2), (15, 15), (16, 2), (38, 5), (38, 38)])
@pytest.mark.parametrize("wide", [False, True])
def test_every_decimal_is_read_as_python_reads_it(precision: int, scale: int, wide: bool) -> None:
    rng, end = random.Random(precision), 10**precision - 1
    units = [0, 1, -1, end, -end, *(rng.randint(-end, end) for _ in range(2_000))]
    values = [None, *(decimal.Decimal(unit).scaleb(-scale, WIDE) for unit in units)]
    decimals = pa.array(values, pa.decimal256(precision, scale) if wide else pa.decimal128(precision, scale))
    expected = [None if value is None else float(value) for value in values]
    assert nearest_floats(decimals).to_pylist() == expected
    assert nearest_floats(decimals.slice(7)).to_pylist() == expected[7:]
    assert nearest_floats(decimals.slice(0, 0)).to_pylist() == []


def test_a_price_stays_what_it_is_as_a_float() -> None:
    prices = pa.table({"k": [1], "price": pa.array([decimal.Decimal("4966373.81")], pa.decimal128(9, 2))})
    one = Pipeline([Derive({"float": "CAST(price AS DOUBLE)"}), Groupby(["k"], stats={"price": ["max", "mean"], "float": ["sum"]})])
    assert one.fit_transform(prices).table.to_pylist() == [
        {"k": 1, "price_max": 4966373.81, "price_mean": 4966373.81, "float_sum": 4966373.81}
    ]
    filled = Pipeline([FillMissing(["price"], value="mean")]).fit_transform(
        pa.concat_tables([prices, pa.table({"k": [2], "price": [None]}, prices.schema)])
    )
    assert filled.table["price"].to_pylist() == [4966373.81, 4966373.81]
    found = Pipeline([Bucketize(["price"], edges=[4966373.81])]).fit_transform(prices)
    assert found.table["price"].to_pylist() == [1]
