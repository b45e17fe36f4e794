"""DateParts: calendar parts, on the clock of a zone that is named."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import JobError, JobErrors
from headrace.ops.date_parts import DateParts
from headrace.table import Backend

ALL = ["year", "quarter", "month", "week", "day", "day_of_year", "day_of_week", "hour", "minute", "second"]
NEW_YORK = "America/New_York"


def instants(*texts: str | None, type_: pa.DataType | None = None) -> pa.Table:
    values = [None if text is None else dt.datetime.fromisoformat(text + "+00:00") for text in texts]
    return pa.table({"t": pa.array(values, type_ or pa.timestamp("us", "UTC"))})


def test_every_part_is_that_of_the_calendar(backend: Backend) -> None:
    # Monday 31 December 2012 is in the first ISO week of 2013; Sunday 28 February 2016 is the 59th day of a leap year.
    made = applied(backend, DateParts("t", parts=ALL), instants("2012-12-31T23:59:58", "2016-02-28T00:00:07"))
    expected = {
        "year": [2012, 2016],
        "quarter": [4, 1],
        "month": [12, 2],
        "week": [1, 8],
        "day": [31, 28],
        "day_of_year": [366, 59],
        "day_of_week": [1, 7],
        "hour": [23, 0],
        "minute": [59, 0],
        "second": [58, 7],
    }
    for part, values in expected.items():
        assert_same_column(made.table[f"t_{part}"], pa.array(values, pa.int32()), name=part)


def test_the_clock_of_a_zone_follows_its_summer_time(backend: Backend) -> None:
    # 2013-03-10 07:00 UTC is 3 o'clock summer time, an hour before it was 1; on 3 November the hour from 1 to 2 comes twice
    data = instants("2013-03-10T06:59:59", "2013-03-10T07:00:00", "2013-11-03T05:30:00", "2013-11-03T06:30:00", "2013-01-01T04:59:59")
    made = applied(backend, DateParts("t", parts=["hour", "day", "year"], zone=NEW_YORK), data)
    assert made["t_hour"] == [1, 3, 1, 1, 23]
    assert made["t_day"] == [10, 10, 3, 3, 31]
    assert made["t_year"] == [2013, 2013, 2013, 2013, 2012]


def test_without_a_zone_a_zoned_column_is_read_in_utc(backend: Backend) -> None:
    data = instants("2013-01-01T04:00:00", type_=pa.timestamp("us", NEW_YORK))
    assert applied(backend, DateParts("t", parts=["hour"]), data)["t_hour"] == [4]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", None])
def test_every_unit_is_read_alike(backend: Backend, unit: str, zone: str | None) -> None:
    values = pa.array([dt.datetime(1969, 12, 31, 23, 59, 59), None], pa.timestamp("us")).cast(pa.timestamp(unit))
    data = pa.table({"t": values.cast(pa.timestamp(unit, zone))})
    made = applied(backend, DateParts("t", parts=["year", "second"]), data)
    assert (made["t_year"], made["t_second"]) == ([1969, None], [59, None])


def test_dates_have_parts_too(backend: Backend) -> None:
    data = pa.table({"d": pa.array([dt.date(1900, 3, 1), None, dt.date(2100, 2, 28)], pa.date32())})
    made = applied(backend, DateParts("d", parts=["day_of_year", "day_of_week", "hour"]), data)
    assert (made["d_day_of_year"], made["d_day_of_week"], made["d_hour"]) == ([60, None, 59], [4, None, 7], [0, None, 0])


@pytest.mark.parametrize("texts", [(), (None,), (None, None)])
def test_empty_and_all_null_columns_give_as_many_nulls(backend: Backend, texts: tuple[None, ...]) -> None:
    assert_same_column(applied(backend, DateParts("t"), instants(*texts)).table["t_hour"], pa.nulls(len(texts), pa.int32()))


def test_default_parts_have_names_of_column_and_part(backend: Backend) -> None:
    made = applied(backend, DateParts(["t"]), instants("2013-01-01T00:00:00"))
    assert made.table.column_names == ["t", "t_month", "t_day", "t_day_of_week", "t_hour"]


def test_a_zone_is_refused_for_times_without_one(backend: Backend) -> None:
    data = pa.table({"t": pa.array([dt.datetime(2013, 1, 1)], pa.timestamp("us")), "d": [dt.date(2013, 1, 1)]})
    message = r"columns\[0\]: 't' is timestamp\[us\], without a zone: its clock cannot be moved to America/New_York"
    with pytest.raises(JobErrors, match=message):
        applied(backend, DateParts(["t", "d"], parts=["hour"], zone=NEW_YORK), data)


def test_names_need_no_plain_characters(backend: Backend) -> None:
    data = pa.table({'say "when"': pa.array([dt.datetime(2013, 1, 1, 5)], pa.timestamp("us", "UTC"))})
    assert applied(backend, DateParts('say "when"', parts=["hour"], zone=NEW_YORK), data)['say "when"_hour'] == [0]


def test_mistakes_are_refused(backend: Backend) -> None:
    with pytest.raises(JobErrors, match=r"columns\[0\]: 't' is string, and a date or timestamp is needed"):
        applied(backend, DateParts("t"), pa.table({"t": ["2013-01-01"]}))
    with pytest.raises(JobErrors, match=r"parts\[0\]: input should be 'year', .*, not 'minuet'"):
        DateParts("t", parts=["minuet"])
    with pytest.raises(JobError, match="America/New_Yrok"):
        applied(backend, DateParts("t", zone="America/New_Yrok"), instants("2013-01-01T00:00:00"))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.datetimes(dt.datetime(1901, 1, 1), dt.datetime(2037, 12, 31)), min_size=1, max_size=20),
    st.sampled_from([NEW_YORK, "Asia/Kathmandu", "Australia/Lord_Howe"]),
)
def test_parts_are_those_of_pythons_calendar(points: list[dt.datetime], zone: str) -> None:
    instants_ = [point.replace(tzinfo=dt.UTC) for point in points]
    local = [point.astimezone(ZoneInfo(zone)) for point in instants_]
    made = applied(ArrowBackend(), DateParts("t", parts=ALL, zone=zone), pa.table({"t": pa.array(instants_, pa.timestamp("us", "UTC"))}))
    assert made["t_week"] == [point.isocalendar().week for point in local]
    assert made["t_day_of_week"] == [point.isoweekday() for point in local]
    assert made["t_day_of_year"] == [point.timetuple().tm_yday for point in local]
    assert made["t_hour"] == [point.hour for point in local]
    assert made["t_minute"] == [point.minute for point in local]
