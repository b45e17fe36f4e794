"""1,000 columns normalised in dask.dataframe."""

from __future__ import annotations

from pathlib import Path

import dask
import dask.dataframe as dd
from repeating import repeat


def job(source: Path, out: Path) -> None:
    rows = dd.read_parquet(source, split_row_groups=True).astype("float64")
    mean, deviation = dask.compute(rows.mean(), rows.std(ddof=0))
    # A partition at a time: `rows - mean` of a series by column would be aligned on the index, which is not known.
    scaled = rows.map_partitions(lambda part: ((part - mean) / deviation).astype("float32"))
    scaled.to_parquet(out, write_index=False, compression="snappy", name_function=lambda index: f"part-{index:05d}.parquet")


if __name__ == "__main__":
    repeat(job, __doc__)
