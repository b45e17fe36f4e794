"""The Criteo job in dask.dataframe, on its threads: one pass counts, one pass encodes and writes.

Each pass reads the files once: `value_counts` of each of 26 columns would be queries of their own. What a partition counts is
merged in the client.
"""

from __future__ import annotations

from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
from repeating import repeat

DENSE = [f"I{index}" for index in range(1, 14)]
CATEGORIES = [f"C{index}" for index in range(1, 27)]
MIN_FREQUENCY = 15
Part = tuple[pd.DataFrame, list[pd.Series]]


def logarithms(frame: pd.DataFrame) -> pd.DataFrame:
    return np.log1p(frame[DENSE].astype("float64").fillna(0).clip(lower=0))


def observe(frame: pd.DataFrame) -> Part:
    """Return count, mean and squared deviations of each number, and the counts of each category."""
    logs = logarithms(frame)
    moments = pd.DataFrame({"n": len(frame), "mean": logs.mean(), "m2": logs.var(ddof=0) * len(frame)})
    return moments, [frame[name].value_counts() for name in CATEGORIES]


def merge(parts: list[Part]) -> tuple[pd.Series, pd.Series, list[pd.Series]]:
    """Return means, deviations and vocabularies (id by category) of all partitions."""
    weights = np.array([moments["n"].to_numpy() for moments, _ in parts], dtype=float)
    means = np.array([moments["mean"].to_numpy() for moments, _ in parts])
    total = weights.sum(axis=0)
    mean = (weights * means).sum(axis=0) / total
    squares = sum(moments["m2"].to_numpy() for moments, _ in parts) + (weights * (means - mean) ** 2).sum(axis=0)
    vocabularies = [vocabulary(pd.concat([counts[index] for _, counts in parts])) for index in range(len(CATEGORIES))]
    return pd.Series(mean, DENSE), pd.Series(np.sqrt(squares / total), DENSE), vocabularies


def vocabulary(counts: pd.Series) -> pd.Series:
    counted = counts.groupby(level=0).sum()
    kept = counted[counted >= MIN_FREQUENCY].sort_index().sort_values(ascending=False, kind="stable")
    return pd.Series(np.arange(2, len(kept) + 2, dtype=np.int32), kept.index)


def encode(frame: pd.DataFrame, mean: pd.Series, deviation: pd.Series, vocabularies: list[pd.Series]) -> pd.DataFrame:
    scaled = ((logarithms(frame) - mean) / deviation).astype("float32")
    encoded = {}
    for name, ids in zip(CATEGORIES, vocabularies, strict=True):
        found = frame[name].map(ids).fillna(1).astype("int32")
        encoded[name] = found.mask(frame[name].isna(), 0)
    return pd.concat([frame[["label"]], scaled, pd.DataFrame(encoded)], axis=1)


def job(source: Path, out: Path) -> None:
    rows = dd.read_parquet(source, split_row_groups=True)
    parts = dask.compute(*[dask.delayed(observe)(part) for part in rows.to_delayed()])
    mean, deviation, vocabularies = merge(list(parts))
    meta = encode(rows._meta, mean, deviation, vocabularies)
    made = rows.map_partitions(encode, mean, deviation, vocabularies, meta=meta)
    made.to_parquet(out, write_index=False, compression="snappy", name_function=lambda index: f"part-{index:05d}.parquet")


if __name__ == "__main__":
    repeat(job, __doc__)
