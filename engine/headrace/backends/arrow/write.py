"""Writing columns to Parquet, each with the page encoding that suits its values."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# A column whose values repeat this often in a sample of the first rows gets a dictionary: its pages are smaller and as
# quick. Other integers are packed by their bit width, other floats are written as they are: hashing near-unique values
# into a dictionary costs a third of the writing and saves nothing.
SAMPLE_ROWS = 4096
MOST_DISTINCT = SAMPLE_ROWS // 4
# Where the sample misled, the writer gives a dictionary up at this size.
DICTIONARY_NBYTES = 1 << 18


def write_batches(path: Path, batches: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Write tables as the row groups of one Parquet file, with page checksums and statistics, and return its rows."""
    rows = 0
    writer: pq.ParquetWriter | None = None
    try:
        for batch in batches:
            batch = batch if batch.schema.equals(schema) else batch.cast(schema)
            writer = writer or pq.ParquetWriter(path, schema, **_settings(schema, batch))
            if batch.num_rows:
                writer.write_table(batch, row_group_size=batch.num_rows)
                rows += batch.num_rows
        if writer is None:
            writer = pq.ParquetWriter(path, schema)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _settings(schema: pa.Schema, first: pa.Table) -> dict[str, Any]:
    """Return writer options for columns that look like those of the first batch."""
    numbers = [field.name for field in schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)]
    varied = {name for name in numbers if not _repeats(first.column(name))}
    packed = {name: "DELTA_BINARY_PACKED" for name in varied if schema.field(name).type in (pa.int32(), pa.int64())}
    return {
        "compression": {field.name: "none" if field.name in numbers else "snappy" for field in schema},
        "use_dictionary": [field.name for field in schema if field.name not in varied and not pa.types.is_boolean(field.type)] or False,
        "column_encoding": packed or None,
        "dictionary_pagesize_limit": DICTIONARY_NBYTES,
        "write_page_checksum": True,
    }


def _repeats(column: pa.ChunkedArray) -> bool:
    step = max(len(column) // SAMPLE_ROWS, 1)
    sample = column.chunk(0).to_numpy(zero_copy_only=False)[::step] if column.num_chunks else np.zeros(0)
    return len(np.unique(sample)) <= MOST_DISTINCT
