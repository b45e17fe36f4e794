import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels.column import Column, is_valid
from headrace_kernels.segments import (
    decayed_sum,
    decayed_sum_before,
    group_starts,
    row_in_group,
    seconds_since,
    segment_kernel,
    session_id,
)
from headrace_kernels.windows import lag, rolling_sum

SCANS = [decayed_sum, decayed_sum_before, session_id, seconds_since, row_in_group]


def bitmap(valid):
    return np.packbits(np.array(valid, bool), bitorder="little")


@st.composite
def sorted_groups(draw):
    sizes = draw(st.lists(st.integers(0, 6), max_size=6))
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    n_rows = int(starts[-1])
    times = np.concatenate([np.sort(draw(st.lists(st.integers(0, 50), min_size=n, max_size=n))) for n in sizes] or [[]])
    values = draw(st.lists(st.integers(-1000, 1000), min_size=n_rows, max_size=n_rows))
    valid = draw(st.lists(st.booleans(), min_size=n_rows, max_size=n_rows))
    return Column(np.array(values, np.float64), bitmap(valid)), Column(times.astype(np.float64)), starts


def inputs_of(scan, value, seconds):
    return [{"value": value, "seconds": seconds}[name] for name in scan.inputs]


@pytest.mark.parametrize("scan", SCANS, ids=repr)
@settings(max_examples=40, deadline=None)
@given(data=sorted_groups())
def test_the_compiled_scan_equals_the_plain_one(scan, data):
    value, seconds, starts = data
    columns = inputs_of(scan, value, seconds)
    compiled, plain = scan.launch(columns, starts, threads=2), scan.plain(columns, starts)
    valid = is_valid(plain)
    np.testing.assert_array_equal(is_valid(compiled), valid)
    np.testing.assert_allclose(compiled.values[valid], plain.values[valid], rtol=1e-13, atol=1e-9)


def test_many_groups_in_many_threads_are_the_same():
    n_groups = 10_000
    starts = np.arange(n_groups + 1) * 3
    value, seconds = Column(np.ones(3 * n_groups)), Column(np.tile([0, 10, 20], n_groups))
    one, two = (decayed_sum.launch([value, seconds], starts, {"half_life": 10}, threads) for threads in (1, 2))
    assert one.values[:3].tolist() == [1.0, 1.5, 1.75]
    np.testing.assert_array_equal(one.values, np.tile([1.0, 1.5, 1.75], n_groups))
    np.testing.assert_array_equal(one.values, two.values)


@pytest.mark.parametrize("scan", [decayed_sum, decayed_sum_before], ids=repr)
def test_groups_that_cross_blocks_are_the_same_row_by_row(scan):
    random = np.random.default_rng(5)
    sizes = [0, 1, 1022, 1, 1, 5000, 0, 0, 1024, 3, 2048, 17]  # blocks begin and end with groups, within them, and between empty ones
    starts = np.concatenate([[0], np.cumsum(sizes)])
    seconds = np.concatenate([np.sort(random.uniform(0, 1e6, size)) for size in sizes])
    columns = [Column(random.uniform(-1, 1, starts[-1])), Column(seconds)]
    in_blocks, plain = scan.launch(columns, starts), scan.plain(columns, starts)
    np.testing.assert_allclose(in_blocks.values, plain.values, rtol=1e-13, atol=1e-13)
    one_by_one = scan.launch([columns[0]._replace(validity=bitmap(np.ones(starts[-1]))), columns[1]], starts)
    np.testing.assert_array_equal(in_blocks.values, one_by_one.values)


def test_integer_times_beyond_float64_are_told_apart():
    times = np.array([2**62 + 1, 2**62 + 2])
    out = decayed_sum.launch([Column(np.ones(2)), Column(times)], np.array([0, 2]), {"half_life": 1.0})
    assert out.values.tolist() == [1.0, 1.5]


def test_a_null_leaves_the_state_alone():
    value = Column(np.array([4.0, 99.0, 1.0]), bitmap([1, 0, 1]))
    out = decayed_sum.launch([value, Column(np.array([0, 10, 20]))], np.array([0, 3]), {"half_life": 10})
    assert (out.values[[0, 2]].tolist(), is_valid(out).tolist()) == ([4.0, 2.0], [True, False, True])


def test_times_far_before_zero_do_not_overflow():
    out = decayed_sum.launch([Column(np.array([3.0, 3.0])), Column(np.array([-1e18, -1e18]))], np.array([0, 2]))
    assert out.values.tolist() == [3.0, 6.0]


def test_sessions_begin_after_a_gap_and_with_each_group():
    seconds = Column(np.array([0, 100, 1901, 1902, 0, 5000]))
    out = session_id.launch([seconds], np.array([0, 4, 6]))
    assert out.values.tolist() == [0, 0, 1, 1, 0, 1]


def test_the_first_row_of_a_group_has_no_time_since():
    out = seconds_since.launch([Column(np.array([5, 9, 100]))], np.array([0, 2, 3]))
    np.testing.assert_array_equal(out.values, [np.nan, 4, np.nan])


def test_a_users_scan_has_its_own_state():
    @segment_kernel(output="int32", start=(0, 0))
    def change_count(state, value, least=1):
        changed = state[0] + (1 if abs(value - state[1]) >= least else 0)
        return changed, (changed, value)

    out = change_count.launch([Column(np.array([1, 1, 5, 2]))], np.array([0, 3, 4]), {"least": 2})
    assert (out.values.dtype, out.values.tolist()) == (np.int32, [0, 0, 1, 1])


def test_mistakes_are_named():
    column = Column(np.zeros(2))
    with pytest.raises(TypeError, match=r"'decayed_sum' takes 2 columns \(value, seconds\), 1 given"):
        decayed_sum.launch([column], np.array([0, 2]))
    with pytest.raises(TypeError, match="no constant 'halflife'; constants: half_life"):
        decayed_sum.launch([column, column], np.array([0, 2]), {"halflife": 1})
    with pytest.raises(ValueError, match=r"different lengths \[2, 3\]"):
        decayed_sum.launch([column, Column(np.zeros(3))], np.array([0, 2]))
    for starts in ([0, 3], [1, 2], [], [0, 2, 1, 2]):
        with pytest.raises(ValueError, match="group starts must rise from 0 to the number of rows, 2"):
            session_id.launch([column], np.array(starts, np.int64))
    for starts in ([0, 2], np.array([0.0, 2.0])):
        with pytest.raises(TypeError, match="group starts are an array of integers, as group_starts returns them"):
            session_id.launch([column], starts)
    with pytest.raises(TypeError, match="scan 'session_id': input 'seconds' holds <U1, and numbers are needed"):
        session_id.launch([Column(np.array(["a", "b"]))], np.array([0, 2]))
    with pytest.raises(ValueError, match="input 'seconds' has 8 bits of validity for 9 rows"):
        session_id.launch([Column(np.zeros(9), np.array([255], np.uint8))], np.array([0, 9]))
    with pytest.raises(TypeError, match="scan '<lambda>' cannot be compiled for float64: failed to unpack float64"):
        segment_kernel(output="float64", start=(0.0,))(lambda state, x: x).launch([column], np.array([0, 2]))
    with pytest.raises(TypeError, match="has no parameter without a default"):
        segment_kernel(output="float64", start=(0.0,))(lambda state: (1.0, state))


def test_a_scan_goes_to_another_process_as_a_function_does():
    assert pickle.loads(pickle.dumps(decayed_sum)) is decayed_sum


def test_starts_of_runs():
    assert group_starts(np.array([])).tolist() == [0]
    assert group_starts(np.array([3, 1, 1, 3])).tolist() == [0, 1, 3, 4]


@settings(max_examples=60, deadline=None)
@given(sorted_groups(), st.integers(-3, 3))
def test_lags_look_back_in_their_group_only(data, n):
    value, _, starts = data
    valid = is_valid(value)
    out = lag(value, starts, n)
    for first, last in itertools.pairwise(starts):
        for i in range(first, last):
            present = first <= i - n < last and valid[i - n]
            assert is_valid(out)[i] == present
            assert not present or out.values[i] == value.values[i - n]


@settings(max_examples=100, deadline=None)
@given(sorted_groups(), st.sampled_from([1.0, 7.0, 100.0]))
def test_rolling_sums_equal_the_plain_way(data, window):
    value, seconds, starts = data
    valid, out = is_valid(value), rolling_sum(value, seconds, starts, window, threads=2)
    assert is_valid(out).tolist() == valid.tolist()
    for first, last in itertools.pairwise(starts):
        for i in range(first, last):
            rows = [j for j in range(first, i + 1) if valid[j] and seconds.values[i] - seconds.values[j] < window]
            assert not valid[i] or out.values[i] == sum(value.values[j] for j in rows)


def test_what_leaves_a_window_leaves_nothing_behind():
    values = Column(np.array([1e17, 0.1, 0.2, np.inf, 1.0, np.nan, 2.0, -np.inf]))
    seconds = Column(np.arange(8.0))
    out = rolling_sum(values, seconds, np.array([0, 8]), window=2)
    np.testing.assert_array_equal(out.values[1:], [1e17 + 0.1, 0.1 + 0.2, np.inf, np.inf, np.nan, np.nan, -np.inf])
    both = rolling_sum(Column(np.array([np.inf, -np.inf])), Column(np.zeros(2)), np.array([0, 2]), window=1)
    assert math.isnan(both.values[1])


def test_a_window_of_no_time_is_refused():
    with pytest.raises(ValueError, match="window must be above 0"):
        rolling_sum(Column(np.zeros(1)), Column(np.zeros(1)), np.array([0, 1]), 0)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float64", "float32", "bool", "datetime64[s]", "U3"])
@pytest.mark.parametrize("n_rows", [0, 1, 2, (1 << 17) - 1, 1 << 17, (1 << 17) + 1, 400_000])
def test_groups_begin_where_a_value_differs_from_the_one_before(dtype, n_rows):
    groups = np.sort(np.random.default_rng(n_rows).integers(0, 200, n_rows)).astype(dtype)
    expected = [*([0] if n_rows else []), *(np.flatnonzero(groups[1:] != groups[:-1]) + 1).tolist(), n_rows]
    for threads in (1, 2):
        assert group_starts(groups, threads).tolist() == expected


def test_each_nan_is_a_group():
    assert group_starts(np.array([1.0, np.nan, np.nan, 2.0])).tolist() == [0, 1, 2, 3, 4]
