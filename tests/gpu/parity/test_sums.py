"""Exact sums over a matrix on the device: the CPU's, to the last bit."""

from __future__ import annotations

import numpy as np
from tests.gpu.where import MARKS

from headrace.models.sums import Sums

pytestmark = MARKS


def test_sums_are_those_of_the_cpu() -> None:
    import cupy

    draw = np.random.default_rng(9)
    matrix = (draw.normal(size=(400, 3)) * [1e-20, 1, 1e15] + [0, 1e6, 0]).astype(np.float32)
    target = draw.normal(size=400).astype(np.float32)
    for n_rows in (400, 1, 0):
        on_device = Sums.of(cupy.asarray(matrix[:n_rows]), cupy.asarray(target[:n_rows]))
        assert on_device == Sums.of(matrix[:n_rows], target[:n_rows])
