"""Dates, timestamps and intervals.

A timestamp with a zone is an instant: its calendar is read in UTC unless AT TIME ZONE names another zone, whatever
zone the column's type carries. An interval of days or less is a duration; months are counted in the calendar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.expression import calendar
from headrace.backends.arrow.expression.calendar import PER_SECOND
from headrace.backends.arrow.expression.casts import convert
from headrace.backends.arrow.expression.operands import (
    Implementation,
    Operand,
    Values,
    as_type,
    as_values,
    broadcast,
    constant,
    from_numpy,
    given,
    overflow,
    to_numpy,
)
from headrace.backends.arrow.expression.zones import instants_of, local_times
from headrace.errors import DataError, JobError
from headrace.expressions.functions import FIXED_PARTS
from headrace.expressions.nodes import Literal
from headrace.expressions.promotion import common_type, type_error


def is_about_time(operands: Sequence[Operand]) -> bool:
    """Tell whether a sum or difference is one of dates, timestamps or intervals."""
    return any(
        item.kind == "interval" if isinstance(item, Literal) else _is_time(item) or pa.types.is_duration(item) or pa.types.is_interval(item)
        for item in given(operands)
    )


def _is_time(type_: pa.DataType) -> bool:
    return bool(pa.types.is_date(type_) or pa.types.is_timestamp(type_))


def _is_span(type_: pa.DataType) -> bool:
    return bool(pa.types.is_duration(type_) or pa.types.is_interval(type_))


def add(function: str, operands: Sequence[Operand]) -> Values:
    """Return the sum of a time and an interval or a date and days (either way round), or of two durations."""
    left, right = as_values(operands)
    if not _is_time(left.type) and _is_time(right.type):
        left, right = right, left
    return _shifted(function, operands, left, right, 1)


def subtract(function: str, operands: Sequence[Operand]) -> Values:
    """Return a time moved back, or what lies between two times: days of two dates, else a duration."""
    left, right = as_values(operands)
    if pa.types.is_date(left.type) and pa.types.is_date(right.type):
        days = [as_type(as_type(value, pa.date32()), pa.date32()).cast(pa.int32()).cast(pa.int64()) for value in (left, right)]
        return pc.subtract(*broadcast(days))
    if _is_time(left.type) and _is_time(right.type):
        type_ = common_type(function, [left.type, right.type])
        return _checked(pc.subtract_checked, [as_type(left, type_), as_type(right, type_)])
    return _shifted(function, operands, left, right, -1)


def multiply(function: str, operands: Sequence[Operand]) -> Values:
    """Return a duration times a whole number."""
    left, right = as_values(operands)
    if pa.types.is_duration(right.type):
        left, right = right, left
    if not (pa.types.is_duration(left.type) and pa.types.is_integer(right.type)):
        raise type_error(function, given(operands))
    return _checked(pc.multiply_checked, [left, as_type(right, pa.int64())])


def _shifted(function: str, operands: Sequence[Operand], left: Values, right: Values, sign: int) -> Values:
    kernel = pc.add_checked if sign > 0 else pc.subtract_checked
    if pa.types.is_date(left.type) and pa.types.is_integer(right.type):
        days = kernel(*broadcast([as_type(left, pa.date32()).cast(pa.int32()).cast(pa.int64()), as_type(right, pa.int64())]))
        return days.cast(pa.int32()).cast(pa.date32())
    if pa.types.is_duration(left.type) and pa.types.is_duration(right.type):
        return _checked(kernel, [as_type(value, common_type(function, [left.type, right.type])) for value in (left, right)])
    if not (_is_time(left.type) and _is_span(right.type)):
        raise type_error(function, given(operands))
    if pa.types.is_interval(right.type):
        return _months_later(as_type(left, _fine(left.type)), right, sign)
    return _checked(kernel, [as_type(left, _fine(left.type)), right])


def _checked(kernel: Callable[..., Values], values: Sequence[Values]) -> Values:
    try:
        return kernel(*broadcast(values))
    except pa.ArrowInvalid:
        types = " and ".join(str(value.type) for value in values)
        raise DataError(f"a time is out of range in a sum or difference of {types}") from None


def _fine(type_: pa.DataType) -> pa.DataType:
    """Return the timestamp type that also holds parts of seconds."""
    if pa.types.is_date(type_):
        return pa.timestamp("us")
    return pa.timestamp("ns" if type_.unit == "ns" else "us", tz=type_.tz)


def _months_later(start: Values, interval: Values, sign: int) -> pa.Array:
    """Return times moved by whole months (the day cut to the month's last), then by the interval's rest."""
    if isinstance(interval, pa.Array):
        raise JobError("an INTERVAL of months is a constant, not a column", hint="days and less may differ by row")
    array = broadcast([start])[0]
    months, days, nanos = interval.as_py()
    unit = array.type.unit
    times_ = to_numpy(array.cast(pa.timestamp(unit)))
    month = times_.astype("datetime64[M]")
    day = times_.astype("datetime64[D]")
    later = month + np.timedelta64(sign * months, "M")
    last = (later + np.timedelta64(1, "M")).astype("datetime64[D]") - np.timedelta64(1, "D")
    moved = np.minimum(later.astype("datetime64[D]") + (day - month.astype("datetime64[D]")), last)
    rest = np.timedelta64(sign * (days * 86_400_000_000 + nanos // 1000), "us").astype(f"timedelta64[{unit}]")
    return from_numpy(moved.astype(f"datetime64[{unit}]") + (times_ - day) + rest, array, pa.timestamp(unit)).cast(array.type)


def _clock(function: str, operands: Sequence[Operand], position: int, of_dates: str = "us") -> Values:
    """Return an operand as timestamps without a zone, read in UTC; dates in the unit `of_dates`."""
    value = as_values([operands[position]])[0]
    if pa.types.is_null(value.type):
        value = value.cast(pa.timestamp("us"))
    if not _is_time(value.type):
        raise type_error(function, given([operands[position]]), hint="CAST(x AS TIMESTAMP) makes a text a time")
    return as_type(value, pa.timestamp(of_dates if pa.types.is_date(value.type) else value.type.unit))


def _clocks(function: str, operands: Sequence[Operand], position: int, of_dates: str = "us") -> pa.Array:
    return broadcast([_clock(function, operands, position, of_dates)])[0]


def _date_part(function: str, operands: Sequence[Operand]) -> Values:
    part = constant(function, operands, 0, pa.string())
    if part == "epoch":
        return _epoch(function, operands)
    array = _clocks(function, operands, 1, "s")
    if part in ("year", "isoyear"):
        return calendar.year(array, pc.year if part == "year" else pc.iso_year)
    array, _ = calendar.near(array)
    if part in ("millisecond", "microsecond"):
        millis = pc.add(pc.multiply(pc.second(array), 1000), pc.millisecond(array))
        return millis if part == "millisecond" else pc.add(pc.multiply(millis, 1000), pc.microsecond(array))
    if part == "dow":
        return pc.day_of_week(array, count_from_zero=True, week_start=7)
    if part == "isodow":
        return pc.day_of_week(array, count_from_zero=False, week_start=1)
    return _PARTS[part](array)


_PARTS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "quarter": pc.quarter,
    "month": pc.month,
    "week": pc.iso_week,
    "day": pc.day,
    "hour": pc.hour,
    "minute": pc.minute,
    "second": pc.second,
    "doy": pc.day_of_year,
}


def _epoch(function: str, operands: Sequence[Operand]) -> Values:
    value = as_values(operands[1:])[0]
    array = broadcast([value])[0] if pa.types.is_duration(value.type) else _clocks(function, operands, 1, "s")
    return pc.divide(convert(array.cast(pa.int64()), pa.float64(), strict=True), float(PER_SECOND[array.type.unit]))


def _date_trunc(function: str, operands: Sequence[Operand]) -> Values:
    part = constant(function, operands, 0, pa.string())
    array = _clocks(function, operands, 1)
    own = given(operands)[1]
    zone = own.tz if not isinstance(own, Literal) and pa.types.is_timestamp(own) else None
    found = calendar.floor(array, part)
    if found.null_count > array.null_count:
        raise DataError(f"the {part} of a time begins before the first that {array.type} holds")
    return found.cast(pa.timestamp(array.type.unit, tz=zone))


def _date_diff(function: str, operands: Sequence[Operand]) -> Values:
    part = constant(function, operands, 0, pa.string())
    # A constant takes the other's type: date_diff('day', '2013-01-01', t).
    type_ = common_type(function, given(operands[1:]))
    both = [as_type(operand, type_) for operand in operands[1:]]
    start, end = (_clock(function, [value], 0) for value in broadcast(both))
    if part in ("year", "quarter", "month"):
        return pc.subtract(_periods(end, part), _periods(start, part))
    if part == "week":
        return pc.divide(pc.days_between(start, end), 7)  # DuckDB counts days by seven, not Mondays
    return getattr(pc, f"{part}s_between")(start, end)


def _periods(times: pa.Array, part: str) -> pa.Array:
    """Return the number of each time's year, quarter or month, counted from one point."""
    if part == "year":
        return calendar.year(times)
    within, in_a_year = (pc.quarter, 4) if part == "quarter" else (pc.month, 12)
    return calendar.year(times, lambda moved: pc.add(pc.multiply(pc.year(moved), in_a_year), within(moved)), in_a_year)


def _to_timestamp(function: str, operands: Sequence[Operand]) -> Values:
    value = broadcast(as_values(operands))[0]
    target = pa.timestamp("us", tz="UTC")
    return _micros(function, operands, value, 1_000_000).cast(target)


def _micros(function: str, operands: Sequence[Operand], value: Values, factor: int) -> pa.Array:
    """Return a number of parts as microseconds, int64."""
    if pa.types.is_integer(value.type):
        whole = as_type(value, pa.int64())
        try:
            return pc.multiply_checked(whole, factor)
        except pa.ArrowInvalid:
            raise overflow(function, [whole], lambda parts: parts * factor) from None
    if not (pa.types.is_floating(value.type) or pa.types.is_decimal(value.type) or pa.types.is_null(value.type)):
        raise type_error(function, given(operands))
    return convert(pc.multiply(as_type(value, pa.float64()), float(factor)), pa.int64(), strict=True)


def _make_date(function: str, operands: Sequence[Operand]) -> Values:
    values = broadcast(as_values(operands))
    if any(not (pa.types.is_integer(value.type) or pa.types.is_null(value.type)) for value in values):
        raise type_error(function, given(operands))
    length = next(len(value) for value in values if isinstance(value, pa.Array))
    values = [as_type(value, pa.int64()) for value in values]
    arrays = [value if isinstance(value, pa.Array) else pa.repeat(value, length) for value in values]
    nulls = pc.or_(pc.or_(arrays[0].is_null(), arrays[1].is_null()), arrays[2].is_null())
    year, month, day = (to_numpy(array) for array in arrays)
    # Beyond these years a date leaves 32 bits of days, or NumPy's calendar.
    sound = (np.abs(year) < 5_000_000) & (month >= 1) & (month <= 12)
    first = (np.where(sound, (year - 1970) * 12 + month - 1, 0)).astype("datetime64[M]")
    length_of_month = ((first + np.timedelta64(1, "M")).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(np.int64)
    sound &= (day >= 1) & (day <= length_of_month)
    wrong = ~sound & ~nulls.to_numpy(zero_copy_only=False)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"make_date: there is no day {year[row]}-{month[row]}-{day[row]}")
    days = first.astype("datetime64[D]").astype(np.int64) + np.where(sound, day, 1) - 1
    return pa.array(days.astype(np.int32), pa.date32(), mask=nulls.to_numpy(zero_copy_only=False))


def _at_time_zone(function: str, operands: Sequence[Operand]) -> Values:
    zone = constant(function, operands, 1, pa.string())
    value = as_values(operands[:1])[0]
    if pa.types.is_timestamp(value.type) and value.type.tz:
        return local_times(broadcast([value])[0], zone)
    return instants_of(_clocks(function, operands, 0), zone).cast(
        pa.timestamp("ns" if value.type == pa.timestamp("ns") else "us", tz="UTC")
    )


def _interval(function: str, operands: Sequence[Operand]) -> Values:
    part = constant(function, operands, 0, pa.string())
    if part not in FIXED_PARTS:
        raise JobError(f"an INTERVAL of {part}s is a constant, not a column", hint="weeks, days and less may differ by row")
    value = broadcast(as_values(operands[1:]))[0]
    return _micros(function, operands[1:], value, FIXED_PARTS[part]).cast(pa.duration("us"))


TIMES: dict[str, Implementation] = {
    "date_part": _date_part,
    "date_trunc": _date_trunc,
    "date_diff": _date_diff,
    "to_timestamp": _to_timestamp,
    "make_date": _make_date,
    "at_time_zone": _at_time_zone,
    "interval": _interval,
}
