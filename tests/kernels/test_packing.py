"""The encoders of pages: what they pack is what the format says, for every width and length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_kernels.packing import MOST_DISTINCT, compact, number_codes, number_distinct, packed, packed_differences
from headrace_kernels.pages import decode_indices

UNSIGNED = [np.uint8, np.uint16, np.uint32, np.uint64]
LENGTHS = [1, 7, 8, 9, 64, 203]


def fixed(array):
    array.flags.writeable = False
    return array


def bits_of(values, width):
    """The lowest bits first, `width` a value, eights of values."""
    n_bytes = -(-len(values) // 8) * width
    return sum(int(value) << (width * place) for place, value in enumerate(values)).to_bytes(n_bytes, "little")


@pytest.mark.parametrize("dtype", UNSIGNED)
@pytest.mark.parametrize("width", range(1, 33))
def test_values_of_every_width_are_packed(dtype, width):
    rng = np.random.default_rng(width)
    width = min(width, 8 * dtype().itemsize)
    for n_values in LENGTHS:
        numbers = rng.integers(0, 1 << width, n_values, np.uint64)
        low = int(rng.integers(0, np.iinfo(dtype).max, dtype=dtype, endpoint=True))
        values = fixed(numbers.astype(dtype) + dtype(low))  # modulo the width of the type
        assert packed(values, low, width, b"head").tobytes() == b"head" + bits_of(numbers, width)


@given(st.lists(st.integers(0, 8191), min_size=1, max_size=100))
def test_what_was_packed_is_unpacked(numbers):
    groups = (len(numbers) + 7) // 8
    head = bytes([13, *([groups << 1 | 1] if groups < 64 else [])])
    page = fixed(packed(fixed(np.array(numbers, np.uint16)), 0, 13, head))
    out = np.zeros(len(numbers), np.int32)
    assert decode_indices(page, 0, len(page), 8192, out)
    assert out.tolist() == numbers


def differences_of(raw):
    """Read DELTA_BINARY_PACKED, as the format describes it, and fail if bytes are left over."""
    at = 0

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            at += 1
            number |= (raw[at - 1] & 127) << shift
            shift += 7
            if raw[at - 1] < 128:
                return number

    def signed():
        number = varint()
        return (number >> 1) ^ -(number & 1)

    block, n_parts, n_values, first = varint(), varint(), varint(), signed()
    values = [first][:n_values]
    while len(values) < n_values:
        least = signed()
        widths = raw[at : at + n_parts]
        at += n_parts
        for width in widths:
            n_bytes = width * (block // n_parts) // 8
            bits = int.from_bytes(raw[at : at + n_bytes], "little")
            at += n_bytes
            for place in range(min(block // n_parts, n_values - len(values))):
                values.append(values[-1] + least + (bits >> (place * width) & ((1 << width) - 1)))
    assert at == len(raw)
    return values


@pytest.mark.parametrize(("dtype", "unsigned"), [(np.int32, np.uint32), (np.int64, np.uint64)])
@pytest.mark.parametrize("width", range(32))
def test_differences_of_every_width_are_packed(dtype, unsigned, width):
    rng = np.random.default_rng(width)
    for n_values in (0, 1, 2, 32, 33, 128, 129, 130, 500):
        values = rng.integers(-(1 << width) // 2, (1 << width) // 2, n_values, endpoint=True).astype(dtype)
        raw = packed_differences(fixed(values.view(unsigned)), b"head").tobytes()
        assert raw.startswith(b"head")
        modulus = 1 << 8 * dtype().itemsize
        assert [value % modulus for value in differences_of(raw[4:])] == [value % modulus for value in values.tolist()]


def test_differences_of_more_than_32_bits_are_refused():
    assert packed_differences(fixed(np.array([0, 1, 1 << 33], np.uint64))) is None
    assert packed_differences(fixed(np.array([0, 1 << 40, 2 << 40], np.uint64))) is not None


@pytest.mark.parametrize("dtype", UNSIGNED)
@given(st.lists(st.tuples(st.integers(0, 255), st.booleans()), max_size=70))
def test_values_of_valid_rows_are_kept_in_order(dtype, rows):
    values = fixed(np.array([value for value, _ in rows], dtype))
    bits = fixed(np.packbits(np.array([valid for _, valid in rows], bool), bitorder="little"))
    kept = [value for value, valid in rows if valid]
    out = np.zeros(len(kept) + 1, dtype)
    assert compact(values, bits, out) == len(kept)
    assert out[:-1].tolist() == kept


@pytest.mark.parametrize("dtype", UNSIGNED)
@given(st.lists(st.integers(0, 40), max_size=100))
def test_distinct_values_are_numbered_as_they_come(dtype, numbers):
    values = fixed(np.array(numbers, dtype) * dtype(6))
    distinct, codes = np.zeros(41, dtype), np.zeros(len(values), np.uint16)
    n_distinct = number_distinct(values, distinct, codes)
    assert distinct[:n_distinct].tolist() == [6 * number for number in dict.fromkeys(numbers)]
    assert distinct[codes].tolist() == values.tolist()


@pytest.mark.parametrize("step", [1, 1 << 16, 1 << 40])
def test_many_distinct_values_are_numbered_while_the_table_grows(step):
    values = np.repeat(np.arange(MOST_DISTINCT, dtype=np.uint64) * np.uint64(step), 2)
    np.random.default_rng(1).shuffle(values)
    distinct, codes = np.zeros(MOST_DISTINCT, np.uint64), np.zeros(len(values), np.uint16)
    assert number_distinct(fixed(values), distinct, codes) == MOST_DISTINCT
    assert np.array_equal(distinct[codes], values)
    assert len(np.unique(distinct)) == MOST_DISTINCT


def test_more_distinct_values_than_there_is_room_for_are_refused():
    values = fixed(np.array([1, 2, 1, 3], np.uint32))
    codes = np.zeros(4, np.uint16)
    assert number_distinct(values, np.zeros(2, np.uint32), codes) == -1
    assert number_distinct(values, np.zeros(3, np.uint32), codes) == 3


@pytest.mark.parametrize("has_null", [False, True])
def test_codes_are_numbered_as_the_values_they_stand_for(has_null):
    random = np.random.default_rng(2)
    values = np.array([7, 5, 7, 9, 4, 0], np.uint32)  # the last is the null, if there is one
    codes = random.integers(0, 6 if has_null else 5, 3000).astype(np.int16)
    rows = codes != 5
    distinct, value_of = np.empty(6, np.uint32), np.empty(6, np.uint16)
    n_values = number_distinct(fixed(values), distinct, value_of)
    order, numbers = np.empty(n_values, np.uint16), np.empty(len(codes) + 1, np.uint16)
    n_found, n_rows = number_codes(codes, 5 if has_null else -1, value_of, order, numbers)
    wanted, wanted_numbers = np.empty(6, np.uint32), np.empty(rows.sum(), np.uint16)
    assert n_found == number_distinct(fixed(values[codes][rows]), wanted, wanted_numbers)
    assert distinct[order[:n_found]].tolist() == wanted[:n_found].tolist()
    assert numbers[:n_rows].tolist() == wanted_numbers.tolist()
