"""JoinExternal: columns of another table by key; every row stays, once."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.applying import Applied, applied
from tests.comparing import assert_same_column, assert_same_table
from tests.laws.running import content, run
from tests.laws.two_ways import shuffling, two_ways

from headrace.errors import DataError, JobError, JobErrors
from headrace.ops.categorify import Categorify
from headrace.ops.derive import Derive
from headrace.ops.fill_missing import FillMissing
from headrace.ops.filter import Filter
from headrace.ops.join import Apart
from headrace.ops.join_external import JoinExternal
from headrace.ops.normalize import Normalize
from headrace.ops.time_since_last import TimeSinceLast
from headrace.pipeline import Pipeline
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


# ---- by exchange ------------------------------------------------------------------------------------------------------

NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
KEYS: dict[str, tuple[pa.Array, pa.Array]] = {
    "strings": (
        pa.array(["b", None, "", "é" * 40, "zz", "b"]).dictionary_encode(),
        pa.array(["b", "", "é" * 40, None, "y"], pa.large_string()),
    ),
    "integers": (pa.array([5, None, -1, 127, 3], pa.int8()), pa.array([-1, 127, 5, 2**40], pa.int64())),
    "unsigned": (pa.array([2**64 - 1, 5, None], pa.uint64()), pa.array([-1, 5, None], pa.int64())),
    "floats": (pa.array([0.0, float("nan"), None, 0.5, 0.1], pa.float32()), pa.array([-0.0, float("nan"), 0.5, 0.1], pa.float64())),
    "instants": (
        pa.array([NOON, None, NOON + dt.timedelta(microseconds=1)], pa.timestamp("us", "America/New_York")),
        pa.array([NOON, NOON + dt.timedelta(seconds=1), None], pa.timestamp("ns", "UTC")),
    ),
    "seconds": (pa.array([1, 2, -5], pa.timestamp("s")), pa.array([1000, -5000, 2001], pa.timestamp("ms"))),
    "decimals": (pa.array([Decimal("1.50"), Decimal("-2.00"), None]), pa.array([Decimal("-2.00"), Decimal("1.50"), Decimal("9.99")])),
    "dates": (pa.array([0, 365, None], pa.date32()), pa.array([365, None, 7], pa.date32())),
    "bytes": (pa.array([b"\xff\x00", b"", None]), pa.array([b"", b"\xff\x00", b"a"])),
    "booleans": (pa.array([True, False, None, True]), pa.array([None, True])),
}


@pytest.mark.parametrize("bucket_rows", [1 << 18, 1], ids=["one bucket", "many buckets"])
@pytest.mark.parametrize("kind", list(KEYS))
def test_joining_by_exchange_gives_the_same_bits(kind: str, bucket_rows: int) -> None:
    left, right = KEYS[kind]
    values = pa.array(np.frombuffer(np.array([0x8000000000000000, 0x7FF8000000000001, 1, 2, 3], np.uint64).tobytes(), np.float64))
    other = pa.table(
        {"key": right, "v": values.slice(0, len(right)), "w": pa.array([["a"], None, [], ["b", None], ["c"]]).slice(0, len(right))}
    )
    join = JoinExternal("other", on={"k": "key"}, columns={"v": "v", "w": "w", "again": "key"})
    whole, met = two_ways([join], pa.table({"k": left}), {"other": other}, bucket_rows)
    assert_same_table(met.table, whole.table)
    bits = [one.table["v"].combine_chunks().view(pa.int64()) for one in (whole, met)]  # the sign of zero and NaN's bits too
    assert bits[0].equals(bits[1])
    assert met.ledger.step_counts(0) == whole.ledger.step_counts(0)
    assert 0 < whole.table["again"].null_count < len(left) or kind in ("booleans", "bytes", "dates", "unsigned")


def shipments(n_rows: int = 3_000) -> pa.Table:
    random = np.random.default_rng(1)
    return pa.table(
        {
            "id": np.arange(n_rows),
            "customer": pa.array(random.choice([*map(str, range(400)), "hot"], n_rows), mask=random.random(n_rows) < 0.3),
            "day": pa.array(random.integers(0, 3, n_rows), pa.int16()),
            "weight": pa.array(random.normal(5.0, 2.0, n_rows), mask=random.random(n_rows) < 0.1),
        }
    )


def customers() -> pa.Table:
    names = [*map(str, range(350)), "hot", None]
    rows = [(name, day) for day in range(3) for name in names]
    return pa.table(
        {
            "name": [name for name, _ in rows],
            "day": pa.array([day for _, day in rows], pa.int64()),
            "rank": pa.array(range(len(rows)), pa.int32()),
            "town": [None if index % 7 == 0 else f"town {index % 11}" for index in range(len(rows))],
        }
    )


CHAIN = (
    Filter("weight IS NOT NULL"),
    FillMissing(["weight"], value="mean"),
    JoinExternal("customers", on={"customer": "name", "day": "day"}, columns=["rank", "town"]),
    Derive({"load": "rank * weight"}),
    Normalize(["load"]),
    TimeSinceLast("id", by=["town"]),
    JoinExternal("towns", on=["town"], columns={"rank": "rank"}),
    Categorify(["town"]),
)
TOWNS = pa.table({"town": [f"town {n}" for n in range(6)] + [None], "rank": [1.5, None, 2.5, 3.5, 4.5, 5.5, 6.5]})


@pytest.mark.parametrize(("row_groups", "workers", "bucket_rows"), [(1, 1, 1 << 18), (7, 2, 100), (40, 4, 7)])
def test_cuts_workers_and_buckets_change_no_bit_of_a_joined_chain(
    row_groups: int, workers: int, bucket_rows: int, parquet: Callable[..., Path]
) -> None:
    tables = {"customers": parquet(customers(), row_groups, name="customers.parquet"), "towns": TOWNS}
    once = run(CHAIN, shipments(), tables, partition_size=None)
    small_share, small_buckets = shuffling(bucket_rows)
    with small_share, small_buckets:
        found = run(CHAIN, parquet(shipments(), row_groups), tables, workers=workers)
    assert isinstance(found.states[2], Apart)
    assert isinstance(found.states[6], Apart)
    assert_same_table(found.table, once.table)
    learnt = [{step: state for step, state in one.states.items() if step not in (2, 6)} for one in (once, found)]
    assert content(learnt[0]) == content(learnt[1])
    assert found.counts() == once.counts()
    assert found.counts()[2][0]["event"] == "unmatched"


@pytest.mark.parametrize("bucket_rows", [1 << 18, 50])
def test_keys_that_stand_twice_are_refused_alike_both_ways(bucket_rows: int) -> None:
    twice = pa.concat_tables([customers(), customers().take([900, 17, 333])])
    errors = []
    for stack in ((), shuffling(bucket_rows)):
        with contextlib.ExitStack() as held:
            for one in stack:
                held.enter_context(one)
            with pytest.raises(DataError) as caught:
                Pipeline(CHAIN[:3]).fit_transform(shipments(), tables={"customers": twice})
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert "has the key {'name': '196', 'day': 2} more than once" in errors[0]


@pytest.mark.parametrize("rows", [0, 1])
def test_empty_sides_meet(rows: int) -> None:
    other = pa.table({"k": ["a"], "v": [1]})
    _, met = two_ways(
        [JoinExternal("other", on=["k"], columns=["v"])], pa.table({"k": pa.array(["a"] * rows, pa.string())}), {"other": other}
    )
    assert met.table["v"].to_pylist() == [1] * rows
    small_share, _ = shuffling()
    with small_share:
        none = Pipeline([JoinExternal("other", on=["k"], columns=["v"])]).fit_transform(
            pa.table({"k": ["a"]}), tables={"other": other.slice(1)}
        )
    assert none.table["v"].to_pylist() == [None]
