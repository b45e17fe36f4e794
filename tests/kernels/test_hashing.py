import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels.column import Column
from headrace_kernels.hashing import combine_hashes, hash64, hash64_ints, hash64_strings, hash_bytes

# Published values of the reference implementation's sanity checks and of well-known sentences.
VECTORS = [
    (b"", 0, 0xEF46DB3751D8E999),
    (b"", 0x9E3779B1, 0xAC75FDA2929B17EF),
    (b"a", 0, 0xD24EC4F1A98C6E5B),
    (b"abc", 0, 0x44BC2CF5AD770999),
    (b"Nobody inspects the spammish repetition", 0, 0xFBCEA83C8A378BF1),
    (b"The quick brown fox jumps over the lazy dog", 0, 0x0B242D361FDA71BC),
]


def arrow_strings(strings, dtype=np.int32):
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in strings])]).astype(dtype)
    return offsets, np.frombuffer(b"".join(strings), np.uint8)


@pytest.mark.parametrize(("text", "seed", "expected"), VECTORS)
def test_published_vectors_hold_in_plain_python_and_compiled(text, seed, expected):
    assert hash_bytes(text, seed) == expected
    assert int(hash64_strings(*arrow_strings([text]), seed)[0]) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=80), min_size=1, max_size=5), st.integers(0, 2**64 - 1), st.sampled_from([np.int32, np.int64]))
def test_compiled_strings_equal_the_plain_reference(strings, seed, dtype):
    hashes = hash64_strings(*arrow_strings(strings, dtype), seed)
    assert hashes.tolist() == [hash_bytes(s, seed) for s in strings]


def test_some_strings_hash_as_they_do_among_all():
    offsets, data = arrow_strings([b"%d" % (n * n * n) * (n % 9) for n in range(200)], np.int64)
    rows = np.random.default_rng(1).integers(0, 200, 500).astype(np.int32)
    assert (hash64_strings(offsets, data, 3, rows) == hash64_strings(offsets, data, 3)[rows]).all()
    assert len(hash64_strings(offsets, data, rows=rows[:0])) == 0


def test_strings_of_a_slice_and_of_a_megabyte_hash_as_themselves():
    long = bytes(range(256)) * 4096
    offsets, data = arrow_strings([b"skipped", long, b"end"])
    assert hash64_strings(offsets[1:], data).tolist() == [hash_bytes(long), hash_bytes(b"end")]
    assert hash64_strings(np.zeros(1, np.int32), data).tolist() == []


@settings(max_examples=60, deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1))
def test_integers_hash_as_their_eight_little_endian_bytes(value, seed):
    assert int(hash64_ints(np.array([value]), seed)[0]) == hash_bytes(struct.pack("<q", value), seed)


@settings(max_examples=60, deadline=None)
@given(st.floats(width=32).filter(lambda x: x != 0 and x == x))
def test_floats_hash_as_their_float64_bytes_in_any_width(value):
    expected = hash_bytes(struct.pack("<d", value))
    assert hash64_ints(np.array([value])).tolist() == [expected]
    assert hash64_ints(np.array([value], np.float32)).tolist() == [expected]


def test_zeros_are_one_value_and_nans_are_one_value():
    other_nan = np.array([0xFFF8000000000001], np.uint64).view(np.float64)[0]
    hashes = hash64_ints(np.array([0.0, -0.0, np.nan, other_nan]))
    assert hashes[0] == hashes[1]
    assert hashes[2] == hashes[3] == hash_bytes(struct.pack("<Q", 0x7FF8000000000000))


def test_integers_of_every_width_and_truth_values_hash_alike():
    expected = hash64_ints(np.array([1, 0]))
    for dtype in (np.int8, np.uint8, np.int32, np.uint64, np.bool_):
        assert (hash64_ints(np.array([1, 0], dtype)) == expected).all()


def test_the_kernel_equals_the_function_and_keeps_nulls():
    values = np.array([3, -7, 2**63 - 1])
    (out,) = hash64.launch([Column(values, np.array([0b101], np.uint8))], {"seed": 5})
    assert out.values.tolist() == hash64_ints(values, 5).tolist()
    assert out.validity.tolist() == [0b101]


def test_combined_hashes_depend_on_the_order():
    left, right = hash64_ints(np.array([1, 2])), hash64_ints(np.array([3, 4]))
    pairs = combine_hashes(left, right)
    assert (pairs != combine_hashes(right, left)).all()
    assert int(pairs[0]) == hash_bytes(struct.pack("<Q", right[0]), int(left[0]))
