"""Our Snappy against Arrow's: what it packed is unpacked, and any other bytes give the same or are refused."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels import snappy
from headrace_kernels.snappy import unpack_snappy

CODEC = pa.Codec("snappy")


def block(raw):
    return np.frombuffer(bytes(raw), np.uint8)


def by_arrow(raw, n_bytes):
    try:
        return CODEC.decompress(raw, n_bytes, asbytes=True)
    except (OSError, ValueError):
        return None


def is_of_size(raw, n_bytes):
    """Whether a block says that it unpacks to so many bytes; Arrow's codec takes larger room, too."""
    number = shift = 0
    for byte in raw[:5]:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number == n_bytes
    return False


words = st.lists(st.sampled_from([b"", b"a", b"ab", b"\x08\0\0\x001b147dcc", b"0123456789" * 9, bytes(300)]), max_size=60)


@given(st.one_of(words.map(b"".join), st.binary(max_size=2000)))
def test_what_was_packed_is_unpacked(content):
    packed = CODEC.compress(content, asbytes=True)
    assert unpack_snappy(block(packed), len(content)).tobytes() == content
    assert unpack_snappy(block(packed), len(content) + 1) is None
    assert unpack_snappy(block(packed[:-1]), len(content)) is None


def test_large_pages_are_unpacked():
    rng = np.random.default_rng(3)
    identifiers = b"".join(b"\x08\0\0\0%08x" % number for number in rng.integers(0, 1 << 32, 40_000))
    for content in (identifiers, rng.bytes(300_000), bytes(300_000), rng.bytes(70) * 5000):
        assert unpack_snappy(block(CODEC.compress(content, asbytes=True)), len(content)).tobytes() == content


@pytest.mark.parametrize("n_length_bytes", [1, 2, 3, 4])
def test_lengths_of_literals_take_up_to_four_bytes(n_length_bytes):
    content = bytes(range(200))
    raw = bytes([200, 1, (59 + n_length_bytes) << 2]) + (199).to_bytes(n_length_bytes, "little") + content
    assert unpack_snappy(block(raw), 200).tobytes() == content


def test_copies_whose_distance_takes_four_bytes_are_made():
    raw = bytes([30, 9 << 2]) + b"0123456789" + bytes([19 << 2 | 3, 10, 0, 0, 0])
    assert unpack_snappy(block(raw), 30).tobytes() == b"0123456789" * 3


@pytest.mark.parametrize("distance", [0, 4])
def test_a_copy_from_outside_is_refused(distance):
    assert unpack_snappy(block([7, 2 << 2, 1, 2, 3, 0 << 2 | 1, distance]), 7) is None


@settings(max_examples=400)
@given(words.map(b"".join), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4), st.integers(0, 3))
def test_changed_bytes_give_what_they_give_arrow(content, changes, cut):
    raw = bytearray(CODEC.compress(content, asbytes=True))
    for place, byte in changes:
        raw[place % len(raw)] = byte
    raw = bytes(raw[: len(raw) - cut])
    room = np.full(len(content) + snappy.SPARE + 64, 0xA5, np.uint8)
    unpacked = snappy.unpack(block(raw), len(content), room[: len(content) + snappy.SPARE])
    assert (room[-64:] == 0xA5).all()
    expected = by_arrow(raw, len(content)) if is_of_size(raw, len(content)) else None
    assert (room[: len(content)].tobytes() if unpacked else None) == expected
