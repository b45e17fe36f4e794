"""DataStats: what columns hold is learnt, and nothing is changed."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_table

import headrace as hr
from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobErrors
from headrace.ops.data_stats import ColumnStats, DataStats
from headrace.ops.filter import Filter
from headrace.pipeline import Pipeline
from headrace.table import Backend

NAN, INF = math.nan, math.inf


def stats(backend: Backend, values: list[object], type_: pa.DataType | None = None, top: int = 5) -> ColumnStats:
    data = pa.table({"x": pa.array(values, type_)})
    made = applied(backend, DataStats(["x"], top=top), data)
    assert_same_table(made.table, data)
    found: ColumnStats = made.state["x"]
    return found


def test_numbers(backend: Backend) -> None:
    found = stats(backend, [1.0, 3.0, 3.0, None, NAN, INF])
    assert found == ColumnStats(rows=6, nulls=1, nans=1, mean=7 / 3, std=found.std, minimum=1.0, maximum=3.0, distinct=3, top={})
    assert found.std == pytest.approx(math.sqrt(8) / 3, rel=1e-15)


def test_the_ends_of_int64_are_exact(backend: Backend) -> None:
    found = stats(backend, [-(2**63), 2**63 - 1])
    assert (found.minimum, found.maximum, found.mean) == (-(2**63), 2**63 - 1, -0.5)


def test_text_and_truth_values(backend: Backend) -> None:
    found = stats(backend, ["b", "ü", None, "b", "a", "a", "c" * 2**20], top=2)
    assert (found.rows, found.nulls, found.distinct, found.top) == (7, 1, 4, {"a": 2, "b": 2})
    assert found.minimum is None
    assert stats(backend, [True, None, True]).top == {"True": 2}


def test_dates_and_times(backend: Backend) -> None:
    instants = [dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC), None, dt.datetime(1969, 12, 31, 23, 59, 59, tzinfo=dt.UTC)]
    found = stats(backend, list(instants), pa.timestamp("s", "America/New_York"))
    assert (found.nulls, found.minimum, found.maximum) == (1, "1969-12-31T23:59:59Z", "2013-01-01T05:00:00Z")
    assert stats(backend, [dt.date(2020, 2, 29)]).minimum == "2020-02-29"
    assert stats(backend, [dt.date(2020, 2, 29)], pa.date64()).maximum == "2020-02-29T00:00:00.000"


def test_decimals_and_all_null_columns(backend: Backend) -> None:
    found = stats(backend, [Decimal("1.50"), Decimal("2.50")])
    assert (found.mean, found.minimum, found.maximum) == (2.0, 1.5, 2.5)
    for type_ in (pa.float64(), pa.string(), pa.timestamp("us")):
        found = stats(backend, [None, None], type_)
        assert (found.rows, found.nulls, found.mean, found.minimum, found.top) == (2, 2, None, None, {})


def test_what_was_learnt_is_told() -> None:
    fitted = Pipeline([DataStats(["x", "s"])]).fit(pa.table({"x": [1, 3, None], "s": ["a", "a", "b"]}))
    assert fitted.learnt() == ["x: 3 rows, 1 nulls, mean 2, std 1, 1 to 3, 2 distinct; s: 3 rows, 2 distinct, most: a (2), b (1)"]


def test_saved_statistics_are_the_same_when_loaded(tmp_path: Path) -> None:
    fitted = Pipeline([DataStats(["x", "s"])]).fit(pa.table({"x": [1.5, None], "s": ["a", "ü"]}))
    fitted.save(tmp_path / "fitted")
    assert hr.load(str(tmp_path / "fitted")).learnt() == fitted.learnt()


def test_its_columns_are_read_for_learning_only() -> None:
    pipeline = Pipeline([DataStats(["label"]), Filter("x > 0")])
    fitted = pipeline.fit(pa.table({"x": [1, -1], "label": [5.0, 6.0]}))
    assert fitted.fitted.states[0]["label"].rows == 2
    assert pipeline.steps[0].declare(fitted.fitted.source, {}).reads == ()


def test_lists_are_refused() -> None:
    with pytest.raises(JobErrors, match=r"pipeline\[0\].data_stats.columns\[0\]: 'x' is list"):
        Pipeline([DataStats(["x"])]).fit(pa.table({"x": [[1]]}))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.floats(-1e6, 1e6) | st.just(NAN), min_size=1))
def test_numbers_equal_numpys(values: list[float | None]) -> None:
    found = stats(ArrowBackend(), list(values), pa.float64())
    known = np.array([value for value in values if value is not None and value == value])
    assert (found.rows, found.nulls, found.nans) == (len(values), values.count(None), len(values) - values.count(None) - len(known))
    if len(known):
        assert (found.minimum, found.maximum, found.distinct) == (known.min(), known.max(), len(np.unique(known)))
        assert found.mean == pytest.approx(math.fsum(known) / len(known), rel=1e-12, abs=1e-300)
