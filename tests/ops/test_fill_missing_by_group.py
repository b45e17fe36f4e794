"""FillMissing with `by`: each group's own statistic, and the whole column's where a group has none."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import DataError, JobError
from headrace.ops.fill_missing import FillMissing
from headrace.pipeline import FittedPipeline, Pipeline
from headrace.schema import Schema
from headrace.table import Backend

NAN = math.nan


def grouped(groups: list[object], values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"g": groups, "x": pa.array(values, type_)})


def test_mean_of_the_group_else_of_the_column(backend: Backend) -> None:
    data = grouped(["a", "a", "b", "b", None, None, "c"], [1.0, None, 3.0, NAN, 8.0, None, None])
    made = applied(backend, FillMissing(["x"], value="mean", by="g"), data)
    assert_same_column(made.table["x"], pa.array([1.0, 1.0, 3.0, 3.0, 8.0, 8.0, 4.0]))
    assert made.counts == {("nulls_filled", "x"): 4}


def test_an_unseen_group_gets_the_columns_statistic(backend: Backend) -> None:
    learnt_from = grouped(["a", "a", "b"], [1, 2, 9])
    made = applied(
        backend, FillMissing(["x"], value="median", by="g"), grouped(["z", "a"], [None, None], pa.int64()), learnt_from=learnt_from
    )
    assert_same_column(made.table["x"], pa.array([2, 1]))


def test_several_columns_name_a_group(backend: Backend) -> None:
    data = pa.table({"g": ["a", "a", "a", "a"], "h": [1, 1, 2, None], "x": pa.array([5.0, None, None, 7.0])})
    assert applied(backend, FillMissing(["x"], value="mean", by=["g", "h"]), data)["x"] == [5.0, 5.0, 6.0, 7.0]


def test_mode_of_texts_truth_values_and_decimals(backend: Backend) -> None:
    text = pa.table({"g": [1, 1, 1, 2], "x": pa.array(["ü", "ü" * 2**19, None, None]).dictionary_encode()})
    assert applied(backend, FillMissing(["x"], value="mode", by="g"), text)["x"] == ["ü", "ü" * 2**19, "ü", "ü"]
    assert applied(backend, FillMissing(["x"], value="mode", by="g"), grouped([1, 1, 2], [False, None, True]))["x"] == [False, False, True]
    money = pa.decimal128(5, 2)
    made = applied(backend, FillMissing(["x"], value="mode", by="g"), grouped([1, 1, 2], [Decimal("1.25"), None, None], money))
    assert_same_column(made.table["x"], pa.array([Decimal("1.25")] * 3, money))


def test_integers_and_decimals_keep_their_type_with_a_median(backend: Backend) -> None:
    made = applied(backend, FillMissing(["x"], value="median", by="g"), grouped([1, 1, 1], [1, 4, None], pa.int8()))
    assert_same_column(made.table["x"], pa.array([1, 4, 2], pa.int8()))
    money = pa.decimal128(5, 2)
    made = applied(backend, FillMissing(["x"], value="median", by="g"), grouped([1, 1], [Decimal("1.25"), None], money))
    assert_same_column(made.table["x"], pa.array([Decimal("1.25")] * 2, money))


@pytest.mark.parametrize("value", ["mode", "median"])
def test_unsigned_integers_beyond_int64_are_filled_as_they_are(backend: Backend, value: str, tmp_path: Path) -> None:
    data = grouped([1, 1, 2, 2, 3], [2**63 + 2**11, None, 5, None, None], pa.uint64())
    fitted = Pipeline([FillMissing(["x"], value=value, by="g")]).fit(data)
    fitted.save(tmp_path / "fitted")
    for pipeline in (fitted, FittedPipeline.load(tmp_path / "fitted")):
        assert pipeline.transform(data)["x"].to_pylist()[:4] == [2**63 + 2**11, 2**63 + 2**11, 5, 5]
    exact = grouped([1, 1, 2], [2**64 - 1, None, 7], pa.uint64())
    assert applied(backend, FillMissing(["x"], value="mode", by="g"), exact)["x"] == [2**64 - 1, 2**64 - 1, 7]


def test_the_mean_of_values_whose_sum_is_beyond_float64_is_right(backend: Backend) -> None:
    data = grouped([1, 1, 1, 2, 3, 3], [1e308, 1.5e308, None, None, 1.7e308, 1.7e308])
    made = applied(backend, FillMissing(["x"], value="mean", by="g"), data)["x"]
    assert made == [1e308, 1.5e308, 1.25e308, pytest.approx(1.475e308, rel=1e-15), 1.7e308, 1.7e308]


@pytest.mark.parametrize("value", ["median", "mode"])
@pytest.mark.parametrize(
    "text", ["12345678901234567890123.45", "9" * 28 + "." + "9" * 10, "-" + "9" * 28, "9007199254740993.1", "4966373.81"]
)
def test_long_decimals_are_filled_alike_with_and_without_groups(backend: Backend, value: str, text: str) -> None:
    type_ = pa.decimal128(38, 10)
    data = grouped([1, 1, 2], [Decimal(text), None, None], type_)
    by_group = applied(backend, FillMissing(["x"], value=value, by="g"), data)
    assert_same_column(by_group.table["x"], applied(backend, FillMissing(["x"], value=value), data).table["x"])
    if value == "mode":
        assert by_group["x"] == [Decimal(text)] * 3


def test_the_order_of_rows_leaves_no_trace(backend: Backend) -> None:
    data = grouped(["b", "a", "b", "a"], [1.0, 2.0, 0.1, 0.2])
    op = FillMissing(["x"], value="mean", by="g")
    first, second = (applied(backend, op, rows).state.groups["x"] for rows in (data, data.take([3, 2, 1, 0])))
    assert first.keys == second.keys
    assert first.values.tolist() == second.values.tolist()


def test_empty_rows_are_filled_and_not_learnt_from(backend: Backend) -> None:
    op = FillMissing(["x"], value="mean", by="g")
    some = grouped(["a"], [1.0])
    assert applied(backend, op, some.slice(0, 0), learnt_from=some)["x"] == []
    with pytest.raises(DataError, match="column 'x': has no value to take the mean of"):
        applied(backend, op, grouped(["a", "b"], [None, NAN], pa.float64()))


def test_settings_are_checked() -> None:
    schema = Schema.from_arrow(grouped(["a"], [1.0]).schema)
    with pytest.raises(JobError, match="by: the constant 0 is the same for every group"):
        FillMissing(["x"], value=0, by="g").declare(schema, {})
    with pytest.raises(JobError, match=r"by\[0\]: 'x' is filled itself"):
        FillMissing(["x"], value="mean", by="x").declare(schema, {})
    with pytest.raises(JobError, match=r"by\[0\]: no column 'h'"):
        FillMissing(["x"], value="mean", by="h").declare(schema, {})


def test_lineage_knows_the_group() -> None:
    fitted = Pipeline([FillMissing(["x"], value="mean", by="g")]).fit(grouped(["a"], [1.0]))
    assert (fitted.lineage["x"].values, fitted.lineage["x"].keys) == (("x",), ("g",))


ROWS = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.none() | st.integers(-100, 100)), min_size=1)


@settings(max_examples=30, deadline=None)
@given(ROWS.filter(lambda rows: any(x is not None for _, x in rows)), st.sampled_from(["mean", "median", "mode"]))
def test_it_is_pythons_statistic_of_each_group(rows: list[tuple[str | None, int | None]], value: str) -> None:
    data = pa.table({"g": pa.array([g for g, _ in rows], pa.string()), "x": pa.array([x for _, x in rows], pa.int32())})
    made = applied(ArrowBackend(), FillMissing(["x"], value=value, by="g"), data)

    def statistic(values: list[int]) -> float:
        if value == "mean":
            return float(Fraction(sum(values), len(values)))
        if value == "median":
            return math.floor(np.median(values))
        counts = Counter(values)
        return min(counts, key=lambda x: (-counts[x], x))

    everything = [x for _, x in rows if x is not None]
    for (group, x), found in zip(rows, made["x"], strict=True):
        own = [other for g, other in rows if g == group and other is not None]
        assert found == (x if x is not None else statistic(own or everything))
