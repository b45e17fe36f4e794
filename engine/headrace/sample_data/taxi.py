"""Generated data of the shape of New York's yellow-taxi trip records, with the mess that such records have.

Nothing is taken from the records: the columns follow the Taxi and Limousine Commission's data dictionary for yellow taxis
(names in snake case, coordinates as before mid-2016 beside the zone ids used since), the fares its rules of 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.errors import JobError
from headrace.sample_data.draws import Floats, Integers, Mask, null_mask, stream, zipf_ranks
from headrace.sample_data.files import ROWS_PER_GROUP, Shards, WrittenFile

RECIPE_VERSION = 2
ZONES = 265
MANHATTAN_ZONES, AIRPORT_ZONE = 69, 131
FIRST_DAY = np.datetime64("2019-01-01T00:00:00", "us")
DAYS_PER_GROUP = 2
SECONDS_PER_DAY = 86_400
# Trips an hour of the day, from midnight on, as shares of the busiest.
HOURLY_DEMAND = np.array(
    [42, 30, 22, 16, 13, 14, 30, 52, 65, 65, 63, 66, 70, 70, 74, 76, 72, 84, 100, 94, 84, 82, 78, 62], dtype=np.float64
)
PICKUP_EXPONENT, DROPOFF_EXPONENT, SHORT_TRIPS = 0.7, 0.6, 0.85
MILES_PER_DEGREE = 69.0
MILES_PER_DEGREE_EAST = 52.3  # at 40.7 degrees north
# Shares of rows with each kind of mess.
NOT_RECORDED, REFUNDED, ENDS_FIRST, ZERO_DISTANCE, NO_POSITION, WRONG_CLOCK = 0.03, 0.004, 0.001, 0.007, 0.012, 0.00004

Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class _Zones:
    """Where each zone's centre lies, how fast it flows (1 is the mean), and which zone holds each rank of demand."""

    longitude: Floats
    latitude: Floats
    flow: Floats
    by_demand: Integers


@dataclass(frozen=True)
class _Trips:
    """The trips of one row group as they were driven, before they were recorded badly."""

    pickup_s: Integers
    pickup_zone: Integers
    dropoff_zone: Integers
    ends: dict[str, Floats]
    miles: Floats
    seconds: Floats


def write_taxi(out: Path, rows: int = 1_000_000, seed: int = 7) -> list[WrittenFile]:
    """Write `rows` trips as ``OUT/taxi-00000.parquet`` and on, 500,000 rows a file and 125,000 a row group.

    A row group covers two days, from 2019-01-01 on, ordered by pickup. Row i is the same however many rows are asked for.
    Files that are there and whole are kept.

    Parameters
    ----------
    out : Path
        The folder; made if it is not there.
    rows : int
        How many trips.
    seed : int
        0 or above; another seed gives other trips in the same city.

    Returns
    -------
    list of WrittenFile
        The files in order. Distances in miles, amounts in dollars, times in New York's local time without a zone.

    Nulls and NaN
    -------------
    `passenger_count`, `rate_code_id`, `store_and_fwd_flag` and `congestion_surcharge` are null together in 3 rows of 100;
    there is no NaN. Kept as field data has them: refunds with negative amounts, trips that end before they start, distances
    of zero, positions at (0, 0), clocks years off.

    Raises
    ------
    JobError
        An argument is out of its range, or the folder cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [(file.path.name, file.rows) for file in write_taxi(pathlib.Path(folder), rows=1_000)]
    [('taxi-00000.parquet', 1000)]
    """
    if seed < 0:
        raise JobError(f"the seed is {seed}: it must be 0 or above", key="seed")
    return Shards("taxi", f"taxi {RECIPE_VERSION}; seed={seed}", partial(_make_group, seed=seed)).write(out, rows)


def _make_group(group: int, *, seed: int) -> pa.Table:
    random = stream(seed, group)
    trips = _drive(random, group)
    not_recorded = null_mask(random, ROWS_PER_GROUP, NOT_RECORDED)
    return pa.table(
        {
            "vendor_id": (1 + (random.random(ROWS_PER_GROUP) < 0.63)).astype(np.int8),
            **_times(random, trips, group),
            "passenger_count": pa.array(_passengers(random), mask=not_recorded),
            "trip_distance": np.where(null_mask(random, ROWS_PER_GROUP, ZERO_DISTANCE), 0.0, trips.miles).round(2),
            **_positions(random, trips),
            "pu_location_id": (trips.pickup_zone + 1).astype(np.int16),
            "do_location_id": (trips.dropoff_zone + 1).astype(np.int16),
            "store_and_fwd_flag": _flags(random, not_recorded),
            **_payment(random, trips, not_recorded),
        }
    )


@cache
def _city() -> _Zones:
    # The city is one, whatever the seed of its trips.
    random = stream(2019, 0)
    longitude, latitude = random.uniform(-74.05, -73.75, ZONES), random.uniform(40.58, 40.88, ZONES)
    downtown = np.linspace(0.0, 1.0, MANHATTAN_ZONES)
    longitude[:MANHATTAN_ZONES] = -74.01 + 0.08 * downtown + random.normal(0, 0.008, MANHATTAN_ZONES)
    latitude[:MANHATTAN_ZONES] = 40.71 + 0.12 * downtown + random.normal(0, 0.004, MANHATTAN_ZONES)
    longitude[AIRPORT_ZONE], latitude[AIRPORT_ZONE] = -73.79, 40.645
    flow = random.uniform(0.85, 1.25, ZONES)
    flow[:MANHATTAN_ZONES] *= 0.75
    # Manhattan's zones are in most demand, the airport right behind the first of them.
    by_demand = np.concatenate([random.permutation(MANHATTAN_ZONES), MANHATTAN_ZONES + random.permutation(ZONES - MANHATTAN_ZONES)])
    by_demand = np.insert(by_demand[by_demand != AIRPORT_ZONE], 12, AIRPORT_ZONE)
    return _Zones(longitude, latitude, flow, by_demand)


def _drive(random: np.random.Generator, group: int) -> _Trips:
    city, n = _city(), ROWS_PER_GROUP
    hour = random.choice(24, size=n, p=HOURLY_DEMAND / HOURLY_DEMAND.sum())
    day = random.integers(0, DAYS_PER_GROUP, n)
    pickup_s = np.sort(day * SECONDS_PER_DAY + hour * 3_600 + random.integers(0, 3_600, n))
    pickup_zone = city.by_demand[zipf_ranks(random, n, ZONES, PICKUP_EXPONENT)]
    dropoff_zone = _dropoff_zones(random, pickup_zone)
    ends = {
        "pickup_longitude": city.longitude[pickup_zone] + random.normal(0, 0.006, n),
        "pickup_latitude": city.latitude[pickup_zone] + random.normal(0, 0.005, n),
        "dropoff_longitude": city.longitude[dropoff_zone] + random.normal(0, 0.006, n),
        "dropoff_latitude": city.latitude[dropoff_zone] + random.normal(0, 0.005, n),
    }
    east = np.abs(ends["pickup_longitude"] - ends["dropoff_longitude"]) * MILES_PER_DEGREE_EAST
    north = np.abs(ends["pickup_latitude"] - ends["dropoff_latitude"]) * MILES_PER_DEGREE
    # Streets form a grid: the way is the sum of both legs, and a detour now and then.
    miles = (east + north) * random.lognormal(0.05, 0.1, n) + 0.1
    seconds = 90.0 + miles / _miles_per_second(random, group, pickup_s, (pickup_zone, dropoff_zone), miles)
    return _Trips(pickup_s, pickup_zone, dropoff_zone, ends, miles, seconds)


def _dropoff_zones(random: np.random.Generator, pickup_zone: Integers) -> Integers:
    n = len(pickup_zone)
    anywhere = _city().by_demand[zipf_ranks(random, n, ZONES, DROPOFF_EXPONENT)]
    # Manhattan's zones are numbered from south to north: a short trip ends a few numbers on.
    nearby = np.clip(pickup_zone + random.normal(0.0, 9.0, n).astype(np.int64), 0, MANHATTAN_ZONES - 1)
    return np.where((pickup_zone < MANHATTAN_ZONES) & (random.random(n) < SHORT_TRIPS), nearby, anywhere)


def _miles_per_second(
    random: np.random.Generator, group: int, pickup_s: Integers, zones: tuple[Integers, Integers], miles: Floats
) -> Floats:
    city = _city()
    hour = pickup_s % SECONDS_PER_DAY / 3_600
    # 2019-01-01 was a Tuesday: day 0 is weekday 1.
    is_weekend = (pickup_s // SECONDS_PER_DAY + group * DAYS_PER_GROUP + 1) % 7 >= 5
    rush = np.exp(-(((hour - 8.5) / 1.5) ** 2)) + 1.2 * np.exp(-(((hour - 17.5) / 2.2) ** 2))
    slowed = 1.0 - 0.38 * rush * np.where(is_weekend, 0.35, 1.0)
    miles_per_hour = (8.0 + 11.0 * (1.0 - np.exp(-miles / 8.0))) * slowed * np.sqrt(city.flow[zones[0]] * city.flow[zones[1]])
    return np.asarray(miles_per_hour * random.lognormal(0.0, 0.18, len(miles)) / 3_600)


def _times(random: np.random.Generator, trips: _Trips, group: int) -> dict[str, pa.Array]:
    pickup = FIRST_DAY + np.timedelta64(group * DAYS_PER_GROUP, "D") + trips.pickup_s.astype("timedelta64[s]")
    is_wrong = np.flatnonzero(null_mask(random, ROWS_PER_GROUP, WRONG_CLOCK))
    pickup[is_wrong] += random.choice(np.array([-3_652, -366, 6_575, 14_244]), len(is_wrong)).astype("timedelta64[D]")
    seconds = trips.seconds.astype(np.int64)
    ends_first = null_mask(random, ROWS_PER_GROUP, ENDS_FIRST)
    seconds[ends_first] = -seconds[ends_first] % 3_600 - 3_600
    return {"pickup_datetime": _stamps(pickup), "dropoff_datetime": _stamps(pickup + seconds.astype("timedelta64[s]"))}


def _stamps(times: Times) -> pa.Array:
    return pa.array(times.astype("datetime64[us]"), pa.timestamp("us"))


def _passengers(random: np.random.Generator) -> npt.NDArray[np.int8]:
    return random.choice(np.arange(7, dtype=np.int8), size=ROWS_PER_GROUP, p=[0.018, 0.712, 0.15, 0.042, 0.02, 0.035, 0.023])


def _positions(random: np.random.Generator, trips: _Trips) -> dict[str, Floats]:
    is_lost = null_mask(random, ROWS_PER_GROUP, NO_POSITION)
    return {name: np.where(is_lost, 0.0, degrees).round(6) for name, degrees in trips.ends.items()}


def _flags(random: np.random.Generator, not_recorded: Mask) -> pa.DictionaryArray:
    is_stored = (random.random(ROWS_PER_GROUP) < 0.005).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(is_stored, mask=not_recorded), pa.array(["N", "Y"]))


def _payment(random: np.random.Generator, trips: _Trips, not_recorded: Mask) -> dict[str, pa.Array | Floats]:
    n = ROWS_PER_GROUP
    at_airport = (trips.pickup_zone == AIRPORT_ZONE) | (trips.dropoff_zone == AIRPORT_ZONE)
    touches_manhattan = (trips.pickup_zone < MANHATTAN_ZONES) | (trips.dropoff_zone < MANHATTAN_ZONES)
    is_flat = at_airport & touches_manhattan
    # 2.50 to start, 0.50 a fifth of a mile at speed or a minute when slow (below 12 miles an hour, 5 minutes a mile).
    slow_minutes = np.maximum(trips.seconds / 60.0 - 5.0 * trips.miles, 0.0)
    fare = np.where(is_flat, 52.0, np.round((2.5 + 2.5 * trips.miles + 0.5 * slow_minutes) * 2.0) / 2.0)
    hour = trips.pickup_s % SECONDS_PER_DAY // 3_600
    extra = np.where((hour >= 16) & (hour < 20), 1.0, np.where((hour >= 20) | (hour < 6), 0.5, 0.0))
    tolls = np.where((random.random(n) < np.minimum(trips.miles / 40.0, 0.6)) & (trips.miles > 5.0), 6.12, 0.0)
    kind = random.choice(np.array([1, 2, 3, 4], np.int8), size=n, p=[0.715, 0.275, 0.006, 0.004])
    tip = np.where(kind == 1, np.maximum(random.normal(0.2, 0.07, n), 0.0) * (fare + extra + tolls), 0.0).round(2)
    surcharge = np.where(touches_manhattan, 2.5, 0.0)
    sign = np.where(random.random(n) < REFUNDED, -1.0, 1.0)
    # Per trip: 0.50 of the transport authority's tax and 0.30 of improvement surcharge, in the total alone.
    total = fare + extra + tip + tolls + np.where(not_recorded, 0.0, surcharge) + 0.8
    return {
        "rate_code_id": pa.array(np.where(is_flat, 2, 1).astype(np.int8), mask=not_recorded),
        "payment_type": pa.array(kind),
        "fare_amount": fare * sign,
        "extra": extra * sign,
        "tip_amount": tip * sign,
        "tolls_amount": tolls * sign,
        "congestion_surcharge": pa.array(surcharge * sign, mask=not_recorded),
        "total_amount": (total * sign).round(2),
    }
