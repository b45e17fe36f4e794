"""Writing columns to Parquet, each with the page encoding that suits it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def write_batches(path: Path, batches: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Write tables as the row groups of one Parquet file and return its rows; floats are not dictionary-encoded, all pages have checksums."""
    settings = _settings(schema)
    rows = 0
    with pq.ParquetWriter(path, schema, **settings) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write_table(batch.cast(schema), row_group_size=max(batch.num_rows, 1))
                rows += batch.num_rows
    return rows


def _settings(schema: pa.Schema) -> dict[str, Any]:
    """Return writer options: a dictionary of floats costs time and saves nothing; integers and strings often repeat."""
    repeating = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return {
        "compression": "snappy",
        "use_dictionary": repeating or False,
        "write_page_checksum": True,
        "write_statistics": True,
        "store_schema": True,
    }
