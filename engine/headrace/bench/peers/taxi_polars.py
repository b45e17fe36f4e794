"""The taxi predictions in Polars and XGBoost: what was learnt comes from `learnt.json`, the trees from `model.ubj`.

Tried on 2M rows, 2 cores, Polars 2.1, CPU seconds of a process that does it three times, imports included (the machine was not idle):

- the streaming engine, a matrix by columns as Polars makes it (this one)   6.2
- the streaming engine, a matrix by rows                                    6.5
- the in-memory engine, a matrix by rows                                    6.7

Of each, about 1 s a time is XGBoost's `inplace_predict`, and 1.4 s its import.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import xgboost
from repeating import repeat

EARTH_RADIUS_KM = 6371.0088
POSITIONS = ["pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude"]


def haversine_km() -> pl.Expr:
    lat1, lon1, lat2, lon2 = (pl.col(name).radians() for name in POSITIONS)
    half = ((lat2 - lat1) / 2).sin() ** 2 + lat1.cos() * lat2.cos() * ((lon2 - lon1) / 2).sin() ** 2
    return 2 * EARTH_RADIUS_KM * half.sqrt().arcsin()


def features(rows: pl.LazyFrame, learnt: dict) -> pl.LazyFrame:
    """Return row number, minutes and the model's features in float32."""
    scaled = {name: ((pl.col(name) - learnt["means"][name]) / learnt["deviations"][name]).cast(pl.Float32) for name in ["km", *POSITIONS]}
    filled = {name: pl.col(name).fill_null(value) for name, value in learnt["fills"].items()}
    ids = {}
    for name, pairs in learnt["ids"].items():
        table = np.ones(max(zone for zone, _ in pairs) + 1, np.float32)
        table[[zone for zone, _ in pairs]] = [id_ for _, id_ in pairs]
        zone = pl.col(name)
        known = pl.lit(pl.Series(table)).gather(zone.clip(0, len(table) - 1))
        ids[name] = pl.when(zone.is_null()).then(0.0).when((zone < 0) | (zone >= len(table))).then(1.0).otherwise(known)
    time = pl.col("pickup_datetime").dt
    parts = {"month": time.month(), "day_of_week": time.weekday(), "hour": time.hour()}
    return (
        rows.with_row_index("row")
        .with_columns(minutes=(pl.col("dropoff_datetime") - pl.col("pickup_datetime")).dt.total_seconds() / 60.0, km=haversine_km())
        .filter(pl.col("minutes").is_between(1, 180), pl.col("pickup_longitude") != 0)
        .with_columns(**scaled, **filled, **ids, **{f"pickup_datetime_{name}": part for name, part in parts.items()})
        .select(pl.col("row").cast(pl.Int64), "minutes", *[pl.col(name).cast(pl.Float32) for name in learnt["features"]])
    )


def job(source: Path, out: Path) -> None:
    saved = Path(os.environ["TAXI_SAVED"])
    learnt = json.loads((saved / "learnt.json").read_text())
    booster = xgboost.Booster(model_file=saved / "model.ubj")
    made = features(pl.scan_parquet(source / "*.parquet"), learnt).collect(engine="streaming")
    predicted = pl.Series(booster.inplace_predict(made.select(learnt["features"]).to_numpy()))
    made.select("row", "minutes", prediction=predicted).write_parquet(out / "predictions.parquet", compression="snappy")


if __name__ == "__main__":
    repeat(job, __doc__)
