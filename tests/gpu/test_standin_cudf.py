"""The stand-in for cuDF: its rules of nulls, NaN and types, which are not pandas', and what it refuses."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.gpu.standin.memory import TRANSFERS, little_memory
from tests.gpu.standin.use import standins


@pytest.fixture(autouse=True)
def cudf() -> Iterator[Any]:
    with standins():
        yield importlib.import_module("cudf")


def pylist(series: Any) -> list[Any]:
    return series.to_arrow().to_pylist()


# ---- nulls and NaN ------------------------------------------------------------------------------------------------------


def test_nan_counts_as_missing_but_is_no_null(cudf: Any) -> None:
    series = cudf.Series.from_arrow(pa.array([1.0, None, float("nan")]))
    assert series.null_count == 1
    assert series.isna().values.tolist() == [False, True, True]
    assert series.fillna(0.0).values.tolist() == [1.0, 0.0, 0.0]


def test_a_series_of_an_array_takes_nan_for_null(cudf: Any) -> None:
    values = np.array([1.0, np.nan])
    assert cudf.Series(values).null_count == 1
    assert cudf.Series(values, nan_as_null=False).null_count == 0
    assert cudf.Series.from_arrow(pa.array(values)).null_count == 0


def test_a_comparison_with_null_is_null(cudf: Any) -> None:
    series = cudf.Series.from_arrow(pa.array([1.0, None, float("nan")]))
    assert pylist(series == series) == [True, None, False]
    assert pylist(series != series) == [False, None, True]
    assert pylist(series < 2) == [True, None, False]
    assert pylist(series > None) == [None, None, None]


def test_a_comparison_of_times_with_null_is_false(cudf: Any) -> None:
    series = cudf.Series.from_arrow(pa.array([5, None], pa.timestamp("us")))
    assert pylist(series == series) == [True, False]
    assert pylist(series != series) == [False, True]


def test_and_with_null_is_null(cudf: Any) -> None:
    left, right = cudf.Series([None, None, True]), cudf.Series([False, True, True])
    assert pylist(left & right) == [None, None, True]


def test_integers_with_nulls_stay_integers(cudf: Any) -> None:
    series = cudf.Series([1, None, 3])
    assert series.dtype == np.int64
    assert pylist(series + 1) == [2, None, 4]
    assert series.values.dtype == np.float64
    assert np.isnan(series.values.get()).tolist() == [False, True, False]


def test_truth_values_with_nulls_have_no_array(cudf: Any) -> None:
    with pytest.raises(ValueError, match="Column must have no nulls for dtype=bool"):
        cudf.Series([True, None]).values  # noqa: B018


def test_a_null_in_a_mask_drops_the_row(cudf: Any) -> None:
    assert pylist(cudf.Series([1, 2, 3])[cudf.Series([True, None, False])]) == [1]


def test_filling_never_loses_digits(cudf: Any) -> None:
    series = cudf.Series([1, None])
    assert pylist(series.fillna(2.0)) == [1, 2]
    with pytest.raises(TypeError, match="Cannot safely cast non-equivalent float to int64"):
        series.fillna(2.5)


def test_factorize_gives_codes_by_appearance_and_none_to_nulls_and_nan(cudf: Any) -> None:
    codes, distinct = cudf.Series.from_arrow(pa.array([3.0, None, float("nan"), 1.0, 3.0])).factorize()
    assert codes.dtype == np.int64
    assert codes.tolist() == [0, -1, -1, 1, 0]
    assert distinct.to_arrow().to_pylist() == [3.0, 1.0]
    codes, distinct = cudf.Series(["b", None, "a"]).factorize(use_na_sentinel=False)
    assert codes.tolist() == [0, 1, 2]
    assert distinct.to_arrow().to_pylist() == ["b", None, "a"]


# ---- types --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "quotient"), [("int16", "float32"), ("int32", "float32"), ("uint32", "float64"), ("int64", "float64")])
def test_integers_of_32_bits_and_less_divide_in_float32(cudf: Any, dtype: str, quotient: str) -> None:
    assert (cudf.Series([1, 2], dtype=dtype) / 3).dtype == quotient
    divided = cudf.Series([2**24 + 1], dtype="int32") / cudf.Series([1], dtype="int32")
    assert divided.dtype == np.float64
    assert pylist(divided) == [2.0**24]


def test_a_divisor_of_zero_anywhere_makes_integers_floats(cudf: Any) -> None:
    series = cudf.Series([7, -7])
    assert pylist(series // 2) == [3, -4]
    assert pylist(series % 2) == [1, 1]
    assert pylist(series // cudf.Series([2, 0])) == [3.0, -np.inf]


def test_integers_wrap(cudf: Any) -> None:
    assert pylist(cudf.Series([127], dtype="int8") + cudf.Series([1], dtype="int8")) == [-128]


def test_text_has_pandas_text_type_and_no_array(cudf: Any) -> None:
    series = cudf.Series(["a", None])
    assert str(series.dtype) == "str"
    assert series.to_arrow().type == pa.large_string()
    with pytest.raises(TypeError, match="cupy does not support str"):
        series.values  # noqa: B018


def test_dates_become_instants_in_seconds(cudf: Any) -> None:
    series = cudf.Series.from_arrow(pa.array([0, None, -1], pa.date32()))
    assert series.dtype == "datetime64[s]"
    assert pylist(series.astype("int64")) == [0, None, -86_400]


def test_instants_are_rounded_down_to_coarser_units(cudf: Any) -> None:
    series = cudf.Series.from_arrow(pa.array([-1, 1_500], pa.timestamp("ms")))
    assert pylist(series.astype("datetime64[s]").astype("int64")) == [-1, 1]


@pytest.mark.parametrize("type_", [pa.float16(), pa.decimal256(40, 2)])
def test_types_that_cudf_has_not_are_refused(cudf: Any, type_: pa.DataType) -> None:
    with pytest.raises(NotImplementedError, match="cudf does not support"):
        cudf.Series.from_arrow(pa.nulls(1, type_))
    with pytest.raises(TypeError, match="Unsupported type: binary"):
        cudf.Series.from_arrow(pa.array([b"a"]))


def test_lists_have_lengths_and_leaves(cudf: Any) -> None:
    series = cudf.Series.from_arrow(pa.array([[[1, 2]], None, [], [[None], [3]]]))
    assert pylist(series.list.len()) == [1, None, 0, 2]
    assert series.list.len().dtype == np.int32
    assert pylist(series.list.leaves) == [1, 2, None, 3]
    with pytest.raises(AttributeError, match=r"Can only use the '\.list' accessor"):
        cudf.Series([1]).list  # noqa: B018


@pytest.mark.parametrize("lists", [[], [None]])
def test_lists_without_any_value_come_back_without_a_type(cudf: Any, lists: list[Any]) -> None:
    assert cudf.Series.from_arrow(pa.array(lists, pa.list_(pa.int64()))).to_arrow().type == pa.null()


# ---- device and host ------------------------------------------------------------------------------------------------------


def test_a_series_is_not_gone_through_and_not_copied_unasked(cudf: Any) -> None:
    series = cudf.Series([1, 2])
    with pytest.raises(TypeError, match="Series object is not iterable"):
        list(series)
    with pytest.raises(TypeError, match="Implicit conversion to a host NumPy array"):
        np.asarray(series)
    with pytest.raises(TypeError, match="Implicit conversion to a host PyArrow object"):
        pa.array(series)
    with pytest.raises(ValueError, match="truth value of a Series is ambiguous"):
        bool(series)
    with pytest.raises(TypeError, match=r"via the `tolist\(\)` method"):
        series.to_list()


@pytest.mark.parametrize("mixed", ["series + host", "host + series"])
def test_host_arrays_are_refused_in_arithmetic(cudf: Any, mixed: str) -> None:
    series, host = cudf.Series([1, 2]), np.array([1, 2])
    with pytest.raises(TypeError, match="NotImplemented"):
        series + host if mixed == "series + host" else host + series


def test_values_are_the_series_own_memory(cudf: Any) -> None:
    series = cudf.Series.from_arrow(pa.array([1, 2]))
    TRANSFERS.clear()
    assert series.values.data.ptr == series.__cuda_array_interface__["data"][0]
    assert TRANSFERS.n_to_host == 0
    series.to_arrow()
    assert (TRANSFERS.n_to_host, TRANSFERS.bytes_to_host) == (1, 16)


def test_cupy_takes_no_series_with_nulls(cudf: Any) -> None:
    cupy = importlib.import_module("cupy")
    assert cupy.asarray(cudf.Series([1, 2])).tolist() == [1, 2]
    with pytest.raises(ValueError, match="does not support masked arrays"):
        cupy.asarray(cudf.Series([1, None]))
    assert pylist(cudf.Series(cudf.Series([1, None, 3]))) == [1, None, 3]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda cudf: cudf.read_parquets, AttributeError),
        (lambda cudf: cudf.Series([1]).select, AttributeError),
        (lambda cudf: cudf.Series([1]).str, NotImplementedError),
        (lambda cudf: cudf.crosstab, NotImplementedError),
        (lambda cudf: cudf.Series([1]).fillna(method="ffill"), TypeError),
        (lambda cudf: cudf.Series([1]).factorize(na_sentinel=-1), TypeError),
        (lambda cudf: cudf.Series([1], nulls=True), TypeError),
        (lambda cudf: cudf.read_parquet("x", use_threads=True), TypeError),
        (lambda cudf: cudf.DataFrame({}, schema=None), TypeError),
    ],
)
def test_unknown_names_and_keywords_are_refused(cudf: Any, wrong: Callable[[Any], Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"no attribute|lacks|unexpected keyword argument"):
        wrong(cudf)


# ---- Parquet --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    table = pa.table(
        {
            "x": pa.array([1, None, 3, 4], pa.int16()),
            "t": pa.array([0, 1, None, 3], pa.timestamp("us", "Europe/Paris")),
            "s": pa.array(["a", "b", None, "a"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=2)
    return tmp_path / "rows.parquet"


def test_row_groups_and_columns_are_chosen(cudf: Any, file: Path) -> None:
    frame = cudf.read_parquet(file, columns=["s", "x"], row_groups=[[1]], use_pandas_metadata=False)
    assert len(frame) == 2
    assert list(frame.columns) == ["s", "x"]
    assert pylist(frame["x"]) == [3, 4]
    assert frame["x"].dtype == np.int16
    with pytest.raises(IndexError, match="rowgroup index 2"):
        cudf.read_parquet(file, row_groups=[[2]], use_pandas_metadata=False)


def test_zones_and_dictionaries_are_lost_in_reading(cudf: Any, file: Path) -> None:
    frame = cudf.read_parquet(file, use_pandas_metadata=False)
    assert frame["t"].dtype == "datetime64[us]"
    assert pylist(frame["t"].astype("int64")) == [0, 1, None, 3]
    assert str(frame["s"].dtype) == "str"


def test_a_missing_column_is_left_out_unless_refused(cudf: Any, file: Path) -> None:
    assert list(cudf.read_parquet(file, columns=["x", "y"], use_pandas_metadata=False).columns) == ["x"]
    with pytest.raises(RuntimeError, match="unselected column: y"):
        cudf.read_parquet(file, columns=["x", "y"], use_pandas_metadata=False, ignore_missing_columns=False)


def test_reading_takes_device_memory_and_no_transfer_is_counted(cudf: Any, file: Path) -> None:
    cudf.read_parquet(file, use_pandas_metadata=False)
    assert TRANSFERS.n_to_host == TRANSFERS.n_to_device == 0
    with little_memory(nth=1), pytest.raises(MemoryError, match="out_of_memory"):
        cudf.read_parquet(file, use_pandas_metadata=False)
