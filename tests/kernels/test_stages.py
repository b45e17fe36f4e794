"""A chain of stages on one column equals the same steps one after another in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_kernels.column import Column, is_valid
from headrace_kernels.stages import CLIP, FILL, LOG, LOG1P, SCALE, Stage, run_chains, run_stages

CHAINS = [
    [Stage(FILL, 0.0), Stage(CLIP, 0.0, 50.0), Stage(LOG1P, 1.0), Stage(SCALE, 1.5, 0.5)],
    [Stage(LOG, 3.0, math.log(10)), Stage(FILL, -1.0)],
    [Stage(CLIP, -2.0, 2.0)],
    [Stage(LOG1P, 1.0), Stage(CLIP, 0.0, 1.0)],
    [],
]
VALUES = st.one_of(st.none(), st.floats(-100, 100), st.sampled_from([math.nan, math.inf, -math.inf, -0.0, -1.0, -3.0]))


def column_of(values: list[float | None], dtype: type = np.float64) -> Column:
    valid = np.array([value is not None for value in values], bool)
    filled = np.array([0 if value is None else value for value in values], dtype)
    return Column(filled, None if valid.all() else np.packbits(valid, bitorder="little"))


def one_by_one(value: float | None, stages: list[Stage]) -> tuple[float | None, list[bool]]:
    changed = []
    for stage in stages:
        before = value
        if stage.does == FILL:
            value = stage.first if value is None or math.isnan(value) else value
            changed.append(before is None or math.isnan(before))
        elif value is None or math.isnan(value):
            changed.append(False)
        elif stage.does == CLIP:
            value = min(max(value, stage.first), stage.second)
            changed.append(value != before)
        elif stage.does in (LOG1P, LOG):
            plus, unit = (1.0, stage.first) if stage.does == LOG1P else (stage.first, stage.second)
            value = (math.log1p(value) if plus == 1.0 else math.log(value + plus)) / unit if value > -plus else None
            changed.append(value is None)
        else:
            value = (value - stage.first) / stage.second
            changed.append(False)
    return value, changed


@pytest.mark.parametrize("stages", CHAINS)
@given(values=st.lists(VALUES, max_size=40), repeat=st.sampled_from([1, 60]))
def test_a_chain_equals_its_steps_one_by_one(stages: list[Stage], values: list[float | None], repeat: int) -> None:
    values = values * repeat  # more than a block
    made, counts = run_stages(column_of(values), stages, np.float64)
    wanted = [one_by_one(value, stages) for value in values]
    valid = is_valid(made)
    for row, (value, _) in enumerate(wanted):
        assert valid[row] == (value is not None)
        if value is not None:
            assert made.values[row] == pytest.approx(value, rel=1e-13, abs=1e-300, nan_ok=True)
    assert list(counts) == [sum(changed[stage] for _, changed in wanted) for stage in range(len(stages))]


@pytest.mark.parametrize("stages", CHAINS)
@given(values=st.lists(st.tuples(VALUES, st.integers(0, 9)), min_size=1, max_size=1500))
def test_a_value_counts_for_as_many_rows_as_it_stands_for(stages: list[Stage], values: list[tuple[float | None, int]]) -> None:
    by_value, weights = [value for value, _ in values], np.array([weight for _, weight in values])
    ((made, counts),) = run_chains([column_of(by_value)], [stages], np.float64, [weights])
    by_row, of_rows = run_stages(column_of([value for value, weight in values for _ in range(weight)]), stages, np.float64)
    assert counts == of_rows
    assert np.array_equal(np.repeat(is_valid(made), weights), is_valid(by_row))
    rows = is_valid(by_row)
    assert np.array_equal(np.repeat(made.values, weights)[rows], by_row.values[rows], equal_nan=True)


def test_integers_keep_their_type() -> None:
    made, counts = run_stages(
        Column(np.array([-5, 3, 2**31 - 1], np.int32), np.array([0b101], np.uint8)),
        [Stage(FILL, 7.0), Stage(CLIP, 0.0, math.inf)],
        np.int32,
    )
    assert made.values.tolist() == [0, 7, 2**31 - 1]
    assert made.values.dtype == np.int32
    assert made.validity is None
    assert counts == (1, 1)


def test_float32_is_computed_in_float32() -> None:
    values = np.linspace(0, 50, 3000, dtype=np.float32)
    made, _ = run_stages(Column(values), [Stage(LOG1P, 1.0)], np.float32)
    assert made.values.dtype == np.float32
    np.testing.assert_allclose(made.values, np.log1p(values.astype(np.float64)), rtol=4e-7)


def test_a_null_made_in_one_block_is_none_of_the_next() -> None:
    values = np.zeros(5000)
    values[3] = -1.0
    made, counts = run_stages(Column(values), [Stage(LOG1P, 1.0)], np.float64)
    assert counts == (1,)
    assert np.flatnonzero(~is_valid(made)).tolist() == [3]


def test_wide_integers_are_refused() -> None:
    with pytest.raises(TypeError, match="int64 does not fit float64"):
        run_stages(Column(np.array([1])), [Stage(FILL, 0.0)], np.float64)
