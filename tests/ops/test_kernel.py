"""Kernel: a kernel of `headrace_kernels`, or a user's own, over columns."""

from __future__ import annotations

import datetime as dt
import math
import pickle
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from tests.applying import applied
from tests.comparing import FLOAT32, assert_same_column

import headrace as hr
from headrace.errors import BundleError, DataError, JobError, JobErrors
from headrace.ops.categorify import Categorify
from headrace.ops.kernel import Kernel
from headrace.pipeline import Pipeline
from headrace.table import Backend
from headrace_kernels.kernel import kernel

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


@kernel(output="same")
def change(old, new, scale=1.0):
    return (new - old) / old * scale


@kernel(outputs={"half": "float32", "root": "float64"})
def parts(x):
    return x / 2, math.sqrt(x)


@kernel(output="float64")
def wrong(x):
    return x.upper()


def unmarked(x):
    return x


PRICES = pa.table({"old": [2.0, 4.0, None], "new": [3.0, 4.0, 5.0]})
CHANGE = Kernel(change, inputs=["old", "new"], output="change", constants={"scale": 100})


def test_a_users_kernel_makes_columns(backend: Backend) -> None:
    assert applied(backend, CHANGE, PRICES)["change"] == [50.0, 0.0, None]
    made = applied(backend, Kernel(parts, inputs=["old"], output=["half", "root"]), PRICES)
    assert_same_column(made.table["half"], pa.array([1, 2, None], pa.float32()))
    assert_same_column(made.table["root"], pa.array([math.sqrt(2), 2.0, None]))


def test_a_users_kernel_goes_to_processes_and_files_by_its_name(tmp_path: Path) -> None:
    assert pickle.loads(pickle.dumps(CHANGE)) == CHANGE
    pipeline = Pipeline([CHANGE])
    assert "name: tests.ops.test_kernel:change" in pipeline.to_yaml()
    assert Pipeline.from_yaml(pipeline.to_yaml()) == pipeline
    pipeline.fit(PRICES).save(tmp_path / "fitted")
    with pytest.raises(BundleError, match=r"needs tests.ops.test_kernel:change.*\n  pass it: headrace.load\(path, ops=\[change\]\)"):
        hr.load(str(tmp_path / "fitted"))
    loaded = hr.load(str(tmp_path / "fitted"), ops=[change])
    assert loaded.transform(PRICES)["change"].to_pylist() == [50.0, 0.0, None]


def test_a_kernel_that_others_cannot_find_is_refused() -> None:
    with pytest.raises(JobError, match="kernel: it must be defined at the top of a module"):
        Kernel(kernel(output="same")(lambda x: x), inputs=["old"], output="y")
    with pytest.raises(JobError, match="what @kernel made of a function, not <function unmarked"):
        Kernel(unmarked, inputs=["old"], output="y")
    with pytest.raises(JobError, match=r"pipeline\[0\].kernel.name: .*no name 'chnge'\n  nearest: 'change'"):
        Pipeline.from_yaml("- kernel: {name: 'tests.ops.test_kernel:chnge', inputs: [old, new], output: y}")


def test_a_users_kernel_that_does_not_compile_is_told_by_name_and_line() -> None:
    with pytest.raises(
        DataError, match="test_kernel:wrong failed: TypeError: kernel 'wrong' cannot be compiled for float64: Unknown attribute 'upper'"
    ) as caught:
        Pipeline([Kernel(wrong, inputs=["old"], output="y")]).fit_transform(PRICES)
    assert "x.upper()" in str(caught.value)
    assert "nopython" not in str(caught.value)
