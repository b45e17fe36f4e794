"""Ops that go through one loop give what they give one by one: the same bits, the same counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.backends.arrow.backend import ArrowBackend
from headrace.ledger import Ledger
from headrace.ops.base import Op
from headrace.ops.clip import Clip
from headrace.ops.fill_missing import FillMissing
from headrace.ops.log import Log
from headrace.ops.normalize import Normalize
from headrace.ops.normalize_min_max import NormalizeMinMax
from headrace.steps import apply_steps
from headrace.table import Table

OPS: list[Op] = [
    FillMissing(["x"], value=3),
    Clip(["x", "y"], min=0, max=90),
    Log(["x"]),
    Log(["y"], base=10, plus=0.0),
    Normalize(["x", "y"]),
    Clip(["x"], min=-1.0, max=1.0),
    NormalizeMinMax(["x"], dtype="float64"),
]
TYPES = [pa.int8(), pa.int32(), pa.int64(), pa.uint16(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(24, 2)]


class OneByOne(ArrowBackend):
    """A device that has no loop for chains."""

    def run_stages(self, columns: Any, chains: Any) -> Any:
        return [None for _ in columns]


def data(type_: pa.DataType, rows: int) -> pa.Table:
    draws = np.random.default_rng(5).integers(0 if pa.types.is_unsigned_integer(type_) else -40, 120, (2, rows))
    null = np.random.default_rng(6).random((2, rows)) < 0.1
    columns = [pa.array(values, mask=mask).cast(type_) for values, mask in zip(draws, null, strict=True)]
    if pa.types.is_floating(type_):
        special = pa.array([float("nan"), float("inf"), -0.0], type_)
        columns = [pa.concat_arrays([special, column[3:]]) for column in columns]
    return pa.table({"x": columns[0], "y": columns[1]})


def run(backend: ArrowBackend, table: pa.Table) -> tuple[pa.Table, Ledger]:
    ledger = Ledger()
    rows = Table.from_arrow(backend, table, ledger)
    states: dict[int, Any] = {}
    for index, op in enumerate(OPS):
        if hasattr(op, "observe"):
            before = apply_steps(Table.from_arrow(OneByOne(), table), OPS, states, range(index))
            states[index] = op.finish(op.observe(before) if op.learns else {})
    return apply_steps(rows, OPS, states, range(len(OPS))).to_arrow(), ledger


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_a_chain_gives_the_bits_and_counts_of_its_ops_one_by_one(type_: pa.DataType) -> None:
    table = data(type_, 3000)
    made, ledger = run(ArrowBackend(), table)
    wanted, counted = run(OneByOne(), table)
    assert made.schema == wanted.schema
    for name in made.column_names:
        left, right = made[name].combine_chunks(), wanted[name].combine_chunks()
        assert left.is_valid().equals(right.is_valid())
        bits = [np.ascontiguousarray(array.drop_null().to_numpy()).tobytes() for array in (left, right)]
        assert bits[0] == bits[1]
    assert [ledger.step_counts(step) for step in range(len(OPS))] == [counted.step_counts(step) for step in range(len(OPS))]
