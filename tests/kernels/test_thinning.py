"""Numbers parted by how often they occur, against sums in a dictionary."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels.factorize import sums_of_numbers
from headrace_kernels.thinning import thinned_numbers

PART = st.lists(st.tuples(st.integers(-1, 9), st.sampled_from([0, 1, 1, 2, 300])), max_size=30)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(PART, st.booleans()), min_size=1, max_size=4), st.sampled_from([1, 2, 3, 254, 255, 70_000, 2**62]))
def test_frequent_numbers_and_the_null_are_kept_and_the_others_ordered_by_their_sums(parts, least):
    arrays, sums = [], {}
    for rows, weighted in parts:
        numbers, weights = (np.array([row[place] for row in rows], dtype) for place, dtype in [(0, np.int32), (1, np.int64)])
        arrays.append((numbers, weights if weighted else None))
        for number, weight in rows:
            sums[number] = sums.get(number, 0) + (weight if weighted else 1)
    thinned = thinned_numbers(arrays, 10, least)
    kept = [number for number, total in sums.items() if number == -1 or total >= least]
    rare = sorted((number for number in sums if number not in kept), key=sums.__getitem__)
    assert thinned.kept.tolist() == kept
    assert thinned.sums.tolist() == [sums[number] for number in kept]
    assert thinned.rare.tolist() == rare
    most = max([sums[number] for number in rare], default=0)
    assert thinned.ends.tolist() == [sum(sums[number] <= total for number in rare) for total in range(most + 1)]


@pytest.mark.parametrize("n_rows", [0, 1, 1000])
def test_what_is_thinned_leaves_nothing_to_those_who_count_next(n_rows):
    numbers = np.arange(n_rows, dtype=np.int32) // 2
    thinned_numbers([(numbers, None)], n_rows, 2)
    distinct, sums = sums_of_numbers([(numbers, None)], n_rows)
    assert (distinct.tolist(), sums.sum()) == (sorted(set(numbers.tolist())), n_rows)
