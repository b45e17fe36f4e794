"""Writing columns to Parquet, each with the page encoding that suits its values."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# What a value costs to write, measured on one core, 312k rows of features: a dictionary 10 to 15 ns, 20 to 30 where it has tens of
# thousands of entries; packed differences 8 to 11 ns; plain 7 ns. Ids by falling frequency are as small packed as in a
# dictionary, so integers of a narrow range are packed. Other columns get a dictionary if values repeat this often in a sample
# of the first rows; what is left is packed if integer, else written as it is.
NARROW = 1 << 20
SAMPLE_ROWS = 4096
MOST_DISTINCT = SAMPLE_ROWS // 8
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
    numbers = dict.fromkeys(field.name for field in schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type))
    packable = {name for name in numbers if schema.field(name).type in (pa.int32(), pa.int64())}
    varied = {name for name in numbers if (name in packable and _is_narrow(first.column(name))) or not _repeats(first.column(name))}
    packed = dict.fromkeys(sorted(varied & packable), "DELTA_BINARY_PACKED")
    return {
        "compression": {field.name: "none" if field.name in numbers else "snappy" for field in schema},
        "use_dictionary": [field.name for field in schema if field.name not in varied and not pa.types.is_boolean(field.type)] or False,
        "column_encoding": packed or None,
        "dictionary_pagesize_limit": DICTIONARY_NBYTES,
        "write_page_checksum": True,
    }


def _is_narrow(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column).as_py()
    return ends["min"] is not None and ends["max"] - ends["min"] < NARROW


def _repeats(column: pa.ChunkedArray) -> bool:
    if not column.num_chunks:
        return True
    step = max(len(column) // SAMPLE_ROWS, 1)
    # Of most numbers the first few hundred are distinct, which answers it.
    return all(_n_distinct(column.chunk(0).slice(0, n_rows * step), step) <= MOST_DISTINCT for n_rows in (MOST_DISTINCT + 64, len(column)))


def _n_distinct(values: pa.Array, step: int) -> int:
    """Count the distinct values among every `step`-th; null is NaN, and one value."""
    ascending = np.sort(values.to_numpy(zero_copy_only=False)[::step])
    n_nan = int(np.count_nonzero(np.isnan(ascending))) if ascending.dtype.kind == "f" else 0
    return int(np.count_nonzero(ascending[1:] != ascending[:-1])) + min(len(ascending), 1) - max(n_nan - 1, 0)
