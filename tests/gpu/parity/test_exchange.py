"""Steps whose rows meet in an exchange, on a GPU: sorted, scanned and joined there, to the CPU's answers in any cut of the rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.comparing import assert_same_column, assert_same_table
from tests.gpu.where import MARKS
from tests.laws.examples import EXAMPLES, TABLES, cases, rows
from tests.laws.running import Outcome, run
from tests.laws.two_ways import shuffling
from tests.writing import write_parquet

import headrace as hr
from headrace import dealing
from headrace.errors import DataError, MemoryBudgetError
from headrace.ops.base import Op, OrderedOp
from headrace.ops.join import Apart, Join
from headrace.table import Backend

pytestmark = MARKS

TOLERANCE = 2e-6
N_ROWS = 300
ORDERED = [pytest.param(name, op, id=name) for name, op in cases() if isinstance(op, OrderedOp)]
JOINS = [pytest.param(name, op, id=name) for name, op in cases() if isinstance(op, Join) and op.key_pairs()]
# On a device nothing but what is grouped, and what it finds, passes the host.
EXPECTED = {"exchange", "output", "distinct", "state"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows of the examples in files of 1, 7 and 64 row groups."""
    made = tmp_path_factory.mktemp("rows")
    for row_groups in (1, 7, 64):
        write_parquet(made / f"{row_groups}.parquet", rows(N_ROWS), row_groups)
    return made


@cache
def on_the_cpu(name: str) -> Outcome:
    return run([dict(cases())[name]], rows(N_ROWS), TABLES, partition_size=None)


def same_as_on_the_cpu(found: Outcome, expected: Outcome) -> None:
    assert_same_table(found.table, expected.table, TOLERANCE)
    assert found.counts() == expected.counts()
    assert {"exchange", "output"} <= set(found.ledger.transfers.counts) <= EXPECTED
    assert not found.ledger.device


@pytest.mark.parametrize(("name", "op"), ORDERED)
@pytest.mark.parametrize("row_groups", [1, 7, 64])
def test_an_ordered_step_finds_what_it_finds_on_the_cpu_in_any_cut(
    row_groups: int, name: str, op: Op, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing, "BUCKET_ROWS", 90)
    found = run([op], folder / f"{row_groups}.parquet", TABLES, workers=2, device="gpu")
    assert found.partitions == row_groups
    same_as_on_the_cpu(found, on_the_cpu(name))


@pytest.mark.parametrize(("name", "op"), JOINS)
@pytest.mark.parametrize("row_groups", [1, 7, 64])
def test_a_large_join_brings_what_it_brings_on_the_cpu_in_any_cut(row_groups: int, name: str, op: Op, folder: Path) -> None:
    every_table, small_buckets = shuffling(90)
    with every_table, small_buckets:
        found = run([op], folder / f"{row_groups}.parquet", TABLES, workers=2, device="gpu")
    assert isinstance(found.states[0], Apart)
    same_as_on_the_cpu(found, on_the_cpu(name))


def test_what_a_join_brings_is_taken_to_the_device_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.backends.cudf.backend import CudfBackend

    taken, real = [], CudfBackend.from_arrow
    monkeypatch.setattr(CudfBackend, "from_arrow", lambda self, array: (taken.append(len(array)), real(self, array))[1])
    (join,) = EXAMPLES["join_external"]
    found = run([join], folder / "7.parquet", TABLES, device="gpu")
    assert found.partitions == 7
    assert taken.count(TABLES["cities"].num_rows) == len(join.columns)


def test_steps_on_each_others_results_and_between_fitted_ones(parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two exchanges the second is of what the first found; what is learnt of it is the CPU's, and new rows are transformed alike."""
    monkeypatch.setattr(dealing, "BUCKET_ROWS", 90)
    chain = (
        hr.Filter("measure IS NOT NULL"),
        hr.TimeSinceLast("when", by=["city"]),
        hr.Rolling(["measure"], window="3h", order="when", by=["city"], stats=["count", "mean"], include_current=False),
        hr.Dedupe(["city", "when"], keep="last"),
        hr.DifferenceLag(["measure_count_3h"], order="id", by=["flag"]),
        hr.FillMissing(["when_since_last"], value="median"),
        hr.Normalize(["measure_count_3h"]),
        hr.Categorify(["city"]),
    )
    source = str(parquet(rows(N_ROWS), 7))
    done = {device: hr.Pipeline(chain).fit_transform(source, device=device) for device in ("cpu", "gpu")}
    assert_same_table(done["gpu"].table, done["cpu"].table, TOLERANCE)
    assert done["gpu"].ledger.rows() == done["cpu"].ledger.rows()
    new = rows(120, 1)
    again = {device: done["gpu"].fitted.transform(new, device=device) for device in ("cpu", "gpu")}
    assert_same_table(again["gpu"], again["cpu"], TOLERANCE)


def test_everything_filtered_away_leaves_nothing_to_deal(parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealing, "BUCKET_ROWS", 90)
    chain = (hr.Filter("id < 0"), hr.DifferenceLag(["tags", "city"], order="when", by=["city", "flag"], output="value"))
    done = hr.Pipeline(chain).fit_transform(str(parquet(rows(N_ROWS), 2)), device="gpu")
    assert done.table.num_rows == 0
    assert done.table.column_names[-2:] == ["tags_lag_1", "city_lag_1"]


def test_strict_takes_ordered_steps_and_large_joins(parquet: Callable[..., Path]) -> None:
    every_table, _ = shuffling()
    with every_table:
        opened = hr.Pipeline([*EXAMPLES["rolling"], *EXAMPLES["join_external"]]).plan(
            str(parquet(rows(N_ROWS))), tables=TABLES, device="gpu"
        )
    assert opened.device == "gpu"
    assert [one.shuffled for one in opened.look_ups] == [True]
    assert opened.fallbacks == ()


def test_a_value_that_cannot_be_computed_is_named_in_the_cpus_words() -> None:
    data = pa.table({"k": ["a", "b", "a"], "t": [1, 2, 3], "x": [-(2**63), 5, 2**63 - 1]})
    said = []
    for device in ("cpu", "gpu"):
        with pytest.raises(DataError) as caught:
            hr.Pipeline([hr.DifferenceLag("x", order="t", by="k")]).fit_transform(data, device=device)
        said.append(str(caught.value))
    assert said[0] == said[1]


# ---- memory ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_room_for_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that has no room to sort the rows of a bucket, nor to look them up."""
    from headrace.backends.cudf.backend import CudfBackend

    def fail(*_: Any) -> Any:
        raise MemoryError("std::bad_alloc: out_of_memory")

    monkeypatch.setattr(CudfBackend, "sorted_groups", fail)
    monkeypatch.setattr(CudfBackend, "find", fail)


@pytest.mark.usefixtures("no_room_for_a_bucket")
@pytest.mark.parametrize("op", [EXAMPLES["difference_lag"][1], EXAMPLES["join_external"][0]])
def test_a_bucket_that_does_not_fit_is_the_cpus(op: Op, folder: Path) -> None:
    every_table, small_buckets = shuffling(90)
    with every_table, small_buckets:
        found = run([op], folder / "7.parquet", TABLES, device="gpu")
        expected = run([op], folder / "7.parquet", TABLES)
    assert_same_table(found.table, expected.table)
    assert found.ledger.device["batches_on_the_cpu_for_memory"] == (3 if isinstance(op, OrderedOp) else 21)


@pytest.mark.usefixtures("no_room_for_a_bucket")
def test_strict_refuses_a_bucket_that_does_not_fit(tmp_path: Path) -> None:
    write_parquet(tmp_path / "rows.parquet", pa.table({"k": [1, 1], "t": [1, 2]}))
    text = f"""\
job: small
source: {{path: {tmp_path}/rows.parquet}}
pipeline: [{{time_since_last: {{order: t, by: [k]}}}}]
output: {{path: {tmp_path}/out, features: true}}
run: {{device: gpu, strict: true}}
"""
    with pytest.raises(MemoryBudgetError, match="no room for 2 rows of keys that meet in an exchange: std::bad_alloc") as caught:
        hr.Job.from_text(text).run()
    assert caught.value.key == "run.strict"


def test_memory_that_runs_out_on_the_cpu_is_not_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.backends.arrow.backend import ArrowBackend

    def fail(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(ArrowBackend, "sorted_groups", fail)
    with pytest.raises(MemoryError):
        hr.Pipeline([hr.Dedupe("k")]).fit_transform(pa.table({"k": [1]}), device="cpu")


# ---- groups ---------------------------------------------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")
KEYS = {
    "texts": [pa.array(["b", None, "a", "b", "", "a", None, "b"]).dictionary_encode()],
    "floats": [pa.array([0.0, -0.0, NAN, None, INF, NAN, None, -INF])],
    "decimals": [pa.array([Decimal("1.50"), None, Decimal("-0.01"), Decimal("1.50")] * 2, pa.decimal128(9, 2))],
    "two": [pa.array([2**63, 0, 1, 1, 0, 2**63, None, None], pa.uint64()), pa.array([True, False, None, True] * 2)],
    "none": [],
}
ORDERS = {
    "none": None,
    "floats": pa.array([NAN, 0.0, -0.0, None, INF, -INF, 5e-324, -1.5]),
    "singles": pa.array([NAN, 1e-45, 0.0, None, INF, -INF, -1e-45, -1.5], pa.float32()),
    "widest": pa.array([2**63, 2**64 - 1, 0, None, 1, 2**63 - 1, 2**63, 5], pa.uint64()),
    "extremes": pa.array([2**63 - 1, -(2**63), 0, None, -1, 1, -(2**63), 5]),
    "dates": pa.array([dt.date(2024, 1, day) for day in (3, 1, 2, 3, 1, 9, 9, 9)]),
    "instants": pa.array([5, -5, None, 0, 5, 1, 2, 3], pa.timestamp("ns", "Asia/Tokyo")),
    "decimals": pa.array([Decimal("1.50"), None, Decimal("-0.01"), Decimal("1.50")] * 2, pa.decimal128(9, 2)),
    "nulls": pa.nulls(8, pa.int64()),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("keys", KEYS)
def test_groups_and_their_order_are_the_cpus(keys: str, order: str, cpu: Backend, gpu: Backend) -> None:
    for n_rows in (8, 1, 0):
        arrays = [key.slice(0, n_rows) for key in KEYS[keys]]
        by = ORDERS[order]
        by = None if by is None else by.slice(0, n_rows)
        expected = cpu.sorted_groups(arrays, by, n_rows)
        found = gpu.sorted_groups([gpu.from_arrow(key) for key in arrays], None if by is None else gpu.from_arrow(by), n_rows)
        assert [gpu.to_numpy(array).tolist() for array in found] == [array.tolist() for array in expected]
        assert all(array.dtype == np.int64 for array in found)


@pytest.mark.parametrize("times", ["floats", "extremes", "widest", "instants", "nulls"])
@pytest.mark.parametrize("scan", ["rolling", "decayed_past", "session_id", "since_last"])
def test_scans_are_the_cpus_to_the_ends_of_each_type(scan: str, times: str, cpu: Backend, gpu: Backend) -> None:
    constants: dict[str, Any] = {
        "rolling": {"window": 3.0, "include_current": True},
        "decayed_past": {"half_life": 2.0, "include_current": False},
        "session_id": {"gap": 1.0},
        "since_last": {},
    }[scan]
    valued = scan in ("rolling", "decayed_past")
    for values in [VALUES[name] for name in (VALUES if valued else ["halves"])]:
        rows_of, starts = cpu.sorted_groups([pa.array([1, 1, 1, 1, 2, 2, 2, 2])], ORDERS[times], 8)
        sorted_times, sorted_values = cpu.take({"t": ORDERS[times], "x": values}, rows_of).values()
        columns = [sorted_values, sorted_times] if valued else [sorted_times]
        on_cpu = cpu.scan(scan, columns, starts, constants)
        on_gpu = gpu.scan(scan, [gpu.from_arrow(column) for column in columns], gpu.from_numpy(starts).values, constants)
        for expected, found in zip(on_cpu, on_gpu, strict=True):
            assert_same_column(gpu.to_arrow(found), expected, 1e-14)


VALUES = {
    "halves": pa.array([0.5, None, NAN, INF, -0.0, 1e308, 1e308, -1.5]),
    "singles": pa.array([0.5, None, NAN, -INF, -0.0, 3e38, 1e-45, -1.5], pa.float32()),
    "extremes": pa.array([2**63 - 1, -(2**63), None, 1, 2**53 + 1, 2**63 - 1, 0, -1]),
    "truths": pa.array([True, False, None, True, True, True, None, False]),
    "nulls": pa.nulls(8, pa.float64()),
}
