"""SQL expressions on a GPU: what the CPU gives, its errors word for word; for any function, any columns and any constants."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.comparing import assert_same_column
from tests.expression_examples import BY_INTENT, COLUMNS, EXPRESSIONS, NOT_COMPUTED, TABLE, WRONG_TYPES
from tests.gpu.where import MARKS

from headrace.errors import DataError, HeadraceError, JobError
from headrace.expressions import FUNCTIONS, Call, Column, Expression, parse
from headrace.expressions.nodes import Cast, Literal, Node
from headrace.schema import Type
from headrace.table import Backend

pytestmark = MARKS

N_ROWS = TABLE.num_rows
# The device's own sine or power may differ in its last digits.
TOLERANCE = 1e-14

OTHERS = {
    **COLUMNS,
    "nothing": pa.nulls(N_ROWS),
    "half": pa.array(np.arange(N_ROWS).astype(np.float16)),
    "span": pa.array([1, 2, None, 4, 5, 6, 7, -8], pa.duration("us")),
    "ns": COLUMNS["ms"].cast(pa.timestamp("ns")),
    "old": COLUMNS["date"].cast(pa.date64()),
    "clock": pa.array([1, 2, None, 4, 5, 6, 7, 8], pa.time64("us")),
    "words": pa.array([["a", "b"], None, [], ["c"], ["d", None], ["e"], ["f"], ["g", "h", "i"]]),
}
LITERALS = [
    Literal(None, "null"),
    Literal(0, "integer"),
    Literal(-3, "integer"),
    Literal(300, "integer"),
    Literal("2.5", "decimal"),
    Literal(1e300, "double"),
    Literal("abc", "string"),
    Literal("2013-03-10", "string"),
    Literal(True, "boolean"),
    Literal((0, 3_600_000_000), "interval"),
    Literal((1, 0), "interval"),
    Literal("Europe/Oslo", "string"),
]
PARTS = ["year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond"]
TYPES = ["int8", "int32", "int64", "uint64", "float32", "float64", "string", "bool", "date32", "timestamp[us]", "timestamp[s]"]


def outcome(backend: Backend, expression: Expression, columns: dict[str, Any], n_rows: int = N_ROWS) -> Any:
    """Return an expression's values on the host, or its error's text. Texts of every width are one type to a schema."""
    try:
        return backend.to_arrow(backend.evaluate(expression, columns, n_rows))
    except (DataError, JobError) as error:
        return str(error).replace("large_string", "string")


@pytest.fixture
def on_gpu(gpu: Backend) -> dict[str, Any]:
    return {name: gpu.from_arrow(array) for name, array in OTHERS.items()}


def compare(cpu: Backend, gpu: Backend, on_gpu: dict[str, Any], expression: Expression) -> None:
    expected, found = outcome(cpu, expression, OTHERS), outcome(gpu, expression, on_gpu)
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
    else:
        assert_same_column(found, expected, TOLERANCE, expression.sql)


def test_every_example_gives_what_the_cpu_gives(cpu: Backend, gpu: Backend, on_gpu: dict[str, Any]) -> None:
    for sql in [*EXPRESSIONS, *(sql for sql, _ in BY_INTENT)]:
        compare(cpu, gpu, on_gpu, parse(sql))


@pytest.mark.parametrize("sql", [sql for sql, _ in [*NOT_COMPUTED, *WRONG_TYPES]])
def test_what_is_refused_is_refused_in_the_cpus_words(sql: str, cpu: Backend, gpu: Backend, on_gpu: dict[str, Any]) -> None:
    expected = outcome(cpu, parse(sql), OTHERS)
    assert isinstance(expected, str)
    assert outcome(gpu, parse(sql), on_gpu) == expected


@pytest.mark.parametrize("seed", range(4))
def test_any_function_of_anything_gives_what_the_cpu_gives(seed: int, cpu: Backend, gpu: Backend, on_gpu: dict[str, Any]) -> None:
    draw = random.Random(seed)
    for function in [*sorted(FUNCTIONS) * 6, *["cast"] * 60]:
        node = drawn(draw, function)
        expression = Expression(str(node), node)
        if expression.columns:
            compare(cpu, gpu, on_gpu, expression)


def drawn(draw: random.Random, function: str) -> Node:
    """Return a call with arguments at random, most of them columns."""
    if function == "cast":
        return Cast(Column(draw.choice(sorted(OTHERS))), Type.of(draw.choice(TYPES)), draw.random() < 0.5)
    row = FUNCTIONS[function]
    n_args = draw.randint(row.min_args, min(row.max_args or 4, 4))
    if function == "case" and n_args % 2 == 0:
        n_args = 3
    args: list[Node] = [Column(draw.choice(sorted(OTHERS))) if draw.random() < 0.7 else draw.choice(LITERALS) for _ in range(n_args)]
    if function in ("date_part", "date_trunc", "date_diff", "interval"):
        args[0] = Literal(draw.choice(PARTS), "string")
    return Call(function, tuple(args))


COMPARING = ["x > 0", "x = 0", "x <= y", "x BETWEEN 0 AND 1", "x IN (0, 1)", "x IS DISTINCT FROM y", "CAST(x AS BOOLEAN)", "sign(x)"]


@pytest.mark.parametrize("sql", [*COMPARING, "CASE WHEN x < 0 THEN y END", "nullif(x, y)", "greatest(x, y)"])
def test_singles_below_the_normal_numbers_are_no_zeros(sql: str, cpu: Backend, gpu: Backend) -> None:
    values = {"x": [1e-45, -1e-45, 0.0, -0.0, 1e-38, 2.0], "y": [0.0, 0.0, 1e-45, 1e-39, 1e-39, 1.0]}
    arrays = {name: pa.array(column, pa.float32()) for name, column in values.items()}
    there = {name: gpu.from_arrow(array) for name, array in arrays.items()}
    assert_same_column(outcome(gpu, parse(sql), there, 6), outcome(cpu, parse(sql), arrays, 6), name=sql)


@pytest.mark.parametrize("n_rows", [0, 1])
def test_no_row_and_one_row_are_as_on_the_cpu(n_rows: int, cpu: Backend, gpu: Backend) -> None:
    few = {name: array.slice(0, n_rows) for name, array in OTHERS.items()}
    there = {name: gpu.from_arrow(array) for name, array in few.items()}
    for sql in EXPRESSIONS:
        expected, found = outcome(cpu, parse(sql), few, n_rows), outcome(gpu, parse(sql), there, n_rows)
        assert_same_column(found, expected, TOLERANCE, sql)


def test_instants_of_every_unit_become_local_times_as_on_the_cpu(cpu: Backend, gpu: Backend) -> None:
    draw = np.random.default_rng(1)
    seconds = np.concatenate([draw.integers(-3_000_000_000, 4_000_000_000, 300), 1_383_454_800 + np.arange(-9_000, 9_000, 450)])
    for unit, scale in {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}.items():
        for zone in ("America/New_York", "Asia/Kathmandu", "Africa/Monrovia", "Australia/Lord_Howe"):
            for tz in (None, "UTC"):
                times = pa.array(seconds * scale + (scale // 2), pa.timestamp(unit, tz))
                expression = parse(f"t AT TIME ZONE '{zone}'")
                expected = outcome(cpu, expression, {"t": times}, len(times))
                found = outcome(gpu, expression, {"t": gpu.from_arrow(times)}, len(times))
                assert_same_column(found, expected, name=f"{unit} {zone} {tz}")


def test_a_calendar_is_asked_for_each_day_once_and_not_for_each_row(gpu: Backend) -> None:
    from headrace.backends import counting
    from headrace.ledger import Ledger

    times = gpu.from_arrow(pa.array(np.arange(5_000) * 60_000_000, pa.timestamp("us")))  # three and a half days
    ledger = Ledger()
    with counting("gpu", ledger):
        gpu.evaluate(parse("extract(month FROM t)"), {"t": times}, 5_000)
    assert ledger.transfers.describe() == {"distinct": {"count": 1, "bytes": 4 * 8}}


def test_a_missing_column_is_named(gpu: Backend) -> None:
    with pytest.raises(HeadraceError, match="no column 'x'"):
        gpu.evaluate(parse("x + 1"), {}, 0)
