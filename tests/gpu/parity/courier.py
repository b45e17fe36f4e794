"""A small courier's parcels: strings with nulls, an instant with a zone, numbers with nulls and NaN, a table of cities."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS, FILES, GROUP_ROWS = 600, 3, 50
# How jobs on these parcels begin; `data` is their folder.
JOB_BEGIN = """\
job: parcels
source: {{path: {data}/parcels/*.parquet, key: [id]}}
tables: {{cities: {data}/cities.parquet}}
pipeline:
  - filter: "days IS NOT NULL"
  - derive: {{late: "CAST(days > 3 AS TINYINT)"}}
  - date_parts: {{columns: sent, parts: [day_of_week], zone: America/New_York}}
  - join_external: {{table: cities, on: [city], columns: [lat, lon]}}
"""
CITIES = {"Oslo": (59.91, 10.75), "Rome": (41.90, 12.50), "Łódź": (51.76, 19.46), "São Paulo": (-23.55, -46.63), "Lima": (-12.05, -77.04)}


def in_grams(frame: Any) -> Any:
    """Return the weight in grams: a user's function."""
    return frame.select((nw.col("weight") * 1000).alias("grams"))


def write_courier(folder: Path) -> Path:
    """Write `parcels/*.parquet` (3 files of 4 row groups) and `cities.parquet`, and return the folder."""
    draw = np.random.default_rng(20240101)
    seconds = np.sort(draw.integers(0, 91 * 86_400, ROWS))
    names = [*CITIES, "Nowhere", None]
    courier = draw.integers(0, 12, ROWS)
    weight = draw.lognormal(1.0, 0.7, ROWS)
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    parcels = pa.table(
        {
            "id": pa.array(draw.permutation(ROWS).astype(np.int64)),
            "sent": pa.array([start + dt.timedelta(seconds=int(second)) for second in seconds], pa.timestamp("us", "UTC")),
            "courier": pa.array([f"courier-{index:02d}" for index in courier]),
            "city": pa.array([names[index] for index in draw.integers(0, len(names), ROWS)]),
            "weight": pa.array(np.where(draw.random(ROWS) < 0.02, np.nan, weight), mask=draw.random(ROWS) < 0.1),
            "depot_lat": pa.array(np.full(ROWS, 52.52, np.float32)),
            "depot_lon": pa.array(np.full(ROWS, 13.40, np.float32)),
            "days": pa.array(draw.poisson(1.5 + courier / 4, ROWS).astype(np.int16), mask=draw.random(ROWS) < 0.05),
        }
    )
    (folder / "parcels").mkdir()
    for index in range(FILES):
        part = parcels.slice(index * ROWS // FILES, ROWS // FILES)
        pq.write_table(part, folder / "parcels" / f"parcels-{index}.parquet", row_group_size=GROUP_ROWS)
    lat, lon = zip(*CITIES.values(), strict=True)
    cities = pa.table({"city": list(CITIES), "lat": pa.array(lat, pa.float32()), "lon": pa.array(lon, pa.float32())})
    pq.write_table(cities, folder / "cities.parquet")
    return folder
