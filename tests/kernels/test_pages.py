"""The decoders of pages: right for what the format allows, and no crash, no loop and no write outside for any other bytes."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels import page_headers
from headrace_kernels.pages import (
    DAMAGED,
    LEVELS_APART,
    LEVELS_BEFORE,
    NO_LEVELS,
    SPARE,
    bitmap_space,
    decode_codes,
    decode_indices,
    decode_levels,
    decode_numbers,
    decode_strings,
    spread,
    string_space,
)


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def repeated(value, times, width):
    return varint(times << 1) + int(value).to_bytes((width + 7) // 8, "little")


def packed(values, width):
    """Eights of values, the lowest bits first."""
    groups = -(-len(values) // 8)
    bits = sum(int(value) << (width * place) for place, value in enumerate(values))
    return varint(groups << 1 | 1) + bits.to_bytes(groups * width, "little")


def page(raw):
    return np.frombuffer(bytes(raw), np.uint8)  # bytes cannot be written: as the engine's pages


def plain_strings(strings):
    return b"".join(len(one).to_bytes(4, "little") + one for one in strings)


@st.composite
def runs(draw, width):
    """Return values and their bytes, in runs of both kinds."""
    values, raw = [], b""
    for _ in range(draw(st.integers(1, 5))):
        if draw(st.booleans()):
            value, times = draw(st.integers(0, (1 << width) - 1)), draw(st.integers(1, 300))
            values += [value] * times
            raw += repeated(value, times, width)
        else:
            some = draw(st.lists(st.integers(0, (1 << width) - 1), min_size=8, max_size=64))
            some = some[: len(some) // 8 * 8]
            values += some
            raw += packed(some, width)
    return values, raw


@given(st.data(), st.integers(0, 31))
def test_indices_of_every_width_are_decoded(data, width):
    values, raw = data.draw(runs(width))
    n_values = data.draw(st.integers(1, len(values)))  # the last run may hold more than is wanted
    out = np.full(n_values, -1, np.int32)
    stored = page(bytes([width]) + raw)
    assert decode_indices(stored, 0, len(stored), max(values) + 1, out)
    assert out.tolist() == values[:n_values]
    largest = max(values[:n_values])
    assert not decode_indices(stored, 0, len(stored), largest, out)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_indices_are_written_in_the_type_of_the_codes(dtype):
    values = list(range(100)) * 3
    out = np.zeros(len(values), dtype)
    stored = page(bytes([7]) + packed(values, 7))
    assert decode_indices(stored, 0, len(stored), 100, out)
    assert out.tolist() == values


def test_an_index_of_32_bits_is_not_taken_for_a_small_one():
    stored = page(bytes([32]) + packed([0x80000001] * 8, 32))
    assert not decode_indices(stored, 0, len(stored), 2, np.zeros(8, np.int8))


def test_a_packed_run_must_be_whole_even_where_its_end_is_not_wanted():
    stored = page(bytes([8]) + packed(range(16), 8))
    assert decode_indices(stored, 0, len(stored), 16, np.zeros(9, np.int8))
    assert not decode_indices(stored, 0, len(stored) - 1, 16, np.zeros(9, np.int8))
    assert decode_levels(page([2 << 1 | 1, 0xFF]), 0, 2, 0, 8, bitmap_space(8)) == DAMAGED


def test_a_width_above_32_bits_is_damage():
    assert not decode_indices(page([33, 2, 0, 0, 0, 0, 0]), 0, 7, 1, np.zeros(1, np.int8))


def test_no_values_need_no_bytes():
    assert decode_indices(page(b""), 0, 0, 0, np.zeros(0, np.int8))


@given(st.data(), st.integers(0, 20))
def test_levels_become_a_bitmap_from_any_bit_on(data, first_row):
    levels, raw = data.draw(runs(1))
    stored = page(raw)
    bits = bitmap_space(first_row + len(levels))
    assert decode_levels(stored, 0, len(stored), first_row, len(levels), bits) == sum(levels)
    assert np.unpackbits(bits, bitorder="little").tolist()[: first_row + len(levels)] == [0] * first_row + levels
    assert np.unpackbits(bits, bitorder="little").sum() == sum(levels)


def test_bits_beyond_the_last_row_are_not_counted():
    bits = bitmap_space(3)
    assert decode_levels(page([3, 0xFF]), 0, 2, 0, 3, bits) == 3
    assert bits.tolist() == [0b111, 0]


@given(st.lists(st.one_of(st.none(), st.integers(-128, 127)), min_size=1, max_size=200), st.integers(0, 9))
def test_values_are_spread_over_the_rows_that_have_one(values, first_row):
    bits = np.packbits([0] * first_row + [value is not None for value in values], bitorder="little")
    out = np.full(len(values), 99, np.int8)
    spread(np.array([value for value in values if value is not None] + [55], np.int8), bits, first_row, out)
    assert out.tolist() == [value or 0 for value in values]


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_strings_of_any_length_are_decoded(strings):
    stored = page(plain_strings(strings))
    offsets, data = string_space(len(strings), len(stored))
    is_ascii = all(byte < 128 for one in strings for byte in one)
    assert decode_strings(stored, offsets, data) == (0 if is_ascii else 1)
    assert [data[a:b].tobytes() for a, b in itertools.pairwise(offsets)] == strings


@pytest.mark.parametrize("change", [-1, 1, 1 << 30, (1 << 31) - 2])
def test_a_length_that_is_wrong_is_damage(change):
    stored = bytearray(plain_strings([b"abc", b"defg"]))
    stored[:4] = (3 + change).to_bytes(4, "little")
    offsets, data = string_space(2, len(stored))
    assert decode_strings(page(stored), offsets, data) == DAMAGED


def test_more_strings_than_bytes_are_damage():
    offsets, data = string_space(1 << 40, 11)
    assert decode_strings(page(plain_strings([b"abc", b""])), offsets, data) == DAMAGED


CASES = {"before": LEVELS_BEFORE, "apart": LEVELS_APART}


@pytest.mark.parametrize("placed", CASES.values(), ids=CASES.keys())
def test_a_page_with_nulls_becomes_codes_and_numbers(placed):
    levels = repeated(1, 3, 1) + packed([0, 1, 0, 0, 1, 1, 0, 0], 1)  # 9 rows, 2 of the last eight are beyond them
    indices = bytes([2]) + packed([3, 0, 1, 2, 2, 1, 0, 0], 2)
    body = page((len(levels).to_bytes(4, "little") + levels if placed == LEVELS_BEFORE else b"") + indices)
    bits, codes, scratch = bitmap_space(12), np.full(12, 9, np.int8), np.zeros(10, np.int32)
    assert decode_codes(page(levels), placed, body, 4, 2, 9, bits, scratch, codes) == 6
    assert codes.tolist() == [9, 9, 3, 0, 1, 0, 2, 0, 0, 2, 1, 9]
    assert np.unpackbits(bits, bitorder="little").tolist()[:12] == [0, 0, 1, 1, 1, 0, 1, 0, 0, 1, 1, 0]
    bits, numbers = bitmap_space(12), np.full(12, 9, np.uint64)
    dictionary = np.array([10, 11, 1 << 63, 13], np.uint64)
    assert decode_numbers(page(levels), placed, body, dictionary, 2, 9, bits, scratch, numbers) == 6
    assert numbers.tolist() == [9, 9, 13, 10, 11, 0, 1 << 63, 0, 0, 1 << 63, 11, 9]


def test_a_page_of_nulls_alone_needs_no_dictionary():
    numbers = np.full(5, 9, np.uint32)
    levels = page(repeated(0, 5, 1))
    bits = bitmap_space(5)
    empty = page(b"")
    assert decode_numbers(levels, LEVELS_APART, empty, np.zeros(0, np.uint32), 0, 5, bits, np.zeros(6, np.int32), numbers) == 0
    assert numbers.tolist() == [0] * 5


def test_rows_beyond_the_column_are_damage():
    body = page(bytes([1]) + repeated(0, 8, 1))
    scratch, codes = np.zeros(9, np.int32), np.zeros(8, np.int8)
    assert decode_codes(body, NO_LEVELS, body, 1, 0, 8, bitmap_space(0), scratch, codes) == 8
    assert decode_codes(body, NO_LEVELS, body, 1, 1, 8, bitmap_space(0), scratch, codes) == DAMAGED


def around(array, room=64):
    """Return a copy of an array with room of a known byte on both sides, and a check that the room is as it was."""
    whole = np.full(array.nbytes + 2 * room, 0xA5, np.uint8)
    inner = whole[room : room + array.nbytes].view(array.dtype)
    inner[:] = array

    def is_whole():
        return (whole[:room] == 0xA5).all() and (whole[room + array.nbytes :] == 0xA5).all()

    return inner, is_whole


@settings(max_examples=300)
@given(st.binary(max_size=60), st.integers(0, 40), st.integers(0, 40), st.integers(0, 2), st.integers(0, 300))
def test_any_bytes_are_decoded_or_refused(raw, first_row, n_rows, placed, n_codes):
    n_total = 50
    levels, stored = page(raw[:9]), page(raw[9:] if placed == LEVELS_APART else raw)
    bits, bits_whole = around(bitmap_space(n_total))
    codes, codes_whole = around(np.zeros(n_total, np.int16))
    scratch, scratch_whole = around(np.zeros(n_rows + 1, np.int32))
    n_valid = decode_codes(levels, placed, stored, n_codes, first_row, n_rows, bits, scratch, codes)
    assert DAMAGED <= n_valid <= n_rows
    if n_valid > 0:
        assert 0 <= codes.min() <= codes.max() < n_codes
    assert all([bits_whole(), codes_whole(), scratch_whole()])
    offsets, data = string_space(n_rows, len(stored))
    offsets, offsets_whole = around(offsets)
    data, data_whole = around(data)
    if decode_strings(stored, offsets, data) != DAMAGED:
        assert (offsets[0], offsets[-1]) == (0, len(data) - SPARE)
        assert (np.diff(offsets) >= 0).all()
    assert all([offsets_whole(), data_whole()])


def scanned(raw, n_values):
    return page_headers.scan_pages(page(raw), np.array([(0, len(raw))]), n_values)[0]


@settings(max_examples=300)
@given(st.binary(max_size=80), st.integers(1, 20))
def test_any_bytes_are_headers_or_refused(raw, n_values):
    found = scanned(raw, n_values)
    if len(found):
        ends = found[:, page_headers.BODY] + found[:, page_headers.STORED_SIZE]
        assert ends[-1] == len(raw)
        assert (np.diff(ends) >= 0).all()
    assert page_headers.scan_footer(page(raw), 1, 1) is None or len(raw) > 8


def test_a_chunk_of_many_small_pages_is_scanned():
    header = bytes([0x15, 0, 0x15, 0, 0x15, 0, 0x2C, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0])
    found = scanned(header * 1000, 1000)
    assert found[:, page_headers.BODY].tolist() == [len(header) * (i + 1) for i in range(1000)]
    assert len(scanned(header * 1000, 999)) == 0
    assert len(scanned(header * 1000, 1001)) == 0


def test_a_damaged_chunk_among_others_has_no_page():
    header = bytes([0x15, 0, 0x15, 0, 0x15, 0, 0x2C, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0])
    raw = header + header[:-1] + b"\1" + header * 2
    n = len(header)
    pages, spans = page_headers.scan_pages(page(raw), np.array([(0, n), (n, n), (2 * n, n), (3 * n, n + 1), (3 * n, n)]), 1)
    assert spans[:, page_headers.FIRST].tolist() == [0, 1, 1, 2, 2]
    assert spans[:, page_headers.END].tolist() == [1, 1, 2, 2, 3]
    assert pages[:, page_headers.BODY].tolist() == [n, 3 * n, 4 * n]
