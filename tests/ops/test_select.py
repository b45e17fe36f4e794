"""Select, Drop and Rename: which columns go on, and by which name."""

from __future__ import annotations

import pyarrow as pa
import pytest
from tests.applying import applied, as_training
from tests.comparing import assert_same_table

from headrace.errors import JobError, JobErrors
from headrace.ops.base import Op
from headrace.ops.select import Drop, Rename, Select
from headrace.pipeline import Pipeline
from headrace.table import ROW, TRAINING, Backend

DATA = pa.table({"a": [1, None], "b": pa.array(["x", None]).dictionary_encode(), "c": [0.5, -0.0]})


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (Select(["c", "a"]), ["c", "a"]),
        (Select("b"), ["b"]),
        (Drop(["a"]), ["b", "c"]),
        (Drop("c"), ["a", "b"]),
    ],
)
@pytest.mark.parametrize("n_rows", [2, 1, 0])
def test_columns_stay_as_they_are_and_in_the_order_asked(backend: Backend, op: Op, expected: list[str], n_rows: int) -> None:
    assert_same_table(applied(backend, op, DATA.slice(0, n_rows)).table, DATA.slice(0, n_rows).select(expected))


def test_renamed_columns_keep_their_places(backend: Backend) -> None:
    made = applied(backend, Rename({"a": "b", "b": "a"}), DATA)
    assert_same_table(made.table, DATA.rename_columns(["b", "a", "c"]))


@pytest.mark.parametrize("op", [Select(["a"]), Drop(["a"]), Rename({"a": "z"})])
def test_what_travels_with_the_rows_stays(backend: Backend, op: Op) -> None:
    assert {ROW, TRAINING} <= set(op.apply(as_training(backend, DATA)).columns)


@pytest.mark.parametrize("op", [Select(["aa"]), Drop(["aa"]), Rename({"aa": "z"})])
def test_a_column_that_is_not_there_is_refused(backend: Backend, op: Op) -> None:
    with pytest.raises(JobErrors, match=r"columns\[0\]: no column 'aa'\n  nearest: 'a'"):
        applied(backend, op, DATA)


def test_two_columns_of_one_name_are_refused(backend: Backend) -> None:
    with pytest.raises(JobError, match="two columns would be called 'c'"):
        applied(backend, Rename({"a": "c"}), DATA)


def test_nothing_selected_is_refused() -> None:
    with pytest.raises(JobErrors, match="columns: "):
        Select([])


def test_a_column_selected_twice_is_refused_or_there_once(backend: Backend) -> None:
    assert applied(backend, Select(["a", "a"]), DATA).table.column_names == ["a"]


def test_a_renamed_column_goes_on_under_its_new_name_only() -> None:
    pipeline = Pipeline.from_yaml("- rename: {a: number}\n- drop: [b]\n- derive: {twice: number * 2}\n")
    fitted = pipeline.fit(DATA)
    assert fitted.transform(DATA).to_pydict() == {"number": [1, None], "c": [0.5, -0.0], "twice": [2, None]}
    assert fitted.lineage["twice"].values == ("a",)
