"""Plan: passes, partitions, columns and bytes, known before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.dataset import Dataset
from headrace.errors import MemoryBudgetError
from headrace.pipeline import Pipeline
from headrace.plan import (
    BASE_BYTES,
    EXPANSION,
    LEAST_VOCABULARY_BYTES,
    PROCESS_BYTES,
    Plan,
    human_bytes,
    make_plan,
    parse_bytes,
    usual_bytes,
)
from headrace.split import AnySplit, NoSplit, Split
from headrace.steps import Steps

STEPS = "- fill_missing: {columns: [x], value: mean}\n- normalize: [x]\n- categorify: [c]\n- drop: [unused]\n"


@pytest.fixture
def dataset(parquet: Callable[..., Path]) -> Dataset:
    random = np.random.default_rng(0)
    rows = {"x": random.random(4000), "c": random.integers(0, 9, 4000).astype(str), "t": np.arange(4000), "unused": random.random(4000)}
    return Dataset.open(parquet(pa.table(rows), 8))


def plan(dataset: Dataset, split: AnySplit | None = None, **options: object) -> Plan:
    steps = Steps.of(Pipeline.from_yaml(STEPS).steps, dataset.schema, {})
    return make_plan(dataset, steps, split or NoSplit(), ["x", "c"], **options)  # type: ignore[arg-type]


def nbytes(dataset: Dataset, *columns: str) -> int:
    return sum(group.nbytes[name] for group in dataset.row_groups for name in columns)


def test_passes_read_what_their_steps_need_and_no_more(dataset: Dataset) -> None:
    found = plan(dataset)
    assert [(one.name, one.columns, one.observed, one.applied) for one in found.passes] == [
        ("fit 1 of 2", ("x", "c"), (0, 2), ()),
        ("fit 2 of 2", ("x",), (1,), (0,)),
        ("transform", ("x", "c"), (), (0, 1, 2, 3)),
    ]
    assert [one.nbytes for one in found.passes] == [nbytes(dataset, "x", "c"), nbytes(dataset, "x"), nbytes(dataset, "x", "c")]


def test_what_the_split_and_the_key_need_is_read_in_every_pass(dataset: Dataset) -> None:
    found = plan(dataset, Split("t", 3000), key=("unused",))
    assert [one.columns for one in found.passes] == [("x", "c", "t", "unused"), ("x", "t", "unused"), ("x", "c", "t", "unused")]


def test_plans_are_comparable_and_printable(dataset: Dataset) -> None:
    assert plan(dataset).partitions == plan(dataset).partitions
    described = plan(dataset).describe()
    assert described["partitions"] == 1
    assert described["device"] == "cpu"
    assert described["fallbacks"] == []
    assert described["training"] is None
    assert described["passes"][0] == {"name": "fit 1 of 2", "columns": ["x", "c"], "bytes": nbytes(dataset, "x", "c"), "steps": [0, 2]}


def test_partitions_do_not_depend_on_the_workers(dataset: Dataset) -> None:
    assert plan(dataset, n_workers=1).partitions == plan(dataset, n_workers=64).partitions


def test_the_peak_counts_the_partitions_in_flight_and_the_matrix(dataset: Dataset) -> None:
    whole = nbytes(dataset, "x", "c")
    assert plan(dataset).predicted_peak_bytes == BASE_BYTES + EXPANSION * whole
    assert plan(dataset, n_processes=3).predicted_peak_bytes == BASE_BYTES + 2 * PROCESS_BYTES + EXPANSION * whole
    assert plan(dataset, matrix_columns=2).predicted_peak_bytes == BASE_BYTES + EXPANSION * whole + 3 * 4 * 2 * 4000
    cut = plan(dataset, partition_size=1, n_workers=2)
    assert len(cut.partitions) == 8
    assert cut.predicted_peak_bytes == BASE_BYTES + 2 * EXPANSION * max(partition.nbytes for partition in cut.partitions)


def test_a_small_budget_makes_small_partitions(dataset: Dataset) -> None:
    memory = BASE_BYTES + EXPANSION * nbytes(dataset, "x", "c") // 2
    found = plan(dataset, memory=memory)
    assert len(found.partitions) > 1
    assert found.predicted_peak_bytes <= memory


def test_a_budget_that_no_cut_fits_is_refused_with_what_would(dataset: Dataset) -> None:
    with pytest.raises(MemoryBudgetError, match=r"the plan needs about .*, and run\.memory is 1\.0 MiB\n  give it") as caught:
        plan(dataset, memory=1 << 20)
    assert caught.value.key == "run.memory"


def test_rows_are_kept_between_passes_within_what_the_budget_leaves(dataset: Dataset) -> None:
    memory = 2 * BASE_BYTES
    found = plan(dataset, memory=memory)
    assert found.cache_bytes + found.vocabulary_bytes == memory - found.predicted_peak_bytes
    assert found.vocabulary_bytes == (memory - found.predicted_peak_bytes) // 2


def test_categories_have_a_share_where_a_step_learns_from_text(dataset: Dataset) -> None:
    steps = Steps.of(Pipeline.from_yaml("- normalize: [x]").steps, dataset.schema, {})
    numbers = make_plan(dataset, steps, NoSplit(), ["x"])
    assert (numbers.vocabulary_bytes, plan(dataset).vocabulary_bytes) == (0, usual_bytes())
    least = plan(dataset, memory=plan(dataset).predicted_peak_bytes)
    assert (least.vocabulary_bytes, least.cache_bytes) == (LEAST_VOCABULARY_BYTES, 0)
    assert least.describe()["vocabulary_bytes"] == LEAST_VOCABULARY_BYTES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8GiB", 8 << 30),
        ("500 MB", 500_000_000),
        ("1e9", 10**9),
        ("1.5k" + "ib", 1536),
        ("0", 0),
        ("7 b", 7),
        (4096, 4096),
        ("2TB", 2 * 10**12),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str | int, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["much", "8 QB", "", "GiB", "8 GiB extra", "inf", "1e400MiB", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"could not convert|is no size"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (8 << 30, "8.0 GiB"), (3 << 40, "3.0 TiB"), (5 << 50, "5120.0 TiB")],
)
def test_sizes_are_shown_in_binary_units(nbytes: int, text: str) -> None:
    assert human_bytes(nbytes) == text


def test_a_plan_is_printed_for_people_and_not_by_partition(dataset: Dataset) -> None:
    printed = str(plan(dataset, partition_size=1000))
    assert printed.startswith("device: cpu\nsource: 4,000 rows in 1 file, 8 row groups, ")
    assert "  learns: 0 fill_missing, 2 categorify\n" in printed
    assert "row_groups=" not in printed
    assert repr(plan(dataset, partition_size=1000)) == printed
