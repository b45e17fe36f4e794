"""Categorify: 0 null, 1 unseen or rare, then ids by falling frequency, ties by value."""

from __future__ import annotations

import collections
import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

import headrace as hr
from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobError, JobErrors
from headrace.ops.categorify import Categorify
from headrace.ops.derive import Derive
from headrace.ops.hash_bucket import HashBucket
from headrace.ops.select import Rename
from headrace.pipeline import Pipeline
from headrace.table import Backend

NAN = math.nan
STRINGS = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
]


def column(values: list[object], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


@pytest.mark.parametrize("kind", STRINGS)
def test_ids_fall_by_frequency_then_by_value(backend: Backend, kind: pa.DataType) -> None:
    made = applied(backend, Categorify(["x"]), column(["b", "a", None, "c", "c", "ä", "", "b"], kind))
    # b and c twice each; then once each in the order of their bytes: "", "a", "ä"
    assert_same_column(made.table["x"], pa.array([2, 5, 0, 3, 3, 6, 4, 2], pa.int32()))


def test_an_unseen_category_is_1_and_counted(backend: Backend) -> None:
    made = applied(backend, Categorify(["x"]), column(["a", "z", None, "zz"]), learnt_from=column(["a", "b"]))
    assert made["x"] == [2, 1, 0, 1]
    assert made.counts == {("unseen", "x"): 2}


def test_null_is_0_even_if_none_was_seen_in_training(backend: Backend) -> None:
    assert applied(backend, Categorify(["x"]), column([None, "a"]), learnt_from=column(["a"]))["x"] == [0, 2]


def test_rare_categories_are_1(backend: Backend) -> None:
    made = applied(backend, Categorify(["x"], min_frequency=2), column(["a", "b", "b", "c", "c", "c"]))
    assert made["x"] == [1, 3, 3, 2, 2, 2]
    assert made.state["x"].n_rare == 1


def test_a_condensed_part_knows_rare_categories_by_their_hashes_and_teaches_the_same() -> None:
    op = Categorify(["x"], min_frequency=2)
    part = {"x": ArrowBackend().counts({"x": pa.array(["a", "b", "b"])})}
    condensed = op.condense(part)
    assert condensed["x"].keys.table["x"].to_pylist() == ["b"]
    assert condensed["x"].n_forgotten == 1
    learnt, whole = op.finish(condensed)["x"], op.finish(part)["x"]
    assert (learnt.keys, learnt.counts.tolist(), learnt.n_rare) == (whole.keys, whole.counts.tolist(), whole.n_rare)


def test_max_size_keeps_the_most_frequent(backend: Backend) -> None:
    assert applied(backend, Categorify(["x"], max_size=1), column(["a", "b", "b"]))["x"] == [1, 2, 2]


@pytest.mark.parametrize("values", [[None, None, None], [None], []])
def test_all_null_and_empty_columns_have_no_category(backend: Backend, values: list[None]) -> None:
    for kind in (*STRINGS, pa.int64(), pa.float64(), pa.bool_(), pa.timestamp("us", "UTC")):
        made = applied(backend, Categorify(["x"]), column(values, kind))
        assert_same_column(made.table["x"], pa.array([0] * len(values), pa.int32()))


def test_one_row_has_one_category(backend: Backend) -> None:
    assert applied(backend, Categorify(["x"]), column(["a"]))["x"] == [2]


def test_a_megabyte_of_unicode_is_a_category(backend: Backend) -> None:
    long = "東" * 350_000
    data = column([long, long + "a", long, "\U0001f600"])
    assert applied(backend, Categorify(["x"]), data)["x"] == [2, 3, 2, 4]
    assert applied(backend, Categorify(["x"]), column([long[:-1], long]), learnt_from=data)["x"] == [1, 2]


def test_int64_extremes_are_categories(backend: Backend) -> None:
    low, high = -(2**63), 2**63 - 1
    made = applied(backend, Categorify(["x"]), column([high, low, high, None, 0, high - 1], pa.int64()))
    assert made["x"] == [2, 3, 2, 0, 4, 5]
    assert applied(backend, Categorify(["x"]), column([2**64 - 1, 0, 2**64 - 1], pa.uint64()))["x"] == [2, 3, 2]


def test_nan_is_a_category_and_minus_zero_is_zero(backend: Backend) -> None:
    other_nan = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    made = applied(backend, Categorify(["x"]), column([NAN, -0.0, 0.0, other_nan, NAN, None, math.inf], pa.float64()))
    assert made["x"] == [2, 3, 3, 2, 2, 0, 4]
    assert applied(backend, Categorify(["x"]), column([-0.0, NAN]), learnt_from=column([0.0, NAN, 0.0]))["x"] == [2, 3]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([Decimal("1.50"), Decimal("2.00"), None, Decimal("1.50")], pa.decimal128(9, 2)),
        (
            [
                dt.datetime(2013, 3, 10, 2, tzinfo=dt.UTC),
                dt.datetime(2014, 1, 1, tzinfo=dt.UTC),
                None,
                dt.datetime(2013, 3, 10, 2, tzinfo=dt.UTC),
            ],
            pa.timestamp("ms", "UTC"),
        ),
        ([dt.date(2012, 2, 29), dt.date(2013, 1, 1), None, dt.date(2012, 2, 29)], pa.date32()),
        ([False, True, None, False], pa.bool_()),
        ([b"\x00", b"\xff", None, b"\x00"], pa.binary()),
        ([1.5, 2.5, None, 1.5], pa.float32()),
    ],
)
def test_any_type_of_value_may_be_a_category(backend: Backend, values: list[object], type_: pa.DataType) -> None:
    assert applied(backend, Categorify(["x"]), column(values, type_))["x"] == [2, 3, 0, 2]


def test_a_category_is_found_in_another_layout_and_width(backend: Backend) -> None:
    learnt = column(["b", "b", "a"], pa.dictionary(pa.int8(), pa.string()))
    for kind in STRINGS:
        assert applied(backend, Categorify(["x"]), column(["a", None, "b", "c"], kind), learnt_from=learnt)["x"] == [3, 0, 2, 1]
    narrow = column([1, 1, 2, None], pa.int8())
    assert applied(backend, Categorify(["x"]), column([2, 2**62, 1, None], pa.int64()), learnt_from=narrow)["x"] == [3, 1, 2, 0]


def test_a_dictionary_may_repeat_values_and_hold_unused_ones(backend: Backend) -> None:
    repeated = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 0], pa.int32()), pa.array(["a", "b", "a", "never"]))
    made = applied(backend, Categorify(["x"]), pa.table({"x": repeated}))
    assert made["x"] == [2, 3, 2, 0, 2]
    assert len(made.state["x"].keys) == 3


def test_several_columns_are_one_category(backend: Backend) -> None:
    data = pa.table({"a": ["x", "x", None, None, "x"], "b": [1, 2, 1, None, 1]})
    made = applied(backend, Categorify([["a", "b"]]), data)
    # (x, 1) twice; (x, 2) and (null, 1) once; only (null, null) is null
    assert made["a_b"] == [2, 3, 4, 0, 2]
    assert made.table.column_names == ["a", "b", "a_b"]


def test_several_columns_do_not_run_together(backend: Backend) -> None:
    made = applied(backend, Categorify([["a", "b"]]), pa.table({"a": ["x", "xy", "x"], "b": ["yz", "z", "yz"]}))
    assert made["a_b"] == [2, 3, 2]


def test_an_unseen_combination_of_seen_values_is_unseen(backend: Backend) -> None:
    learnt = pa.table({"a": ["x", "y"], "b": [1, 2]})
    made = applied(backend, Categorify([["a", "b"]]), pa.table({"a": ["x", "x", "q"], "b": [1, 2, 1]}), learnt_from=learnt)
    assert made["a_b"] == [2, 1, 1]


def test_the_unseen_and_rare_are_spread_over_buckets(backend: Backend) -> None:
    learnt = pa.table({"x": ["a", "a", "a", "b", "b", "c", None]})
    asked = pa.table({"x": ["a", "b", "c", None, *(f"new {number}" for number in range(100))]})
    made = applied(backend, Categorify(["x"], min_frequency=2, buckets=4), asked, learnt_from=learnt)
    hashed = applied(backend, HashBucket(["x"], buckets=4), asked)["x"]
    assert made["x"] == [5, 6, hashed[2], 0, *hashed[4:]]
    assert set(made["x"][4:]) == {1, 2, 3, 4}
    assert made.counts == {("unseen", "x"): 101}


def test_buckets_of_several_columns_leave_no_null_behind(backend: Backend) -> None:
    learnt = pa.table({"a": ["x", None], "b": [1, None]})
    asked = pa.table({"a": ["x", None, None, "x"], "b": [1, None, 7, None]})
    made = applied(backend, Categorify([["a", "b"]], buckets=3), asked, learnt_from=learnt)["a_b"]
    assert made[:2] == [4, 0]
    assert set(made[2:]) <= {1, 2, 3}


def test_joint_columns_share_one_vocabulary(backend: Backend) -> None:
    data = pa.table({"origin": ["JFK", "LGA", "JFK", None], "dest": pa.array(["LGA", "LGA", "SFO", "JFK"]).dictionary_encode()})
    made = applied(backend, Categorify(["origin", "dest"], joint=True), data)
    assert made["origin"] == [2, 3, 2, 0]  # three JFK and three LGA in all: ties by value
    assert made["dest"] == [3, 3, 4, 2]
    assert len(made.state) == 1


def test_joint_groups_of_columns_share_one_vocabulary(backend: Backend) -> None:
    data = pa.table({"a": ["x", "y"], "b": [1, 2], "c": ["y", "y"], "d": [2, 2]})
    made = applied(backend, Categorify([["a", "b"], ["c", "d"]], joint=True), data)
    assert (made["a_b"], made["c_d"]) == ([3, 2], [2, 2])


def test_columns_of_unlike_types_share_no_vocabulary(backend: Backend) -> None:
    message = r"columns\[1\]: columns of one vocabulary have one type, but 'a' is string and 'b' is int64"
    with pytest.raises(JobError, match=message):
        applied(backend, Categorify(["a", "b"], joint=True), pa.table({"a": ["x"], "b": [1]}))


@pytest.mark.parametrize("buckets", [1, 3])
def test_the_inverse_map_gives_every_id_its_category(buckets: int) -> None:
    data = pa.table({"c": ["b", "a", "b", None, "rare"], "n": [1, 1, 1, 2, 3]})
    steps = [Categorify(["c", ["c", "n"]], min_frequency=1, max_size=2, buckets=buckets), Rename({"c": "city"})]
    fitted = Pipeline(steps).fit(data)
    known = fitted.categories("city").to_pydict()
    assert known == {"id": [0, buckets + 1, buckets + 2], "category": [None, "b", "a"], "count": [1, 2, 1]}
    asked = pa.table({"c": known["category"], "n": [0, 0, 0]})
    assert fitted.transform(asked)["city"].to_pylist() == known["id"]
    assert fitted.categories("c_n").slice(1).to_pydict() == {
        "id": [buckets + 1, buckets + 2],
        "c": ["b", "a"],
        "n": [1, 1],
        "count": [2, 1],
    }


def test_columns_without_ids_have_no_inverse_map() -> None:
    fitted = Pipeline([Categorify(["c"]), Derive({"twice": "n * 2"})]).fit(pa.table({"c": ["a"], "n": [1]}))
    with pytest.raises(JobError, match="'twice' is made by derive, not by categorify"):
        fitted.categories("twice")
    with pytest.raises(JobError, match="'n' comes from the source as it is"):
        fitted.categories("n")
    with pytest.raises(JobError, match="no column 'cc'"):
        fitted.categories("cc")


def test_ids_do_not_move_when_more_is_learnt_into_buckets_and_joint_columns() -> None:
    fitted = Pipeline([Categorify(["a", "b"], joint=True, buckets=2)]).fit(pa.table({"a": ["x", "x"], "b": ["y", "x"]}))
    updated = fitted.update(pa.table({"a": ["z", "z"], "b": ["z", "y"]}))
    asked = pa.table({"a": ["x", "y", "z"], "b": ["z", "y", "x"]})
    assert fitted.transform(asked)["a"].to_pylist()[:2] == [3, 4]
    assert updated.transform(asked).to_pydict() == {"a": [3, 4, 5], "b": [5, 4, 3]}


def test_mistakes_name_the_column_and_the_nearest(backend: Backend) -> None:
    data = pa.table({"carrier": ["UA"], "tags": [["a"]]})
    with pytest.raises(JobErrors, match=r"columns\[0\]: no column 'carier'\n  nearest: 'carrier'"):
        applied(backend, Categorify(["carier"]), data)
    with pytest.raises(JobErrors, match=r"columns\[0\]: 'tags' is list<item: string>, and"):
        applied(backend, Categorify(["tags"]), data)
    with pytest.raises(JobErrors, match=r"columns\[0\]\[1\]: no column 'tag'"):
        applied(backend, Categorify([["carrier", "tag"]]), data)
    with pytest.raises(JobErrors, match="min_frequency: an integer is needed, not '15'"):
        Categorify(["carrier"], min_frequency="15")  # type: ignore[arg-type]
    with pytest.raises(JobErrors, match="min_frequncy: unknown key\n  nearest: 'min_frequency'"):
        Categorify.from_settings({"columns": ["carrier"], "min_frequncy": 15})


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.text("abé\U0001f600\x00", max_size=2), max_size=60), st.integers(0, 3), st.none() | st.integers(1, 4))
def test_it_is_the_obvious_count(values: list[str | None], min_frequency: int, max_size: int | None) -> None:
    counts = collections.Counter(value for value in values if value is not None)
    order = sorted((value for value, n in counts.items() if n >= min_frequency), key=lambda value: (-counts[value], value.encode()))[
        :max_size
    ]
    ids = {None: 0, **{value: 2 + index for index, value in enumerate(order)}}
    for kind in (pa.string(), pa.dictionary(pa.int32(), pa.string())):
        made = applied(ArrowBackend(), Categorify(["x"], min_frequency=min_frequency, max_size=max_size), column(values, kind))
        assert made["x"] == [ids.get(value, 1) for value in values]


@pytest.mark.parametrize(
    "op",
    [
        hr.Categorify(["k_y", ["k", "y"]]),
        hr.CountEncoding(["k_y", ["k", "y"]]),
        hr.TargetEncoding([["k", "y"], "k_y"], target="y"),
        hr.OneHot(categories={"k": ["y_1"], "k_y": ["1"]}),
    ],
    ids=lambda op: op.name,
)
def test_two_columns_of_one_name_in_a_step_are_refused(op: Any) -> None:
    rows = pa.table({"k": ["a", "b"], "y": [1, 2], "k_y": ["c", "1"]})
    with pytest.raises(JobError, match=r"two columns would be called 'k_y.*, that of .*\n  rename one of them"):
        hr.Pipeline([op]).fit(rows)
