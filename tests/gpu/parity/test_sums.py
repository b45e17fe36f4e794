"""Exact sums over a matrix on the device: the CPU's, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from tests.gpu.where import MARKS

from headrace.models import kmeans
from headrace.models.kmeans import Lloyd
from headrace.models.logistic import Classes, Slope
from headrace.models.rounds import Spread
from headrace.models.sums import Sums
from headrace_kernels.centres import steps_a_unit
from headrace_kernels.column import Column as HostColumn
from headrace_kernels.group_sums import exact_group_sums

pytestmark = MARKS


def test_sums_are_those_of_the_cpu() -> None:
    import cupy

    draw = np.random.default_rng(9)
    matrix = (draw.normal(size=(400, 3)) * [1e-20, 1, 1e15] + [0, 1e6, 0]).astype(np.float32)
    target = draw.normal(size=400).astype(np.float32)
    for n_rows in (400, 1, 0):
        on_device = Sums.of(cupy.asarray(matrix[:n_rows]), cupy.asarray(target[:n_rows]))
        assert on_device == Sums.of(matrix[:n_rows], target[:n_rows])


def test_the_smallest_floats_of_32_bits_are_summed_as_on_the_cpu() -> None:
    import cupy

    matrix = np.array([[1e-40, 1.0], [-3e-39, 2e-42]], np.float32)
    assert Sums.of(cupy.asarray(matrix)) == Sums.of(matrix)
    spreads = [Spread().of(where(matrix), None).means().tolist() for where in (cupy.asarray, np.asarray)]
    assert spreads[0] == spreads[1]
    question = Lloyd(matrix.astype(np.float64), steps_a_unit(np.abs(matrix).max(axis=0).astype(float), 2))
    found, expected = (question.of(where(matrix), None) for where in (cupy.asarray, np.asarray))
    np.testing.assert_array_equal(found.sums, expected.sums)


def test_a_round_of_kmeans_is_the_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal distances too: rows on a grid, and a centre twice."""
    import cupy

    monkeypatch.setattr(kmeans, "_DISTANCES_AT_ONCE", 500)  # several pieces
    draw = np.random.default_rng(10)
    for matrix in (draw.normal(size=(400, 3)).astype(np.float32), draw.integers(0, 3, (400, 3)).astype(np.float32)):
        question = Lloyd(
            np.vstack([matrix[:4], matrix[3:4]]).astype(np.float64), steps_a_unit(np.abs(matrix).max(axis=0).astype(float), 400)
        )
        for n_rows in (400, 1, 0):
            found, expected = (question.of(where(matrix[:n_rows]), None) for where in (cupy.asarray, np.asarray))
            assert found.inertia == expected.inertia
            np.testing.assert_array_equal(found.sums, expected.sums)
            np.testing.assert_array_equal(found.counts, expected.counts)


@pytest.mark.parametrize("seen", [(0, 1), (0, 2, 3)])
def test_a_round_of_logistic_regression_is_the_cpus_but_for_rounding(seen: tuple[int, ...]) -> None:
    import cupy

    draw = np.random.default_rng(11)
    matrix, target = draw.normal(size=(400, 3)).astype(np.float32), draw.choice(seen, 400).astype(np.float32)
    outputs = len(seen) if len(seen) > 2 else 1
    question = Slope(draw.normal(size=(outputs, 3)), draw.normal(size=outputs), seen, (1.0, 2.0, 0.5)[: len(seen)])
    for n_rows in (400, 1, 0):
        found, expected = (question.of(where(matrix[:n_rows]), where(target[:n_rows])) for where in (cupy.asarray, np.asarray))
        for ours, theirs in zip(found.floats(outputs), expected.floats(outputs), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
        counts = [Classes(4).of(None, where(target[:n_rows])).counts.tolist() for where in (cupy.asarray, np.asarray)]
        assert counts[0] == counts[1]
        spreads = [Spread().of(where(matrix[:n_rows]), None) for where in (cupy.asarray, np.asarray)]
        assert spreads[0].means().tolist() == pytest.approx(spreads[1].means().tolist(), abs=0, nan_ok=True)
        assert spreads[0].largest().tolist() == spreads[1].largest().tolist()


def test_zeros_do_not_widen_sums_on_the_device() -> None:
    """A 0 has the smallest exponent there is: by it, each sum would go over 36 limbs, and each group keep as many."""
    import cupy
    import pyarrow as pa

    from headrace.backends.cudf import exact
    from headrace.backends.cudf.column import Plain

    values = cupy.asarray(np.array([0.0, 3.0, -0.0, 0.5]))
    exponents = cupy.asnumpy(exact._mantissas(values)[1])
    assert (exponents.min(), exponents.max()) == (-53, -51)
    found = exact.group_sums(Plain(values, None, pa.float64()), cupy.asarray(np.array([0, 1, 1, 1])), 2)
    expected = exact_group_sums(HostColumn(np.array([0.0, 3.0, -0.0, 0.5])), np.array([0, 1, 1, 1]), 2)
    assert (found.limbs.tolist(), found.base) == (expected.limbs.tolist(), expected.base)
