"""Profile: what a column holds, merged from parts, in JSON values."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.jobs.job import Job
from headrace.profile import HISTOGRAM_BINS, merge_profiles, profile_table
from headrace.table import Backend, Table

NAN, INF = math.nan, math.inf


def described(backend: Backend, values: pa.Array, pieces: int = 1) -> dict[str, object]:
    """Profile a column in so many pieces and return its record."""
    edges = [len(values) * index // pieces for index in range(pieces + 1)]
    tables = [pa.table({"x": values.slice(start, end - start)}) for start, end in itertools.pairwise(edges)]
    profiles = [profile_table(Table.from_arrow(backend, table))["x"] for table in tables]
    record = merge_profiles([{"x": profile} for profile in profiles])["x"].describe("x")
    json.dumps(record, allow_nan=False)
    return record


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_a_number_column_has_extremes_mean_and_histogram(backend: Backend, pieces: int) -> None:
    found = described(backend, pa.array([1.0, 2.0, None, NAN, 5.0, INF]), pieces)
    assert (found["rows"], found["nulls"], found["nans"], found["type"]) == (6, 1, 1, "double")
    assert (found["min"], found["max"]) == (1.0, 5.0)
    assert found["mean"] == pytest.approx(8 / 3)
    assert found["std"] == pytest.approx(math.sqrt(26 / 9))
    histogram = found["histogram"]
    assert isinstance(histogram, dict)
    assert sum(histogram["counts"]) == 3
    assert len(histogram["counts"]) == HISTOGRAM_BINS
    assert (histogram["edges"][0], histogram["edges"][-1]) == (1.0, 5.0)
    assert (histogram["counts"][0], histogram["counts"][5], histogram["counts"][-1]) == (1, 1, 1)


@pytest.mark.parametrize("pieces", [1, 3])
def test_words_are_counted(backend: Backend, pieces: int) -> None:
    found = described(backend, pa.array(["b", "a", None, "b", "Łódź", "b", "a"]).dictionary_encode(), pieces)
    assert (found["rows"], found["nulls"], found["distinct"]) == (7, 1, 3)
    assert found["top"] == [["b", 3], ["a", 2], ["Łódź", 1]]
    assert found["mean"] is None


def test_truth_values_are_counted(backend: Backend) -> None:
    found = described(backend, pa.array([True, None, True, False]))
    assert (found["distinct"], found["top"]) == (2, [["True", 2], ["False", 1]])


@pytest.mark.parametrize("pieces", [1, 3])
def test_instants_and_days_have_extremes(backend: Backend, pieces: int) -> None:
    stamps = pa.array([None, dt.datetime(2013, 1, 1, tzinfo=dt.UTC), dt.datetime(2012, 1, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC"))
    found = described(backend, stamps, pieces)
    assert (found["min"], found["max"], found["nulls"]) == ("2012-01-01 00:00:00+00:00", "2013-01-01 00:00:00+00:00", 1)
    assert described(backend, pa.array([dt.date(2013, 1, 1)]))["max"] == "2013-01-01"


@pytest.mark.parametrize(
    "values",
    [
        pa.nulls(3, pa.float64()),
        pa.array([], pa.float64()),
        pa.nulls(2, pa.string()),
        pa.nulls(2, pa.timestamp("us")),
        pa.array([NAN, INF]),
    ],
)
def test_columns_without_a_value_have_a_profile(backend: Backend, values: pa.Array) -> None:
    found = described(backend, values)
    assert (found["rows"], found["nulls"], found["min"], found["mean"]) == (len(values), values.null_count, None, None)


def test_whole_numbers_at_their_ends_do_not_wrap(backend: Backend) -> None:
    found = described(backend, pa.array([2**63 - 1, -(2**63), None]))
    assert (found["min"], found["max"], found["mean"]) == (-(2**63), 2**63 - 1, -0.5)
    assert described(backend, pa.array([7, 7], pa.int8()))["histogram"]["edges"][0] == 6.5  # type: ignore[index]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([10**17] * 5),  # a bin of a twentieth is less than what floats there lie apart
        pa.array([1_700_000_000_000_000_000 + nanosecond for nanosecond in range(50)]),
        pa.array([2**64 - 1, 2**64 - 2], pa.uint64()),
        pa.array([0.0, 5e-324]),
        pa.array([-1.7e308, 0.0, 1.7e308]),  # further apart than a float can say
    ],
)
def test_values_that_are_too_close_or_too_far_for_bins_are_counted_all(backend: Backend, values: pa.Array) -> None:
    shape = described(backend, values)["histogram"]
    assert isinstance(shape, dict)
    assert sum(shape["counts"]) == len(values)
    assert all(left < right for left, right in itertools.pairwise(shape["edges"]))
    assert shape["edges"][0] <= min(values.to_pylist()) <= max(values.to_pylist()) <= shape["edges"][-1]


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        (pa.array([2**62, 0], pa.timestamp("us")), ("1970-01-01 00:00:00", "148108-07-06 14:00:27.387904")),
        (pa.array([2**62], pa.timestamp("ms", "UTC")), ("146140482-04-24 15:36:27.904",) * 2),
        (pa.array([-(2**31)], pa.date32()), ("-5877641-06-23",) * 2),
    ],
)
def test_times_beyond_python_s_years_are_told(backend: Backend, values: pa.Array, ends: tuple[str, str]) -> None:
    found = described(backend, values)
    assert (found["min"], found["max"]) == ends


def test_decimals_and_lists_have_a_profile(backend: Backend) -> None:
    assert described(backend, pa.array([Decimal("1.25"), None, Decimal("2.75")], pa.decimal128(9, 2)))["mean"] == 2.0
    assert described(backend, pa.array([[1], None]))["nulls"] == 1


def test_many_values_are_still_right_in_the_middle(backend: Backend) -> None:
    values = np.random.default_rng(0).normal(0, 1, 200_000)
    found = described(backend, pa.array(values), 3)
    assert found["distinct"] is None  # more than are counted one by one
    assert sum(found["histogram"]["counts"]) == 200_000  # type: ignore[index]
    assert found["std"] == pytest.approx(values.std(), rel=1e-12)


def test_numbers_after_the_first_columns_have_no_histogram(backend: Backend) -> None:
    table = Table.from_arrow(backend, pa.table({"a": [1.0, 2.0], "b": [3.0, 4.0]}))
    first, second = (profile.describe(name) for name, profile in profile_table(table, most_detailed=1).items())
    assert first["histogram"] is not None
    assert (second["histogram"], second["distinct"]) == (None, None)
    assert (second["min"], second["max"], second["mean"]) == (3.0, 4.0, 3.5)


def test_of_much_data_rows_of_partitions_spread_over_it_are_profiled(
    tmp_path: Path, parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("PROFILE_VALUES", 99), ("SAMPLED_VALUES", 20), ("LEAST_ROWS", 5)):
        monkeypatch.setattr(f"headrace.jobs.run.{name}", value)
    path = parquet(pa.table({"x": pa.array(range(100), pa.int64())}), row_groups=10)
    text = f"job: j\nsource: {{path: {path}}}\npipeline: [normalize: [x]]\noutput: {{path: {tmp_path / 'out'}}}\nrun: {{partition: 80B}}\n"
    done = Job.from_text(text).run()
    assert done.record["plan"]["partitions"] == 10
    (column,) = done.record["profile"]
    assert (column["rows"], column["min"], column["max"]) == (20, 0, 94)  # five rows of every third partition
    assert "20 of 100 rows, from the start of parts" in done.report.read_text()
