"""1,000 columns normalised in Polars: two lazy streaming passes, and the scaling in float32.

Tried on 50,000 rows, 2 cores, Polars 2.1, seconds of two runs: this 1.0 and 1.5; the same in float64 1.5 and 1.6; read once and
kept 1.2-2.3; in the in-memory engine 1.9-2.9.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
from repeating import repeat


def job(source: Path, out: Path) -> None:
    rows = pl.scan_parquet(source / "*.parquet")
    wide = pl.all().cast(pl.Float64)
    found = (
        rows.select(wide.mean().name.suffix("_mean"), wide.std(ddof=0).name.suffix("_std")).collect(engine="streaming").row(0, named=True)
    )
    scaled = [((pl.col(name) - found[f"{name}_mean"]) / found[f"{name}_std"]).cast(pl.Float32) for name in rows.collect_schema().names()]
    rows.select(scaled).sink_parquet(out / "features.parquet", compression="snappy")


if __name__ == "__main__":
    repeat(job, __doc__)
