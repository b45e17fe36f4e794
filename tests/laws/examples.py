"""Settings that every operator meets the laws with, and the rows they meet them on. A new operator adds its line to EXAMPLES."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from headrace.ops.apply import Apply
from headrace.ops.as_of_join import AsOfJoin
from headrace.ops.base import Op
from headrace.ops.bucketize import Bucketize
from headrace.ops.cast import Cast
from headrace.ops.categorify import Categorify
from headrace.ops.clip import Clip
from headrace.ops.count_encoding import CountEncoding
from headrace.ops.cyclical import Cyclical
from headrace.ops.data_stats import DataStats
from headrace.ops.date_parts import DateParts
from headrace.ops.decayed_sum import DecayedSum
from headrace.ops.dedupe import Dedupe
from headrace.ops.derive import Derive
from headrace.ops.difference_lag import DifferenceLag
from headrace.ops.dropna import Dropna
from headrace.ops.fill_missing import FillMissing
from headrace.ops.filter import Filter
from headrace.ops.groupby import Groupby
from headrace.ops.hash_bucket import HashBucket
from headrace.ops.hashed_cross import HashedCross
from headrace.ops.join_external import JoinExternal
from headrace.ops.join_groupby import JoinGroupby
from headrace.ops.kernel import Kernel
from headrace.ops.list_hash import ListHash
from headrace.ops.list_slice import ListSlice
from headrace.ops.log import Log
from headrace.ops.normalize import Normalize
from headrace.ops.normalize_min_max import NormalizeMinMax
from headrace.ops.normalize_text import NormalizeText
from headrace.ops.one_hot import OneHot
from headrace.ops.power import Power
from headrace.ops.rank_gauss import RankGauss
from headrace.ops.robust_scale import RobustScale
from headrace.ops.rolling import Rolling
from headrace.ops.sample import Sample
from headrace.ops.select import Drop, Rename, Select
from headrace.ops.session_id import SessionId
from headrace.ops.target_encoding import TargetEncoding
from headrace.ops.time_since import TimeSince
from headrace.ops.time_since_last import TimeSinceLast
from headrace.ops.token_hash import TokenHash
from headrace_kernels.kernel import kernel

N_ROWS = 1_300  # no multiple of 7 or 64: parts are of unlike length
CITIES = ["Oslo", "Łódź", "東京", "", "oslo", "São Paulo", "\U0001f30a" * 3, "x" * 300]
TITLES = ["The cat, the HAT", " naïve\u00a0東京", "", "...", "a-b_c"]


def in_percent(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Return percent and town: a user's function, found by its name alone."""
    return frame.select((nw.col("measure") * 100).alias("percent"), nw.col("city").str.to_uppercase().alias("town"))


@kernel(output="same")
def share(part: Any, whole: Any, scale: Any = 1.0) -> Any:
    """Return a part of a whole: a user's kernel, found by its name alone."""
    return part / (abs(whole) + scale)


# Users' code that the examples name: passed whenever one of them is loaded.
CODE = (in_percent, share)

EXAMPLES: Mapping[str, tuple[Op, ...]] = {
    "apply": (Apply(in_percent, columns=["measure", "city"], outputs={"percent": "float64", "town": "string"}),),
    "as_of_join": (
        AsOfJoin("rates", on={"when": "since"}, columns={"rate": "value"}, by={"city": "name"}, tolerance="9h"),
        AsOfJoin("rates", on={"epoch": "second"}, columns=["value"], allow_exact_matches=False),
    ),
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
        Categorify(["city", "code", ["flag", "day"]], min_frequency=40, buckets=5),
        Categorify([["city", "flag"], ["city", "flag"]], joint=True),
    ),
    "clip": (Clip(["measure", "delay", "code", "price"], min=0, max=60),),
    "count_encoding": (CountEncoding(["city", ["code", "flag"]]), CountEncoding(["measure", "when"], output="frequency")),
    "cyclical": (Cyclical({"delay": 24, "measure": 7, "price": 0.25}),),
    "data_stats": (DataStats(["measure", "code", "city", "flag", "when", "day", "price"], top=2),),
    "date_parts": (
        DateParts(["when", "day"], parts=["year", "week", "day_of_week"]),
        DateParts("when", parts=["hour"], zone="America/New_York"),
    ),
    "decayed_sum": (DecayedSum(["measure", "delay"], half_life="2h", order="when", by=["city"]),),
    "dedupe": (Dedupe(["city", "code"]), Dedupe(["measure"], keep="last", order="when"), Dedupe(["when"], order="price")),
    "derive": (Derive({"twice": "measure * 2", "measure": "COALESCE(measure, 0)", "late": "CAST(delay > 15 AS INT)"}),),
    "difference_lag": (
        DifferenceLag(["delay", "measure", "price"], order="when", by=["city", "flag"], lags=[1, 3]),
        DifferenceLag(["city", "tags", "when"], order="measure", by=["code"], output="value"),
        DifferenceLag(["delay"], order="id"),
    ),
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
    "groupby": (Groupby(["city", "flag"], {"measure": ["sum", "std", "max"], "price": ["mean", "min"], "code": ["count", "sum"]}),),
    "hash_bucket": (
        HashBucket(["city", "code", "measure", "flag", "when", "day", "price"], buckets=100),
        HashBucket("city", buckets=7, seed=3),
    ),
    "hashed_cross": (HashedCross(["city", "flag", "price"], buckets=50),),
    "join_external": (JoinExternal(table="cities", on={"city": "name"}, columns={"people": "population", "land": "country"}),),
    "join_groupby": (
        JoinGroupby(["city", "flag"], {"measure": ["count", "sum", "mean", "std", "min", "max"], "delay": ["mean", "max"]}),
        JoinGroupby("when", {"code": ["sum", "std", "min"], "price": ["sum", "max"], "flag": ["mean", "min"]}),
    ),
    "kernel": (
        Kernel("haversine_km", inputs=["lat", "lon", "measure", "lon"], output="km"),
        Kernel(share, inputs=["measure", "lat"], output="share", constants={"scale": 2}),
    ),
    "list_hash": (ListHash(["tags", "visits"], buckets=4), ListHash(["tags"], buckets=100, output="list", seed=1)),
    "list_slice": (ListSlice(["tags", "visits"], start=-2), ListSlice("visits", start=1, stop=3, pad=-1)),
    "log": (Log(["measure", "delay", "price"]), Log(["delay"], base=10, plus=0.5)),
    "normalize": (Normalize(["measure", "delay", "flag", "price"]), Normalize("epoch", dtype="float64")),
    "normalize_min_max": (NormalizeMinMax(["measure", "delay", "flag", "price", "code"]),),
    "normalize_text": (NormalizeText(["city", "title"]),),
    "one_hot": (
        OneHot(["city", "code", "flag"], max_categories=3),
        OneHot("city", max_categories=20, categories={"code": [7, 0], "flag": [True]}),
    ),
    "power": (Power(["delay", "price"]), Power(["lat", "epoch"], standardise=False, dtype="float64")),
    "rank_gauss": (RankGauss(["measure", "delay", "price"]), RankGauss(["lat"], points=20, clip=2.0, dtype="float64")),
    "rename": (Rename({"city": "town", "code": "number"}),),
    "robust_scale": (RobustScale(["measure", "delay", "price"]), RobustScale(["lat"], quantile_range=(10.0, 90.0), dtype="float64")),
    "rolling": (
        Rolling(["measure", "delay"], window="3h", order="when", by=["city"], stats=["count", "sum", "mean", "min", "max"]),
        Rolling(["price", "flag"], window=300.5, order="epoch", stats=["sum", "max"], include_current=False),
        Rolling(["code"], window="30d", order="day", by=["flag", "measure"], stats=["sum", "min"]),
    ),
    "sample": (Sample(0.4, key=["id"], seed=3), Sample(0.4, key=["city"])),
    "select": (Select(["measure", "city", "id"]),),
    "session_id": (SessionId("when", by=["city"], gap="45m"), SessionId("epoch", gap=0.01, output="burst")),
    "target_encoding": (
        TargetEncoding(["city", ["flag", "code"]], target="late", key=["id"], folds=3),
        TargetEncoding(["code"], target="measure", key=["id"], seed=5, smoothing=0.0, dtype="float64"),
        TargetEncoding(["code"], target=["late", "delay"], key=["id"]),
        TargetEncoding(["code", ["flag", "late"]], target="city", classes=["Oslo", "東京", ""], key=["id"], folds=2),
    ),
    "time_since": (TimeSince("when", reference="2013-11-01T00:00:00-04:00", unit="hours"), TimeSince("day", reference="2012-02-29")),
    "time_since_last": (TimeSinceLast("when", by=["city"]), TimeSinceLast("day", by=["flag"]), TimeSinceLast("epoch")),
    "token_hash": (TokenHash(["title"], buckets=3), TokenHash(["title", "city"], buckets=1000, output="list", lower=False)),
}

TABLES = {
    "cities": pa.table(
        {"name": ["Oslo", "東京", "Lima", ""], "population": [709, 13_960, 10_092, None], "country": ["NO", "JP", "PE", "?"]}
    ),
    "rates": pa.table(
        {
            "name": ["Oslo", "東京", None, "Oslo", "Oslo"],
            "since": pa.array([1_383_285_600 + hours * 3600 for hours in (0, 2, 4, 6, 8)], pa.timestamp("s", "Europe/Oslo")),
            "second": [1.7e9, 1.7e9 - 1, 1.7e9 + 0.5, None, float("nan")],
            "value": [0.1, 0.2, None, 0.4, 0.5],
        }
    ),
}


@cache
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
            "title": pa.array(random.choice(TITLES, n_rows), pa.string(), mask=random.random(n_rows) < 0.1),
            "tags": _lists(random, [*CITIES, None], n_rows, pa.string()),
            "visits": _lists(random, [2**31 - 1, -1, 0, None], n_rows, pa.int32()),
        }
    )


def _lists(random: np.random.Generator, values: list[Any], n_rows: int, type_: pa.DataType) -> pa.Array:
    """Return lists of up to four values, one in ten of them null."""
    lengths = random.integers(0, 5, n_rows)
    lists = [[values[place] for place in random.integers(0, len(values), length)] for length in lengths]
    return pa.array(lists, pa.list_(type_), mask=random.random(n_rows) < 0.1)


def cases() -> list[tuple[str, Op]]:
    """Return every example with a name for pytest."""
    return [(f"{name}-{index}", op) for name, ops in EXAMPLES.items() for index, op in enumerate(ops)]
