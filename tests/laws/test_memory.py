"""Law: how many strings fit in memory while they are counted changes no bit of what is learnt, saved, and learnt on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.comparing import assert_same_table
from tests.laws.examples import TABLES, cases, rows
from tests.laws.running import canonical
from tests.writing import write_parquet

from headrace import cache
from headrace.counts import SpilledCounts
from headrace.ops.base import FittedOp, Op
from headrace.pipeline import FittedPipeline, Pipeline
from headrace.pool import Pools
from headrace_kernels import tables

FITTED = [pytest.param(op, id=name) for name, op in cases() if isinstance(op, FittedOp) and op.learns]


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave every column two strings in memory."""
    monkeypatch.setattr(tables, "_FIRST_CAPACITY", 4)
    monkeypatch.setattr(cache, "Pools", lambda memory=None, room=None, folder=None, n_rows=0: Pools(memory, 0, folder))


def learnt_three_times(op: Op, folder: Path) -> list[FittedPipeline]:
    """Fit on the rows of a file, learn more from others, and learn the same from what was saved and loaded."""
    source = write_parquet(folder / "rows.parquet", rows(), 5)
    fitted = Pipeline([op]).fit(source, tables=TABLES)
    fitted.save(folder / "saved")
    more = rows(400, seed=1)
    return [fitted, fitted.update(more), FittedPipeline.load(folder / "saved").update(more)]


@pytest.mark.parametrize("op", FITTED)
def test_room_for_strings_changes_no_bit(op: Op, tmp_path: Path, no_room: None) -> None:
    found = learnt_three_times(op, tmp_path / "found")
    with pytest.MonkeyPatch.context() as roomy:
        roomy.setattr(cache, "Pools", Pools)
        expected = learnt_three_times(op, tmp_path / "expected")
    for tight, usual in zip(found, expected, strict=True):
        assert canonical(tight.fitted.states) == canonical(usual.fitted.states)
        assert_same_table(tight.transform(rows()), usual.transform(rows()))


def test_the_law_is_held_on_strings_in_files(tmp_path: Path, no_room: None) -> None:
    spilled = {
        op.name
        for op in (case.values[0] for case in FITTED)
        for part in [learnt_three_times(op, tmp_path / str(id(op)))[2].fitted.parts[0]]
        if any(isinstance(item, SpilledCounts) or isinstance(getattr(item, "counts", None), SpilledCounts) for item in _items(part))
    }
    assert spilled == {"categorify", "count_encoding", "data_stats", "fill_missing", "one_hot"}


def _items(part: object) -> list[object]:
    return list(part.values()) if isinstance(part, dict) else [part]
