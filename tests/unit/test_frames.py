"""Frames: tables of other libraries in, the same kind out."""

from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest

from headrace.errors import DataError, JobError
from headrace.frames import is_path, to_arrow
from headrace.ops.filter import Filter
from headrace.ops.select import Rename
from headrace.pipeline import Pipeline

ROWS = {"c": ["a", None, "b"], "n": [1, 2, 3], "t": [dt.datetime(2013, 1, 1, tzinfo=dt.UTC)] * 3}


@pytest.mark.parametrize("frame", [pa.table(ROWS), pd.DataFrame(ROWS), pl.DataFrame(ROWS), pd.DataFrame(ROWS).astype({"c": "category"})])
def test_the_same_kind_comes_back(frame: object) -> None:
    table, back = to_arrow(frame)
    assert isinstance(table, pa.Table)
    assert table.column_names == ["c", "n", "t"]
    assert table["c"].to_pylist() == ROWS["c"]
    assert type(back(table)) is type(frame)


@pytest.mark.parametrize("frame", [pd.DataFrame(ROWS, index=[7, 8, 9]), pl.DataFrame(ROWS), pa.table(ROWS)])
def test_a_pipeline_gives_back_what_it_was_given(frame: object) -> None:
    fitted = Pipeline.from_yaml("- categorify: [c]\n- derive: {twice: n * 2}\n- select: [c, twice]").fit(frame)
    made = fitted.transform(frame)
    assert type(made) is type(frame)
    codes = made["c"].to_pylist() if isinstance(frame, pa.Table) else list(made["c"])
    assert codes == [2, 0, 3]
    assert [int(value) for value in (made["twice"].to_pylist() if isinstance(frame, pa.Table) else made["twice"])] == [2, 4, 6]


@pytest.mark.parametrize("frame", [pl.DataFrame(ROWS).lazy(), [1, 2], {"a": [1]}, 5, None])
def test_what_is_no_table_in_memory_is_refused(frame: object) -> None:
    with pytest.raises(JobError, match="is no table in memory\n  give a path, or a pyarrow, pandas or polars table"):
        to_arrow(frame)


@pytest.mark.parametrize(
    ("frame", "way"),
    [
        (pa.record_batch(ROWS), r"pyarrow\.Table\.from_batches"),
        (pa.table(ROWS).to_reader(), r"reader\.read_all\(\)"),
        (pyarrow.dataset.dataset(pa.table(ROWS)), r"dataset\.to_table\(\)"),
    ],
)
def test_other_things_of_arrow_are_refused_with_the_way_to_a_table(frame: object, way: str) -> None:
    with pytest.raises(JobError, match=way):
        to_arrow(frame)


def test_paths_are_told_from_tables() -> None:
    assert is_path("a/*.parquet")
    assert is_path(Path("a"))
    assert is_path(["a", Path("b")])
    assert not is_path(["a", 1])
    assert not is_path(pa.table(ROWS))


@pytest.mark.parametrize(
    ("frame", "wants"),
    [
        (pa.table([[1], [2]], names=["x", "x"]), "column 'x': stands twice"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "are not unique"),
        (pa.table([[1], [2]], names=["x", "\0row"]), "begins with a NUL"),
        (pd.DataFrame({"x": [1, "a"]}), "has values of several types, or of one .*\n.*column x.*\n  leave the column out"),
        (pd.DataFrame({"x": [1j]}), "of one that Arrow does not have: .*\n.*column x"),
    ],
    ids=["arrow twice", "pandas twice", "reserved", "mixed", "complex"],
)
def test_a_table_that_no_file_could_be_is_refused(frame: object, wants: str) -> None:
    with pytest.raises(DataError, match=wants):
        to_arrow(frame)


def test_the_index_of_pandas_is_no_column() -> None:
    frame = {"n": np.array([3, 1, 2])}
    learnt = pd.DataFrame(frame)
    fitted = Pipeline([Filter("n > 1")]).fit(learnt[learnt["n"] > 1])
    assert fitted.schema.names == ("n",)
    for index in (None, [7, 8, 9], pd.Index(["a", "b", "c"], name="n")):
        assert fitted.transform(pd.DataFrame(frame, index)).to_dict("list") == {"n": [3, 2]}


def test_names_in_pandas_may_be_anything() -> None:
    frame = pd.DataFrame({"n": [1, 2], 5: [3, 4], ("a", 1): [5, 6], "5": [7, 8]})
    assert to_arrow(frame.drop(columns="5"))[0].column_names == ["n", "5", "('a', 1)"]
    assert to_arrow(frame.drop(columns="5"), ["n", "5"])[0].to_pydict() == {"n": [1, 2], "5": [3, 4], "('a', 1)": [None, None]}
    for wanted in (None, ["n"], ["5"]):
        with pytest.raises(DataError, match="column '5': stands twice"):
            to_arrow(frame, wanted)


def test_columns_that_no_step_reads_may_hold_anything() -> None:
    rows = pd.DataFrame({"c": ["a", "b"], "y": [0.0, 1.0], "junk": [1, "a"]})
    fitted = Pipeline.from_yaml("- target_encoding: {columns: [c], target: y}\n- select: [c_te]").fit(rows.drop(columns="junk"))
    assert list(fitted.transform(rows).columns) == ["c_te"]
    twice = fitted.pipeline.fit(pd.concat([rows, rows]).drop(columns="junk"))
    assert fitted.update(rows).transform(rows)["c_te"].tolist() == twice.transform(rows)["c_te"].tolist()
    with pytest.raises(DataError, match="no column 'c'\n  Columns: junk, y"):
        fitted.transform(rows[["y", "junk"]])


def test_a_column_without_a_name_is_a_column() -> None:
    rows = pa.table([[1.0, 2.0, 3.0], [2, 3, 4]], names=["x", ""])
    made = Pipeline([Filter("x > 1"), Rename({"x": "y"})]).fit_transform(rows).table
    assert made.to_pydict() == {"y": [2.0, 3.0], "": [3, 4]}


STEPS = "- fill_missing: {columns: [x], value: 0}\n- normalize: [x]\n- categorify: [c]\n- derive: {late: y > 1}"
MANY = pd.DataFrame({"x": [1.0, None, 3.0, 4.0, 5.0] * 9, "c": ["a", "b", None, "c", "a"] * 9, "y": range(45)})


@pytest.mark.parametrize("n_partitions", [1, 7])
def test_a_table_of_dask_is_transformed_when_it_is_computed(n_partitions: int) -> None:
    fitted = Pipeline.from_yaml(STEPS).fit(MANY)
    frame = dd.from_pandas(MANY, npartitions=n_partitions)
    made = fitted.transform(frame)
    assert isinstance(made, dd.DataFrame)
    assert made.npartitions == n_partitions
    computed = made.compute()
    pd.testing.assert_frame_equal(computed.reset_index(drop=True), fitted.transform(MANY))
    assert computed.dtypes.to_dict() == made.dtypes.to_dict()
    pd.testing.assert_frame_equal(fitted.transform(frame).compute(), computed)  # what was looked up before does not matter
    elsewhere = pickle.loads(pickle.dumps(fitted))  # as it goes to workers
    pd.testing.assert_frame_equal(elsewhere.transform(frame).compute(), computed)


def test_a_table_of_dask_may_have_partitions_without_rows_and_no_label() -> None:
    fitted = Pipeline.from_yaml(STEPS).fit(MANY)
    frame = dd.from_pandas(MANY, npartitions=5)
    few = fitted.transform(frame[frame["y"] > 40]).compute()
    pd.testing.assert_frame_equal(few.reset_index(drop=True), fitted.transform(MANY[MANY["y"] > 40]))
    with pytest.raises(DataError, match="'x'"):
        fitted.transform(frame[["c", "y"]])


@pytest.mark.parametrize("step", ["- sample: 0.5", "- dedupe: [c]", "- difference_lag: {columns: [x], by: [c], order: y}"])
def test_what_needs_rows_of_other_partitions_is_refused_for_a_table_of_dask(step: str) -> None:
    fitted = Pipeline.from_yaml(step).fit(MANY)
    with pytest.raises(JobError, match=r"needs more than the rows of one partition.*\n.*to_parquet"):
        fitted.transform(dd.from_pandas(MANY, npartitions=2))


def test_a_table_of_dask_is_not_written_or_learnt_from(tmp_path: Path) -> None:
    frame = dd.from_pandas(MANY, npartitions=2)
    fitted = Pipeline.from_yaml("- sample: {fraction: 0.5, key: [y]}").fit(MANY)
    assert len(fitted.transform(frame)) == len(fitted.transform(MANY))
    with pytest.raises(JobError, match="leave `output` out"):
        fitted.transform(frame, tmp_path / "out")
    with pytest.raises(JobError, match="write it with `to_parquet`"):
        Pipeline.from_yaml(STEPS).fit(frame)


def test_a_sparse_column_is_refused_by_name() -> None:
    frame = pd.DataFrame({"x": pd.arrays.SparseArray([1.0, 2.0])})
    with pytest.raises(DataError, match="column x"):
        to_arrow(frame)
