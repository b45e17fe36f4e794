"""Orders: rows by code and by number, the same as a stable sort gives."""

from __future__ import annotations

import numpy as np
import pytest

from headrace.order import order_of_codes, order_of_rows


@pytest.mark.parametrize("most", [1, 3, 1 << 16, (1 << 16) + 1, 1 << 33])
def test_rows_of_one_code_stay_in_their_order(most: int) -> None:
    codes = np.random.default_rng(0).integers(0, most, 1_000)
    codes[::3] = codes[0]
    assert order_of_codes(codes).tolist() == np.argsort(codes, kind="stable").tolist()


@pytest.mark.parametrize("reach", [1_000, 1_500, 1 << 40])
def test_distinct_numbers_are_ordered_near_and_far_from_each_other(reach: int) -> None:
    rows = np.random.default_rng(0).choice(np.unique(np.linspace(7, 7 + reach, 1_000).astype(np.int64)), 900, replace=False)
    assert order_of_rows(rows).tolist() == np.argsort(rows).tolist()


def test_no_rows_have_an_order() -> None:
    nothing = np.zeros(0, np.int64)
    assert (order_of_codes(nothing).tolist(), order_of_rows(nothing).tolist()) == ([], [])
