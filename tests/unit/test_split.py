"""Split: which rows train and which test, by a point or by a hash of a key."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from tests.applying import as_training

from headrace.errors import JobError
from headrace.schema import Schema
from headrace.split import TEST, AnySplit, HashSplit, NoSplit, Serving, Split, make_split
from headrace.table import TRAINING, Backend, Table

UTC = dt.UTC


def parts(backend: Backend, split: AnySplit, data: pa.Table) -> tuple[list[bool], list[bool]]:
    """Return which rows train and which test."""
    split.check(Schema.from_arrow(data.schema))
    marked = split.mark(Table.from_arrow(backend, data))
    return backend.to_arrow(marked.columns[TRAINING]).to_pylist(), backend.to_arrow(marked.columns[TEST]).to_pylist()


def stamps(*texts: str | None, zone: str | None = "UTC") -> pa.Table:
    values = [None if text is None else dt.datetime.fromisoformat(text) for text in texts]
    return pa.table({"t": pa.array(values, pa.timestamp("us", zone))})


def test_rows_before_the_point_train_and_rows_from_it_test(backend: Backend) -> None:
    data = pa.table({"n": pa.array([1, 5, 4, None], pa.int32())})
    assert parts(backend, Split("n", 5), data) == ([True, False, True, False], [False, True, False, False])


def test_a_day_begins_on_the_clock_of_the_zone(backend: Backend) -> None:
    # Midnight of 1 November in New York is 4 o'clock in UTC: summer time ends two days later.
    data = stamps("2013-11-01T03:59:59", "2013-11-01T04:00:00", None)
    assert parts(backend, Split("t", "2013-11-01", "America/New_York"), data) == ([True, False, False], [False, True, False])
    assert parts(backend, Split("t", "2013-11-01"), data)[0] == [False, False, False]
    assert parts(backend, Split("t", "2013-11-01T00:00-04:00", "Asia/Tokyo"), data)[0] == [True, False, False]


def test_a_timestamp_without_a_zone_is_compared_as_it_stands(backend: Backend) -> None:
    data = stamps("2013-10-31T23:59:59.999999", "2013-11-01T00:00:00", zone=None)
    assert parts(backend, Split("t", "2013-11-01"), data) == ([True, False], [False, True])


def test_dates_words_and_decimals_are_points_too(backend: Backend) -> None:
    dates = pa.table({"d": pa.array([dt.date(2013, 10, 31), dt.date(2013, 11, 1)], pa.date32())})
    assert parts(backend, Split("d", "2013-11-01"), dates)[0] == [True, False]
    assert parts(backend, Split("d", dt.date(2013, 11, 1)), dates)[0] == [True, False]
    words = pa.table({"w": pa.array(["it's", "it't"]).dictionary_encode()})
    assert parts(backend, Split("w", "it't"), words)[0] == [True, False]
    prices = pa.table({"p": pa.array([Decimal("1.49"), Decimal("1.50")], pa.decimal128(9, 2))})
    assert parts(backend, Split("p", 1.5), prices)[0] == [True, False]


def test_quotes_in_names_and_values_stay_text(backend: Backend) -> None:
    data = pa.table({'odd "name': ["a", "b"]})
    assert parts(backend, Split('odd "name', "b' OR '1' = '1"), data)[0] == [True, True]


def test_a_hash_split_takes_its_share_and_keeps_keys_together(backend: Backend) -> None:
    data = pa.table({"id": [value // 2 for value in range(20_000)], "x": range(20_000)})
    training, test = parts(backend, HashSplit(("id",), 0.2), data)
    assert abs(sum(test) / 20_000 - 0.2) < 0.01
    assert [not trains for trains in training] == test
    assert test[0::2] == test[1::2]


def test_a_hash_split_is_the_same_in_any_order_and_another_for_another_seed(backend: Backend) -> None:
    data = pa.table({"id": [f"row {value}" for value in range(1000)]})
    order = np.random.default_rng(0).permutation(1000)
    _, test = parts(backend, HashSplit(("id",), 0.5), data)
    _, moved = parts(backend, HashSplit(("id",), 0.5), data.take(order))
    assert moved == [test[index] for index in order]
    assert parts(backend, HashSplit(("id",), 0.5, seed=1), data)[1] != test


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 100)])
def test_shares_of_nothing_and_everything(backend: Backend, share: float, expected: int) -> None:
    assert sum(parts(backend, HashSplit(("id",), share), pa.table({"id": range(100)}))[1]) == expected


def test_the_split_is_no_function_of_the_folds(backend: Backend) -> None:
    data = pa.table({"id": range(4000)})
    _, test = parts(backend, HashSplit(("id",), 0.5, seed=0), data)
    folds = backend.to_numpy(as_training(backend, data).folds(2, ("id",), 0))
    assert abs(np.corrcoef(folds, test)[0, 1]) < 0.06


def test_no_split_trains_on_all_and_serving_on_none(backend: Backend) -> None:
    data = pa.table({"x": [1, None]})
    assert parts(backend, NoSplit(), data) == ([True, True], [False, False])
    table = Table.from_arrow(backend, data)
    assert Serving().mark(table) is table


def test_a_job_says_which_split() -> None:
    assert make_split(None, 7) == NoSplit()
    assert make_split({"by": "hash", "key": ["a"], "test": 0.2}, 7) == HashSplit(("a",), 0.2, 7)
    assert make_split({"by": "t", "test_from": "2013-11-01", "zone": "UTC"}, 7) == Split("t", "2013-11-01", "UTC")


@pytest.mark.parametrize(
    ("split", "key", "message"),
    [
        (Split("tt", "2013-11-01"), "split.by", "no column 'tt'"),
        (Split("t", "the first"), "split.test_from", "'the first' is no ISO date or time"),
        (Split("t", "2013-11-01", "America/New_Yrok"), "split.zone", "no time zone 'America/New_Yrok'"),
        (HashSplit(("t", "idd"), 0.5), "split.key[1]", "no column 'idd'"),
    ],
)
def test_mistakes_name_their_key(split: AnySplit, key: str, message: str) -> None:
    with pytest.raises(JobError) as caught:
        split.check(Schema.from_arrow(stamps("2013-01-01T00:00:00").schema))
    assert (caught.value.key, caught.value.message) == (key, message)


@pytest.mark.parametrize(
    ("split", "type_", "key", "message"),
    [
        (Split("n", "x"), pa.int64(), "split.test_from", "'n' is int64, and does not compare with 'x'"),
        (Split("n", 5), pa.string(), "split.test_from", "'n' is string, and does not compare with 5"),
        (Split("n", 5), pa.date32(), "split.test_from", "5 is no ISO date or time"),
        (Split("n", "2013-13-01"), pa.date32(), "split.test_from", "'2013-13-01' is no ISO date or time"),
        (Split("n", "2013-11-01T12:00"), pa.date32(), "split.test_from", "'2013-11-01T12:00' is a time, and the column holds dates"),
        (Split("n", 1), pa.list_(pa.int64()), "split.by", "'n' is list<item: int64>, and a number, string, date or timestamp is needed"),
        (Split("n", "2013-11-01", "Europe/Oslo"), pa.timestamp("us"), "split.zone", "'n' is timestamp[us], without a zone"),
        (
            HashSplit(("n",), 0.5),
            pa.list_(pa.int64()),
            "split.key[0]",
            "'n' is list<item: int64>, and a number, string, date or time is needed",
        ),
    ],
)
def test_a_column_of_another_kind_is_refused(split: AnySplit, type_: pa.DataType, key: str, message: str) -> None:
    with pytest.raises(JobError) as caught:
        split.check(Schema.from_arrow(pa.schema([("n", type_)])))
    assert (caught.value.key, caught.value.message) == (key, message)


def test_a_split_says_what_it_does() -> None:
    assert Split("t", "2013-11-01", "UTC").text() == "rows with t before 2013-11-01 (UTC) train, the others test"
    assert HashSplit(("a", "b"), 0.2).text() == "20% of the rows test, by a hash of a, b"
