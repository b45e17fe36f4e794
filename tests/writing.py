"""Parquet files with row groups cut to order."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_parquet(path: Path, table: pa.Table, row_groups: int = 1, **options: object) -> Path:
    """Write a table as one file of so many row groups of about equal length, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    edges = [table.num_rows * index // row_groups for index in range(row_groups + 1)]
    with pq.ParquetWriter(path, table.schema, **options) as writer:
        for start, end in itertools.pairwise(edges):
            writer.write_table(table.slice(start, end - start), row_group_size=max(end - start, 1))
    return path


def write_files(folder: Path, table: pa.Table, files: int, row_groups: int = 1) -> Path:
    """Write a table as so many files of about equal length, in order, and return their folder."""
    edges = [table.num_rows * index // files for index in range(files + 1)]
    for index, (start, end) in enumerate(itertools.pairwise(edges)):
        write_parquet(folder / f"{index}.parquet", table.slice(start, end - start), row_groups)
    return folder
