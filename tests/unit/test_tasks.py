"""The tasks of a run: rows of the matrix are picked where they lie, the same ones however partitions are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dask.sizeof import sizeof

from headrace.jobs.tasks import Counted, Prepared, sample_rows
from headrace.ledger import Ledger
from headrace.local_cluster import LocalCluster

ROWS = 100
MATRIX = np.arange(2 * ROWS, dtype=np.float32).reshape(ROWS, 2)
TEST = np.arange(ROWS) >= 70


def partitions(*stops: int) -> list[tuple[Prepared, Counted]]:
    pieces = [slice(start, stop) for start, stop in zip((0, *stops), (*stops, ROWS), strict=True)]
    return [(Prepared(MATRIX[piece], MATRIX[piece, 0], ~TEST[piece], TEST[piece], ()), Counted(Ledger(), {}, {})) for piece in pieces]


def picked(which: str, n_rows: int, parts: list[tuple[Prepared, Counted]]) -> Any:
    count = {"all": lambda one: len(one.matrix), "test": lambda one: int(one.test.sum()), "training": lambda one: int(one.training.sum())}
    cluster = LocalCluster(1)
    try:
        return sample_rows(cluster, n_rows, which, [count[which](one) for one, _ in parts], parts)
    finally:
        cluster.close()


@pytest.mark.parametrize("stops", [(), (1, 1, 50), (70,), (10, 20, 30, 99)], ids=str)
@pytest.mark.parametrize(
    ("which", "n_rows", "expected"),
    [
        ("all", 3, [0, 49, 99]),
        ("training", 4, [0, 23, 46, 69]),
        ("test", 2, [70, 99]),
        ("test", 500, list(range(70, 100))),
    ],
)
def test_rows_are_evenly_spaced_over_those_asked_for(which: str, n_rows: int, expected: list[int], stops: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(picked(which, n_rows, partitions(*stops)), MATRIX[expected], strict=True)


def test_dask_finds_what_prepared_rows_take() -> None:
    """By it a result goes to the host where a device has no room, and tasks go where most of what they need is."""
    (part,) = partitions()
    assert sizeof(part) >= MATRIX.nbytes + MATRIX[:, 0].nbytes + 2 * TEST.nbytes


def test_no_row_of_a_kind_is_a_matrix_without_rows() -> None:
    parts = [(Prepared(one.matrix, one.target, one.training, np.zeros_like(one.test), ()), counted) for one, counted in partitions(40)]
    assert picked("test", 5, parts).shape == (0, 2)
