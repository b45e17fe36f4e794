"""Law: the same rows in any number of row groups, files, partitions and workers give the same output, bit for bit."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from tests.comparing import assert_same_table
from tests.laws.examples import TABLES, cases, rows
from tests.laws.running import Outcome, content, run
from tests.writing import write_parquet

from headrace.ops.base import Op

CASES = [pytest.param(name, op, id=name) for name, op in cases()]


@cache
def whole(name: str) -> Outcome:
    """Return what an operator makes of a table in memory, in one piece: made once, compared with often."""
    return run([dict(cases())[name]], rows(), TABLES, partition_size=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows in files of 1, 7 and 64 row groups, and in four files of which one is empty."""
    made = tmp_path_factory.mktemp("rows")
    for row_groups in (1, 7, 64):
        write_parquet(made / f"{row_groups}.parquet", rows(), row_groups)
    for index, piece in enumerate([rows().slice(0, 450), rows().slice(450, 450), rows().slice(0, 0), rows().slice(900)]):
        write_parquet(made / "files" / f"part-{index}.parquet", piece, 3 if piece.num_rows else 1)
    return made


@pytest.mark.parametrize(("name", "op"), CASES)
@pytest.mark.parametrize(("row_groups", "workers"), [(1, 1), (7, 2), (64, 4)])
def test_row_groups_and_workers_change_no_bit(name: str, op: Op, row_groups: int, workers: int, folder: Path) -> None:
    found = run([op], folder / f"{row_groups}.parquet", TABLES, workers=workers)
    assert found.partitions == row_groups
    _assert_same_outcome(found, whole(name))


@pytest.mark.parametrize(("name", "op"), CASES)
def test_files_and_empty_files_change_no_bit(name: str, op: Op, folder: Path) -> None:
    found = run([op], folder / "files", TABLES, partition_size="file", workers=2)
    assert found.partitions == 4
    _assert_same_outcome(found, whole(name))


def test_a_chain_of_fitted_steps_is_the_same_in_any_cut(folder: Path) -> None:
    chain = [op for name, op in cases() if name in ("filter-0", "join_external-0", "fill_missing-0", "normalize-0", "target_encoding-0")]
    once, cut = run(chain, rows(), TABLES, partition_size=None), run(chain, folder / "64.parquet", TABLES, workers=2)
    assert once.table.num_rows < rows().num_rows
    _assert_same_outcome(cut, once)


def _assert_same_outcome(found: Outcome, expected: Outcome) -> None:
    assert_same_table(found.table, expected.table)
    assert content(found.states) == content(expected.states)
    assert found.counts() == expected.counts()
    assert (found.ledger.rows_in, found.ledger.rows_out) == (rows().num_rows, found.table.num_rows)
