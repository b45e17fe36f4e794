"""The best Polars expression for each operator that has one, on a frame in memory."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import operator_data as data
import polars as pl
from serving import Call, Offer, serve

EARTH_RADIUS_KM = 6371.0088
MIN_FREQUENCY = 15
PLACES = ["lat1", "lon1", "lat2", "lon2"]
X, Y, N = pl.col("x"), pl.col("y"), pl.col("n")
Query = Callable[[pl.LazyFrame], pl.LazyFrame]


def frame(rows: int) -> pl.DataFrame:
    drawn = data.draw(rows)
    gaps = [pl.when(~pl.Series(mask)).then(name).alias(name) for name, mask in drawn.nulls.items()]
    made = pl.DataFrame(drawn.columns).with_columns(pl.col("when").cast(pl.Datetime("us")), *gaps)
    elements = pl.DataFrame({"id": np.repeat(np.arange(rows), drawn.lengths), "tags": drawn.items})
    lists = elements.group_by("id", maintain_order=True).agg("tags")
    return made.join(lists, on="id", how="left", maintain_order="left").with_columns(pl.col("tags").fill_null([]))


def query(change: Query, made: list[str], note: str = "") -> Offer:
    """Offer a lazy query; all of its columns are made, as by an operator, and those in `made` are compared."""

    def make(rows: int) -> Call:
        asked = change(frame(rows).lazy())

        def call() -> dict[str, pl.Series]:
            done = asked.collect()
            return {name: done[name] for name in made}

        return call

    return Offer(make, note=note)


def adding(made: list[str] | None = None, note: str = "", **expressions: pl.Expr) -> Offer:
    """Offer columns that are added or replaced."""
    return query(lambda rows: rows.with_columns(**expressions), made or list(expressions), note)


def over_time(expression: pl.Expr) -> pl.Expr:
    """Return an expression within each key, by time; the rows of the suite lie in the order of time."""
    return expression.over("key")


def haversine_km() -> pl.Expr:
    lat1, lon1, lat2, lon2 = (pl.col(name).radians() for name in PLACES)
    half = ((lat2 - lat1) / 2).sin() ** 2 + lat1.cos() * lat2.cos() * ((lon2 - lon1) / 2).sin() ** 2
    return 2 * EARTH_RADIUS_KM * half.sqrt().arcsin()


def categorify(rows: int) -> Call:
    drawn = frame(rows)

    def call() -> dict[str, pl.Series]:
        counts = drawn.lazy().group_by("city").len().filter(pl.col("len") >= MIN_FREQUENCY).sort(["len", "city"], descending=[True, False])
        kept = counts.select("city").collect().to_series()
        code = pl.col("city").cast(pl.Enum(kept), strict=False).to_physical().cast(pl.Int32) + 2
        return {"city": drawn.with_columns(city=code.fill_null(1))["city"]}

    return call


def describe(rows: int) -> Call:
    drawn = frame(rows).select("x", "n", "city")
    top = pl.col("city").value_counts(sort=True).head(5)
    return lambda: {"id": drawn.describe().height + drawn.select(top).height}


def grouped(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by("key", maintain_order=True).agg(y_count=Y.count(), y_sum=Y.sum(), y_max=Y.max())


def joined(rows: pl.LazyFrame) -> pl.LazyFrame:
    other = pl.LazyFrame({"city": data.CITIES, "people": data.people()})
    return rows.join(other, on="city", how="left", maintain_order="left")


def as_of(rows: pl.LazyFrame) -> pl.LazyFrame:
    other = pl.LazyFrame(data.rates()).with_columns(pl.col("since").cast(pl.Datetime("us")))
    return rows.join_asof(other, left_on="when", right_on="since", by="zone", check_sortedness=False)


def scaled(name: str) -> pl.Expr:
    column = pl.col(name)
    low, high = column.quantile(0.25, "linear"), column.quantile(0.75, "linear")
    return (column - column.median()) / (high - low)


def to_numpy(values: pl.Series) -> np.ndarray:
    """Return values for comparison: null as NaN, lists as their elements."""
    if not isinstance(values, pl.Series):
        return np.asarray(values)
    if isinstance(values.dtype, pl.List):
        values = values.filter(values.list.len() > 0).explode()
    if values.dtype == pl.String:
        return np.array(values.to_list())
    if values.dtype.is_temporal():
        values = values.cast(pl.Int64)
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()


TURN = N.cast(pl.Float64) * (2 * math.pi / 24)
WHEN = pl.col("when")
SINCE_LAST = WHEN - WHEN.shift(1)
OFFERS = {
    "apply": adding(tenfold=Y * 10),
    "as_of_join": query(as_of, ["rate"]),
    "bucketize": adding(x=pl.when(X.is_not_null()).then(pl.lit(pl.Series(data.EDGES)).search_sorted(X, side="right"))),
    "cast": adding(x=X.cast(pl.Float32), n=N.cast(pl.Int64)),
    "categorify": Offer(categorify),
    "clip": adding(x=X.clip(1.0, 110.0), y=Y.clip(1.0, 110.0)),
    "count_encoding": adding(city_count=pl.len().over("city")),
    "cyclical": adding(n_sin=TURN.sin().cast(pl.Float32), n_cos=TURN.cos().cast(pl.Float32)),
    "data_stats": Offer(describe, note="describe and value_counts"),
    "date_parts": adding(when_month=WHEN.dt.month(), when_day_of_week=WHEN.dt.weekday(), when_hour=WHEN.dt.hour()),
    "dedupe": query(lambda rows: rows.unique(["city", "zone"], keep="first", maintain_order=True), ["id"]),
    "derive": adding(z=X.fill_null(0) * 2 + Y, big=(Y > 120).cast(pl.Int32)),
    "difference_lag": adding(y_difference_lag_1=over_time(Y - Y.shift(1))),
    "drop": query(lambda rows: rows.drop("x"), ["y"]),
    "dropna": query(lambda rows: rows.drop_nulls(["x", "n"]), ["id"]),
    "fill_missing": adding(x=X.fill_null(X.median())),
    "filter": query(lambda rows: rows.filter(Y > 100, pl.col("zone") != "zone-07"), ["id"]),
    "groupby": query(grouped, ["key", "y_count", "y_sum", "y_max"]),
    "hash_bucket": adding(city=(pl.col("city").hash() % 1_000 + 1).cast(pl.Int32)),
    "hashed_cross": adding(city_zone_cross=(pl.struct("city", "zone").hash() % 1_000 + 1).cast(pl.Int32)),
    "join_external": query(joined, ["people"]),
    "join_groupby": adding(city_y_mean=Y.mean().over("city"), city_y_std=Y.std().over("city")),
    "kernel": adding(km=haversine_km()),
    "list_slice": adding(tags=pl.col("tags").list.tail(2)),
    "log": adding(x=X.log1p()),
    "normalize": adding(x=(X - X.mean()) / X.std(ddof=0), y=(Y - Y.mean()) / Y.std(ddof=0)),
    "normalize_min_max": adding(x=(X - X.min()) / (X.max() - X.min()), y=(Y - Y.min()) / (Y.max() - Y.min())),
    "normalize_text": adding(title=pl.col("title").str.strip_chars().str.to_lowercase()),
    "one_hot": query(
        lambda rows: rows.with_columns(
            (pl.col("zone") == name).cast(pl.Int8).alias(f"zone_{name}") for name in ("zone-01", "zone-02", "zone-03")
        ),
        ["zone_zone-01", "zone_zone-03"],
    ),
    "rename": query(lambda rows: rows.rename({"x": "renamed"}), ["renamed"]),
    "robust_scale": adding(x=scaled("x"), y=scaled("y")),
    "rolling": adding(y_sum_7d=over_time(Y.rolling_sum_by("when", window_size="7d"))),
    "sample": query(lambda rows: rows.filter(pl.col("id").hash(3) < 2**64 // 5), ["id"]),
    "select": query(lambda rows: rows.select("x", "y"), ["y"]),
    "session_id": adding(session_id=over_time((pl.duration(hours=12) < SINCE_LAST).fill_null(False).cast(pl.Int64).cum_sum())),
    "time_since": adding(when_hours_since=(WHEN - pl.datetime(2023, 1, 1)).dt.total_microseconds() / 3.6e9),
    "time_since_last": adding(when_since_last=over_time(SINCE_LAST).dt.total_microseconds() / 1e6),
}

if __name__ == "__main__":
    serve(OFFERS, to_numpy)
