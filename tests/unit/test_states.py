"""Parts and states: exact moments, bins that know their error, counts."""

from __future__ import annotations

import functools
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.backends.arrow.backend import ArrowBackend
from headrace.counts import Counts
from headrace.keys import Keys
from headrace.states import MAX_BINS, Moments, Quantiles, merge

NAN, INF = math.nan, math.inf


def moments(*values: float | None) -> Moments:
    return ArrowBackend().moments([pa.array(values, pa.float64())])[0]


def test_moments_count_what_takes_no_part() -> None:
    found = moments(1.0, None, NAN, INF, -INF, -0.0, 3.0)
    assert (found.count, found.nulls, found.nans, found.infinities) == (3, 1, 1, 2)
    assert (found.minimum, found.maximum) == (0.0, 3.0)


def test_a_large_mean_leaves_the_deviation_exact() -> None:
    found = moments(1e16, 1e16 + 2, 1e16 + 4)
    assert found.mean_and_std() == (1e16 + 2, math.sqrt(8 / 3))
    assert found.mean_and_std(ddof=1)[1] == 2.0


def test_moments_of_nothing_are_nan_and_add_nothing() -> None:
    assert all(math.isnan(value) for value in moments().mean_and_std())
    merged = moments(None, NAN).merged(moments(2.0))
    assert (merged.count, merged.minimum, merged.maximum, merged.mean_and_std()) == (1, 2.0, 2.0, (2.0, 0.0))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(width=64) | st.none(), max_size=30), st.integers(0, 30))
def test_moments_of_parts_are_those_of_the_whole(values: list[float | None], cut: int) -> None:
    left, whole = moments(*values[:cut]), moments(*values)
    merged = left.merged(moments(*values[cut:]))
    assert (merged.count, merged.nulls, merged.nans, merged.infinities) == (whole.count, whole.nulls, whole.nans, whole.infinities)
    assert (merged.minimum, merged.maximum) == (whole.minimum, whole.maximum)
    assert merged.total.tolist() == whole.total.tolist()
    assert merged.squares.tolist() == whole.squares.tolist()


@pytest.mark.parametrize(("q", "expected"), [(0.0, -2.0), (0.25, 0.0), (0.5, 1.0), (0.625, 1.5), (0.9, 3.2), (1.0, 4.0)])
def test_quantiles_interpolate_between_ranks(q: float, expected: float) -> None:
    assert Quantiles.of(np.array([4.0, 0.0, 1.0, -2.0, 2.0, NAN])).quantile(q) == pytest.approx(expected, rel=1e-15)


def test_quantiles_know_infinities_and_nothing() -> None:
    assert Quantiles.of(np.array([-INF, 1.0, INF])).quantile(1.0) == INF
    assert Quantiles.of(np.array([-INF, 1.0, INF])).quantile(0.0) == -INF
    assert math.isnan(Quantiles.of(np.array([NAN])).quantile(0.5))
    assert Quantiles.of(np.array([3.0, -0.0, 0.0])).values().tolist() == [0.0, 3.0]


def _many() -> np.ndarray:
    random = np.random.default_rng(2)
    return np.concatenate([random.lognormal(0, 3, 90_000), -random.lognormal(5, 1, 30_000), [INF, -INF, 0.0]])


def test_many_distinct_values_keep_their_stated_error() -> None:
    values = _many()
    found = Quantiles.of(values)
    assert found.precision < 52
    assert len(found.bins) <= MAX_BINS
    assert found.count == len(values)
    for q in (0.01, 0.25, 0.5, 0.75, 0.99):
        exact = float(np.quantile(values, q, method="lower"))
        assert abs(found.quantile(q, lower=True) - exact) <= 2.0 ** -(found.precision + 1) * abs(exact)
    assert (found.quantile(0.0), found.quantile(1.0)) == (-INF, INF)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_zero_stays_zero_among_many_distinct_values(sign: float) -> None:
    others = np.random.default_rng(3).lognormal(0, 3, 70_000) * sign
    found = Quantiles.of(np.concatenate([np.zeros(80_000), others]))
    assert found.precision < 52
    assert (found.quantile(0.5), found.values()[found.bins == 0].tolist()) == (0.0, [0.0])


def test_bins_do_not_depend_on_the_order_of_merges() -> None:
    values = _many()
    whole = Quantiles.of(values)
    shuffled = np.array_split(np.random.default_rng(1).permutation(values), 7)
    parts = [Quantiles.of(part) for part in shuffled]
    for order in (parts, parts[::-1]):
        merged = order[0]
        for part in order[1:]:
            merged = merged.merged(part)
        assert merged.precision == whole.precision
        assert merged.bins.tobytes() == whole.bins.tobytes()
        assert merged.counts.tobytes() == whole.counts.tobytes()


def test_counts_add_up_by_key() -> None:
    left = Counts(Keys(pa.table({"k": ["a", None]})), np.array([2, 1]))
    right = Counts(Keys(pa.table({"k": [None, "b"]})), np.array([4, 1]))
    merged = left.merged(right)
    assert dict(zip(merged.keys.table["k"].to_pylist(), merged.counts.tolist(), strict=True)) == {"a": 2, None: 5, "b": 1}


def test_dictionaries_and_tuples_merge_item_by_item() -> None:
    one = {"x": (moments(1.0), moments(2.0))}
    merged = merge(one, {"x": (moments(3.0), moments(4.0))})
    assert [part.mean_and_std()[0] for part in merged["x"]] == [2.0, 3.0]


def test_moments_of_many_parts_merge_as_two_by_two() -> None:
    parts = [moments(1e300, None), moments(-1e300, 2.5), moments(INF, NAN), moments()]
    at_once, pairwise = Moments.merged_all(parts), functools.reduce(Moments.merged, parts)
    assert at_once.mean_and_std() == pairwise.mean_and_std()
    assert (at_once.count, at_once.nulls, at_once.nans, at_once.infinities) == (3, 1, 1, 1)
    assert at_once.total.tolist() == pairwise.total.tolist()
    assert at_once.squares.tolist() == pairwise.squares.tolist()
