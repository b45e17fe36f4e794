"""Runs: categories beyond the memory they may take go to files, and nothing that is learnt shows it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.laws.running import content

import headrace as hr
from headrace import cache, execution, pipeline, plan
from headrace.backends.arrow.backend import ArrowBackend
from headrace.cache import CacheSettings
from headrace.counts import Counts, SpilledCounts
from headrace.errors import BundleError, MemoryBudgetError
from headrace.keys import Keys
from headrace.ops.vocabulary import Vocabulary
from headrace.packing import pack, unpack
from headrace.pool import Pool, PooledKeys, Pools, Room
from headrace.runs import N_BUCKETS, Bucket, bucket_numbers, canonical, nameless_run, write_run
from headrace.states import settle
from headrace_kernels.hashing import hash_bytes

LARGE = "x" * (1 << 20)
RANDOM = np.random.default_rng(7)
# 6,000 distinct ones, heavy-tailed, so that some stand in every batch
WORDS = [f"Łódź-{int(word)}" for word in np.minimum(RANDOM.zipf(1.3, 12_000), 6_000)] + [f"once {n}" for n in range(4_000)]
VALUES: list[str | None] = [None if n % 97 == 0 else word for n, word in enumerate([*WORDS, "", LARGE, "", "a\0b", LARGE])]
RANDOM.shuffle(VALUES)  # type: ignore[arg-type]


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Leave strings no memory beyond the first few hundred, and say where their files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(cache, "Pools", lambda memory=None, room=None, folder=None, n_rows=0: Pools(memory, 8_000, folder))
    yield folder
    assert not [path.name for path in folder.iterdir() if "vocabulary" in path.name], "files were left"


def counted(array: pa.Array, pools: Pools) -> Counts:
    return ArrowBackend(pools).counts({"city": array})


def batches(encoded: bool) -> list[pa.Array]:
    arrays = [pa.array(VALUES[start : start + 3_000]) for start in range(0, len(VALUES), 3_000)]
    return [array.dictionary_encode() if encoded else array for array in arrays]


def spilling(folder: Path) -> Pools:
    return Pools(Room(1 << 20), room=30_000, folder=folder)


def as_dictionary(part: Counts) -> dict[str | None, int]:
    return dict(zip(part.keys.table["city"].to_pylist(), part.counts.tolist(), strict=True))


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "dictionary"])
def test_counts_in_files_are_the_counts(tmp_path: Path, encoded: bool) -> None:
    pools = spilling(tmp_path)
    found = Counts.merged_all([counted(array, pools) for array in batches(encoded)])
    expected = Counts.merged_all([counted(array, Pools()) for array in batches(encoded)])
    assert isinstance(found, SpilledCounts)
    assert isinstance(found.held.keys, PooledKeys)
    assert len(found.held.keys) < 2_000 < len(expected.keys)
    assert as_dictionary(found) == as_dictionary(expected)
    assert sum(len(piece.keys) for piece in found.pieces()) == len(expected.keys)


@pytest.mark.parametrize("settings", [{}, {"min_frequency": 3}, {"max_size": 50}, {"min_frequency": 2, "max_size": 1_000}], ids=str)
def test_a_vocabulary_learnt_of_files_is_the_same(tmp_path: Path, settings: dict[str, int]) -> None:
    pools = spilling(tmp_path)
    found = Counts.merged_all([counted(array, pools) for array in batches(False)])
    expected = Counts.merged_all([counted(array, Pools()) for array in batches(False)])
    for part in (found, found.settled(Room())):
        assert content(Vocabulary.learn(part, **settings)) == content(Vocabulary.learn(expected, **settings))


def test_settled_counts_do_not_show_what_fitted(tmp_path: Path) -> None:
    arrays = batches(False)
    settled = []
    for room, order in ((30_000, arrays), (300_000, arrays), (60_000, arrays[::-1])):
        pools = Pools(room=room, folder=tmp_path)
        settled.append(content(Counts.merged_all([counted(array, pools) for array in order]).settled(Room())))
    assert settled[0] == settled[1] == settled[2]


def test_settled_counts_outlive_the_files_of_the_run(tmp_path: Path) -> None:
    pools = spilling(tmp_path)
    part = Counts.merged_all([counted(array, pools) for array in batches(True)])
    expected = as_dictionary(part)
    (settled,) = settle((part,), Room())
    for path in tmp_path.iterdir():
        path.unlink()
    assert as_dictionary(settled) == expected


def test_saved_counts_with_other_buckets_are_refused(tmp_path: Path) -> None:
    pools = spilling(tmp_path)
    streams: list[Any] = []
    packed = pack(counted(pa.array(VALUES), pools).settled(Room()), streams)
    tables = [stream.read() if isinstance(stream, Bucket) else stream for stream in streams]
    assert as_dictionary(unpack(Counts, packed, tables)) == as_dictionary(counted(pa.array(VALUES), Pools()))
    for wrong in (tables[:-1], [*tables[:-1], pa.table({"key": ["a"]})]):
        with pytest.raises(BundleError, match="buckets are others"):
            unpack(Counts, packed, wrong)


def test_counts_of_some_keys_are_found_in_files(tmp_path: Path) -> None:
    pools = spilling(tmp_path)
    part = Counts.merged_all([counted(array, pools) for array in batches(True)])
    asked = ["once 7", None, "never", "", LARGE, "Łódź-1"]
    assert part.of(Keys.of({"city": asked})).tolist() == [VALUES.count(value) for value in asked]


def test_counts_travel_as_files(tmp_path: Path) -> None:
    pools = spilling(tmp_path)
    part = Counts.merged_all([counted(array, pools) for array in batches(False)])
    travelled = pickle.loads(pickle.dumps(part))
    assert travelled.held.keys.table["city"].to_pylist() == [None]
    assert len(pickle.dumps(part)) < 10_000
    assert as_dictionary(travelled) == as_dictionary(part)
    assert as_dictionary(travelled.merged(part)) == {value: 2 * n for value, n in as_dictionary(part).items()}


def test_the_bucket_of_a_string_is_the_top_of_its_hash(tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(500)]
    strings = pa.array(words, pa.large_string())
    assert bucket_numbers(strings).tolist() == [hash_bytes(word.encode(), 0) >> 58 for word in words]
    run = write_run(tmp_path, strings, np.arange(500))
    tables = [run.bucket(index) for index in range(N_BUCKETS)]
    assert {key: n for table in tables for key, n in zip(*table.to_pydict().values(), strict=True)} == {f"w{n}": n for n in range(500)}


def test_strings_of_one_hash_are_in_order_of_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.runs.string_hashes", lambda strings: np.zeros(len(strings), np.uint64))
    strings, counts = canonical(pa.array(["b", "a", "ä", "aa"], pa.large_string()), np.arange(4))
    assert (strings.to_pylist(), counts.tolist()) == (["a", "aa", "b", "ä"], [1, 3, 0, 2])


def test_a_run_without_a_name_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run = nameless_run((pa.array([f"{n}"], pa.large_string()), np.array([n])) for n in range(N_BUCKETS))
    assert not list(tmp_path.iterdir())
    assert [run.bucket(index).to_pydict() for index in (3, 0)] == [{"key": ["3"], "count": [3]}, {"key": ["0"], "count": [0]}]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(MemoryBudgetError, match=r"cannot be written to .*gone") as caught:
        write_run(tmp_path / "gone", pa.array(["a"], pa.large_string()), np.ones(1, np.int64))
    assert "TMPDIR" in str(caught.value)


def test_workers_without_files_in_common_are_refused_by_column() -> None:
    with pytest.raises(MemoryBudgetError, match=r"column 'city'.*has more categories than") as caught:
        counted(pa.array([f"{n}" for n in range(5_000)]), Pools(room=1_000))
    assert caught.value.key == "run.memory"


def test_a_pool_without_room_remembers_no_rows_it_has_no_numbers_for() -> None:
    pool = Pool("city", Room(1 << 20), Room(0))
    array = pa.array([f"{n}" for n in range(5_000)])
    numbers = pool.remember(array)
    assert (numbers == -2).sum() == 5_000 - len(pool)
    assert pool.known(array) is None
    assert pool.remember(array[:100]).tolist() == list(range(100))


def test_categories_that_do_not_fit_are_refused_with_their_number(tmp_path: Path) -> None:
    pools = spilling(tmp_path)
    part = Counts.merged_all([counted(array, pools) for array in batches(False)]).settled(Room(100_000))
    n_categories = len(set(VALUES) - {None})
    with pytest.raises(MemoryBudgetError, match=rf"column 'city'.* {n_categories:,} categories do not fit") as caught:
        Vocabulary.learn(part)
    for word in ("min_frequency", "max_size", "run.memory"):
        assert word in str(caught.value.hint)
    assert len(Vocabulary.learn(part, max_size=200)) == 200


# ---- pipelines --------------------------------------------------------------------------------------------------------

STEPS: list[Any] = [
    hr.Categorify(["city"], min_frequency=2, max_size=40),
    hr.Categorify(["town"], max_size=30, buckets=5),
    hr.OneHot(["plain"], max_categories=3),
    hr.FillMissing(["encoded"], value="mode"),
    hr.DataStats(["stats"]),
    hr.Categorify([["a", "b"]], max_size=30),
    hr.Categorify(["c", "d"], joint=True, max_size=30),
]


def rows() -> pa.Table:
    def plain(seed: int) -> pa.Array:
        return pa.array(VALUES).take(pa.array(np.random.default_rng(seed).integers(0, len(VALUES) - 5, 8_000)))

    names = ("city", "town", "plain", "stats", "a", "b", "c", "d")
    return pa.table({**{name: plain(seed) for seed, name in enumerate(names)}, "encoded": plain(9).dictionary_encode()})


def learnt(fitted: hr.FittedPipeline) -> dict[int, Any]:
    return {index: content(state) for index, state in fitted.fitted.states.items()}


def is_spilled(fitted: hr.FittedPipeline, index: int, name: str) -> bool:
    return isinstance(fitted.fitted.parts[index][name], SpilledCounts)


@pytest.mark.parametrize(("cluster", "row_groups"), [(1, 1), (1, 7), (4, 7)])
def test_a_pipeline_learns_the_same_in_little_memory(
    parquet: Callable[..., Path], tight: Path, cluster: int, row_groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.local_cluster import LocalCluster

    data = rows()
    path = parquet(data, row_groups, use_dictionary=["encoded"])
    workers = LocalCluster(cluster)
    found = hr.Pipeline(STEPS).fit_transform(path, cluster=workers)
    monkeypatch.undo()
    expected = hr.Pipeline(STEPS).fit_transform(path, cluster=workers)
    workers.close()
    assert is_spilled(found.fitted, 0, "city")
    assert is_spilled(found.fitted, 6, "c")
    assert not is_spilled(expected.fitted, 0, "city")
    assert learnt(found.fitted) == learnt(expected.fitted)
    assert found.table.equals(expected.table)


def test_a_bundle_holds_all_counts_and_learns_on(
    parquet: Callable[..., Path], tight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = rows()
    early, late = (parquet(data.slice(start, 4_000), 3, name=f"{start}.parquet") for start in (0, 4_000))
    steps = STEPS[:5]
    hr.Pipeline(steps).fit(early).save(tmp_path / "early")
    loaded = hr.FittedPipeline.load(tmp_path / "early")
    assert is_spilled(loaded, 0, "city")
    found = loaded.update(late)
    found.save(tmp_path / "both")
    monkeypatch.undo()
    expected = hr.Pipeline(steps).fit(early).update(late)
    assert learnt(found) == learnt(expected) == learnt(hr.FittedPipeline.load(tmp_path / "both"))
    again = hr.FittedPipeline.load(tmp_path / "both")
    frequent = {key: n for key, n in as_dictionary(again.fitted.parts[0]["city"]).items() if key is None or n >= 2}
    assert frequent == as_dictionary(expected.fitted.parts[0]["city"])  # which knows the rare by their hashes
    assert again.transform(data).equals(expected.transform(data))


def test_a_bundle_that_spilled_is_the_same_bytes_each_time(parquet: Callable[..., Path], tight: Path, tmp_path: Path) -> None:
    path = parquet(rows(), 4)
    for name in ("one", "two"):
        hr.Pipeline(STEPS[:1]).fit(path).save(tmp_path / name)
    assert (tmp_path / "one" / "states.arrows").read_bytes() == (tmp_path / "two" / "states.arrows").read_bytes()


def test_a_count_of_every_category_needs_memory_for_every_category(
    parquet: Callable[..., Path], tight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "usual_bytes", lambda: 100_000)
    with pytest.raises(MemoryBudgetError, match=r"column 'city'.* [\d,]+ categories do not fit"):
        hr.Pipeline([hr.CountEncoding(["city"])]).fit(parquet(rows(), 2))


def test_processes_leave_to_files_what_threads_do(parquet: Callable[..., Path], tmp_path: Path) -> None:
    from headrace.cluster import open_cluster
    from headrace.execution import Silent, fit_steps, keeping_rows
    from headrace.opened import Opened
    from headrace.plan import make_plan
    from headrace.split import NoSplit

    path = parquet(rows(), 6)
    opened = Opened.of(STEPS, path, None)
    made = make_plan(opened.source, opened.steps, NoSplit(), opened.steps.schema.names, partition_size=1)
    states = []
    for cluster, room in (("local", 1 << 30), ("processes", 300_000)):
        workers = open_cluster(cluster, 2)
        try:
            planned = plan.replace(made, vocabulary_bytes=room)
            with keeping_rows(workers, opened.work(), planned) as work:
                found = fit_steps(workers, work, opened.steps, planned, Silent())
        finally:
            workers.close()
        states.append({index: content(state) for index, state in found.states.items()})
        assert isinstance(found.parts[0]["city"], SpilledCounts) == (cluster == "processes")
    assert states[0] == states[1]


class Remote:
    """What `keeping` asks of the workers of a scheduler."""

    one_process, one_machine, n_workers = False, False, 2

    def everywhere(self, function: Callable[..., None], *args: Any) -> None:
        function(*args)


@pytest.mark.parametrize(("is_bounded", "room"), [(False, None), (True, 250)])
def test_workers_of_a_scheduler_have_a_limit_only_if_one_was_named(
    parquet: Callable[..., Path], is_bounded: bool, room: int | None
) -> None:
    work = pipeline.Opened.of(STEPS[:1], parquet(rows()), None).work()
    with execution.keeping(Remote(), work, CacheSettings(""), 1_000, is_bounded=is_bounded) as kept:  # type: ignore[arg-type]
        assert kept.cache is not None
        assert (kept.cache.room, kept.cache.folder) == (room, None)


class Processes(Remote):
    """What `keeping` asks of processes of this machine."""

    one_machine = True


@pytest.mark.parametrize(
    ("kind", "is_bounded", "memory"), [(Processes, True, 500), (Processes, False, 500), (Remote, True, 500), (Remote, False, 1_000)]
)
def test_processes_share_what_the_plan_gives_to_rows_kept_between_passes(
    parquet: Callable[..., Path], kind: type[Remote], is_bounded: bool, memory: int
) -> None:
    opened = pipeline.Opened.of(STEPS[:1], parquet(rows()), None)
    planned = replace(opened.plan(kind()), cache_bytes=1_000, memory=1 << 30 if is_bounded else None)  # type: ignore[arg-type]
    with execution.keeping_rows(kind(), opened.work(), planned) as kept:  # type: ignore[arg-type]
        assert kept.cache is not None
        assert kept.cache.memory == memory


# So much of what the plan counts for a process itself is libraries, which are not measured.
MAPPED = 100 << 20
MEASURED = """
import re, sys
from dataclasses import replace
import headrace as hr
from headrace.local_cluster import LocalCluster
from headrace.execution import Silent, fit_steps, keeping_rows
from headrace.opened import Opened
from headrace.plan import make_plan
from headrace.split import NoSplit

opened = Opened.of([hr.Categorify(["key"], min_frequency=2)], sys.argv[1], None)
made = make_plan(opened.source, opened.steps, NoSplit(), ["key"], partition_size=1)
made = replace(made, passes=made.passes[:-1], vocabulary_bytes=int(sys.argv[2]), cache_bytes=0)
cluster = LocalCluster(1)
with keeping_rows(cluster, opened.work(), made) as work:
    found = fit_steps(cluster, work, opened.steps, made, Silent())
    fitted = hr.FittedPipeline(opened.fitted(found))
    fitted.save(sys.argv[3])
# Not getrusage: there a process has the peak of the one that started it. How much of the libraries' files is mapped is up to the system.
status = open("/proc/self/status").read()
peak, mapped = (int(re.search(name + r":\\s+(\\d+) kB", status)[1]) << 10 for name in ("VmHWM", "RssFile"))
print(peak - mapped, made.predicted_peak_bytes, fitted.learnt()[0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's peak there")
def test_two_million_long_strings_are_fitted_in_the_memory_given(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path, n_rows, size = tmp_path / "rows.parquet", 2_000_000, 250_000
    with pq.ParquetWriter(path, pa.schema([("key", pa.string())]), use_dictionary=False, compression="none") as writer:
        for start in range(0, n_rows, size):
            text = np.char.add(np.arange(start, start + size).astype("U7"), "-" * 25).tolist()
            writer.write_table(pa.table({"key": [*text, text[0]]}))
    peaks, share = [], 32 << 20
    for name, nbytes in (("roomy", 1 << 40), ("tight", share)):
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, str(path), str(nbytes), str(tmp_path / name)], capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        peak, predicted, said = done.stdout.split(" ", 2)
        assert said == "key: 8 categories (1,999,992 rare)\n"
        peaks.append(int(peak))
    roomy, tight = peaks
    assert tight <= int(predicted) - MAPPED + share
    assert tight < roomy - (50 << 20)
