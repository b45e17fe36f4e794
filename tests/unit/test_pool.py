"""Pool: numbers of strings, shared by batches and threads, and never seen in what is learnt."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from headrace.backends.arrow.backend import ArrowBackend
from headrace.counts import Counts, NumberedCounts
from headrace.keys import Keys
from headrace.pool import UNNUMBERED, Pool, PooledKeys, Pools, Room, SentKeys
from headrace_kernels.factorize import distinct_numbers


def counted(backend: ArrowBackend, values: list[str | None], *, encoded: bool = True) -> Counts:
    array = pa.array(values, pa.string())
    return backend.counts({"city": array.dictionary_encode() if encoded else array})


def test_counts_of_shared_numbers_merge_as_those_of_strings_do() -> None:
    batches: list[list[str | None]] = [["b", None, "a", "b"], ["c", "b"], [None], []]
    one = ArrowBackend(Pools())
    shared = Counts.merged_all([counted(one, batch) for batch in batches])
    apart = Counts.merged_all([counted(ArrowBackend(), batch) for batch in batches])
    assert isinstance(shared.keys, PooledKeys)
    assert shared.keys.table.to_pydict() == apart.keys.table.to_pydict() == {"city": ["b", "a", None, "c"]}
    assert shared.counts.tolist() == apart.counts.tolist() == [3, 1, 2, 1]


def test_counts_of_another_process_are_numbered_by_the_pool_of_this_one() -> None:
    here, pools = ["b", None, "a", "b"], Pools()
    there = pickle.loads(pickle.dumps(counted(ArrowBackend(), ["c", "a", None])))
    for parts in ([counted(ArrowBackend(pools), here), there], [there, counted(ArrowBackend(pools), here)]):
        merged = Counts.merged_all(parts)
        assert isinstance(merged.keys, PooledKeys)
        apart = Counts.merged_all([Counts(Keys(part.keys.table), part.counts) for part in parts])
        assert merged.keys.table.equals(apart.keys.table)
        assert merged.counts.tolist() == apart.counts.tolist()


def test_a_pool_without_room_numbers_nobody_elses_keys() -> None:
    part = counted(ArrowBackend(Pools(room=1 << 10)), ["b", "a"])
    other = Counts(Keys.of({"city": [f"city {index}" for index in range(2000)]}), np.ones(2000, np.int64))
    merged = Counts.merged_all([part, other])
    assert not isinstance(merged.keys, PooledKeys)
    assert merged.keys.table["city"].to_pylist() == ["b", "a", *other.keys.table["city"].to_pylist()]


def test_rows_of_strings_that_hardly_repeat_are_their_own_counts() -> None:
    backend = ArrowBackend(Pools(Room(1 << 20)))
    rows = pa.array([f"{n}" for n in range(1_000)] + ["7", None])
    found = backend.counts({"city": rows})
    assert isinstance(found, NumberedCounts)
    ((numbers, counts),) = found.parts
    assert numbers is found.pool.known(rows)
    assert (counts, found.n_pairs, len(found.keys), found.counts[[7, 8, 1_000]].tolist()) == (None, 1_002, 1_001, [2, 1, 1])


def test_numbers_are_added_up_once_they_are_many_for_their_strings() -> None:
    backend = ArrowBackend(Pools())
    batch = [f"{n}" for n in range(1_000)]
    part = counted(backend, batch, encoded=False)
    twice, thrice = Counts.merged_all([part] * 2), Counts.merged_all([part] * 3)
    assert (twice.n_pairs, thrice.n_pairs) == (2_000, 1_000)
    assert (twice.counts == 2).all()
    assert (thrice.counts == 3).all()
    assert twice.keys.table["city"].to_pylist() == thrice.keys.table["city"].to_pylist() == batch


@pytest.mark.parametrize("n_rare", [0, 100_000], ids=["most strings of the pool", "few strings of the pool"])
@pytest.mark.parametrize("may_know", [Pools(), Pools(room=1 << 10)], ids=["with room", "without room"])
def test_many_keys_travel_with_the_strings_of_their_pool_if_those_are_most_of_them(n_rare: int, may_know: Pools) -> None:
    pools = Pools()
    values: list[str | None] = [f"city {n}" for n in range(20_000)]
    counted(ArrowBackend(pools), [*reversed(values), *(f"rare {n}" for n in range(n_rare))])  # numbers fall where keys will rise
    found = counted(ArrowBackend(pools), [*values[:100], None, *values])
    sent = pickle.loads(pickle.dumps(found))
    assert type(sent) is Counts
    assert isinstance(sent.keys, SentKeys) == (not n_rare)
    assert sent.keys == Keys(found.keys.table)
    assert len(sent.keys) == 20_001
    assert sent.keys.are_strings
    here = counted(ArrowBackend(may_know), ["city 7", "Rome"])
    merged = Counts.merged_all([here, sent])
    apart = Counts.merged_all([Counts(Keys(part.keys.table), part.counts) for part in (here, found)])
    assert merged.keys.table.equals(apart.keys.table)
    assert merged.counts.tolist() == apart.counts.tolist()


def test_counts_by_number_travel_as_strings() -> None:
    found = counted(ArrowBackend(Pools()), ["b", None, "a"], encoded=False)
    sent = pickle.loads(pickle.dumps(found))
    assert type(sent) is Counts
    assert (sent.keys.table["city"].to_pylist(), sent.counts.tolist()) == (["b", None, "a"], [1, 1, 1])


def test_keys_stand_by_first_appearance_whoever_was_numbered_first() -> None:
    pools = Pools()
    pools.of("city").number(pa.array(["z", "y", "x"]))
    assert counted(ArrowBackend(pools), ["x", "y", "z"]).keys.table["city"].to_pylist() == ["x", "y", "z"]


def test_plain_strings_and_dictionaries_are_one_kind_of_key() -> None:
    backend = ArrowBackend(Pools())
    merged = counted(backend, ["a", "b"]).merged(counted(backend, ["b", None], encoded=False))
    assert merged.keys.table["city"].to_pylist() == ["a", "b", None]
    assert merged.counts.tolist() == [1, 2, 1]


def test_a_dictionary_that_repeats_a_value_counts_it_once() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 2]), pa.array(["a", "a", "b"]))
    found = ArrowBackend().counts({"city": array})
    assert (found.keys.table["city"].to_pylist(), found.counts.tolist()) == (["a", "b"], [2, 2])


def test_a_dictionary_seen_when_fitting_is_encoded_by_its_numbers() -> None:
    pools = Pools(Room(1 << 20))
    backend = ArrowBackend(pools)
    array = pa.array(["a", "b", None, "c"]).dictionary_encode()
    backend.counts({"city": array})
    kept = array.filter(pa.array([True, True, True, False]))  # another array over the same dictionary
    assert pools.of("city").known(kept.dictionary) is not None
    encoded, unseen = backend.encode({"city": kept}, Keys.of({"city": [None, "b"]}), np.array([1, 0, 2], np.int32))
    assert (encoded.to_pylist(), unseen) == ([1, 2, 0], 1)


def test_plain_strings_seen_when_fitting_are_encoded_by_their_numbers() -> None:
    pools = Pools(Room(1 << 20))
    backend = ArrowBackend(pools)
    array = pa.array(["a", "b", None, "c"])
    backend.counts({"city": array})
    assert pools.of("city").known(array) is not None
    for known in (backend, ArrowBackend()):
        encoded, unseen = known.encode({"city": array}, Keys.of({"city": [None, "b"]}), np.array([1, 0, 2], np.int32))
        assert (encoded.to_pylist(), unseen) == ([1, 2, 0, 1], 2)
        encoded, unseen = known.encode({"city": array}, Keys.of({"city": ["b"]}), np.array([1, 2], np.int32))
        assert (encoded.to_pylist(), unseen) == ([1, 2, 1, 1], 3)


def test_dictionaries_are_remembered_within_the_memory_given() -> None:
    pool = Pool()
    values = pa.array(["a", "b"])
    assert pool.remember(values).tolist() == [0, 1]
    assert pool.known(values) is None


def test_threads_agree_on_numbers() -> None:
    pool = Pool()
    words = pa.array([str(i % 5_000) for i in range(20_000)])
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: pool.number(words), range(8)))
    assert len(pool) == 5_000
    assert all(np.array_equal(found[0], other) for other in found)


@pytest.mark.parametrize("n_distinct", [3, 40_000])
def test_many_rows_have_the_numbers_that_few_at_a_time_have(n_distinct: int) -> None:
    random = np.random.default_rng(0)
    rows: pa.Array = pa.array([f"{number}" for number in random.integers(0, n_distinct, 40_000)], mask=random.random(40_000) < 0.1)
    rows = rows.slice(7)
    whole, cut = Pool(), Pool()
    numbers = whole.number(rows)
    assert numbers.tolist() == np.concatenate([cut.number(rows.slice(at, 1_000)) for at in range(0, len(rows), 1_000)]).tolist()
    assert whole.strings().equals(cut.strings())


def test_few_strings_of_many_rows_have_a_number_only_while_there_is_room() -> None:
    rows: pa.Array = pa.array([f"{'x' * 1_000}{row % 1_000}" for row in range(20_000)])
    numbers = Pool(room=Room(100_000)).number(rows)
    left = int((numbers == UNNUMBERED).sum())
    assert 0 < left < len(rows)
    assert numbers[:1_000].tolist() == numbers[-1_000:].tolist()


def test_numbers_stay_in_their_process() -> None:
    backend = ArrowBackend(Pools())
    part = pickle.loads(pickle.dumps(counted(backend, ["a", None])))
    assert type(part.keys) is Keys
    assert part.keys.table["city"].to_pylist() == ["a", None]
    assert len(pickle.loads(pickle.dumps(backend)).pools.of("city")) == 0


def test_distinct_numbers_know_the_null() -> None:
    distinct, codes = distinct_numbers(np.array([3, -1, 3, 0], np.int32), 4)
    assert (distinct.tolist(), codes.tolist()) == ([3, -1, 0], [0, 1, 0, 2])
