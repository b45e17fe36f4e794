"""Rare keys: known by their hashes, they are counted on as if their strings were still there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import headrace as hr
from headrace.counts import Counts, SpilledCounts, ThinnedCounts
from headrace.keys import Keys
from headrace.packing import pack, read_streams, unpack, write_streams
from headrace.pool import Pools, Room
from headrace.rare import RareKeys

RANDOM = np.random.default_rng(11)
NAMES = [None if n % 31 == 0 else f"Łódź-{int(n)}" for n in RANDOM.zipf(1.3, 20_000)]
EARLY, LATE = NAMES[:4_000], NAMES[4_000:]


def counted(values: list[str | None], pools: Pools | None = None) -> Counts:
    from headrace.backends.arrow.backend import ArrowBackend

    return ArrowBackend(pools).counts({"city": pa.array(values, pa.string())})


def as_dictionary(part: Counts) -> dict[str | None, int]:
    return dict(zip(part.keys.table["city"].to_pylist(), part.counts.tolist(), strict=True))


def test_thinned_counts_know_what_is_frequent_and_how_many_are_not() -> None:
    whole = as_dictionary(counted(EARLY))
    thinned = counted(EARLY).thinned(4)
    frequent = {key: n for key, n in whole.items() if key is None or n >= 4}
    assert as_dictionary(thinned) == frequent
    assert thinned.n_forgotten == len(whole) - len(frequent) > 100
    assert sorted(thinned.rare.counts.tolist()) == sorted(n for key, n in whole.items() if key not in frequent)  # type: ignore[attr-defined]


@pytest.mark.parametrize("pooled", [True, False])
def test_a_rare_key_that_comes_back_has_all_its_rows(pooled: bool) -> None:
    early = counted(EARLY)
    if not pooled:
        early = Counts(Keys(early.keys.table), early.counts)
    both = Counts.merged_all([early.thinned(4), counted(LATE)])
    whole = as_dictionary(counted(NAMES))
    assert {key: n for key, n in as_dictionary(both).items() if n >= 4} == {key: n for key, n in whole.items() if n >= 4}
    assert both.n_forgotten + len(both.keys) == len(whole)
    again = both.thinned(4)
    assert as_dictionary(again) == {key: n for key, n in whole.items() if key is None or n >= 4}
    assert again.n_forgotten + len(again.keys) == len(whole)
    third = Counts.merged_all([again, counted(EARLY)]).thinned(4)
    twice = as_dictionary(counted([*NAMES, *EARLY]))
    assert as_dictionary(third) == {key: n for key, n in twice.items() if key is None or n >= 4}


def test_rare_keys_meet_keys_that_are_in_files(tmp_path: Path) -> None:
    late = counted(LATE, Pools(Room(1 << 20), room=0, folder=tmp_path))
    assert isinstance(late, SpilledCounts)
    both = Counts.merged_all([counted(EARLY).thinned(4), late]).thinned(4).settled(Room())
    whole = as_dictionary(counted(NAMES))
    found: dict[str | None, int] = {}
    for piece in both.pieces():
        found |= as_dictionary(piece)
    assert {key: n for key, n in found.items() if n >= 4} == {key: n for key, n in whole.items() if n >= 4}
    assert both.n_forgotten + len(found) == len(whole)


def test_two_thinned_parts_cannot_be_merged() -> None:
    with pytest.raises(TypeError, match="by its hash alone"):
        Counts.merged_all([counted(EARLY).thinned(4), counted(LATE).thinned(4)])


def test_numbers_and_keys_of_many_columns_are_kept_whole() -> None:
    for keys in (Keys.of({"n": [1, 2]}), Keys.of({"a": ["x", "y"], "b": ["u", "v"]})):
        counts = Counts(keys, np.array([1, 9]))
        assert counts.thinned(4) is counts


def test_thinned_counts_are_saved_and_read_back(tmp_path: Path) -> None:
    part = counted(EARLY).thinned(4)
    streams: list[pa.Table] = []
    packed = pack(part, streams)  # type: ignore[arg-type]
    with (tmp_path / "states").open("wb") as sink:
        places = write_streams(streams, sink)
    found = unpack(Counts, packed, read_streams(pa.memory_map(str(tmp_path / "states")).read_buffer(), places))
    assert isinstance(found, ThinnedCounts)
    assert as_dictionary(found) == as_dictionary(part)
    assert found.rare.hashes.tolist() == part.rare.hashes.tolist()  # type: ignore[attr-defined]


def test_a_bundle_grows_by_eight_bytes_a_rare_string_and_learns_on(parquet: Callable[..., Path], tmp_path: Path) -> None:
    once = [f"{n:032d}" for n in range(20_000)]
    steps = [hr.Categorify(["city"], min_frequency=3)]
    early = hr.Pipeline(steps).fit(parquet(pa.table({"city": once}), 3))
    early.save(tmp_path / "early")
    assert (tmp_path / "early" / "states.arrows").stat().st_size < 20_000 * 8 + 10_000
    later = pa.table({"city": once[:50] * 2 + once[50:60]})
    updated = hr.FittedPipeline.load(tmp_path / "early").update(later)
    vocabulary = updated.fitted.states[0]["city"]
    assert vocabulary.keys.table["city"].to_pylist() == [None, *once[:50]]
    assert vocabulary.counts.tolist() == [0, *[3] * 50]
    assert vocabulary.n_rare == 20_000 - 50
    assert updated.transform(later)["city"].to_pylist() == [*range(2, 52)] * 2 + [1] * 10


def test_rare_keys_without_any() -> None:
    none = RareKeys.of(np.zeros(0, np.uint64), np.zeros(0, np.int64))
    assert len(none) == 0
    assert none.find(np.array([5], np.uint64)).tolist() == [0]
    assert none.counts.tolist() == []
