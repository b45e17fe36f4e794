import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_kernels.column import Column, count_nulls, is_valid, merged_validity, realigned
from headrace_kernels.threads import over_chunks


def bitmap(valid):
    return np.packbits(np.array(valid, bool), bitorder="little")


def column_of(valid, offset=0):
    return Column(np.zeros(len(valid)), bitmap([True] * offset + valid), offset)


@given(st.lists(st.booleans(), max_size=40), st.integers(0, 17))
def test_a_slice_of_a_bitmap_is_read_from_any_bit(valid, offset):
    column = column_of(valid, offset)
    assert is_valid(column).tolist() == valid
    assert count_nulls(column) == valid.count(False)
    assert realigned(column.validity, offset, len(valid)).tolist() == bitmap(valid).tolist()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40), st.integers(0, 9), st.integers(0, 9))
def test_a_row_is_valid_if_it_is_in_every_column(rows, left_offset, right_offset):
    left, right = ([row[k] for row in rows] for k in (0, 1))
    merged = merged_validity([column_of(left, left_offset), Column(np.zeros(len(rows))), column_of(right, right_offset)], len(rows))
    assert merged.tolist() == bitmap([a and b for a, b in rows]).tolist()


def test_columns_without_nulls_have_no_bitmap():
    column = Column(np.zeros(3))
    assert merged_validity([column, column], 3) is None
    assert (count_nulls(column), is_valid(column).tolist()) == (0, [True] * 3)


def test_an_aligned_bitmap_is_not_copied_or_altered():
    bits = bitmap([True] * 16)
    assert np.shares_memory(realigned(bits, 8, 8), bits)
    assert realigned(bits, 0, 3).tolist() == [7]
    assert bits.tolist() == [255, 255]


@pytest.mark.parametrize("threads", [1, 3])
def test_chunks_do_not_depend_on_the_number_of_threads(threads):
    assert over_chunks(lambda start, stop: (start, stop), 10, threads, chunk_rows=4) == [(0, 4), (4, 8), (8, 10)]


def test_an_error_in_a_thread_is_the_callers():
    with pytest.raises(ZeroDivisionError):
        over_chunks(lambda start, stop: 1 // (start - 4), 10, 2, chunk_rows=4)
