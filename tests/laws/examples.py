"""Settings that every operator meets the laws with, and the rows they meet them on. A new operator adds its line to EXAMPLES."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from headrace.ops.apply import Apply
from headrace.ops.base import Op
from headrace.ops.bucketize import Bucketize
from headrace.ops.cast import Cast
from headrace.ops.categorify import Categorify
from headrace.ops.clip import Clip
from headrace.ops.data_stats import DataStats
from headrace.ops.date_parts import DateParts
from headrace.ops.derive import Derive
from headrace.ops.dropna import Dropna
from headrace.ops.fill_missing import FillMissing
from headrace.ops.filter import Filter
from headrace.ops.join_external import JoinExternal
from headrace.ops.kernel import Kernel
from headrace.ops.log import Log
from headrace.ops.normalize import Normalize
from headrace.ops.normalize_min_max import NormalizeMinMax
from headrace.ops.power import Power
from headrace.ops.rank_gauss import RankGauss
from headrace.ops.robust_scale import RobustScale
from headrace.ops.sample import Sample
from headrace.ops.select import Drop, Rename, Select
from headrace.ops.target_encoding import TargetEncoding

N_ROWS = 1_300  # no multiple of 7 or 64: parts are of unlike length
CITIES = ["Oslo", "Łódź", "東京", "", "oslo", "São Paulo", "\U0001f30a" * 3, "x" * 300]


def in_percent(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Return percent and town: a user's function, found by its name alone."""
    return frame.select((nw.col("measure") * 100).alias("percent"), nw.col("city").str.to_uppercase().alias("town"))


# Users' code that the examples name: passed whenever one of them is loaded.
CODE = (in_percent,)

EXAMPLES: Mapping[str, tuple[Op, ...]] = {
    "apply": (Apply(in_percent, columns=["measure", "city"], outputs={"percent": "float64", "town": "string"}),),
    "bucketize": (
        Bucketize(["measure", "delay", "price"], edges=[-1.5, 0, 20]),
        Bucketize(["measure", "code"], bins=4),
        Bucketize(["delay", "price"], bins=7, method="uniform"),
    ),
    "cast": (
        Cast({"delay": "int16", "flag": "int8", "when": "date32", "price": "string"}),
        Cast({"measure": "int32", "city": "float64", "code": "int8"}, errors="null"),
    ),
    "categorify": (
        Categorify(["city", "code", "flag", "when"]),
        Categorify([["city", "flag"]], min_frequency=3),
        Categorify(["city", "measure"], max_size=4),
    ),
    "clip": (Clip(["measure", "delay", "code", "price"], min=0, max=60),),
    "data_stats": (DataStats(["measure", "code", "city", "flag", "when", "day", "price"], top=2),),
    "date_parts": (
        DateParts(["when", "day"], parts=["year", "week", "day_of_week"]),
        DateParts("when", parts=["hour"], zone="America/New_York"),
    ),
    "derive": (Derive({"twice": "measure * 2", "measure": "COALESCE(measure, 0)", "late": "CAST(delay > 15 AS INT)"}),),
    "drop": (Drop(["code", "price"]),),
    "dropna": (Dropna(["measure", "city"]), Dropna(["measure", "delay", "flag"], how="all")),
    "fill_missing": (
        FillMissing(["measure", "delay"], value="median"),
        FillMissing(["measure", "price"], value="mean"),
        FillMissing(["city", "flag", "code"], value="mode"),
        FillMissing(["delay"], value=-1),
        FillMissing(["measure", "price"], value="mean", by=["flag", "city"]),
        FillMissing(["measure", "delay", "price"], value="median", by="city"),
        FillMissing(["flag", "code"], value="mode", by="city"),
    ),
    "filter": (Filter("delay IS NOT NULL AND city <> 'Oslo'"),),
    "join_external": (JoinExternal(table="cities", on={"city": "name"}, columns={"people": "population", "land": "country"}),),
    "kernel": (Kernel("haversine_km", inputs=["lat", "lon", "measure", "lon"], output="km"),),
    "log": (Log(["measure", "delay", "price"]), Log(["delay"], base=10, plus=0.5)),
    "normalize": (Normalize(["measure", "delay", "flag", "price"]), Normalize("epoch", dtype="float64")),
    "normalize_min_max": (NormalizeMinMax(["measure", "delay", "flag", "price", "code"]),),
    "power": (Power(["delay", "price"]), Power(["lat", "epoch"], standardise=False, dtype="float64")),
    "rank_gauss": (RankGauss(["measure", "delay", "price"]), RankGauss(["lat"], points=20, clip=2.0, dtype="float64")),
    "rename": (Rename({"city": "town", "code": "number"}),),
    "robust_scale": (RobustScale(["measure", "delay", "price"]), RobustScale(["lat"], quantile_range=(10.0, 90.0), dtype="float64")),
    "sample": (Sample(0.4, key=["id"], seed=3), Sample(0.4, key=["city"])),
    "select": (Select(["measure", "city", "id"]),),
    "target_encoding": (
        TargetEncoding(["city", ["flag", "code"]], target="late", key=["id"], folds=3),
        TargetEncoding(["code"], target="measure", key=["id"], seed=5, smoothing=0.0, dtype="float64"),
    ),
}

TABLES = {
    "cities": pa.table(
        {"name": ["Oslo", "東京", "Lima", ""], "population": [709, 13_960, 10_092, None], "country": ["NO", "JP", "PE", "?"]}
    )
}


def rows(n_rows: int = N_ROWS, seed: int = 0) -> pa.Table:
    """Return rows with all that is awkward in them: nulls, NaN, infinities, -0.0, extremes, time zones, decimals, dictionaries."""
    random = np.random.default_rng(seed)
    measure = random.normal(1.7e9, 1.0, n_rows)
    odd = random.random(n_rows)
    measure[odd < 0.05], measure[odd > 0.98] = -0.0, np.nan
    measure[random.integers(0, n_rows, 2)] = np.inf, -np.inf
    code = random.choice(np.array([2**63 - 1, -(2**63), 0, -1, 7, 2**53 + 1]), n_rows)
    city = random.choice(CITIES, n_rows, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02])
    instants = 1_383_285_600_000_000 + random.integers(0, 40, n_rows) * 1_800_000_000  # across the end of summer time
    return pa.table(
        {
            "id": pa.array(np.arange(n_rows) * 3 + seed * 10**6, pa.int64()),
            "city": pa.array(city, pa.string(), mask=random.random(n_rows) < 0.1).dictionary_encode(),
            "code": pa.array(code, pa.int64(), mask=random.random(n_rows) < 0.1),
            "measure": pa.array(measure, mask=random.random(n_rows) < 0.1),
            "delay": pa.array(random.integers(-20, 90, n_rows), pa.int32(), mask=random.random(n_rows) < 0.1),
            "flag": pa.array(random.random(n_rows) < 0.3, mask=random.random(n_rows) < 0.1),
            "late": pa.array(random.integers(0, 2, n_rows), pa.int8(), mask=random.random(n_rows) < 0.02),
            "epoch": pa.array(random.normal(1.7e9, 1.0, n_rows)),
            "lat": pa.array(random.uniform(-90, 90, n_rows)),
            "lon": pa.array(random.uniform(-180, 180, n_rows), mask=random.random(n_rows) < 0.1),
            "when": pa.array(instants, pa.timestamp("us", "UTC"), mask=random.random(n_rows) < 0.1),
            "day": pa.array([dt.date(2012, 2, 29) + dt.timedelta(int(days)) for days in random.integers(0, 900, n_rows)], pa.date32()),
            "price": pa.array([Decimal(int(cents)).scaleb(-2) for cents in random.integers(-999, 999, n_rows)], pa.decimal128(9, 2)),
        }
    )


def cases() -> list[tuple[str, Op]]:
    """Return every example with a name for pytest."""
    return [(f"{name}-{index}", op) for name, ops in EXAMPLES.items() for index, op in enumerate(ops)]
