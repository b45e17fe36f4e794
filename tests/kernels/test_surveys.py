"""What a look at many columns finds is what NumPy finds, column by column."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_kernels.addresses import places_of
from headrace_kernels.column import Column
from headrace_kernels.surveys import MOST_IN_SAMPLE, SAMPLE_ROWS, repeats, survey_floats, survey_integers

ODD = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -2.5, 5e-324, 1e-40]


def surveyed(columns, dtype):
    """Return the extremes and what else was found of columns, and the values of each that are no nulls."""
    width = np.dtype(dtype).itemsize
    places = places_of(columns)
    valid = [
        np.unpackbits(bits, bitorder="little")[: len(column.values)].astype(bool) if len(bits) else np.ones(len(column.values), bool)
        for column, bits in zip(columns, places.kept, strict=True)
    ]
    rooms = [np.zeros(valid_rows.sum() + 1, f"u{width}") for valid_rows in valid]
    dense = np.array([(len(room) - 1, room.ctypes.data) for room in rooms])
    extremes, found = np.zeros((len(columns), 2), dtype), np.zeros(len(columns), bool)
    likes = [np.zeros(0, dtype), np.zeros(0, f"u{width}")]
    if np.dtype(dtype).kind == "f":
        survey_floats(places.table, dense, *likes, np.zeros(0, f"i{width}"), extremes, found)
    else:
        survey_integers(places.table, dense, *likes, extremes, found)
    return extremes, found, [column.values[rows] for column, rows in zip(columns, valid, strict=True)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    columns=st.lists(
        st.tuples(
            st.lists(st.sampled_from(ODD) | st.floats(width=32), min_size=1, max_size=40), st.none() | st.binary(min_size=5, max_size=5)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_extremes_of_floats_leave_nan_and_nulls_aside(dtype, columns):
    given_columns = [Column(np.array(values, dtype), bits if bits is None else np.frombuffer(bits, np.uint8)) for values, bits in columns]
    extremes, _, dense = surveyed(given_columns, dtype)
    for (low, high), values in zip(extremes, dense, strict=True):
        numbers = values[~np.isnan(values)]
        if len(numbers):
            assert (low, high) == (numbers.min(), numbers.max())
        else:
            assert np.isnan([low, high]).all()


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_extremes_of_integers_are_of_their_whole_range(dtype):
    info = np.iinfo(dtype)
    columns = [Column(np.array(values, dtype)) for values in ([info.min, 3, info.max], [5], [7, 6])]
    columns.append(Column(np.array([info.min, 9], dtype), np.array([0b10], np.uint8)))
    extremes, _, _ = surveyed(columns, dtype)
    assert extremes.tolist() == [[info.min, info.max], [5, 5], [6, 7], [9, 9]]


def test_only_values_that_ascend_from_the_first_on_are_said_to():
    rows = np.arange(SAMPLE_ROWS, dtype=np.int32)
    swapped = rows.copy()
    swapped[[7, 8]] = swapped[[8, 7]]
    columns = [Column(values) for values in (rows, np.append(rows, np.int32(-1)), swapped, rows[1:], np.zeros(SAMPLE_ROWS, np.int32))]
    assert surveyed(columns, np.int32)[1].tolist() == [True, True, False, False, False]


def test_values_repeat_if_few_are_distinct():
    assert repeats(np.arange(20 * SAMPLE_ROWS, dtype=np.uint64) // 20 % MOST_IN_SAMPLE)
    assert not repeats(np.arange(20 * SAMPLE_ROWS, dtype=np.uint64) // 20 % (MOST_IN_SAMPLE + 1))
