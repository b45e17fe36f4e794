import itertools
import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels.column import Column
from headrace_kernels.counting import count_codes, look_up
from headrace_kernels.factorize import factorize_ints, factorize_strings
from headrace_kernels.interning import _long_home
from headrace_kernels.tables import LEFT_OUT, IntTable, StringTable


def arrow_strings(strings, dtype=np.int32):
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in strings])]).astype(dtype)
    return offsets, np.frombuffer(b"".join(strings), np.uint8)


def bitmap(valid):
    return np.packbits(np.array(valid, bool), bitorder="little")


def table_strings(table):
    offsets, data = table.keys()
    return [data[a:b].tobytes() for a, b in itertools.pairwise(offsets)]


def assert_factorized(found, values):
    """Check against the plain way: a dictionary in first-seen order; None is null."""
    distinct = list(dict.fromkeys(value for value in values if value is not None))
    expected = [len(distinct) if value is None else distinct.index(value) for value in values]
    counts = Counter(expected)
    assert found.codes.tolist() == expected
    assert found.first_rows.tolist() == [values.index(value) for value in distinct]
    assert found.counts.tolist() == [counts[code] for code in range(len(distinct) + 1)]


# few letters and lengths about 8 make strings that share slots, and keys that look alike; control bytes look like lengths
short_or_long = st.binary(max_size=3) | st.sampled_from([b"a" * 7, b"a" * 8, b"a" * 9, b"a\0" * 4, b"\xff" * 8, b"\x03" * 8, b"", b"\0"])


@settings(max_examples=150, deadline=None)
@given(st.lists(short_or_long | st.none(), max_size=40), st.sampled_from([np.int32, np.int64]))
def test_strings_get_the_codes_of_the_plain_way(strings, dtype):
    offsets, data = arrow_strings([b"" if s is None else s for s in strings], dtype)
    validity = bitmap([s is not None for s in strings]) if None in strings else None
    assert_factorized(factorize_strings(offsets, data, validity), strings)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 77]) | st.none(), max_size=40))
def test_integers_get_the_codes_of_the_plain_way(values):
    column = Column(np.array([0 if v is None else v for v in values], np.int64), bitmap([v is not None for v in values]))
    assert_factorized(factorize_ints(column), values)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.float32, np.float64, np.bool_])
def test_every_width_is_factorized(dtype):
    values = np.array([1, 0, 1, 0, 0], dtype)
    assert_factorized(factorize_ints(Column(values)), values.tolist())


def test_nan_is_one_value_and_minus_zero_is_zero():
    other_nan = np.array([0xFFF8000000000001], np.uint64).view(np.float64)[0]
    found = factorize_ints(Column(np.array([0.0, -0.0, np.nan, other_nan, np.inf])))
    assert found.codes.tolist() == [0, 0, 1, 1, 2]


def test_a_sliced_array_keeps_its_nulls():
    offsets, data = arrow_strings([b"x", b"y", b"x", b"z"])
    found = factorize_strings(offsets[1:], data, bitmap([1, 1, 0, 1]), 1)
    assert (found.codes.tolist(), found.first_rows.tolist(), found.counts.tolist()) == ([0, 2, 1], [0, 2], [1, 1, 1])


def test_megabyte_strings_that_differ_in_the_last_byte_are_two():
    a, b = b"x" * (1 << 20), b"x" * ((1 << 20) - 1) + b"y"
    assert_factorized(factorize_strings(*arrow_strings([a, b, a])), [a, b, a])


def test_a_table_grows_and_keeps_ids_and_counts():
    strings = [b"%d" % (i * i % 50_021) * (1 + i % 4) for i in range(30_000)]
    table, ids = StringTable(), {}
    for start in range(0, len(strings), 7_000):
        part = strings[start : start + 7_000]
        given_ids = table.add(*arrow_strings(part), np.full(len(part) + 1, 3))
        assert given_ids.tolist() == [ids.setdefault(s, len(ids)) for s in part]
    assert table_strings(table) == list(ids)
    assert table.counts.tolist() == [3 * n for n in Counter(strings).values()]
    assert table.nbytes < 8 << 20


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=300), st.integers(1, 7))
def test_a_table_keeps_strings_of_all_lengths_as_they_came_whatever_it_grows_by(strings, n_parts):
    table = StringTable()
    ids = np.concatenate([table.intern(*arrow_strings(strings[part::n_parts])) for part in range(n_parts)])
    came = [string for part in range(n_parts) for string in strings[part::n_parts]]
    assert table_strings(table) == list(dict.fromkeys(came))
    assert [table_strings(table)[i] for i in ids] == came
    if came:
        assert table.find(*arrow_strings(came)).tolist() == ids.tolist()


def test_an_integer_table_adds_weights():
    table = IntTable(expected=3)
    assert table.add(np.array([5, 9, 5]), np.array([1, 10, 100])).tolist() == [0, 1, 0]
    assert (table.keys().tolist(), table.counts.tolist(), len(table)) == ([5, 9], [101, 10], 2)
    assert table.add(np.arange(100_000)).tolist()[5] == 0
    assert len(table) == 100_000


def test_threads_may_share_a_table():
    strings = arrow_strings([b"%d" % i for i in range(20_000)])
    table = StringTable()
    threads = [threading.Thread(target=table.add, args=strings) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(table), set(table.counts.tolist())) == (20_000, {4})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4) | st.none(), max_size=40), st.integers(0, 7), st.sampled_from([np.int8, np.int32, np.uint64]))
def test_indices_are_counted_with_their_nulls(rows, offset, dtype):
    values = np.array([99 if row is None else row for row in rows], dtype)
    codes, counts = count_codes(Column(values, bitmap([0] * offset + [row is not None for row in rows]), offset), 5)
    assert codes.tolist() == [5 if row is None else row for row in rows]
    assert counts.tolist() == [rows.count(code) for code in [0, 1, 2, 3, 4, None]]


@pytest.mark.parametrize(("n_codes", "name"), [(255, "uint8"), (256, "uint16"), (65_536, "uint32")])
def test_codes_take_the_smallest_type_that_holds_the_null(n_codes, name):
    codes, _ = count_codes(Column(np.array([n_codes - 1], np.int32), np.array([1], np.uint8)), n_codes)
    assert codes.dtype.name == name


@pytest.mark.parametrize("validity", [None, np.array([0xFF], np.uint8)])
@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_outside_the_dictionary_is_refused(index, validity):
    with pytest.raises(IndexError, match="not in the dictionary of 3"):
        count_codes(Column(np.array([0, index]), validity), 3)


def test_looking_up_writes_the_tables_values():
    out = np.empty(3, np.float32)
    assert look_up(np.array([1.5, 2.5], np.float32), np.array([1, 0, 1], np.uint16), out) is out
    assert out.tolist() == [2.5, 1.5, 2.5]


@pytest.mark.parametrize(("table", "code"), [([1, 2], 2), ([1, 2], -1), ([], 0)])
def test_looking_up_a_code_outside_the_table_is_refused(table, code):
    with pytest.raises(IndexError, match="not in the table"):
        look_up(np.array(table, np.int64), np.array([code]))


def test_a_table_that_may_not_grow_finds_what_it_has_and_leaves_out_the_rest() -> None:
    words = [f"word {n}" for n in range(2_000)] + ["x" * 100_000, "word 3"]
    offsets = np.cumsum([0, *map(len, words)])
    data = np.frombuffer("".join(words).encode(), np.uint8)
    table = StringTable()
    asked: list[int] = []

    def may_grow(nbytes: int) -> bool:
        asked.append(nbytes)
        return len(asked) == 1

    before = table.nbytes
    ids = table.intern(offsets, data, may_grow)
    assert table.nbytes - before == asked[0]
    n = len(table)
    assert 640 <= n < 1280  # 5 in 8 of the first slots, and then there is no room for their bytes
    assert ids.tolist() == [*range(n), *[LEFT_OUT] * (2_001 - n), 3]
    assert table.intern(offsets, data, lambda nbytes: True).tolist() == [*range(2_001), 3]


def numbered_words(first: int, n_words: int) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets and bytes of distinct words of 12 bytes."""
    text = np.char.zfill(np.arange(first, first + n_words).astype("U12"), 12)
    return np.arange(0, 12 * n_words + 1, 12), np.frombuffer("".join(text.tolist()).encode(), np.uint8)


def test_a_table_of_mostly_new_strings_takes_room_for_those_to_come_at_once() -> None:
    batches = [numbered_words(first, 100_000) for first in range(0, 1_000_000, 100_000)]
    foreseeing, doubling = StringTable(), StringTable()
    asked: list[int] = []
    for index, batch in enumerate(batches):
        ids = foreseeing.intern(*batch, lambda nbytes: asked.append(nbytes) is None, to_come=100_000 * (9 - index))
        assert ids.tolist() == doubling.intern(*batch).tolist()
    assert [left.tobytes() == right.tobytes() for left, right in zip(foreseeing.keys(), doubling.keys(), strict=True)] == [True, True]
    n_after = sum(np.cumsum(asked) > np.sum(asked) // 2)
    assert n_after == 1  # the last time that it grew was for all that came, and it has not grown beyond what it would have anyhow
    assert foreseeing.nbytes <= doubling.nbytes


def test_a_table_that_gets_no_room_for_all_to_come_doubles() -> None:
    table = StringTable()
    table.intern(*numbered_words(0, 150_000))
    before, answers = table.nbytes, []

    def may_grow(nbytes: int) -> bool:
        answers.append((nbytes, nbytes <= table.nbytes))
        return answers[-1][1]

    assert table.intern(*numbered_words(150_000, 50_000), may_grow, to_come=10_000_000).tolist() == [*range(150_000, 200_000)]
    assert not answers[0][1]
    assert answers[-1][1]
    assert table.nbytes - before == sum(nbytes for nbytes, granted in answers if granted)


def test_a_small_table_to_which_many_strings_are_to_come_grows_in_half_the_steps() -> None:
    early, alone = StringTable(), StringTable()
    asked: tuple[list[int], list[int]] = [], []
    for first in range(0, 40_000, 1_000):
        early.intern(*numbered_words(first, 1_000), lambda nbytes: asked[0].append(nbytes) is None, to_come=1_000_000)
        alone.intern(*numbered_words(first, 1_000), lambda nbytes: asked[1].append(nbytes) is None)
    assert 2 * len(asked[0]) <= len(asked[1]) + 1
    assert [left.tobytes() == right.tobytes() for left, right in zip(early.keys(), alone.keys(), strict=True)] == [True, True]


def test_a_table_of_strings_that_repeat_does_not_expect_new_ones() -> None:
    table = StringTable()
    table.intern(*numbered_words(0, 163_840))  # all that it has slots for
    before = table.nbytes
    known, new = numbered_words(0, 100_000), numbered_words(163_840, 1)
    table.intern(np.append(known[0], known[0][-1] + 12), np.append(known[1], new[1]), to_come=10_000_000)
    assert before < table.nbytes < 3 * before


def test_nulls_have_no_id_and_are_not_taken_in() -> None:
    offsets, data = numbered_words(0, 11)
    bits = np.array([0b11110101, 0b0111], np.uint8)  # rows 3, 5 of the bitmap and those after 10 are null
    table = StringTable()
    assert table.intern(offsets[:9], data, validity=bits, offset=1).tolist() == [-1, 0, -1, 1, 2, 3, 4, 5]
    # one that may not grow leaves out new strings, and nulls are still nulls
    many, text = numbered_words(100, 2_000)
    bits = np.packbits(np.arange(2_000) % 7 != 0, bitorder="little")
    ids = StringTable().intern(many, text, lambda nbytes: False, validity=bits)
    assert (ids[::7] == -1).all()
    assert set(ids[ids < 0].tolist()) == {-1, -2}


@pytest.mark.parametrize("bits", [0, 6, 8])
def test_strings_of_one_bucket_by_their_hash_do_not_pile_up(bits):
    keys = np.random.default_rng(0).integers(0, 2**64, 4096, dtype=np.uint64) >> np.uint64(bits)
    homes = {int(_long_home(key, np.uint64(8192))) for key in keys}
    assert max(homes) < 8192
    assert len(homes) > 3000  # 64 of them, where the highest bits alone decide and 6 are the same
