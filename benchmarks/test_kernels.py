"""Every kernel on a million rows: `make bench` compares with what was saved the last time."""

from __future__ import annotations

from typing import Any

import pytest
from kernels_headrace import OFFERS

ROWS = 1_000_000


@pytest.mark.parametrize("name", OFFERS)
def test_kernel(benchmark: Any, name: str) -> None:
    call = OFFERS[name].make(ROWS)
    call()  # compiles, or loads what was compiled
    returned = benchmark(call)
    assert all(len(values) for values in returned.values())
