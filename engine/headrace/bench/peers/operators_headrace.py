"""Every operator of Headrace on a table in memory: fitted, and the same rows transformed; planning and all else included.

An argument names the device. Rows are a table on the host before and after: the way to a GPU and back counts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import operator_data as data
import pyarrow as pa
import pyarrow.compute as pc
from serving import Call, Offer, serve

import headrace as hr

DEVICE = sys.argv[1] if len(sys.argv) > 1 else "auto"
GPU_TOLERANCE = 2e-6  # a few roundings of float32
PLACES = ["lat1", "lon1", "lat2", "lon2"]


def table(rows: int) -> pa.Table:
    drawn = data.draw(rows)
    columns = {name: pa.array(values, mask=drawn.nulls.get(name)) for name, values in drawn.columns.items()}
    columns["when"] = columns["when"].cast(pa.timestamp("us"))
    offsets = np.concatenate([[0], np.cumsum(drawn.lengths)]).astype(np.int32)
    columns["tags"] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(drawn.items))
    return pa.table(columns)


def tables() -> dict[str, pa.Table]:
    rates = {name: pa.array(values) for name, values in data.rates().items()}
    rates["since"] = rates["since"].cast(pa.timestamp("us"))
    return {"cities": pa.table({"city": data.CITIES, "people": data.people()}), "rates": pa.table(rates)}


def by_ten(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return frame.select((nw.col("y") * 10).alias("tenfold"))


def op(operator: Any, title: str, made: Sequence[str], tolerance: float | None = 0.0) -> Offer:
    """Offer one operator: `made` are the columns that sides compare, to a tolerance; None: they are not comparable."""
    pipeline = hr.Pipeline([operator])

    def make(rows: int) -> Call:
        source, others = table(rows), tables()

        def call() -> dict[str, Any]:
            done = pipeline.fit_transform(source, tables=others, device=DEVICE).table
            return {name: done.column(name) for name in made}

        return call

    if DEVICE == "gpu" and tolerance is not None:
        tolerance = max(tolerance, GPU_TOLERANCE)
    return Offer(make, title, tolerance)


def to_numpy(column: Any) -> np.ndarray:
    """Return a column for comparison: null as NaN, lists as their elements."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_decode()
    if pa.types.is_list(whole.type):
        whole = whole.flatten()
    if pa.types.is_string(whole.type):
        return np.array(whole.fill_null("").to_pylist())
    if pa.types.is_temporal(whole.type):
        whole = whole.cast(pa.int64())
    return pc.cast(whole, pa.float64(), safe=False).to_numpy(zero_copy_only=False)


OFFERS = {
    "apply": op(hr.Apply(by_ten, columns=["y"], outputs={"tenfold": "float64"}), "Apply: a user's function", ["tenfold"], 1e-12),
    "as_of_join": op(hr.AsOfJoin("rates", on={"when": "since"}, columns=["rate"], by=["zone"]), "AsOfJoin: 20,000 rates", ["rate"]),
    "bucketize": op(hr.Bucketize(["x"], edges=data.EDGES), "Bucketize: 6 edges", ["x"]),
    "cast": op(hr.Cast({"x": "float32", "n": "int64"}), "Cast: float32, int64", ["x", "n"]),
    "categorify": op(hr.Categorify(["city"], min_frequency=15), "Categorify: 1,000 strings", ["city"]),
    "clip": op(hr.Clip(["x", "y"], min=1.0, max=110.0), "Clip: 2 columns", ["x", "y"]),
    "count_encoding": op(hr.CountEncoding(["city"]), "CountEncoding: 1,000 strings", ["city_count"]),
    "cyclical": op(hr.Cyclical({"n": 24}), "Cyclical: hours", ["n_sin", "n_cos"], 1e-6),
    "data_stats": op(hr.DataStats(["x", "n", "city"]), "DataStats: 3 columns", ["id"], None),
    "date_parts": op(
        hr.DateParts("when", parts=["month", "day_of_week", "hour"]), "DateParts: 3 parts", ["when_month", "when_day_of_week", "when_hour"]
    ),
    "decayed_sum": op(hr.DecayedSum(["y"], half_life="1d", order="when", by=["key"]), "DecayedSum: groups of 50", ["y_decayed_1d"], 1e-9),
    "dedupe": op(hr.Dedupe(["city", "zone"]), "Dedupe: 2 strings", ["id"]),
    "derive": op(hr.Derive({"z": "COALESCE(x, 0) * 2 + y", "big": "CAST(y > 120 AS INT)"}), "Derive: 2 expressions", ["z", "big"], 1e-12),
    "difference_lag": op(hr.DifferenceLag(["y"], order="when", by=["key"]), "DifferenceLag: groups of 50", ["y_difference_lag_1"], 1e-9),
    "drop": op(hr.Drop(["x"]), "Drop", ["y"]),
    "dropna": op(hr.Dropna(["x", "n"]), "Dropna: 2 columns", ["id"]),
    # Beyond 65,536 distinct values quantiles come from bins of 2**-12 of the value.
    "fill_missing": op(hr.FillMissing(["x"], value="median"), "FillMissing: median", ["x"], 1e-3),
    "filter": op(hr.Filter("y > 100 AND zone <> 'zone-07'"), "Filter", ["id"]),
    "groupby": op(hr.Groupby(["key"], {"y": ["count", "sum", "max"]}), "Groupby: groups of 50", ["key", "y_count", "y_sum", "y_max"], 1e-9),
    "hash_bucket": op(hr.HashBucket(["city"], buckets=1_000), "HashBucket: strings", ["city"], None),
    "hashed_cross": op(hr.HashedCross(["city", "zone"], buckets=1_000), "HashedCross: 2 strings", ["city_zone_cross"], None),
    "join_external": op(hr.JoinExternal("cities", on=["city"], columns=["people"]), "JoinExternal: 1,000 rows", ["people"]),
    "join_groupby": op(hr.JoinGroupby(["city"], {"y": ["mean", "std"]}), "JoinGroupby: mean, std", ["city_y_mean", "city_y_std"], 1e-9),
    "kernel": op(hr.Kernel("haversine_km", inputs=PLACES, output="km"), "Kernel: haversine_km", ["km"], 1e-9),
    "list_hash": op(hr.ListHash(["tags"], buckets=16, output="list"), "ListHash", ["tags"], None),
    "list_slice": op(hr.ListSlice(["tags"], start=-2), "ListSlice: the last 2", ["tags"]),
    "log": op(hr.Log(["x"]), "Log: log1p", ["x"], 1e-12),
    "normalize": op(hr.Normalize(["x", "y"], dtype="float64"), "Normalize: 2 columns", ["x", "y"], 1e-9),
    "normalize_min_max": op(hr.NormalizeMinMax(["x", "y"]), "NormalizeMinMax: 2 columns", ["x", "y"], 1e-6),
    "normalize_text": op(hr.NormalizeText(["title"]), "NormalizeText: lower, strip", ["title"]),
    "one_hot": op(
        hr.OneHot(categories={"zone": ["zone-01", "zone-02", "zone-03"]}), "OneHot: 3 categories", ["zone_zone-01", "zone_zone-03"]
    ),
    "power": op(hr.Power(["x"]), "Power: Yeo-Johnson", ["x"], None),
    "rank_gauss": op(hr.RankGauss(["x"]), "RankGauss", ["x"], None),
    "rename": op(hr.Rename({"x": "renamed"}), "Rename", ["renamed"]),
    "robust_scale": op(hr.RobustScale(["x", "y"]), "RobustScale: 2 columns", ["x", "y"], 2e-3),
    "rolling": op(hr.Rolling(["y"], window="7d", order="when", by=["key"]), "Rolling: sum of 7 days, groups of 50", ["y_sum_7d"], 1e-9),
    "sample": op(hr.Sample(0.2, key=["id"], seed=3), "Sample: a fifth, by a hash of the id", ["id"], None),
    "select": op(hr.Select(["x", "y"]), "Select", ["y"]),
    "session_id": op(hr.SessionId("when", by=["key"], gap="12h"), "SessionId: groups of 50", ["session_id"]),
    "target_encoding": op(hr.TargetEncoding(["city"], target="late", key=["id"], folds=5), "TargetEncoding: 5 folds", ["city_te"], None),
    "time_since": op(hr.TimeSince("when", reference="2023-01-01", unit="hours"), "TimeSince: hours", ["when_hours_since"], 1e-9),
    "time_since_last": op(hr.TimeSinceLast("when", by=["key"]), "TimeSinceLast: groups of 50", ["when_since_last"], 1e-9),
    "token_hash": op(hr.TokenHash(["title"], buckets=1_000, output="list"), "TokenHash: 4 words", ["title"], None),
}

if __name__ == "__main__":
    serve(OFFERS, to_numpy)
