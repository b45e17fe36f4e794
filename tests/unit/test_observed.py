"""Observed: who merges what tasks observed changes nothing of what is learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.laws.running import canonical
from tests.writing import write_parquet

from headrace import observed
from headrace.cluster import open_cluster
from headrace.ledger import Ledger
from headrace.observed import Observed, deal, join_items, pick_items
from headrace.ops.base import Op
from headrace.ops.categorify import Categorify
from headrace.ops.normalize import Normalize
from headrace.ops.one_hot import OneHot
from headrace.pipeline import Pipeline


def test_shares_are_of_about_the_same_size_and_hold_every_item() -> None:
    sizes = {(0, str(index)): size for index, size in enumerate([90, 10, 20, 70, 5, 5])}
    shares = deal(sizes, 2)
    assert sorted(item for share in shares for item in share) == sorted(sizes)
    assert [sum(sizes[item] for item in share) for share in shares] == [100, 100]


def test_no_share_is_empty() -> None:
    assert deal({(0, "a"): 1, (1, None): 0}, 8) == [[(0, "a")], [(1, None)]]


def test_shares_joined_are_what_was_dealt_in_its_order() -> None:
    all_of_them = Observed({3: {"a": 1, "b": 2, "c": 3}, 5: "whole"}, 7, Ledger())
    items = [(3, "a"), (3, "b"), (3, "c"), (5, None)]
    shares = [pick_items(share, all_of_them) for share in ([(3, "c"), (5, None)], [(3, "b"), (3, "a")])]
    found = join_items(shares, items)
    assert (found.parts, found.rows) == (all_of_them.parts, 7)
    assert list(found.parts[3]) == ["a", "b", "c"]


def test_what_workers_merge_item_by_item_is_what_one_merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = np.random.default_rng(0)
    words = {name: [f"{name}{value}" for value in draws.integers(0, n, 4000)] for name, n in (("a", 900), ("b", 30), ("c", 3))}
    source = write_parquet(tmp_path / "rows.parquet", pa.table({**words, "x": draws.normal(size=4000)}), 500)
    steps: list[Op] = [Normalize(["x"]), Categorify(["a", "b"], min_frequency=3), OneHot(["c"], max_categories=5)]
    expected = Pipeline(steps).fit(source).fitted
    dealt: list[int] = []
    monkeypatch.setattr(observed, "_WORTH_DEALING", 1)
    monkeypatch.setattr(observed, "deal", lambda sizes, n: dealt.append(n) or deal(sizes, n))
    workers = open_cluster("processes", 2)
    try:
        monkeypatch.setattr("headrace.partitions.LEAST_ROWS", 1)
        monkeypatch.setattr("headrace.partitions.SMALLEST", 1)
        found = Pipeline(steps).fit(source, cluster=workers).fitted
    finally:
        workers.close()
    assert dealt == [2]
    for index, state in expected.states.items():
        assert canonical(found.states[index]) == canonical(state)
