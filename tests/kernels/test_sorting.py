"""Sorting by digits: the order that comparing gives."""

from __future__ import annotations

import numpy as np
import pytest

from headrace_kernels.sorting import sorted_ints


@pytest.mark.parametrize("n", [0, 1, 4_095, 4_096, 70_000])
@pytest.mark.parametrize("reach", [0, 1, 5_000, 1 << 40, (1 << 63) - 1])
def test_numbers_of_any_reach_are_sorted(n: int, reach: int) -> None:
    values = np.random.default_rng(0).integers(-reach, reach, n, endpoint=True)
    before = values.copy()
    assert np.array_equal(sorted_ints(values), np.sort(values))
    assert np.array_equal(values, before)


def test_the_least_and_the_largest_number_are_at_the_ends() -> None:
    ends = np.iinfo(np.int64)
    values = np.resize(np.array([ends.max, 0, -1, ends.min]), 5_000)
    found = sorted_ints(values)
    assert (found[0], found[-1]) == (ends.min, ends.max)
