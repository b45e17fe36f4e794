"""Rows kept between passes: read once, led through the first steps once, counted once, in memory or in files."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import headrace as hr
from headrace import cache, execution, plan
from headrace.backends.arrow.backend import ArrowBackend
from headrace.pool import Numbered, Pools, Room

ROWS = pa.table(
    {
        "km": [1.0, None, 3.0, 400.0, 5.0, 6.0],
        "city": pa.array(["Oslo", None, "Rome", "Oslo", "Lima", "Rome"]),
        "unused": [0] * 6,
    }
)
STEPS = [hr.Filter("km IS NULL OR km < 100"), hr.FillMissing(["km"], value=2.0), hr.Normalize(["km"]), hr.Categorify(["city"])]


@pytest.fixture
def source(parquet: Callable[..., Path]) -> Path:
    return parquet(ROWS, 2)


def counted(moved: Any) -> Any:
    ledger = moved.ledger
    return ledger.rows(), {step: (tally.rows_in, tally.rows_out, tally.counts) for step, tally in sorted(ledger.tallies.items())}


def write_on_a_full_disk(path: Path, batch: Any) -> Any:
    path.write_bytes(b"ARROW1")
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("memory", [1 << 30, 1, 0], ids=["in memory", "in files", "where the disk is full"])
def test_kept_rows_give_the_same_rows_and_counts(source: Path, monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    expected = hr.Pipeline(STEPS).fit_transform(ROWS)  # a table in memory is read anew by every pass
    monkeypatch.setattr(plan, "usual_bytes", lambda: memory or 1)
    if not memory:
        monkeypatch.setattr(cache, "_spill", write_on_a_full_disk)
    found = hr.Pipeline(STEPS).fit_transform(source)
    assert found.table.equals(expected.table)
    assert counted(found) == counted(expected)
    assert counted(found)[0] == {"in": 6, "filtered": 1, "quarantined": 0, "out": 5}


def test_files_are_read_once_and_leading_steps_applied_once(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    applied: list[list[int]] = []
    original, apply = ArrowBackend.read, execution.apply_steps
    monkeypatch.setattr(ArrowBackend, "read", lambda *given: read.append("read") or original(*given))
    monkeypatch.setattr(
        execution, "apply_steps", lambda table, ops, states, steps: applied.append(list(steps)) or apply(table, ops, states, steps)
    )
    hr.Pipeline(STEPS).fit_transform(source)
    assert read == ["read"]
    assert sum(0 in steps for steps in applied) == 1
    assert [steps for steps in applied if 3 in steps] == [[2, 3]]


def test_only_columns_that_are_needed_later_are_kept(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[set[str]] = []
    keep = execution.keep
    monkeypatch.setattr(
        execution, "keep", lambda settings, partition, rows: kept.append(set(rows.batches[0][1])) or keep(settings, partition, rows)
    )
    steps = [hr.Derive({"far": "km > 2"}), hr.Select(["far", "city"]), hr.Categorify(["city"])]
    hr.Pipeline(steps).fit_transform(source)
    assert [{name for name in names if name[0] != "\0"} for names in kept] == [{"far", "city"}]


def test_nothing_is_kept_when_the_run_is_over(source: Path) -> None:
    from headrace.cache import _kept

    hr.Pipeline(STEPS).fit_transform(source)
    assert not _kept


@pytest.mark.parametrize("use_dictionary", [True, False], ids=["a dictionary", "plain"])
@pytest.mark.parametrize("memory", [1 << 30, 1], ids=["in memory", "in files"])
def test_numbers_are_kept_in_place_of_strings_of_which_only_codes_are_asked(
    parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, memory: int, use_dictionary: bool
) -> None:
    kept: list[dict[str, type]] = []
    numbered = cache._numbered
    monkeypatch.setattr(cache, "_numbered", lambda *given: kept.append(kinds := {}) or _noted(kinds, numbered(*given)))
    rows = pa.table({"code": ["b", None, "a", "b", "c", "a"], "both": ["x", "y", None, "x", "x", "y"], "left": list("uvwuvw")})
    steps = [hr.Derive({"n": "length(left)"}), hr.Categorify(["code"]), hr.CountEncoding(["both"]), hr.Categorify(["left"], buckets=2)]
    expected = hr.Pipeline(steps).fit_transform(rows).table
    source = parquet(rows, 2, use_dictionary=use_dictionary)
    monkeypatch.setattr(cache, "Pools", lambda memory=None, room=None, folder=None, n_rows=0: Pools(Room(1 << 20), room, folder))
    monkeypatch.setattr(plan, "usual_bytes", lambda: memory)
    assert hr.Pipeline(steps).fit_transform(source).table.equals(expected)
    assert [{name for name, kind in kinds.items() if kind is Numbered} for kinds in kept] == [{"code"}] * len(kept)


def _noted(kinds: dict[str, type], batch: Any) -> Any:
    kinds.update({name: type(column) for name, column in batch[1].items()})
    return batch
