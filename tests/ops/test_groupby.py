"""Groupby: one row of each key."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ops.ordered import scanned

from headrace.errors import JobError, JobErrors
from headrace.ops.derive import Derive
from headrace.ops.groupby import Groupby
from headrace.ops.join_groupby import JoinGroupby
from headrace.ops.normalize import Normalize
from headrace.pipeline import Pipeline
from headrace.schema import INT64, Schema

NAN, INF = math.nan, math.inf
ALL = ["count", "sum", "mean", "std", "min", "max"]


def test_groups_come_by_their_first_rows_with_every_statistic() -> None:
    data = pa.table({"k": ["b", "a", "b"], "x": pa.array([1, 10, 4], pa.int16()), "other": [1, 2, 3]})
    made = scanned(Groupby(["k"], {"x": ALL}), data)
    assert made.table.column_names == ["k", *(f"x_{stat}" for stat in ALL)]
    assert made["k"] == ["b", "a"]
    assert [made[f"x_{stat}"] for stat in ALL] == [[2, 1], [5.0, 10.0], [2.5, 10.0], [math.sqrt(4.5), None], [1, 10], [4, 10]]
    assert made.table.schema.field("x_min").type == pa.int16()


def test_the_steps_after_see_the_groups() -> None:
    data = pa.table({"k": ["a", "b", "a"], "x": [1.0, 3.0, 3.0]})
    pipeline = Pipeline([Groupby(["k"], {"x": "sum"}), Derive({"half": "x_sum / 2"}), Normalize("half", dtype="float64")])
    fitted = pipeline.fit(data)
    assert fitted.transform(data)["half"].to_pylist() == [1.0, -1.0]
    # New rows are summed up by themselves, and scaled as was learnt: (1 - 1.75) / 0.25
    assert fitted.transform(pa.table({"k": ["b", "b"], "x": [1.5, 0.5]})).to_pylist() == [{"k": "b", "x_sum": 2.0, "half": -3.0}]


def test_null_and_nan_keys_are_keys_and_missing_values_take_no_part() -> None:
    data = pa.table({"k": [None, NAN, 0.0, None, NAN, -0.0], "x": [1.0, None, NAN, INF, 2.0, 3.0]})
    made = scanned(Groupby(["k"], {"x": ["count", "max"]}), data)
    assert str(made["k"]) == "[None, nan, 0.0]"
    assert (made["x_count"], made["x_max"]) == ([1, 1, 1], [1.0, 2.0, 3.0])


def test_integers_at_their_ends_an_empty_table_and_keys_that_are_summed_up() -> None:
    ends = pa.table({"k": [1, 1], "x": [2**63 - 1, 2**63 - 1]})
    assert scanned(Groupby("k", {"x": ["sum", "max"], "k": "sum"}), ends).table.to_pylist() == [
        {"k": 1, "x_sum": 2.0**64, "x_max": 2**63 - 1, "k_sum": 2.0}
    ]
    assert scanned(Groupby("k", {"x": "sum"}), ends.slice(0, 0)).table.num_rows == 0


def test_settings_are_checked() -> None:
    with pytest.raises(JobErrors, match="stats"):
        Groupby(["k"], {})
    with pytest.raises(JobErrors, match="no column 'y'"):
        Groupby(["x"], {"y": "sum"}).declare(Schema({"x": INT64}), {})


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(st.sampled_from(["a", "é", None]), st.booleans(), st.integers(-100, 100)), max_size=40))
def test_it_equals_what_join_groupby_brings_to_first_rows(rows: list[Any]) -> None:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    data = pa.table({"k": pa.array(columns[0], pa.string()), "f": pa.array(columns[1], pa.bool_()), "x": pa.array(columns[2], pa.int64())})
    made = scanned(Groupby(["k", "f"], {"x": ALL}), data).table
    joined = Pipeline([JoinGroupby(["k", "f"], {"x": ALL})]).fit_transform(data).table if rows else None
    firsts = list(dict.fromkeys((k, f) for k, f, _ in rows))
    places = [next(i for i, (k, f, _) in enumerate(rows) if (k, f) == key) for key in firsts]
    expected = [] if joined is None else joined.take(pa.array(np.array(places, np.int64))).drop_columns(["x"]).to_pylist()
    assert [list(row.values()) for row in made.to_pylist()] == [list(row.values()) for row in expected]


def test_a_statistic_called_as_a_key_is_refused() -> None:
    rows = pa.table({"x_sum": [1, 2], "x": [3.0, 4.0]})
    with pytest.raises(JobError, match=r"two columns would be called 'x_sum', that of x_sum and of x\n  rename one of them"):
        Pipeline([Groupby(["x_sum"], {"x": ["sum"]})]).fit(rows)
