"""What one would write in NumPy for each kernel."""

from __future__ import annotations

import kernel_data as data
import numpy as np
from serving import Call, Offer, serve

EARTH_RADIUS_KM = 6371.0088
DAY_S = 86_400.0


def haversine(dtype: str) -> Offer:
    def make(rows: int) -> Call:
        columns = data.places(rows, dtype)

        def call() -> dict[str, np.ndarray]:
            lat1, lon1, lat2, lon2 = (np.radians(values) for values in columns)
            half = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
            return {"km": 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(half))}

        return call

    return Offer(make)


def decayed_sum(rows: int) -> Call:
    """Take the first event of each group, then the second of each that has one, and so on.

    One `cumsum` over all rows cannot do it: what decays by 2**-30 within a group drowns in the rounding of the others. A
    loop in Python over the groups, each a `cumsum`, takes three to five times as long.
    """
    group, seconds, value = data.events(rows)

    def call() -> dict[str, np.ndarray]:
        starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
        sizes = np.diff(np.append(starts, len(group)))
        starts = starts[np.argsort(-sizes, kind="stable")]
        longest_first = np.sort(sizes)[::-1]
        decay = np.exp2((np.concatenate([[0.0], seconds[:-1]]) - seconds) / DAY_S)
        total = value.copy()
        for position in range(1, int(longest_first[0])):
            row = starts[: np.searchsorted(-longest_first, -position)] + position
            total[row] += total[row - 1] * decay[row]
        return {"sum": total}

    return call


def bucketize(rows: int) -> Call:
    values = data.numbers(rows)
    return lambda: {"bucket": np.searchsorted(data.EDGES, values, side="right")}


def count(rows: int) -> Call:
    codes = data.codes(rows)
    # What is counted is kept as compact codes, as ours does for the transform.
    return lambda: {"counts": np.bincount(codes.astype(np.uint16), minlength=data.CATEGORIES)}


def look(rows: int) -> Call:
    codes, table = data.codes(rows).astype(np.uint16), np.arange(data.CATEGORIES, dtype=np.int32)[::-1].copy()
    return lambda: {"ids": table[codes]}


def moments(rows: int) -> Call:
    values = data.numbers(rows)
    return lambda: {"moments": [values.mean(), values.var()]}


def dense(rows: int) -> Call:
    values, is_there = data.counts_with_nulls(rows)
    return lambda: {"dense": (np.log1p(np.maximum(np.where(is_there, values, 0), 0).astype(np.float32)) - 1.0) / 2.0}


OFFERS = {
    "haversine_f64": haversine("float64"),
    "haversine_f32": haversine("float32"),
    "decayed_sum": Offer(decayed_sum, note="the k-th event of all groups at once"),
    "bucketize": Offer(bucketize),
    "count_codes": Offer(count),
    "look_up": Offer(look),
    "exact_moments": Offer(moments, note="pairwise sums"),
    "dense": Offer(dense),
}

if __name__ == "__main__":
    serve(OFFERS)
