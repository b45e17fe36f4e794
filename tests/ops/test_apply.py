"""Apply: a user's function of a narwhals frame, found by its name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pytest
from tests.applying import applied
from tests.comparing import assert_same_column, assert_same_table

import headrace as hr
from headrace.errors import BundleError, DataError, JobError, JobErrors
from headrace.ops.apply import Apply
from headrace.pipeline import Pipeline
from headrace.table import Backend

ROWS = pa.table({"km": [1.0, None, 2.5], "city": pa.array(["Oslo", None, "東京"]).dictionary_encode()})


def in_miles(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return frame.select((nw.col("km") / 2).alias("miles"))


def in_pandas(frame: nw.DataFrame[Any]) -> Any:
    return frame.to_pandas().assign(size=lambda rows: rows["city"].str.len())


def in_polars(frame: nw.DataFrame[Any]) -> Any:
    return frame.to_polars().rename({"km": "kilometres"})


def fewer_rows(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return frame.head(1)


def no_frame(frame: nw.DataFrame[Any]) -> None:
    """Forget to return something."""


def failing(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    raise ValueError("no such thing")


def halves(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return frame.select((nw.col("km") + 0.5).alias("half"))


def test_the_function_makes_columns(backend: Backend) -> None:
    made = applied(backend, Apply(in_miles, columns=["km"], outputs={"miles": "float32"}), ROWS)
    assert_same_column(made.table["miles"], pa.array([0.5, None, 1.25], pa.float32()))
    assert made.table.column_names == ["km", "city", "miles"]


def test_it_may_return_a_frame_of_pandas_or_polars(backend: Backend) -> None:
    made = applied(backend, Apply(in_pandas, columns=["city"], outputs={"size": "int8"}), ROWS.take([0, 2]))
    assert made["size"] == [4, 2]
    made = applied(backend, Apply(in_polars, columns=["km"], outputs={"kilometres": "float64"}), ROWS)
    assert made["kilometres"] == [1.0, None, 2.5]


def test_empty_rows_are_given_too(backend: Backend) -> None:
    assert applied(backend, Apply(in_miles, columns=["km"], outputs={"miles": "float64"}), ROWS.slice(0, 0))["miles"] == []


@pytest.mark.parametrize(
    ("function", "outputs", "message"),
    [
        (fewer_rows, {"km": "float64"}, "returned 1 rows for 3"),
        (failing, {"km": "float64"}, "failing failed: ValueError: no such thing"),
        (in_miles, {"mile": "float64"}, "returned no column 'mile', only miles"),
        (no_frame, {"km": "float64"}, "no_frame: it returned a builtins.NoneType, which is no frame\n  return a frame, as"),
        (halves, {"half": "int64"}, "column 'half': of .*halves cannot be cast from double to int64"),
    ],
)
def test_what_a_function_does_wrong_is_told(backend: Backend, function: Callable[..., Any], outputs: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        applied(backend, Apply(function, columns=["km"], outputs=outputs), ROWS)


def test_a_function_without_a_name_is_refused() -> None:
    for function in (lambda frame: frame, in_miles.__get__(1)):
        with pytest.raises(JobError, match="function: it must be defined at the top of a module"):
            Apply(function, columns=["km"], outputs={"km": "float64"})


def test_settings_are_checked(backend: Backend) -> None:
    with pytest.raises(JobErrors, match=r"outputs.miles: no type 'flot32'\n  nearest: 'float"):
        applied(backend, Apply(in_miles, columns=["km"], outputs={"miles": "flot32"}), ROWS)
    with pytest.raises(JobError, match="function: input should be callable"):
        Apply("in_miles", columns=["km"], outputs={"miles": "float32"})  # type: ignore[arg-type]


@pytest.fixture
def my_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A user's module on the path."""
    (tmp_path / "my_functions.py").write_text("def same(frame):\n    return frame\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("my_functions", None)


YAML = "- apply: {function: 'my_functions:same', columns: [km], outputs: {km: float64}}"


def test_a_job_imports_the_function_by_its_name(my_module: None) -> None:
    pipeline = Pipeline.from_yaml(YAML)
    assert Pipeline.from_yaml(pipeline.to_yaml()) == pipeline
    assert_same_table(pipeline.fit(ROWS).transform(ROWS), ROWS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_functions:sam", r"pipeline\[0\].apply.function: my_functions: no name 'sam'\n  nearest: 'same'"),
        ("my_function:same", "function: 'my_function:same' cannot be imported: No module named 'my_function'\n  it must be installed"),
        ("my_functions.same", "is not of the form my_package.my_module:name"),
        ("my_functions:__name__", "function: input should be callable"),
    ],
)
def test_a_wrong_name_in_a_job_is_told(my_module: None, name: str, message: str) -> None:
    with pytest.raises(JobError, match=message):
        Pipeline.from_yaml(YAML.replace("my_functions:same", name))


def test_a_saved_function_is_not_imported_but_passed(tmp_path: Path) -> None:
    fitted = Pipeline([Apply(in_miles, columns=["km"], outputs={"miles": "float64"})]).fit(ROWS)
    fitted.save(tmp_path / "fitted")
    with pytest.raises(BundleError, match=r"needs .*test_apply:in_miles.*\n  pass it: headrace.load\(path, ops=\[in_miles\]\)"):
        hr.load(str(tmp_path / "fitted"))
    loaded = hr.load(str(tmp_path / "fitted"), ops=[in_miles])
    assert_same_table(loaded.transform(ROWS), fitted.transform(ROWS))
