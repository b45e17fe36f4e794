import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels.column import Column, is_valid
from headrace_kernels.elementwise import DenseSteps, cyclical, dense_transform


def bitmap(valid):
    return np.packbits(np.array(valid, bool), bitorder="little")


def plain_dense(rows, steps):
    """One row at a time with Python's own functions; None is null."""
    out, n_filled, n_clipped = [], 0, 0
    for x in rows:
        if x is None and steps.fill is None:
            out.append(None)
            continue
        if x is None:
            n_filled += 1
        elif x < steps.low or x > steps.high:
            n_clipped += 1
        y = steps.fill if x is None else x
        y = steps.low if y < steps.low else y
        y = steps.high if y > steps.high else y
        y = {"": lambda v: v, "log1p": math.log1p, "log": math.log}[steps.transform](y)
        out.append((y - steps.mean) / steps.std)
    return out, n_filled, n_clipped


STEPS = [
    DenseSteps(),
    DenseSteps(fill=2.0),
    DenseSteps(low=0.0, high=9.0),
    DenseSteps(fill=-3.0, low=0.0, transform="log1p", mean=1.5, std=0.25),
    DenseSteps(low=0.5, high=100.0, transform="log"),
    DenseSteps(fill=1.0, low=0.0, transform="log1p"),
]
numbers = st.floats(-1e6, 1e6) | st.none() | st.just(math.inf) | st.just(math.nan)


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, max_size=40), st.integers(0, 9), st.sampled_from(STEPS))
def test_any_rows_equal_the_plain_way(rows, offset, steps):
    values = np.array([1e9 if x is None else x for x in rows], np.float64)
    dense = dense_transform(Column(values, bitmap([True] * offset + [x is not None for x in rows]), offset), steps)
    expected, n_filled, n_clipped = plain_dense(rows, steps)
    valid = is_valid(dense.column)
    assert valid.tolist() == [y is not None for y in expected]
    np.testing.assert_allclose(dense.column.values[valid], [y for y in expected if y is not None], rtol=2e-15, atol=1e-14)
    assert (dense.n_filled, dense.n_clipped) == (n_filled, n_clipped)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.int64, np.float32, np.bool_])
@pytest.mark.parametrize("n_rows", [0, 1, 1024, 300_001])
def test_every_type_length_and_number_of_threads_gives_the_same(dtype, n_rows):
    values = (np.arange(n_rows) % 2).astype(dtype)
    valid = np.arange(n_rows) % 3 > 0
    steps = DenseSteps(fill=5.0, high=0.5, transform="log1p", mean=0.1, std=3.0)
    one, two = (dense_transform(Column(values, bitmap(valid)), steps, np.float32, threads) for threads in (1, 2))
    expected = (np.log1p(np.minimum(np.where(valid, values, 5.0), 0.5)) - 0.1) / 3.0
    np.testing.assert_allclose(one.column.values, expected, rtol=1e-6)
    assert one.column.values.dtype == np.float32
    np.testing.assert_array_equal(one.column.values, two.column.values)
    assert one[1:] == two[1:] == ((~valid).sum(), int((values[valid] > 0.5).sum()))


def test_a_step_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="no transform 'sqrt'; transforms: log, log1p"):
        dense_transform(Column(np.zeros(1)), DenseSteps(transform="sqrt"))
    with pytest.raises(ValueError, match="std is 0"):
        dense_transform(Column(np.zeros(1)), DenseSteps(std=0.0))


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
def test_cyclical_features_come_round(dtype):
    hours = np.array([0, 6, 12, 18, 24, -6], dtype)
    sine, cosine = cyclical.launch([Column(hours)], {"period": 24})
    np.testing.assert_array_equal(sine.values, np.array([0, 1, 0, -1, 0, -1], np.float32))
    np.testing.assert_array_equal(cosine.values, np.array([1, 0, -1, 0, 1, 0], np.float32))
    assert cyclical.reference(6, 24) == (1.0, 0.0)
