"""JoinGroupby: statistics of the training rows, joined back by key."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied, as_training
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobErrors
from headrace.ops.join_groupby import JoinGroupby
from headrace.table import Backend

NAN, INF = math.nan, math.inf
ALL = ["count", "sum", "mean", "std", "min", "max"]


def test_every_statistic_of_a_small_table(backend: Backend) -> None:
    data = pa.table({"k": ["a", "b", "a", "a"], "x": pa.array([1, 10, 2, 6], pa.int32())})
    made = applied(backend, JoinGroupby(["k"], {"x": ALL}), data)
    assert made["k_x_count"] == [3, 1, 3, 3]
    assert made["k_x_sum"] == [9.0, 10.0, 9.0, 9.0]
    assert made["k_x_mean"] == [3.0, 10.0, 3.0, 3.0]
    assert made["k_x_std"] == [math.sqrt(7.0), None, math.sqrt(7.0), math.sqrt(7.0)]  # (4 + 1 + 9) / 2
    assert made["k_x_min"] == [1, 10, 1, 1]
    assert made["k_x_max"] == [6, 10, 6, 6]
    assert made.table.schema.field("k_x_min").type == pa.int32()


def test_an_unseen_key_gets_nulls_and_is_counted(backend: Backend) -> None:
    known = pa.table({"k": ["a"], "x": [1.0]})
    made = applied(backend, JoinGroupby("k", {"x": "mean"}), pa.table({"k": ["b", "a", None], "x": [0.0, 0.0, 0.0]}), learnt_from=known)
    assert made["k_x_mean"] == [None, 1.0, None]
    assert made.counts[("unseen", "k")] == 2


def test_the_column_itself_is_not_needed_to_apply(backend: Backend) -> None:
    op = JoinGroupby("k", {"x": "sum"})
    state = op.finish(op.observe(as_training(backend, pa.table({"k": [1, 1], "x": [1.5, 2.0]}))))
    assert op.apply(as_training(backend, pa.table({"k": [1]})), state).to_arrow()["k_x_sum"].to_pylist() == [3.5]


def test_null_nan_and_infinity_take_no_part(backend: Backend) -> None:
    data = pa.table({"k": ["a"] * 5 + ["b", "b"], "x": [1.0, None, NAN, INF, 3.0, None, -INF]})
    made = applied(backend, JoinGroupby("k", {"x": ALL}), data)
    assert [made[f"k_x_{name}"][0] for name in ALL] == [2, 4.0, 2.0, math.sqrt(2.0), 1.0, 3.0]
    assert [made[f"k_x_{name}"][5] for name in ALL] == [0, None, None, None, None, None]


def test_null_keys_and_keys_of_two_columns(backend: Backend) -> None:
    data = pa.table({"a": ["x", None, "x", None], "b": pa.array([1, 1, None, 1]), "v": [1, 2, 3, 4]})
    made = applied(backend, JoinGroupby(["a", "b"], {"v": "sum"}), data)
    assert made["a_b_v_sum"] == [1.0, 6.0, 3.0, 6.0]


def test_integers_at_their_ends_do_not_wrap(backend: Backend) -> None:
    big = pa.table({"k": [1, 1], "x": pa.array([2**63 - 1, 2**63 - 1]), "u": pa.array([2**64 - 1, 0], pa.uint64())})
    made = applied(backend, JoinGroupby("k", {"x": ALL, "u": ALL}), big)
    assert (made["k_x_sum"][0], made["k_x_std"][0], made["k_x_max"][0]) == (2.0**64, 0.0, 2**63 - 1)
    assert (made["k_u_sum"][0], made["k_u_min"][0], made["k_u_max"][0]) == (2.0**64, 0, 2**64 - 1)
    assert made["k_u_std"][0] == pytest.approx((2.0**64) / math.sqrt(2.0), rel=1e-15)


def test_a_large_mean_leaves_the_deviation_right(backend: Backend) -> None:
    made = applied(backend, JoinGroupby("k", {"x": "std"}), pa.table({"k": [1, 1, 1], "x": [1.7e15, 1.7e15 + 1, 1.7e15 + 2]}))
    assert made["k_x_std"] == [1.0, 1.0, 1.0]


def test_zero_has_no_sign_and_booleans_and_decimals_work(backend: Backend) -> None:
    price = pa.array([Decimal("1.50"), Decimal("2.50"), None], pa.decimal128(9, 2))
    data = pa.table({"k": [0.0, -0.0, 1.0], "z": [-0.0, 0.0, -0.0], "f": [True, False, None], "p": price})
    made = applied(backend, JoinGroupby("k", {"z": ["min"], "f": ["mean", "max"], "p": ["sum", "min"]}), data)
    assert_same_column(made.table["k_z_min"], pa.array([0.0, 0.0, 0.0]))
    assert (made["k_f_mean"], made["k_f_max"]) == ([0.5, 0.5, None], [True, True, None])
    assert (made["k_p_sum"], made["k_p_min"]) == ([4.0, 4.0, None], [1.5, 1.5, None])


def test_an_empty_table_and_an_all_null_column(backend: Backend) -> None:
    empty = pa.table({"k": pa.array([], pa.string()), "x": pa.array([], pa.float32())})
    assert applied(backend, JoinGroupby("k", {"x": ALL}), empty).table.num_rows == 0
    nulls = pa.table({"k": pa.array(["a", "a"]).dictionary_encode(), "x": pa.array([None, None], pa.float32())})
    made = applied(backend, JoinGroupby("k", {"x": ["count", "max"]}), nulls)
    assert (made["k_x_count"], made["k_x_max"]) == ([0, 0], [None, None])


def test_unknown_statistics_and_text_columns_are_refused() -> None:
    with pytest.raises(JobErrors, match="median"):
        JoinGroupby("k", {"x": ["median"]})
    from headrace.schema import INT64, STRING, Schema

    with pytest.raises(JobErrors, match="a number or boolean is needed"):
        JoinGroupby("k", {"x": "sum"}).declare(Schema({"k": INT64, "x": STRING}), {})


VALUES = st.one_of(st.none(), st.floats(width=64), st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, INF, NAN]))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(st.sampled_from(["a", "", "é", None]), VALUES), min_size=1, max_size=30), cut=st.integers(0, 30))
def test_statistics_equal_those_of_exact_fractions(rows: list[tuple[Any, Any]], cut: int) -> None:
    data = pa.table({"k": pa.array([k for k, _ in rows], pa.string()), "x": pa.array([x for _, x in rows], pa.float64())})
    op, backend = JoinGroupby("k", {"x": ALL}), ArrowBackend()
    parts = [op.observe(as_training(backend, piece)) for piece in (data.slice(0, cut), data.slice(cut))]
    found = op.apply(as_training(backend, data), op.finish(op.merge(*parts))).to_arrow()
    for row, (key, _) in enumerate(rows):
        values = [Fraction(x) for k, x in rows if k == key and x is not None and math.isfinite(x)]
        expected = _statistics(values)
        for name in ALL:
            actual = found[f"k_x_{name}"][row].as_py()
            if name in ("mean", "std") and expected[name] is not None and math.isfinite(expected[name]):
                assert actual == pytest.approx(expected[name], rel=1e-15, abs=1e-320) or (name == "std" and not math.isfinite(actual))
            elif name != "std":
                assert actual == expected[name]


def _statistics(values: list[Fraction]) -> dict[str, Any]:
    n, total = len(values), sum(values, Fraction(0))
    variance = (n * sum(v * v for v in values) - total**2) / (n * (n - 1)) if n > 1 else None
    none: dict[str, Any] = dict.fromkeys(ALL)
    if not n:
        return {**none, "count": 0}
    return {
        "count": n,
        "sum": _float(total),
        "mean": _float(total / n),
        "std": None if variance is None else math.sqrt(_float(variance)),
        "min": float(min(values)),
        "max": float(max(values)),
    }


def _float(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return INF if exact > 0 else -INF


def test_the_mean_of_values_whose_sum_is_beyond_float64_is_right(backend: Backend) -> None:
    data = pa.table({"k": ["a", "a", "b", "b", "c"], "x": [1e308, 1.5e308, -1.7e308, -1.7e308, None]})
    made = applied(backend, JoinGroupby(["k"], {"x": ["sum", "mean"]}), data)
    assert made["k_x_sum"] == [INF, INF, -INF, -INF, None]
    assert made["k_x_mean"] == [1.25e308, 1.25e308, -1.7e308, -1.7e308, None]
