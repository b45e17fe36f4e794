"""Where a device has no room: batches are split, then taken over by the CPU, and the ledger says so; `strict` refuses."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.comparing import assert_same_table
from tests.gpu.where import MARKS, ON_STANDIN

import headrace as hr
from headrace import fallbacks
from headrace.errors import MemoryBudgetError
from headrace.execution import Work, observe_partition, transform_partition
from headrace.ledger import Ledger
from headrace.opened import Opened
from headrace.ops.base import FittedOp, Op
from headrace.packing import pack
from headrace.partitions import Partition
from headrace.plan import make_plan
from headrace.split import NoSplit
from headrace.table import Table

pytestmark = MARKS

ROWS = 4_096
OPS: tuple[Op, ...] = (hr.FillMissing(["x"], value=0.0), hr.Normalize(["x"], dtype="float64"), hr.Categorify(["word"]))


def table() -> pa.Table:
    draw = np.random.default_rng(2)
    return pa.table(
        {
            "x": pa.array(draw.normal(size=ROWS), mask=draw.random(ROWS) < 0.1),
            "word": pa.array([f"w{index}" for index in draw.integers(0, 30, ROWS)]),
        }
    )


@pytest.fixture
def task(parquet: Callable[..., Path]) -> tuple[Work, Any, Partition]:
    """A work, its plan, and its one partition of four row groups, fitted on the CPU."""
    source = str(parquet(table(), 4))
    opened = Opened.of(OPS, source, None)
    plan = make_plan(opened.source, opened.steps, NoSplit(), opened.steps.schema.names, partition_size=1 << 30, device="gpu")
    states = hr.Pipeline(OPS).fit(source, device="cpu").fitted.states
    return Work(opened.source, OPS, NoSplit(), states, device="gpu"), plan, plan.partitions[0]


def starve(monkeypatch: pytest.MonkeyPatch, most_rows: int) -> None:
    """Let the device have no room for the steps of a batch of more rows than these."""
    from headrace import execution

    real = execution.apply_steps

    def apply(table: Table, *arguments: Any) -> Table:
        done = real(table, *arguments)
        if table.backend.name == "cudf" and table.n_rows > most_rows:
            raise MemoryError("std::bad_alloc: out_of_memory")
        return done

    monkeypatch.setattr(execution, "apply_steps", apply)


def rows_of(work: Work, plan: Any, partition: Partition) -> tuple[pa.Table, Ledger]:
    ledger = Ledger()
    columns = plan.passes[-1].columns
    tables = [one.to_arrow() for one in transform_partition(work, columns, range(len(OPS)), partition, ledger)]
    return pa.concat_tables([one.cast(tables[0].schema) for one in tables]), ledger


def test_a_batch_that_does_not_fit_is_split_until_it_does(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    work, plan, partition = task
    expected, whole = rows_of(work, plan, partition)
    starve(monkeypatch, 1_500)
    found, ledger = rows_of(work, plan, partition)
    assert_same_table(found, expected)
    assert ledger.device == {"batches_split_for_memory": 3}
    # what a try counted that failed is counted once, when it succeeds
    assert (ledger.rows(), [ledger.step_counts(step) for step in range(3)]) == (whole.rows(), [whole.step_counts(s) for s in range(3)])


def test_a_batch_that_never_fits_runs_on_the_cpu_and_comes_back(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    work, plan, partition = task
    expected, whole = rows_of(work, plan, partition)
    starve(monkeypatch, 0)
    ledger = Ledger()
    tables = list(transform_partition(work, plan.passes[-1].columns, range(len(OPS)), partition, ledger))
    assert {one.backend.name for one in tables} == {"cudf"}
    assert_same_table(pa.concat_tables([one.to_arrow().cast(expected.schema) for one in tables]), expected, 1e-14)
    assert ledger.device == {"batches_split_for_memory": 3, "batches_on_the_cpu_for_memory": 4}
    assert ledger.rows() == whole.rows()


def test_what_is_learnt_does_not_depend_on_splits(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    work, plan, partition = task
    level = next(one for one in plan.passes if one.observed)
    expected = observe_partition(work, level, partition)
    for most_rows in (1_100, 0):
        with monkeypatch.context() as patch:
            for index in level.observed:
                op = work.ops[index]
                assert isinstance(op, FittedOp)
                patch.setattr(type(op), "observe", _starved(type(op).observe, most_rows))
            found = observe_partition(work, level, partition)
        assert found.ledger.device["batches_split_for_memory"] >= 3
        assert ("batches_on_the_cpu_for_memory" in found.ledger.device) == (most_rows == 0)
        assert found.rows == expected.rows == ROWS
        for index in level.observed:
            finish = work.ops[index].finish  # type: ignore[attr-defined]
            assert pack(finish(found.parts[index]), []) == pack(finish(expected.parts[index]), [])


def _starved(observe: Any, most_rows: int) -> Any:
    def starved(self: Any, table: Table) -> Any:
        if table.backend.name == "cudf" and table.n_rows > most_rows:
            raise MemoryError("std::bad_alloc: out_of_memory")
        return observe(self, table)

    return starved


def test_strict_names_the_memory_and_what_to_do(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    work, plan, partition = task
    starve(monkeypatch, 0)
    with pytest.raises(MemoryBudgetError, match="the GPU has no room for a batch of 1,024 rows: std::bad_alloc") as caught:
        rows_of(replace(work, strict=True), plan, partition)
    assert caught.value.key == "run.strict"


class Held:
    """What a try has put on the device, and whether it is there still."""

    def __init__(self) -> None:
        self.all: list[weakref.ref[Any]] = []

    def put(self) -> Any:
        array = type("Array", (), {})()
        self.all.append(weakref.ref(array))
        return array

    @property
    def n_alive(self) -> int:
        return sum(one() is not None for one in self.all)


def test_a_half_is_tried_when_what_the_whole_took_is_given_back(gpu: Any) -> None:
    held, alive = Held(), []

    def use(part: Table) -> int:
        alive.append(held.n_alive)
        _taken = held.put()
        if part.n_rows > 1_024 and part.backend.name == "cudf":
            raise MemoryError("std::bad_alloc: out_of_memory")
        return part.n_rows

    whole = Table(gpu, {"x": gpu.from_arrow(table()["x"].combine_chunks())}, ROWS)
    assert list(fallbacks.within_memory(whole, use, strict=False)) == [1_024] * 4
    assert alive == [0] * 7


@pytest.mark.parametrize("whole", [True, False])
def test_the_cpu_takes_over_when_what_the_device_held_is_given_back(whole: bool, gpu: Any) -> None:
    held, alive = Held(), []

    def use(place: Any) -> None:
        alive.append(held.n_alive)
        _taken = held.put()
        if (place if whole else place.backend).name == "cudf":
            raise MemoryError("std::bad_alloc: out_of_memory")

    if whole:
        fallbacks.whole_within_memory("gpu", 1, use, Ledger(), strict=False)
    else:
        list(fallbacks.within_memory(Table(gpu, {"x": gpu.from_arrow(pa.array([1]))}, 1), use, strict=False))
    assert alive == [0, 0]


@pytest.mark.parametrize("n_groups", [1, 4])
def test_row_groups_are_read_again_when_what_was_read_is_given_back(n_groups: int, task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.backends.cudf import read

    work, plan, partition = task
    held, alive = Held(), []
    decode, by_arrow = read._read_file, read.read_columns

    def read_file(dataset: Any, index: int, groups: Any, columns: Any) -> Any:
        alive.append(held.n_alive)
        _taken = held.put()
        if len(groups) > 1 or n_groups == 1:
            raise MemoryError("std::bad_alloc: out_of_memory")
        return decode(dataset, index, groups, columns)

    def read_columns(*arguments: Any) -> Any:
        alive.append(held.n_alive)
        return by_arrow(*arguments)

    monkeypatch.setattr(read, "_read_file", read_file)
    monkeypatch.setattr(read, "read_columns", read_columns)
    batches = read.read_batches(work.source, partition.row_groups[:n_groups], plan.passes[-1].columns)
    assert sum(n_rows for _, n_rows, _ in batches) == ROWS * n_groups // 4
    assert len(alive) > 1
    assert not any(alive)


def test_memory_that_runs_out_on_the_cpu_is_not_caught(monkeypatch: pytest.MonkeyPatch, cpu: Any) -> None:
    def fail(_: Table) -> Table:
        raise MemoryError

    with pytest.raises(MemoryError):
        list(fallbacks.within_memory(Table(cpu, {}, 5), fail, strict=False))


def test_a_process_that_is_first_on_its_gpu_takes_the_drivers_pool() -> None:
    """RMM's own would keep what it once took from XGBoost, which asks the driver."""
    import rmm

    from headrace.backends.cudf.memory import use_pool

    before = rmm.mr.get_current_device_resource()
    use_pool()
    taken = rmm.mr.get_current_device_resource()
    rmm.mr.set_current_device_resource(before)
    assert isinstance(taken, rmm.mr.CudaAsyncMemoryResource)


@pytest.mark.skipif(not ON_STANDIN, reason="only a stand-in's memory ends where a test wants it to")
class TestLittleMemory:
    """Allocations themselves fail, wherever they happen."""

    def test_row_groups_that_do_not_fit_together_are_read_apart(self, task: Any) -> None:
        from tests.gpu.standin.memory import little_memory

        work, plan, partition = task
        expected, _ = rows_of(work, plan, partition)
        with little_memory(largest=ROWS * 8 - 1):
            tables = list(work.read(partition, plan.passes[-1].columns, Ledger()))
        assert len(tables) > 1
        assert sum(one.n_rows for one in tables) == expected.num_rows

    def test_a_row_group_that_does_not_fit_is_decoded_on_the_host(self, task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from tests.gpu.standin.memory import little_memory

        from headrace.backends.cudf import read

        work, plan, partition = task
        expected, _ = rows_of(work, plan, partition)
        monkeypatch.setattr(read, "UPLOAD_ROWS", 300)
        with little_memory(largest=ROWS * 8 // 4 - 1):
            tables = list(work.read(partition, plan.passes[-1].columns, Ledger()))
        assert [one.n_rows for one in tables] == [300, 300, 300, 124] * 4
        assert pa.concat_arrays([one.backend.to_arrow(one["x"]) for one in tables]).equals(table()["x"].combine_chunks())
        assert expected.num_rows == ROWS

    @pytest.mark.parametrize("nth", [1, 5, 12, 20, 28, 36])
    def test_rows_are_the_same_wherever_memory_runs_out(self, nth: int, task: Any) -> None:
        from tests.gpu.standin.memory import little_memory

        work, plan, partition = task
        expected, _ = rows_of(work, plan, partition)
        with little_memory(nth=nth, n_failures=2) as limit:
            found, _ = rows_of(work, plan, partition)
        assert limit.n_failed == 2
        assert_same_table(found, expected, 1e-14)

    def test_a_half_that_cannot_be_cut_out_runs_on_the_cpu(self, gpu: Any) -> None:
        from tests.gpu.standin.memory import little_memory

        columns = {"x": gpu.from_arrow(table()["x"].combine_chunks())}
        whole = Table(gpu, columns, ROWS)
        with little_memory(largest=ROWS * 2):  # not even half of the rows' numbers
            made = list(fallbacks.within_memory(whole, lambda part: _summed(part), strict=False))
        assert [name for name, _ in made] == ["arrow", "arrow"]
        assert sum(n for _, n in made) == ROWS
        assert whole.ledger.device == {"batches_split_for_memory": 1, "batches_on_the_cpu_for_memory": 2}


def _summed(part: Table) -> tuple[str, int]:
    if part.backend.name == "cudf":
        part.backend.row_numbers(part.n_rows * 8)
    return part.backend.name, part.n_rows
