"""Law: the same rows in any number of row groups, files, partitions and workers give the same output, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from tests.comparing import assert_same_table
from tests.laws.examples import TABLES, cases, rows
from tests.laws.running import Outcome, content, run

from headrace.ops.base import Op

CASES = [pytest.param(name, op, id=name) for name, op in cases()]


@cache
def whole(name: str) -> Outcome:
    """Return what an operator makes of a table in memory, in one piece: made once, compared with often."""
    return run([dict(cases())[name]], rows(), TABLES, partition_size=None)


@pytest.mark.parametrize(("name", "op"), CASES)
@pytest.mark.parametrize(("row_groups", "workers"), [(1, 1), (7, 2), (64, 1), (64, 4)])
def test_row_groups_and_workers_change_no_bit(name: str, op: Op, row_groups: int, workers: int, parquet: Callable[..., Path]) -> None:
    found = run([op], parquet(rows(), row_groups), TABLES, workers=workers)
    assert found.partitions == row_groups
    assert_same_table(found.table, whole(name).table)
    assert content(found.states) == content(whole(name).states)
    assert found.counts() == whole(name).counts()
    assert (found.ledger.rows_in, found.ledger.rows_out) == (rows().num_rows, found.table.num_rows)


@pytest.mark.parametrize(("name", "op"), CASES)
def test_files_read_together_change_no_bit(name: str, op: Op, parquet: Callable[..., Path]) -> None:
    pieces = [parquet(rows().slice(start, 450), 3, f"part-{start:04d}.parquet") for start in range(0, rows().num_rows, 450)]
    found = run([op], [str(path) for path in pieces], TABLES, partition_size="file", workers=2)
    assert found.partitions == len(pieces) == 3
    assert_same_table(found.table, whole(name).table)
    assert content(found.states) == content(whole(name).states)


@pytest.mark.parametrize(("name", "op"), CASES)
def test_an_empty_row_group_changes_no_bit(name: str, op: Op, parquet: Callable[..., Path]) -> None:
    pieces = [
        parquet(piece, 1, f"part-{index}.parquet")
        for index, piece in enumerate([rows().slice(0, 900), rows().slice(0, 0), rows().slice(900)])
    ]
    found = run([op], [str(path) for path in pieces], TABLES)
    assert_same_table(found.table, whole(name).table)
    assert content(found.states) == content(whole(name).states)


def test_a_chain_of_fitted_steps_is_the_same_in_any_cut(parquet: Callable[..., Path]) -> None:
    chain = [op for name, op in cases() if name in ("filter-0", "join_external-0", "fill_missing-0", "normalize-0", "target_encoding-0")]
    once, cut = run(chain, rows(), TABLES, partition_size=None), run(chain, parquet(rows(), 64), TABLES, workers=2)
    assert once.table.num_rows < rows().num_rows
    assert_same_table(cut.table, once.table)
    assert content(cut.states) == content(once.states)
    assert cut.counts() == once.counts()
