"""Every operator on rows at the edges of their types, on `device: gpu` as on `device: cpu`: values, states, counts and errors alike."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.comparing import assert_same_table
from tests.gpu.where import MARKS
from tests.laws.examples import TABLES, cases, rows
from tests.laws.running import Outcome, canonical, run

from headrace.errors import HeadraceError
from headrace.ops.base import Op
from headrace.ops.clip import Clip
from headrace.ops.filter import Filter
from headrace.ops.log import Log

pytestmark = MARKS

TOLERANCE = 2e-6
N_ROWS = 120
DRAW = np.random.default_rng(5)
DOUBLES = [5e-324, -5e-324, 2.2e-308, 0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1.7e308, -1.7e308, 1.5]
INT64 = [2**63 - 1, -(2**63), 0, 1, -1, 2**53 + 1]


def with_columns(**columns: pa.Array) -> pa.Table:
    """Return the rows of the examples with other columns in the places of some."""
    table = rows(N_ROWS)
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def drawn(values: list[Any], type_: pa.DataType) -> pa.Array:
    """Return some of these values, every tenth of them null."""
    return pa.array([None if DRAW.random() < 0.1 else values[place] for place in DRAW.integers(0, len(values), N_ROWS)], type_)


def all_null() -> pa.Table:
    return with_columns(**{field.name: pa.nulls(N_ROWS, field.type) for field in rows(N_ROWS).schema if field.name != "id"})


def at_the_ends_of_types() -> pa.Table:
    return with_columns(
        measure=drawn(DOUBLES, pa.float64()),
        lat=drawn(DOUBLES, pa.float64()),
        delay=drawn(INT64, pa.int64()),
        code=drawn([2**64 - 1, 2**63, 2**63 - 1, 0], pa.uint64()),
        price=drawn([Decimal(10**35 - 1), Decimal(1 - 10**35), Decimal("0.001")], pa.decimal128(38, 3)),
        when=drawn([-(2**62), 2**62, 0, -1], pa.timestamp("ns", "Europe/Oslo")),
    )


def laid_out_otherwise() -> pa.Table:
    table = rows(N_ROWS)
    return with_columns(
        city=table["city"].cast(pa.string()).cast(pa.large_string()),
        title=table["title"].combine_chunks().dictionary_encode(),
        day=table["day"].cast(pa.date64()),
        when=drawn([-(10**10), 1_383_285_600, 1_383_289_200, 0], pa.timestamp("s", "America/New_York")),
        price=table["price"].cast(pa.decimal256(40, 2)),
        measure=table["epoch"].cast(pa.float32()),
        flag=drawn([-128, 0, 127], pa.int8()),
        tags=table["tags"].cast(pa.large_list(pa.large_string())),
        visits=table["visits"].cast(pa.large_list(pa.int64())),
    )


EDGES = {
    "no rows": rows(N_ROWS).slice(0, 0),
    "one row": rows(N_ROWS).slice(3, 1),
    "all null": all_null(),
    "at the ends of types": at_the_ends_of_types(),
    "laid out otherwise": laid_out_otherwise(),
}


def outcome(op: Op, table: pa.Table, device: str) -> tuple[Outcome | None, str]:
    """Return what an operator makes of rows, or the error that it ends with."""
    try:
        return run([op], table, TABLES, partition_size=None, device=device), ""
    except HeadraceError as error:
        return None, f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(("name", "op"), cases(), ids=[name for name, _ in cases()])
def test_an_operator_does_on_a_gpu_what_it_does_on_a_cpu(name: str, op: Op, edge: str) -> None:
    (expected, refused), (found, also_refused) = outcome(op, EDGES[edge], "cpu"), outcome(op, EDGES[edge], "gpu")
    assert also_refused == refused
    if expected is None or found is None:
        return
    assert found.counts() == expected.counts()
    assert {step: canonical(state) for step, state in found.states.items()} == {
        step: canonical(state) for step, state in expected.states.items()
    }
    assert_same_table(found.table, expected.table, TOLERANCE)


@pytest.mark.parametrize("op", [Clip(["x"], min=0, max=1), Filter("x > 0"), Log(["x"], plus=0)])
def test_singles_below_the_normal_numbers_are_changed_and_counted_as_on_the_cpu(op: Op) -> None:
    table = pa.table({"x": pa.array([1e-45, -1e-45, 0.0, -0.0, 1e-38, None, float("nan"), 2.0], pa.float32())})
    expected, found = (run([op], table, {}, partition_size=None, device=device) for device in ("cpu", "gpu"))
    assert found.counts() == expected.counts()
    assert_same_table(found.table, expected.table, TOLERANCE)
