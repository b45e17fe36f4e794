"""The Criteo job in Polars, read once: the strings stay in memory between the passes, which needs that memory.

What else was tried stands in `criteo_polars.py`.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
from criteo_polars import fit, logarithms, transform
from repeating import repeat


def job(source: Path, out: Path) -> None:
    rows = logarithms(pl.scan_parquet(source / "*.parquet")).collect().lazy()
    transform(rows, *fit(rows)).sink_parquet(out / "features.parquet", compression="snappy")


if __name__ == "__main__":
    repeat(job, __doc__)
