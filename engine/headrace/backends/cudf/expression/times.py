"""Dates, timestamps and intervals on a device.

A calendar is the host's: its parts depend on the day alone, so each distinct day is looked up once. A time zone's offset is
constant within a quarter of an hour, so each distinct quarter is. Clocks are integer arithmetic on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.arrow.expression.calendar import PER_SECOND
from headrace.backends.arrow.expression.operands import as_values as host_values
from headrace.backends.arrow.expression.operands import constant
from headrace.backends.cudf.column import Column, Plain, Rows, is_valid
from headrace.backends.cudf.expression.host import on_the_host
from headrace.backends.cudf.expression.operands import (
    Implementation,
    Operand,
    as_type,
    computed,
    given,
    is_column,
    on_device,
    side,
)
from headrace.expressions.nodes import Literal
from headrace.expressions.promotion import common_type

_DAY = 86_400
_OF_THE_DAY = ("year", "quarter", "month", "week", "day", "dow", "isodow", "doy", "isoyear")
_SECONDS = {"hour": 3600, "minute": 60, "second": 1}
_FRACTIONS = {"millisecond": 1_000, "microsecond": 1_000_000}
_QUARTER_HOUR = 900
# From here on every zone's clock was set at a whole quarter of an hour; before, offsets of odd seconds came and went.
_WHOLE_QUARTERS_FROM = 94_694_400  # 1973-01-01, in seconds


def is_about_time(operands: Sequence[Operand]) -> bool:
    """Tell whether a sum or difference is one of dates, timestamps or intervals."""
    return any(item.kind == "interval" if isinstance(item, Literal) else _is_time(item) or _is_span(item) for item in given(operands))


def _is_time(type_: pa.DataType) -> bool:
    return bool(pa.types.is_date(type_) or pa.types.is_timestamp(type_))


def _is_span(type_: pa.DataType) -> bool:
    return bool(pa.types.is_duration(type_) or pa.types.is_interval(type_))


def _clock(operand: Operand, of_dates: str = "us") -> Plain | None:
    """Return a time as a timestamp of whatever zone, read in UTC, a date in the unit `of_dates`; None if it is none, or a constant."""
    if not is_column(operand) or not isinstance(operand, Plain) or not _is_time(operand.type):
        return None
    if pa.types.is_date(operand.type):
        found = as_type(operand, pa.timestamp(of_dates))
        return found if isinstance(found, Plain) else None
    return operand


def _midnight(clock: Plain) -> Plain:
    """Return the midnights before some times, in their type."""
    day = _DAY * PER_SECOND[clock.type.unit]
    return Plain(clock.values // day * day, clock.valid, clock.type)


def _date_part(function: str, operands: Sequence[Operand]) -> Column | None:
    part = constant(function, list(operands), 0, pa.string()) if not is_column(operands[0]) else None
    clock = _clock(operands[1], "s")
    if clock is None:
        return None
    per_second = PER_SECOND[clock.type.unit]
    if part in _OF_THE_DAY:
        return _on_host(function, [operands[0], _midnight(clock)])
    if part in _SECONDS:
        within = {"hour": _DAY, "minute": 3600, "second": 60}[part]
        return Plain(clock.values // (per_second * _SECONDS[part]) % (within // _SECONDS[part]), clock.valid, pa.int64())
    if part in _FRACTIONS and per_second <= 1_000_000:
        minute = clock.values % (60 * per_second)
        wanted = _FRACTIONS[part]
        values = minute * (wanted // per_second) if wanted >= per_second else minute // (per_second // wanted)
        return Plain(values, clock.valid, pa.int64())
    if part == "epoch":
        whole = as_type(Plain(clock.values, clock.valid, pa.int64()), pa.float64())
        return computed(side(whole, pa.float64()).values / float(per_second), [side(whole, pa.float64())], pa.float64())
    return None


def _on_host(function: str, operands: Sequence[Any]) -> Column:
    found = on_the_host(function, operands)
    assert not isinstance(found, pa.Scalar)  # noqa: S101  (one of the operands is a column)
    return found


def _date_trunc(function: str, operands: Sequence[Operand]) -> Column | None:
    part = constant(function, list(operands), 0, pa.string()) if not is_column(operands[0]) else None
    clock = _clock(operands[1])
    if clock is None or part is None:
        return None
    if part not in _SECONDS and part not in _FRACTIONS:
        return _on_host(function, [operands[0], _midnight(clock)])
    per_second = PER_SECOND[clock.type.unit]
    unit = per_second * _SECONDS[part] if part in _SECONDS else max(per_second // _FRACTIONS[part], 1)
    return Plain(clock.values // unit * unit, clock.valid, clock.type)


def _date_diff(function: str, operands: Sequence[Operand]) -> Column | None:
    part = constant(function, list(operands), 0, pa.string()) if not is_column(operands[0]) else None
    if not on_device(operands[1:]) or part is None:
        return None
    type_ = common_type(function, given(operands[1:]))
    if not _is_time(type_):
        return None
    # A constant takes the other's type; then all are instants in one unit.
    plain = pa.timestamp("us" if pa.types.is_date(type_) else type_.unit)
    values = [as_type(as_type(operand, type_), plain) for operand in operands[1:]]
    start, end = (side(value, plain) for value in values)
    per_second = PER_SECOND[plain.unit]
    if part in _SECONDS or part == "day":
        unit = per_second * _SECONDS.get(part, _DAY)
        return computed(end.values // unit - start.values // unit, [start, end], pa.int64())
    if part in _FRACTIONS and _FRACTIONS[part] <= per_second:
        unit = per_second // _FRACTIONS[part]
        return computed(end.values // unit - start.values // unit, [start, end], pa.int64())
    if part in ("year", "quarter", "month"):
        return _months_between(part, values)
    return None


def _months_between(part: str, values: Sequence[Any]) -> Column | None:
    if not all(isinstance(value, Plain) for value in values):
        return None
    numbers = []
    for value in values:
        year = _on_host("date_part", [Literal("year", "string"), _midnight(value)])
        month = _on_host("date_part", [Literal("month", "string"), _midnight(value)])
        assert isinstance(year, Plain)  # noqa: S101
        assert isinstance(month, Plain)  # noqa: S101
        months = {"year": 0, "quarter": (month.values - 1) // 3, "month": month.values - 1}[part]
        numbers.append(Plain(year.values * {"year": 1, "quarter": 4, "month": 12}[part] + months, year.valid, pa.int64()))
    start, end = (side(number, pa.int64()) for number in numbers)
    return computed(end.values - start.values, [start, end], pa.int64())


def add(function: str, operands: Sequence[Operand]) -> Column | None:
    """Return the sum of a time and an interval, or of a date and days."""
    return _shifted(function, operands, 1)


def subtract(function: str, operands: Sequence[Operand]) -> Column | None:
    """Return a time moved back, or what lies between two times: days of two dates, else a duration."""
    left, right = (_scalar_or_column(operand) for operand in operands)
    if not on_device([left, right]):
        return None
    if pa.types.is_date32(left.type) and pa.types.is_date32(right.type):
        sides = [side(value, pa.date32()) for value in (left, right)]
        return computed(sides[0].values.astype(np.int64) - sides[1].values.astype(np.int64), sides, pa.int64())
    if _is_time(left.type) and _is_time(right.type):
        type_ = common_type(function, [left.type, right.type])
        if not pa.types.is_timestamp(type_):
            return None
        sides = [side(value, type_) for value in (left, right)]
        values = sides[0].values - sides[1].values
        made = computed(values, sides, pa.duration(type_.unit))
        wrapped = ((sides[0].values ^ sides[1].values) & (sides[0].values ^ values)) < 0
        return None if bool((wrapped & is_valid(made)).any()) else made
    return _shifted(function, operands, -1)


def _scalar_or_column(operand: Operand) -> Any:
    return host_values([operand])[0] if isinstance(operand, Literal) else operand


def _shifted(function: str, operands: Sequence[Operand], sign: int) -> Column | None:
    """Return times moved by days or by a duration; None for months, which the host counts."""
    left, right = (_scalar_or_column(operand) for operand in operands)
    if sign > 0 and not _is_time(left.type) and _is_time(right.type):
        left, right = right, left
    if not on_device([left, right]):
        return None
    if pa.types.is_date32(left.type) and pa.types.is_integer(right.type):
        start, days = side(left, pa.date32()), side(right, pa.int64())
        moved = start.values.astype(np.int64) + sign * days.values
        if bool(((moved > 2**31 - 1) | (moved < -(2**31))).any()):
            return None
        return computed(moved.astype(np.int32), [start, days], pa.date32())
    if not (_is_time(left.type) and pa.types.is_duration(right.type)):
        return None
    target = pa.timestamp("us") if pa.types.is_date(left.type) else pa.timestamp("ns" if left.type.unit == "ns" else "us", tz=left.type.tz)
    unit = max(target.unit, right.type.unit, key=["s", "ms", "us", "ns"].index)
    if unit != target.unit:
        return None
    start, span = side(left, target), side(right, pa.duration(unit))
    moved = start.values + sign * span.values
    made = computed(moved, [start, span], target)
    wrapped = (sign * span.values < 0) != (moved < start.values)
    return None if bool((wrapped & is_valid(made)).any()) else made


def _at_time_zone(function: str, operands: Sequence[Operand]) -> Column | None:
    clock = _clock(operands[0])
    if clock is None or is_column(operands[1]):
        return None
    quarter = _QUARTER_HOUR * PER_SECOND[clock.type.unit]
    modern = clock.values >= _WHOLE_QUARTERS_FROM * PER_SECOND[clock.type.unit]
    near = Plain(cupy.where(modern, clock.values // quarter * quarter, clock.values), clock.valid, clock.type)
    shown = _on_host(function, [near, operands[1]])
    assert isinstance(shown, Plain)  # noqa: S101  (timestamps)
    have, want = PER_SECOND[clock.type.unit], PER_SECOND[shown.type.unit]
    since = (clock.values - near.values) * (want // have) if want >= have else None
    return None if since is None else Plain(shown.values + since, shown.valid, shown.type)


def _to_timestamp(function: str, operands: Sequence[Operand]) -> Column | None:
    return _micros(operands[0], 1_000_000, pa.timestamp("us", tz="UTC"))


def _interval(function: str, operands: Sequence[Operand]) -> Column | None:
    from headrace.expressions.functions import FIXED_PARTS

    part = constant(function, list(operands), 0, pa.string()) if not is_column(operands[0]) else None
    return _micros(operands[1], FIXED_PARTS[part], pa.duration("us")) if part in FIXED_PARTS else None


def _micros(operand: Operand, factor: int, type_: pa.DataType) -> Column | None:
    """Return a number of parts as microseconds; None where it does not fit, and for the host to say so."""
    if not isinstance(operand, Plain) or not pa.types.is_integer(operand.type) or operand.type == pa.uint64():
        return None
    values: Rows = operand.values.astype(np.int64)
    limit = (2**63 - 1) // factor
    if bool((((values > limit) | (values < -limit)) & is_valid(operand)).any()):
        return None
    return Plain(values * factor, operand.valid, type_)


TIMES: dict[str, Implementation] = {
    "date_part": _date_part,
    "date_trunc": _date_trunc,
    "date_diff": _date_diff,
    "to_timestamp": _to_timestamp,
    "at_time_zone": _at_time_zone,
    "interval": _interval,
}
