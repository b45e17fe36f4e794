"""Kernel: a built-in kernel of `headrace_kernels` over columns."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest
from tests.applying import applied
from tests.comparing import FLOAT32, assert_same_column

from headrace.errors import JobError, JobErrors
from headrace.ops.categorify import Categorify
from headrace.ops.kernel import Kernel
from headrace.table import Backend

NAN, INF = math.nan, math.inf
KM = Kernel("haversine_km", inputs=["olat", "olon", "dlat", "dlon"], output="km")


def legs(*rows: tuple[float | None, float | None, float | None, float | None], type_: pa.DataType | None = None) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.table([pa.array(list(column), type_ or pa.float64()) for column in columns], names=["olat", "olon", "dlat", "dlon"])


def test_the_distance_is_that_of_a_great_circle(backend: Backend) -> None:
    # A quarter of the way round a sphere of 6371.0088 km, no way, and half the way round.
    made = applied(backend, KM, legs((0, 0, 0, 90), (51.5, -0.1, 51.5, -0.1), (90, 0, -90, 17)))
    quarter = 6371.0088 * math.pi / 2
    assert_same_column(made.table["km"], pa.array([quarter, 0.0, 2 * quarter]), 1e-9)


def test_a_null_in_any_input_gives_null(backend: Backend) -> None:
    made = applied(backend, KM, legs((None, 0, 0, 90), (0, None, 0, 90), (0, 0, None, 90), (0, 0, 0, None), (0, 0, 0, 0)))
    assert made["km"] == [None, None, None, None, 0.0]


def test_nan_and_infinity_give_nan(backend: Backend) -> None:
    made = applied(backend, KM, legs((NAN, 0, 0, 90), (0, INF, 0, 90), (-0.0, 0, 0, 0)))
    assert_same_column(made.table["km"], pa.array([NAN, NAN, 0.0]))


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_empty_short_and_all_null_columns(backend: Backend, n_rows: int) -> None:
    made = applied(backend, KM, legs(*[(None, None, None, None)] * n_rows))
    assert_same_column(made.table["km"], pa.nulls(n_rows, pa.float64()))


def test_float32_stays_float32(backend: Backend) -> None:
    made = applied(backend, KM, legs((0, 0, 0, 90), type_=pa.float32()))
    assert_same_column(made.table["km"], pa.array([10007.557], pa.float32()), 4 * FLOAT32)


def test_integers_and_decimals_are_taken_as_numbers(backend: Backend) -> None:
    whole = applied(backend, KM, legs((0, 0, 0, 90), type_=pa.int16()))
    assert_same_column(whole.table["km"], applied(backend, KM, legs((0, 0, 0, 90))).table["km"], FLOAT32)
    money = pa.table(
        {name: pa.array([Decimal(value)], pa.decimal128(9, 4)) for name, value in zip(KM.inputs, ["0", "0", "0", "90"], strict=True)}
    )
    assert_same_column(applied(backend, KM, money).table["km"], applied(backend, KM, legs((0, 0, 0, 90))).table["km"])


def test_a_slice_of_a_table_is_read_from_its_own_rows(backend: Backend) -> None:
    data = legs(*[(0, 0, 0, degrees) for degrees in range(20)], (None, 0, 0, 0))
    whole = applied(backend, KM, data)
    assert applied(backend, KM, data.slice(3, 18))["km"] == whole["km"][3:]


def test_constants_replace_defaults(backend: Backend) -> None:
    op = Kernel("haversine_km", inputs=list(KM.inputs), output="km", constants={"radius_km": 1.0})
    assert_same_column(applied(backend, op, legs((0, 0, 0, 180))).table["km"], pa.array([math.pi]), 1e-12)


def test_several_outputs_are_named_in_order(backend: Backend) -> None:
    op = Kernel("cyclical", inputs="h", output=["h_sin", "h_cos"], constants={"period": 24})
    made = applied(backend, op, pa.table({"h": [0.0, 6.0, None]}))
    assert_same_column(made.table["h_sin"], pa.array([0.0, 1.0, None], pa.float32()), FLOAT32)
    assert_same_column(made.table["h_cos"], pa.array([1.0, 0.0, None], pa.float32()), FLOAT32)


def test_a_bearing_is_clockwise_from_north(backend: Backend) -> None:
    op = Kernel("bearing", inputs=list(KM.inputs), output="heading")
    made = applied(backend, op, legs((0, 0, 1, 0), (0, 0, 0, 1), (0, 0, -1, 0), (0, 0, 0, -1), (0, 179.5, 0, -179.5), (0, 0, None, 0)))
    assert_same_column(made.table["heading"], pa.array([0.0, 90.0, 180.0, 270.0, 90.0, None]), 1e-12)


def test_a_grid_cell_is_an_id_that_categorify_takes(backend: Backend) -> None:
    data = pa.table({"lat": [-90.0, 40.6, 40.9, 90.0, 91.0, NAN, None], "lon": [-180.0, -73.8, -73.2, 180.0, 0.0, 0.0, 0.0]})
    op = Kernel("grid_cell", inputs=["lat", "lon"], output="cell", constants={"size_deg": 0.5})
    made = applied(backend, op, data)
    assert made["cell"] == [0, 261 * 720 + 212, 261 * 720 + 213, 359 * 720, -1, -1, None]
    assert applied(backend, Categorify(["cell"]), made.table)["cell"] == [3, 4, 5, 6, 2, 2, 0]


def test_int64_extremes_and_instants_are_hashed_without_loss(backend: Backend) -> None:
    op = Kernel("hash64", inputs="x", output="h")
    made = applied(backend, op, pa.table({"x": pa.array([2**63 - 1, -(2**63), 2**63 - 2, None])}))
    assert len(set(made["h"])) == 4
    stamps = pa.table({"x": pa.array([dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC"))})
    assert applied(backend, op, stamps)["h"] == applied(backend, op, pa.table({"x": [1_000_000]}))["h"]


def test_yaml_calls_the_kernel_by_name() -> None:
    op = Kernel.from_settings({"name": "haversine_km", "inputs": ["a", "b", "c", "d"], "output": "km"})
    assert op == Kernel("haversine_km", inputs=["a", "b", "c", "d"], output="km")
    assert op.settings() == {"name": "haversine_km", "inputs": ["a", "b", "c", "d"], "output": "km"}


def test_mistakes_name_key_and_nearest(backend: Backend) -> None:
    data = legs((0, 0, 0, 0))
    with pytest.raises(JobError, match="name: no kernel 'haversin_km'\n  nearest: 'haversine_km'"):
        applied(backend, Kernel("haversin_km", inputs=list(KM.inputs), output="km"), data)
    wrong = Kernel("haversine_km", inputs=["olat", "olon"], output=["km", "miles"], constants={"radius": 1.0})
    with pytest.raises(JobErrors) as caught:
        applied(backend, wrong, data)
    assert [(error.key, error.message) for error in caught.value.errors] == [
        ("inputs", "haversine_km takes 4 inputs (lat1, lon1, lat2, lon2), not 2"),
        ("output", "haversine_km makes 1 columns, not 2"),
        ("constants.radius", "no constant 'radius'"),
    ]
    with pytest.raises(JobErrors, match=r"inputs\[0\]: 'x' is string, and a number is needed"):
        applied(backend, Kernel("hash64", inputs="x", output="h"), pa.table({"x": ["a"]}))
