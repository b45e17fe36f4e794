"""1,000 columns normalised in DuckDB: one query for the moments, one COPY."""

from __future__ import annotations

from pathlib import Path

import duckdb
from repeating import repeat


def job(source: Path, out: Path) -> None:
    rows = f"read_parquet('{source}/*.parquet')"
    with duckdb.connect() as connection:
        names = [column[0] for column in connection.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()]
        moments = connection.execute(f"SELECT {', '.join(f'avg({name}), stddev_pop({name})' for name in names)} FROM {rows}").fetchone()
        pairs = zip(names, moments[::2], moments[1::2], strict=True)
        scaled = ", ".join(f"(({name} - {mean!r}::DOUBLE) / {deviation!r}::DOUBLE)::FLOAT AS {name}" for name, mean, deviation in pairs)
        connection.execute(f"COPY (SELECT {scaled} FROM {rows}) TO '{out}/features.parquet' (FORMAT parquet, COMPRESSION snappy)")


if __name__ == "__main__":
    repeat(job, __doc__)
