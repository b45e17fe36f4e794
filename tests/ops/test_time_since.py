"""TimeSince: what lies between two times."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied
from tests.comparing import assert_same_column

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import DataError, JobError
from headrace.ops.time_since import TimeSince
from headrace.table import Backend

NEW_YORK = "America/New_York"
UNITS = ["seconds", "minutes", "hours", "days"]


def stamps(*texts: str | None, unit: str = "us", zone: str | None = None) -> pa.Array:
    values = [None if text is None else dt.datetime.fromisoformat(text) for text in texts]
    return pa.array(values, pa.timestamp("us")).cast(pa.timestamp(unit)).cast(pa.timestamp(unit, zone))


@pytest.mark.parametrize(("unit", "per_day"), [("seconds", 86_400.0), ("minutes", 1440.0), ("hours", 24.0), ("days", 1.0)])
def test_every_unit_counts_from_a_fixed_time(backend: Backend, unit: str, per_day: float) -> None:
    op = TimeSince("t", reference="2013-01-01", unit=unit)
    made = applied(backend, op, pa.table({"t": stamps("2013-01-02", "2012-12-30T12:00", None)}))
    assert_same_column(made.table[f"t_{unit}_since"], pa.array([per_day, -1.5 * per_day, None]))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", NEW_YORK])
def test_every_unit_of_a_column_is_read_alike(backend: Backend, unit: str, zone: str | None) -> None:
    data = pa.table({"t": stamps("2013-01-01T06:00:00", "1969-12-31T23:59:59", None, unit=unit, zone=zone)})
    made = applied(backend, TimeSince("t", reference="1970-01-01", unit="seconds"), data)
    assert made["t_seconds_since"] == [1357020000.0, -1.0, None]


def test_a_fixed_time_may_have_a_zone(backend: Backend) -> None:
    data = pa.table({"t": stamps("2013-01-01T06:00:00", zone=NEW_YORK)})  # an instant: 06:00 UTC
    assert applied(backend, TimeSince("t", reference="2013-01-01T00:00:00-05:00", unit="hours"), data)["t_hours_since"] == [1.0]
    assert applied(backend, TimeSince("t", reference="2013-01-01T05:30Z", unit="minutes"), data)["t_minutes_since"] == [30.0]


def test_another_column_may_be_the_reference(backend: Backend) -> None:
    data = pa.table({"dep": stamps("2013-01-02T06:00", None, "2013-01-01"), "booked": stamps("2013-01-01", "2013-01-01", None, unit="ns")})
    made = applied(backend, TimeSince(["dep"], reference="booked", unit="hours"), data)
    assert_same_column(made.table["dep_hours_since_booked"], pa.array([30.0, None, None]))


def test_the_hour_that_a_clock_skips_is_no_hour(backend: Backend) -> None:
    # From 01:59 to 03:00 in New York on 10 March 2013 it is a minute.
    data = pa.table({"t": stamps("2013-03-10T07:00", zone=NEW_YORK), "before": stamps("2013-03-10T06:59", zone="UTC")})
    assert applied(backend, TimeSince("t", reference="before", unit="minutes"), data)["t_minutes_since_before"] == [1.0]


def test_a_date_is_its_midnight(backend: Backend) -> None:
    data = pa.table(
        {"d": pa.array([dt.date(2013, 1, 2), dt.date(9999, 12, 31), None]), "t": stamps("2013-01-01T12:00", "9999-12-31", None)}
    )
    assert applied(backend, TimeSince("d", reference="t"), data)["d_days_since_t"] == [0.5, 0.0, None]
    assert applied(backend, TimeSince("d", reference="2013-01-01"), data)["d_days_since"] == [1.0, 2917190.0, None]


def test_a_microsecond_is_not_lost_in_centuries(backend: Backend) -> None:
    data = pa.table({"a": stamps("2013-01-01T00:00:00.000001"), "b": stamps("2013-01-01")})
    assert applied(backend, TimeSince("a", reference="b", unit="seconds"), data)["a_seconds_since_b"] == [1e-6]


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_nanosecond_is_not_lost(backend: Backend, zone: str | None) -> None:
    start = 1_700_000_000_000_000_000  # nanoseconds since 1970
    data = pa.table(
        {
            "a": pa.array([start + 1_500, start, -1, -1], pa.timestamp("ns", zone)),
            "b": pa.array([start, start + 250, -1_500, 0], pa.timestamp("ns", zone)),
            "c": pa.array([start // 1_000, start // 1_000, -1, 0], pa.timestamp("us", zone)),
        }
    )
    made = applied(backend, TimeSince(["a", "c"], reference="b", unit="seconds"), data)
    assert made["a_seconds_since_b"] == pytest.approx([1.5e-6, -2.5e-7, 1.499e-6, -1e-9], rel=1e-12)
    assert made["c_seconds_since_b"] == pytest.approx([0.0, -2.5e-7, 5e-7, 0.0], rel=1e-12)
    assert applied(backend, TimeSince(["a"], reference="1970-01-01", unit="seconds"), data)["a_seconds_since"][2] == pytest.approx(-1e-9)


@pytest.mark.parametrize("values", [stamps(), stamps(None, None)])
def test_empty_and_all_null_columns(backend: Backend, values: pa.Array) -> None:
    made = applied(backend, TimeSince("t", reference="2013-01-01"), pa.table({"t": values}))
    assert_same_column(made.table["t_days_since"], pa.nulls(len(values), pa.float64()))


def test_names_need_no_plain_characters(backend: Backend) -> None:
    made = applied(
        backend, TimeSince('say "when"', reference="km/h"), pa.table({'say "when"': stamps("2013-01-02"), "km/h": stamps("2013-01-01")})
    )
    assert made['say "when"_days_since_km/h'] == [1.0]


def test_a_time_beyond_64_bits_is_refused_not_wrapped(backend: Backend) -> None:
    with pytest.raises(DataError, match=r"cannot cast timestamp\[s\] 4611686018427387904 to timestamp\[us\]"):
        applied(backend, TimeSince("t", reference="2013-01-01"), pa.table({"t": pa.array([2**62], pa.timestamp("s"))}))


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (TimeSince("zoned", reference="naive"), r"columns\[0\]: 'zoned' has a time zone, and 'naive' has none"),
        (TimeSince("day", reference="zoned"), r"columns\[0\]: 'zoned' has a time zone, and 'day' has none"),
        (TimeSince("naive", reference="2013-01-01T00:00Z"), r"columns\[0\]: '2013-01-01T00:00Z' has a time zone, and 'naive' has none"),
        (TimeSince("naive", reference="zooned"), r"reference: no column 'zooned', and it is no time as 2023-01-31 .*\n  nearest: 'zoned'"),
        (TimeSince("naive", reference="2013-01-99"), "reference: no column '2013-01-99', and it is no time"),
        (TimeSince("text", reference="2013-01-01"), r"columns\[0\]: 'text' is string, and a date or timestamp is needed"),
        (TimeSince("naive", reference="text"), r"reference\[0\]: 'text' is string, and a date or timestamp is needed"),
    ],
)
def test_mistakes_are_refused_with_their_keys(backend: Backend, op: TimeSince, message: str) -> None:
    data = {"zoned": stamps("2013-01-01", zone="UTC"), "naive": stamps("2013-01-01"), "day": [dt.date(2013, 1, 1)], "text": ["2013-01-01"]}
    with pytest.raises(JobError, match=message):
        applied(backend, op, pa.table(data))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.none() | st.datetimes(), st.none() | st.datetimes())), st.sampled_from(UNITS))
def test_it_is_pythons_difference(pairs: list[tuple[dt.datetime | None, dt.datetime | None]], unit: str) -> None:
    data = pa.table({"a": pa.array([a for a, _ in pairs], pa.timestamp("us")), "b": pa.array([b for _, b in pairs], pa.timestamp("us"))})
    made = applied(ArrowBackend(), TimeSince("a", reference="b", unit=unit), data)
    micros = {"seconds": 10**6, "minutes": 6 * 10**7, "hours": 36 * 10**8, "days": 864 * 10**8}[unit]
    expected = [None if a is None or b is None else float((a - b) // dt.timedelta(microseconds=1)) / micros for a, b in pairs]
    assert made[f"a_{unit}_since_b"] == expected
