"""JoinExternal: columns of another table by key; every row stays, once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from tests.applying import Applied, applied
from tests.comparing import assert_same_column

from headrace.errors import DataError, JobError, JobErrors
from headrace.ops.join_external import JoinExternal
from headrace.table import Backend

CITIES = pa.table({"name": ["Oslo", "Łódź", "Lima"], "people": pa.array([709, None, 10_092], pa.int32()), "land": ["NO", "PL", None]})
JOIN = JoinExternal(table="cities", on={"city": "name"}, columns=["people", "land"])


def joined(
    backend: Backend, values: list[object], kind: pa.DataType | None = None, other: pa.Table = CITIES, op: JoinExternal = JOIN
) -> Applied:
    return applied(backend, op, pa.table({"city": pa.array(values, kind)}), tables={"cities": other})


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
@pytest.mark.parametrize("other_kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_columns_are_brought_by_key_in_every_layout(backend: Backend, kind: pa.DataType, other_kind: pa.DataType) -> None:
    other = CITIES.set_column(0, "name", CITIES["name"].cast(other_kind))
    made = joined(backend, ["Lima", "Oslo", "Łódź", "Lima"], kind, other)
    assert_same_column(made.table["people"], pa.array([10_092, 709, None, 10_092], pa.int32()))
    assert made["land"] == [None, "NO", "PL", None]
    assert made.counts == {}


def test_rows_without_a_partner_get_nulls_and_are_counted(backend: Backend) -> None:
    made = joined(backend, ["Bern", "Oslo", None, "oslo"])
    assert (made["people"], made["land"]) == ([None, 709, None, None], [None, "NO", None, None])
    assert made.counts == {("unmatched", "people"): 3, ("unmatched", "land"): 3}


def test_a_null_key_finds_a_null_key(backend: Backend) -> None:
    other = pa.table({"name": ["Oslo", None], "people": pa.array([1, 2], pa.int32()), "land": ["NO", "??"]})
    assert joined(backend, [None, "Oslo"], other=other)["people"] == [2, 1]


@pytest.mark.parametrize("values", [[], [None]])
def test_empty_and_all_null_columns_join(backend: Backend, values: list[None]) -> None:
    made = joined(backend, values, pa.string())
    assert_same_column(made.table["people"], pa.nulls(len(values), pa.int32()))


def test_an_empty_table_matches_nothing(backend: Backend) -> None:
    made = joined(backend, ["Oslo", None], other=CITIES.slice(0, 0))
    assert made["land"] == [None, None]


@pytest.mark.parametrize("left", [pa.int8(), pa.int32(), pa.int64(), pa.uint8()])
@pytest.mark.parametrize("right", [pa.int16(), pa.int64(), pa.uint32()])
def test_integers_of_any_width_match(backend: Backend, left: pa.DataType, right: pa.DataType) -> None:
    other = pa.table({"name": pa.array([7, 100], right), "people": [1, 2], "land": ["a", "b"]})
    assert joined(backend, [100, 5, None, 7], left, other)["people"] == [2, None, None, 1]


def test_int64_extremes_match_themselves_only(backend: Backend) -> None:
    other = pa.table({"name": pa.array([2**63 - 1, -(2**63), -1]), "people": [1, 2, 3], "land": ["a", "b", "c"]})
    assert joined(backend, [-(2**63), 2**63 - 2, 2**63 - 1], pa.int64(), other)["people"] == [2, None, 1]


def test_uint64_and_int64_keys_do_not_wrap(backend: Backend) -> None:
    other = pa.table({"name": pa.array([-1, 5]), "people": [1, 2], "land": ["a", "b"]})
    assert joined(backend, [2**64 - 1, 5], pa.uint64(), other)["people"] == [None, 2]


def test_instants_match_in_any_unit_and_zone(backend: Backend) -> None:
    hours = [dt.datetime(2013, 1, 1, hour, tzinfo=dt.UTC) for hour in range(3)]
    other = pa.table({"name": pa.array(hours, pa.timestamp("ms", "UTC")), "people": [0, 1, 2], "land": ["a", "b", "c"]})
    asked = [hours[2], None, hours[1] + dt.timedelta(microseconds=1), hours[0]]
    for kind in (pa.timestamp("us", "America/New_York"), pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC")):
        assert joined(backend, asked, kind, other)["people"] == [2, None, None, 0]


def test_nanoseconds_are_not_rounded_away(backend: Backend) -> None:
    other = pa.table({"name": pa.array([1_000, 1_001], pa.timestamp("ns")), "people": [0, 1], "land": ["a", "b"]})
    assert joined(backend, [1, 2, None], pa.timestamp("us"), other)["people"] == [0, None, None]
    assert joined(backend, [1_001, 1_000, 1_002], pa.timestamp("ns"), other)["people"] == [1, 0, None]
    with pytest.raises(DataError, match="cannot be looked up among timestamp"):
        joined(backend, [2**62], pa.timestamp("us"), other)


def test_decimals_match_by_value(backend: Backend) -> None:
    other = pa.table({"name": pa.array([Decimal("1.50")], pa.decimal128(9, 2)), "people": [1], "land": ["a"]})
    assert joined(backend, [Decimal("1.50"), Decimal("1.51")], pa.decimal128(9, 2), other)["people"] == [1, None]


def test_several_keys_match_together(backend: Backend) -> None:
    other = pa.table({"a": ["x", "x", "y", None], "b": pa.array([1, 2, 1, 1], pa.int8()), "v": [11, 12, 21, 1]})
    op = JoinExternal(table="t", on=["a", "b"], columns={"w": "v"})
    data = pa.table({"b": pa.array([2, 1, 2, 1, None], pa.int64()), "a": ["x", "y", "y", None, "x"]})
    made = applied(backend, op, data, tables={"t": other})
    assert made["w"] == [12, 21, None, 1, None]
    assert made.table.column_names == ["b", "a", "w"]
    assert made.counts == {("unmatched", "w"): 2}


def test_keys_of_many_large_columns_match_without_overflow(backend: Backend) -> None:
    # 70,000 values in each of four columns: their combinations do not fit 64 bits
    order = np.random.default_rng(0).permutation(70_000)
    other = pa.table({"a": order, "b": order[::-1], "c": np.roll(order, 1), "d": order + 2**40, "v": np.arange(70_000)})
    rows = np.array([69_999, 0, 12_345])
    data = other.drop_columns("v").take(pa.array(rows))
    moved = data.set_column(0, "a", pa.array(np.roll(data["a"].to_numpy(), 1)))  # values that are all there, never together
    op = JoinExternal(table="t", on=["a", "b", "c", "d"], columns=["v"])
    assert applied(backend, op, data, tables={"t": other})["v"] == rows.tolist()
    assert applied(backend, op, moved, tables={"t": other})["v"] == [None] * 3


def test_a_brought_column_may_replace_one(backend: Backend) -> None:
    made = applied(
        backend,
        JoinExternal(table="cities", on={"city": "name"}, columns={"city": "land"}),
        pa.table({"city": ["Oslo"]}),
        tables={"cities": CITIES},
    )
    assert made.table.to_pydict() == {"city": ["NO"]}


def test_a_key_that_stands_twice_is_refused_and_shown(backend: Backend) -> None:
    twice = pa.concat_tables([CITIES, CITIES.slice(1, 1)])
    with pytest.raises(
        DataError, match=r"cities, column 'name': has the key {'name': 'Łódź'} more than once: the join would multiply rows"
    ):
        joined(backend, ["Oslo"], other=twice)


def test_mistakes_come_together_with_their_keys(backend: Backend) -> None:
    op = JoinExternal(table="cities", on={"city": "nam"}, columns=["people", "lnd"])
    with pytest.raises(JobErrors) as caught:
        joined(backend, ["Oslo"], op=op)
    assert [(error.key, error.message) for error in caught.value.errors] == [
        ("on", "table 'cities': no column 'nam'"),
        ("columns", "table 'cities': no column 'lnd'"),
    ]
    assert "nearest: 'name'" in str(caught.value.errors[0])


def test_an_unknown_table_is_refused_with_the_nearest(backend: Backend) -> None:
    with pytest.raises(JobError, match="table: no table 'citys'\n  nearest: 'cities'"):
        joined(backend, ["Oslo"], op=JoinExternal(table="citys", on={"city": "name"}, columns=["people"]))


def test_keys_of_unlike_kinds_are_refused(backend: Backend) -> None:
    with pytest.raises(JobErrors, match=r"on: 'city' is int64, but cities\.name is string\n  cast one of them first"):
        joined(backend, [1])
