"""Partitions: consecutive rows, cut at row groups, numbered through."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.dataset import Dataset
from headrace.ledger import Ledger
from headrace.partitions import TableSource, cut, read_partition
from headrace.table import KEY, ROW, Backend

DATA = pa.table({"id": range(100), "wide": ["x" * 100 + str(value) for value in range(100)]})


@pytest.fixture
def dataset(parquet: Callable[..., Path]) -> Dataset:
    return Dataset.open([parquet(DATA.slice(0, 60), 6, "a.parquet"), parquet(DATA.slice(60), 4, "b.parquet")])


@pytest.mark.parametrize("size", [None, 1, 200, 10**9, "file"])
def test_partitions_cover_every_row_once_and_in_order(dataset: Dataset, size: int | str | None) -> None:
    for source in (dataset, TableSource(DATA)):
        partitions = cut(source, ("id",), size)
        assert [partition.index for partition in partitions] == list(range(len(partitions)))
        edges = [(partition.first_row, partition.first_row + partition.n_rows) for partition in partitions]
        assert edges[0][0] == 0
        assert edges[-1][1] == 100
        assert all(before[1] == after[0] for before, after in itertools.pairwise(edges))


def test_the_size_is_of_the_columns_read(dataset: Dataset) -> None:
    group = sum(dataset.row_groups[0].nbytes.values())
    assert len(cut(dataset, ("id", "wide"), 1)) == 10
    assert len(cut(dataset, ("id", "wide"), group * 2 + 50)) == 5
    assert len(cut(dataset, ("id",), group * 2 + 50)) < 5
    assert len(cut(dataset, ("id", "wide"), 10**9)) == 1
    assert [partition.n_rows for partition in cut(dataset, ("id",), "file")] == [60, 40]


@pytest.mark.parametrize(("n_groups", "sizes"), [(15, [1]), (20, [1]), (40, [2]), (160, [10]), (163, [9, 10])])
def test_partitions_are_about_as_large_as_each_other(
    parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, n_groups: int, sizes: list[int]
) -> None:
    monkeypatch.setattr("headrace.partitions.SMALLEST", 1)
    monkeypatch.setattr("headrace.partitions.LEAST_ROWS", 1)
    dataset = Dataset.open(parquet(pa.table({"id": range(n_groups)}), n_groups))
    assert sorted({len(partition.row_groups) for partition in cut(dataset, ("id",))}) == sizes


def test_a_table_is_cut_by_its_bytes() -> None:
    source = TableSource(DATA)
    assert len(cut(source, DATA.column_names, DATA.nbytes // 4)) in (4, 5)
    assert len(cut(source, ("id",), DATA.nbytes // 4)) == 1  # no task sees the wide one
    assert len(cut(source, ("id",), 1)) == 100  # never less than a row
    assert len(cut(source, ("id",))) == 1


@pytest.mark.parametrize(("n_columns", "n_rows", "n_partitions"), [(300, 4_000, 1), (300, 20_000, 2), (4, 4_000, 1)])
def test_wide_rows_are_not_cut_into_tasks_of_few(n_columns: int, n_rows: int, n_partitions: int) -> None:
    table = pa.table({f"c{index}": np.zeros(n_rows) for index in range(n_columns)})
    assert len(cut(TableSource(table), table.column_names)) == n_partitions


def test_small_row_groups_of_wide_files_are_read_together(parquet: Callable[..., Path]) -> None:
    table = pa.table({f"c{index}": np.arange(17_000.0) for index in range(64)})  # 9 MB
    dataset = Dataset.open(parquet(table, 500))
    assert [partition.n_rows for partition in cut(dataset, table.column_names)] == [8_500, 8_500]
    assert len(cut(dataset, table.column_names, 1 << 20)) > 2


@pytest.mark.parametrize("size", [None, 1, "file"])
def test_a_source_without_rows_is_one_partition(parquet: Callable[..., Path], backend: Backend, size: int | str | None) -> None:
    empty = DATA.slice(0, 0)
    for source in (Dataset.open(parquet(empty, 1)), TableSource(empty)):
        (partition,) = cut(source, ("id",), size)
        assert (partition.first_row, partition.n_rows) == (0, 0)
        (table,) = read_partition(source, partition, ("id",), backend, Ledger())
        assert (table.n_rows, table.names) == (0, ("id",))


def test_rows_know_their_number_and_their_key(dataset: Dataset, backend: Backend) -> None:
    partition = cut(dataset, ("id",), 1)[7]
    (table,) = read_partition(dataset, partition, ("id",), backend, Ledger(), key=("id",))
    assert table.to_arrow()["id"].to_pylist() == list(range(70, 80))
    assert backend.to_arrow(table.columns[ROW]).to_pylist() == list(range(70, 80))
    assert backend.to_arrow(table.columns[KEY + "id"]).to_pylist() == list(range(70, 80))


def test_no_columns_are_read_as_rows_without_columns(dataset: Dataset, backend: Backend) -> None:
    for source in (dataset, TableSource(DATA)):
        tables = [table for partition in cut(source, (), 10**9) for table in read_partition(source, partition, (), backend, Ledger())]
        assert sum(table.n_rows for table in tables) == 100
        assert [row for table in tables for row in backend.to_arrow(table.columns[ROW]).to_pylist()] == list(range(100))


def test_the_fingerprint_of_a_table_is_that_of_its_rows() -> None:
    assert TableSource(DATA).fingerprint == TableSource(DATA.slice(0)).fingerprint
    assert TableSource(DATA).fingerprint != TableSource(DATA.slice(1)).fingerprint
    assert TableSource(DATA).describe() == {"path": "a table in memory", "files": 0, "row_groups": 0, "rows": 100, "bytes": DATA.nbytes}
