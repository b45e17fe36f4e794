"""The same as Polars expressions, in its streaming engine, which spreads one expression over the cores."""

from __future__ import annotations

from collections.abc import Callable

import kernel_data as data
import numpy as np
import polars as pl
from serving import Call, Offer, serve

EARTH_RADIUS_KM = 6371.0088
PLACES = ["lat1", "lon1", "lat2", "lon2"]
X = pl.col("x")


def selecting(draw: Callable[[int], pl.DataFrame], engine: str = "streaming", **expressions: pl.Expr) -> Callable[[int], Call]:
    """Return what makes the call that selects expressions from a frame."""

    def make(rows: int) -> Call:
        query = draw(rows).lazy().select(**expressions)
        return lambda: query.collect(engine=engine).to_dict()

    return make


def haversine_km() -> pl.Expr:
    lat1, lon1, lat2, lon2 = (pl.col(name).radians() for name in PLACES)
    half = ((lat2 - lat1) / 2).sin() ** 2 + lat1.cos() * lat2.cos() * ((lon2 - lon1) / 2).sin() ** 2
    return 2 * EARTH_RADIUS_KM * half.sqrt().arcsin()


def places(dtype: str) -> Callable[[int], pl.DataFrame]:
    return lambda rows: pl.DataFrame(dict(zip(PLACES, data.places(rows, dtype), strict=True)))


def column(draw: Callable[[int], np.ndarray]) -> Callable[[int], pl.DataFrame]:
    return lambda rows: pl.DataFrame({"x": draw(rows)})


def strings(rows: int) -> pl.DataFrame:
    offsets, text = data.strings(rows)
    whole = text.tobytes().decode()
    return pl.DataFrame({"x": [whole[start:stop] for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]})


def dense_frame(rows: int) -> pl.DataFrame:
    values, is_there = data.counts_with_nulls(rows)
    return pl.DataFrame({"x": values}).select(pl.when(pl.Series(is_there)).then("x"))


def counting(rows: int) -> Call:
    query = column(data.codes)(rows).lazy().group_by("x").len()

    def call() -> dict[str, np.ndarray]:
        found = query.collect(engine="streaming")
        counts = np.zeros(data.CATEGORIES, np.int64)
        counts[found["x"].to_numpy()] = found["len"].to_numpy()
        return {"counts": counts}

    return call


def moments(rows: int) -> Call:
    query = column(data.numbers)(rows).lazy().select(mean=X.mean(), variance=X.var(ddof=0))
    return lambda: {"moments": np.array(query.collect(engine="streaming").row(0))}


def one_thread(dtype: str) -> Offer:
    return Offer(selecting(places(dtype), "in-memory", km=haversine_km()), note="in-memory engine: one thread for one expression")


TABLE = pl.lit(pl.Series(np.arange(data.CATEGORIES, dtype=np.int32)[::-1].copy()))
OFFERS = {
    "haversine_f64": Offer(selecting(places("float64"), km=haversine_km())),
    "haversine_f32": Offer(selecting(places("float32"), km=haversine_km())),
    "haversine_f64_one_thread": one_thread("float64"),
    "haversine_f32_one_thread": one_thread("float32"),
    "hash64": Offer(selecting(column(data.integers), hash=X.hash())),
    "hash64_strings": Offer(selecting(strings, hash=X.hash())),
    "bucketize": Offer(selecting(column(data.numbers), bucket=pl.lit(pl.Series(data.EDGES)).search_sorted(X, side="right"))),
    "count_codes": Offer(counting),
    "look_up": Offer(selecting(column(lambda rows: data.codes(rows).astype(np.uint16)), ids=TABLE.gather(X))),
    "exact_moments": Offer(moments),
    "dense": Offer(selecting(dense_frame, dense=((X.fill_null(0).clip(0).cast(pl.Float32).log1p() - 1.0) / 2.0))),
}

if __name__ == "__main__":
    serve(OFFERS)
