"""The calendar of times in any year.

Arrow's calendar counts years in 16 bits, and its texts end with the year 9999. A calendar repeats after 400 years: times that are far
off are looked up in years near 1970, and the cycles between are added to what was found.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
CYCLE = 146_097 * 86_400  # 400 years in seconds: whole weeks
_FIRST, _END = -62_135_596_800, 253_402_300_800  # the years 1 and 10000


def near(times: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64] | None]:
    """Return timestamps with those before the year 1 or after 9999 moved near 1970, and by how many cycles each; None if all are near.

    >>> times, cycles = near(pa.array([0, 2**50], pa.timestamp("ms")))
    >>> year(times).to_pylist(), cycles.tolist()
    ([1970, 2048], [0, 89])
    """
    per_second = PER_SECOND[times.type.unit]
    counts = times.cast(pa.int64())
    ends = pc.min_max(counts).as_py()
    if ends["min"] is None or (ends["min"] >= _FIRST * per_second and ends["max"] < _END * per_second):
        return times, None
    values = counts.fill_null(0).to_numpy()
    far = (values < _FIRST * per_second) | (values >= _END * per_second)
    cycles = np.where(far, values // (CYCLE * per_second), 0)
    moved = pa.array(values - cycles * (CYCLE * per_second), mask=times.is_null().to_numpy(zero_copy_only=False))
    return moved.cast(times.type), cycles


def year(times: pa.Array, of: Callable[[pa.Array], pa.Array] = pc.year, in_a_year: int = 1) -> pa.Array:
    """Return each time's year, or another count that `of` finds, of what there are so many `in_a_year`."""
    times, cycles = near(times)
    found = of(times)
    return found if cycles is None else pc.add(found, pa.array(400 * in_a_year * cycles))


def floor(times: pa.Array, unit: str) -> pa.Array:
    """Return the start of the year, month, week (from Monday), day ... that each time lies in; null where 64 bits do not reach it."""
    moved, cycles = near(times)
    found = pc.floor_temporal(moved, unit=unit, week_starts_monday=True)
    if cycles is None:
        return found
    starts = found.cast(pa.int64()).fill_null(0).to_numpy() + cycles * (CYCLE * PER_SECOND[times.type.unit])
    wrapped = starts > times.cast(pa.int64()).fill_null(0).to_numpy()
    return pa.array(starts, mask=wrapped | times.is_null().to_numpy(zero_copy_only=False)).cast(times.type)


def text(times: pa.Array) -> pa.Array:
    """Return dates or timestamps as DuckDB writes them, those before the year 1 with BC.

    >>> text(pa.array([2**50, -(2**50), None], pa.timestamp("ms"))).to_pylist()
    ['37648-05-06 22:07:22.624', '33710-08-27 (BC) 01:52:37.376', None]
    """
    is_date = pa.types.is_date(times.type)
    instants = times.cast(pa.timestamp("s" if pa.types.is_date32(times.type) else "ms")) if is_date else times
    moved, cycles = near(instants)
    found = moved.cast(pa.string())
    if not is_date and times.type.unit != "s":
        found = pc.replace_substring_regex(found, r"\.?0*$", "")
    if is_date:
        found = pc.utf8_slice_codeunits(found, 0, 10)
    if cycles is None:
        return found
    years = year(instants)
    before = pc.less_equal(years, 0)
    shown = pc.utf8_lpad(pc.if_else(before, pc.subtract(1, years), years).cast(pa.string()), 4, "0")
    day = pc.binary_join_element_wise(shown, pc.utf8_slice_codeunits(found, 4, 10), pc.if_else(before, " (BC)", ""), "")
    return pc.binary_join_element_wise(day, pc.utf8_slice_codeunits(found, 10), "")
