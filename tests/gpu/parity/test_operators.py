"""Every operator of the table of examples, on `device: gpu` as on `device: cpu`: rows, ids, counts and states alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from tests.comparing import assert_same_table
from tests.gpu.where import MARKS
from tests.laws.examples import TABLES, cases, rows
from tests.laws.running import Outcome, canonical
from tests.laws.running import run as run_on_cpu

from headrace.fallbacks import fallbacks
from headrace.ops.base import Op, OrderedOp

pytestmark = MARKS

# A few roundings of float32: CUDA contracts a * b + c, and plain Python keeps float32 where compiled code goes on in float64.
TOLERANCE = 2e-6
# What may move to the host between read and train; "fallback" is for steps that the plan has named, "exchange" for ordered ones.
EXPECTED = {"distinct", "state", "output"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 rows with all that is awkward in them, as a file of three row groups."""
    from tests.writing import write_parquet

    return write_parquet(tmp_path_factory.mktemp("source") / "rows.parquet", rows(300), 3)


def run(op: Op, source: Path, device: str) -> Outcome:
    return run_on_cpu([op], str(source), TABLES, workers=2, device=device)


@pytest.mark.parametrize(("name", "op"), cases(), ids=[name for name, _ in cases()])
def test_an_operator_does_on_a_gpu_what_it_does_on_a_cpu(name: str, op: Op, source: Path) -> None:
    expected, found = run(op, source, "cpu"), run(op, source, "gpu")
    assert found.counts() == expected.counts()
    assert {step: canonical(state) for step, state in found.states.items()} == {
        step: canonical(state) for step, state in expected.states.items()
    }
    assert_same_table(found.table, expected.table, TOLERANCE)
    moved = set(found.ledger.transfers.counts)
    assert moved - {"fallback", "exchange"} <= EXPECTED
    assert "fallback" not in moved or fallbacks([op], "gpu")
    assert ("exchange" in moved) == isinstance(op, OrderedOp)


def test_what_learns_gives_the_same_bytes_however_the_rows_are_cut(parquet: Callable[..., Path]) -> None:
    from headrace.ops.join_groupby import JoinGroupby
    from headrace.ops.normalize import Normalize

    ops = (Normalize(["measure", "price"]), JoinGroupby("code", {"epoch": ["sum", "std"], "code": ["sum", "std", "min"]}))
    for op in ops:
        states = [
            canonical(run_on_cpu([op], str(parquet(rows(300), cuts, f"{cuts}.parquet")), TABLES, device="gpu").states[0]) for cuts in (1, 7)
        ]
        assert states[0] == states[1]


def test_rows_of_a_table_in_memory_are_taken_to_the_device() -> None:
    import headrace as hr

    table = pa.table({"x": [1.0, None, 3.0], "word": ["a", None, "b"]})
    pipeline = hr.Pipeline([hr.FillMissing(["x"], value="mean"), hr.Categorify(["word"])])
    on_gpu, on_cpu = (pipeline.fit_transform(table, device=device) for device in ("gpu", "cpu"))
    assert on_gpu.table.equals(on_cpu.table)
    assert (
        on_gpu.fitted.update(table, device="gpu")
        .transform(table, device="gpu")
        .equals(on_cpu.fitted.update(table, device="cpu").transform(table, device="cpu"))
    )
    assert set(on_gpu.ledger.transfers.counts) == EXPECTED
    assert not on_cpu.ledger.transfers.counts
