"""An error about values names the file, the row group and the step, wherever in a batch they are."""

from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr
from headrace.errors import DataError


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Three files of two row groups of 50 rows, which one batch holds; the numbers count on."""
    for index in range(3):
        rows = pa.table({"n": pa.array(range(100 * index, 100 * index + 100)), "x": [float(index)] * 100})
        pq.write_table(rows, tmp_path / f"part-{index}.parquet", row_group_size=50)
    return tmp_path


def two_hundred(frame: Any) -> Any:
    """Fail on one row."""
    if 200 in frame["n"].to_list():
        raise ValueError("two hundred")
    return frame.select(nw.col("n").alias("m"))


@pytest.mark.parametrize(
    ("op", "file", "row_group", "told"),
    [
        (hr.Cast({"n": "int8"}), 1, 0, "column 'n': pipeline[1].cast: cannot cast 128 to int8"),
        (hr.Derive({"m": "CAST(n * 10 AS UTINYINT)"}), 0, 0, "pipeline[1].derive: cannot cast 300 to uint8"),
        (hr.Derive({"m": "CAST(n - 20 AS UTINYINT)"}), 0, 0, "pipeline[1].derive: cannot cast -20 to uint8"),
        (hr.Derive({"m": "CAST(if(n = 270, 'x', '1') AS INT)"}), 2, 1, "pipeline[1].derive: cannot cast 'x' to int32"),
        (hr.Apply(two_hundred, columns=["n"], outputs={"m": "int64"}), 2, 0, "pipeline[1].apply: "),
    ],
)
def test_a_value_that_a_step_refuses_is_found(files: Path, op: Any, file: int, row_group: int, told: str) -> None:
    with pytest.raises(DataError) as caught:
        hr.Pipeline([hr.Filter("n % 10 = 0 OR n = 128"), op]).fit_transform(files)
    assert (caught.value.file, caught.value.row_group) == (str(files / f"part-{file}.parquet"), row_group)
    assert told in str(caught.value)


def test_a_value_that_a_fitted_pipeline_does_not_take_is_found(files: Path) -> None:
    fitted = hr.Pipeline([hr.Normalize(["x"])]).fit(files)
    pq.write_table(pa.table({"n": [1, 2], "x": [1, 2**60]}), files / "part-3.parquet", row_group_size=1)
    with pytest.raises(DataError, match=r"part-3\.parquet, row group 1, column 'x': cannot be cast from int64 to double"):
        fitted.transform(files / "part-3.parquet")
    pq.write_table(pa.table({"n": [1, 2], "x": ["a", "b"]}), files / "part-3.parquet")
    with pytest.raises(DataError, match=r"part-3\.parquet, row group 0, column 'x': is string, and the pipeline was fitted on double"):
        fitted.transform(files / "part-3.parquet")
    pq.write_table(pa.table({"n": [1, 2]}), files / "part-3.parquet")
    for act in (fitted.transform, fitted.update):
        with pytest.raises(DataError, match=r"part-3\.parquet: no column 'x'"):
            act(files / "part-3.parquet")


def test_what_cannot_be_learnt_names_its_step(files: Path) -> None:
    with pytest.raises(DataError, match=r"column 'y': pipeline\[1\].normalize: has no finite value in the training rows"):
        hr.Pipeline([hr.Derive({"y": "NULL::DOUBLE"}), hr.Normalize(["y"])]).fit(files)
