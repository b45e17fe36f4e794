"""Clocks of time zones: what one shows at an instant, and the instant at which it shows a time.

Arrow knows the changes that a zone's file lists, and they end with 2037: what a clock shows after that is Python's to say, by the
zone's rule, once for each distinct quarter of an hour.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.expression.calendar import CYCLE, PER_SECOND

_LISTED_UNTIL = 2_145_916_800  # 2038-01-01, in seconds
_LATE = 221_845_392_000  # the year 9000: Python counts no further than 9999
_QUARTER = 900
_EPOCH = dt.datetime(1970, 1, 1)


def local_times(instants: pa.Array, zone: str) -> pa.Array:
    """Return what a zone's clock shows at some instants, as timestamps without a zone."""
    shown = pc.local_timestamp(instants.cast(pa.timestamp(instants.type.unit, tz=zone)))
    return _by_rule(instants, shown, zone, lambda time, clock: _offset(time.replace(tzinfo=dt.UTC).astimezone(clock)))


def instants_of(local: pa.Array, zone: str) -> pa.Array:
    """Return the instants of local times: the later of two, and what a clock left unchanged would show for none."""

    def to_add(time: dt.datetime, clock: ZoneInfo) -> int:
        # Of a time that comes twice and of one that is skipped the two offsets differ, and the smaller is meant.
        return -min(_offset(time.replace(tzinfo=clock, fold=fold)) for fold in (0, 1))

    return _by_rule(local, _listed(local, zone), zone, to_add)


def _listed(local: pa.Array, zone: str) -> pa.Array:
    try:
        return pc.assume_timezone(local, zone, ambiguous="latest", nonexistent="raise")
    except pa.ArrowInvalid:
        # The clock skips these times: Arrow gives the last instant before, whose offset from UTC still held.
        before = pc.assume_timezone(local, zone, ambiguous="latest", nonexistent="earliest")
        offset = pc.subtract(pc.local_timestamp(before), before.cast(local.type))
        skipped = pc.not_equal(pc.local_timestamp(before), local)
        moved = pc.subtract(local, offset).cast(before.type)
        return pc.if_else(skipped, moved, before)


def _by_rule(times: pa.Array, listed: pa.Array, zone: str, seconds_to_add: Callable[[dt.datetime, ZoneInfo], int]) -> pa.Array:
    """Return what Arrow's list of changes gives for times, but of those after its end what the zone's rule adds to them."""
    per_second = PER_SECOND[times.type.unit]
    values = times.cast(pa.int64())
    seconds = values.fill_null(0).to_numpy() // per_second
    late = seconds >= _LISTED_UNTIL
    if not late.any():
        return listed
    quarters, places = np.unique(seconds[late] // _QUARTER * _QUARTER, return_inverse=True)
    within = np.where(quarters < _LATE, quarters, _LATE + (quarters - _LATE) % CYCLE).tolist()
    clock, added = ZoneInfo(zone), np.zeros(len(seconds), np.int64)
    added[late] = np.array([seconds_to_add(_EPOCH + dt.timedelta(seconds=second), clock) for second in within])[places] * per_second
    return pc.if_else(pa.array(late), pc.add_checked(values, pa.array(added)).cast(listed.type), listed)


def _offset(time: dt.datetime) -> int:
    offset = time.utcoffset()
    assert offset is not None  # noqa: S101  (the time has a zone)
    return int(offset.total_seconds())
