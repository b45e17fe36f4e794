"""The spool: rows in memory while they fit, in files beyond, nothing left over."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from tests.comparing import assert_same_table

from headrace.errors import MemoryBudgetError
from headrace.spool import Budget, InFile, InMemory, Spool, spooling

PIECES = [
    pa.table({"a": pa.array(range(size), pa.int64()), "s": pa.array([str(n) for n in range(size)], pa.large_string())})
    for size in (5, 0, 3)
]
NBYTES = sum(piece.nbytes for piece in PIECES)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that temporary files go to."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def _cluster(*, one_process: bool = True, one_machine: bool = True) -> Any:
    return SimpleNamespace(one_process=one_process, one_machine=one_machine)


@pytest.mark.parametrize(("memory", "kind"), [(NBYTES, InMemory), (NBYTES - 1, InFile), (0, InFile)])
def test_pieces_come_back_as_they_were(temporary: Path, memory: int, kind: type) -> None:
    with spooling(_cluster(), memory) as spool:
        held = spool.hold("stage", PIECES)
        assert isinstance(held, kind)
        for index, piece in enumerate(PIECES):
            assert_same_table(held.piece(index), piece)


def test_what_did_not_fit_leaves_its_room_to_others(temporary: Path) -> None:
    with spooling(_cluster(), NBYTES - 1) as spool:
        spool.hold("stage", PIECES)
        assert spool.budget is not None
        assert spool.budget.held["stage"] == 0
        assert isinstance(spool.hold("stage", PIECES[1:]), InMemory)
        assert spool.budget.peak <= NBYTES - 1


def test_a_stage_that_is_over_gives_back_files_and_memory(temporary: Path) -> None:
    with spooling(_cluster(), NBYTES) as spool:
        spool.hold("first", PIECES)
        assert isinstance(spool.hold("first", PIECES), InFile)
        assert list(temporary.rglob("*.arrow"))
        spool.release("first")
        assert not list(temporary.rglob("*.arrow"))
        assert isinstance(spool.hold("second", PIECES), InMemory)


def test_pieces_are_written_as_they_come(temporary: Path) -> None:
    alive: list[int] = []

    def pieces() -> Iterator[pa.Table]:
        for index, piece in enumerate(PIECES):
            alive.append(index)
            assert len(list(temporary.rglob("*.arrow"))) == (index > 0)
            yield piece

    with spooling(_cluster(), 0) as spool:
        spool.hold("stage", pieces())
    assert alive == [0, 1, 2]


def test_processes_hand_over_files_and_a_scheduler_s_workers_nothing_but_memory(temporary: Path) -> None:
    with spooling(_cluster(one_process=False), 1 << 40) as spool:
        assert isinstance(spool.hold("stage", PIECES), InFile)
    with spooling(_cluster(one_process=False, one_machine=False), 0) as spool:
        assert isinstance(spool.hold("stage", PIECES), InMemory)
    assert list(temporary.iterdir()) == []


def test_nothing_is_left_after_an_error(temporary: Path) -> None:
    def fail() -> None:
        with spooling(_cluster(), 0) as spool:
            spool.hold("stage", PIECES)
            assert list(temporary.iterdir())
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert list(temporary.iterdir()) == []


def test_a_task_that_still_runs_after_the_end_leaves_nothing_and_says_why_it_cannot_write(temporary: Path) -> None:
    with spooling(_cluster(), 0) as spool:
        pass
    with pytest.raises(MemoryBudgetError, match=r"cannot be written to .*\n  set the environment variable TMPDIR"):
        spool.hold("stage", PIECES)
    assert list(temporary.iterdir()) == []


def test_without_a_folder_all_is_in_memory() -> None:
    assert isinstance(Spool().hold("stage", PIECES), InMemory)
    Spool().release("stage")


def test_a_budget_is_never_exceeded() -> None:
    budget = Budget(10)
    assert budget.take("a", 6)
    assert not budget.take("b", 5)
    assert budget.take("b", 4)
    budget.give_back("a")
    assert budget.take("c", 6)
    assert budget.peak == 10
