"""The kernels of Headrace, called as a library; on all cores where a kernel takes threads."""

from __future__ import annotations

import os

import kernel_data as data
import numpy as np
from serving import Call, Offer, serve

from headrace_kernels import Column, DenseSteps, count_codes, dense_transform, exact_moments, get_kernel, hash64_strings, look_up
from headrace_kernels import decayed_sum as decayed
from headrace_kernels.limbs import mean_and_variance
from headrace_kernels.segments import group_starts

CORES = len(os.sched_getaffinity(0))


def haversine(dtype: str, threads: int) -> Offer:
    def make(rows: int) -> Call:
        columns = [Column(values) for values in data.places(rows, dtype)]
        kernel = get_kernel("haversine_km")
        return lambda: {"km": kernel.launch(columns, threads=threads)[0].values}

    # In float32 the textbook's formula loses digits near the antipode; ours does not, so the tolerance is theirs.
    title = f"haversine, {dtype}, {threads} thread{'s' if threads > 1 else ''}"
    return Offer(make, title, 1e-9 if dtype == "float64" else 2e-3)


def decayed_sum(rows: int) -> Call:
    group, seconds, value = data.events(rows)
    columns = [Column(value), Column(seconds)]
    return lambda: {"sum": decayed.launch(columns, group_starts(group, CORES), threads=CORES).values}


def hash_ints(rows: int) -> Call:
    columns, kernel = [Column(data.integers(rows))], get_kernel("hash64")
    return lambda: {"hash": kernel.launch(columns, threads=CORES)[0].values}


def hash_strings(rows: int) -> Call:
    offsets, text = data.strings(rows)
    return lambda: {"hash": hash64_strings(offsets, text)}


def bucketize(rows: int) -> Call:
    columns, kernel = [Column(data.numbers(rows))], get_kernel("bucketize")
    return lambda: {"bucket": kernel.launch(columns, {"edges": data.EDGES}, threads=CORES)[0].values}


def count(rows: int) -> Call:
    column = Column(data.codes(rows))
    return lambda: {"counts": count_codes(column, data.CATEGORIES)[1][:-1]}


def look(rows: int) -> Call:
    codes, table = data.codes(rows).astype(np.uint16), np.arange(data.CATEGORIES, dtype=np.int32)[::-1].copy()
    return lambda: {"ids": look_up(table, codes)}


def moments(rows: int) -> Call:
    column = Column(data.numbers(rows))

    def call() -> dict[str, list[float]]:
        found = exact_moments(column)
        return {"moments": list(mean_and_variance(found.n, found.total, found.squares))}

    return call


def dense(rows: int) -> Call:
    values, is_there = data.counts_with_nulls(rows)
    column = Column(values, np.packbits(is_there, bitorder="little"))
    steps = DenseSteps(fill=0.0, low=0.0, transform="log1p", mean=1.0, std=2.0)
    return lambda: {"dense": dense_transform(column, steps, np.float32, threads=CORES).column.values}


OFFERS = {
    "haversine_f64": haversine("float64", CORES),
    "haversine_f32": haversine("float32", CORES),
    "haversine_f64_one_thread": haversine("float64", 1),
    "haversine_f32_one_thread": haversine("float32", 1),
    "decayed_sum": Offer(decayed_sum, "decayed sum over groups of 50 events", 1e-9),
    "hash64": Offer(hash_ints, "hash64 of int64 (XXH64; each library has its own hash)"),
    "hash64_strings": Offer(hash_strings, "hash64 of strings of 4 to 20 bytes, 1 thread"),
    "bucketize": Offer(bucketize, "bucketize by 33 edges", 0.0),
    "count_codes": Offer(count, "count 10,000 dictionary codes, 1 thread", 0.0),
    "look_up": Offer(look, "look ids of codes up, 1 thread", 0.0),
    "exact_moments": Offer(moments, "mean and variance by exact sums, 1 thread", 1e-9),
    "dense": Offer(dense, "fill, clip, log1p, standardise int32 with nulls", 1e-5),
}

if __name__ == "__main__":
    serve(OFFERS)
