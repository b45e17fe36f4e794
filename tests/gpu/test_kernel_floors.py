"""The table of docs/gpu.md is what the kernels declare."""

from __future__ import annotations

import pytest
from tests.gpu.kernel_floors import DEVICES, expected_share, table, written_table

from headrace_kernels.cuda_catalogue import cuda_forms

FORMS = {form.name: form for form in cuda_forms()}


def test_the_page_has_the_table_of_the_code() -> None:
    assert written_table() == table(), "python -m tests.gpu.kernel_floors --write"


@pytest.mark.parametrize(
    ("name", "nbytes"),
    [("haversine_km", 40), ("cyclical", 16), ("grid_cell", 24), ("bucketize", 12), ("dense_transform", 16.125), ("count_codes", 6.125)],
)
def test_a_floor_is_inputs_outputs_and_validity(name: str, nbytes: float) -> None:
    assert FORMS[name].bytes_a_row == nbytes


def test_a_plain_kernel_is_bound_by_memory_and_a_long_one_by_arithmetic() -> None:
    a100 = DEVICES[0]
    assert expected_share(FORMS["clip"], 2, a100) == pytest.approx(0.9)
    # 279 slots at 4.85e12 a second are 57.5 ps, 40 bytes at 2.04e12 a second 19.6 ps
    assert expected_share(FORMS["haversine_km"], 279, a100) == pytest.approx(0.341, abs=0.001)
