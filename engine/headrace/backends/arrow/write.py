"""Writing columns to Parquet, each with the page encoding that suits its values."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.backends.arrow.chunks import NARROW, REPEATED_NBYTES, chunks_of
from headrace.backends.arrow.coded import is_codes_of, plain
from headrace.backends.arrow.footers import MAGIC, Chunk, Piece, chunks_of_file, file_end, row_group
from headrace_kernels.surveys import MOST_IN_SAMPLE, SAMPLE_ROWS

# What a value costs pyarrow, measured on one core, 312k rows of features: a dictionary 10 to 15 ns, 20 to 30 where it has tens of
# thousands of entries; packed differences 8 to 11 ns; plain 7 ns. So of what is left to it, integers of a narrow range are packed,
# other columns get a dictionary if values repeat in a sample, and what is left is packed if integer, else written as it is.
# Row groups of more rows are written as several: pages and runs count in 32 bits, and pyarrow writes no larger ones either.
MOST_ROWS = 1 << 25
# Columns are encoded and written together up to so many bytes of values, which stay in the processor's cache meanwhile.
TOGETHER_NBYTES = 1 << 20
# Each piece to hash hands over Python's lock, which costs more than to copy a small one.
_SMALL_NBYTES = 1 << 18
_MOST_PIECES = 1024  # that Linux takes in one call


def write_batches(path: Path, batches: Iterable[pa.Table], schema: pa.Schema, digest: Any = None) -> int:
    """Write tables as the row groups of one Parquet file, with page checksums and statistics, and return its rows.

    Columns of numbers, dates and times are written by `chunks`, others by pyarrow, in memory, and copied. A file with nested columns
    is written by pyarrow as a whole. `digest`, one of `hashlib`'s, is updated with the bytes of the file.
    """
    if not any(_is_nested(field.type) for field in schema):
        return _write(path, _cast(batches, schema), schema, digest)
    rows = _write_by_pyarrow(path, (batch.cast(schema) for batch in batches), schema)
    if digest is not None:
        with path.open("rb") as written:
            hashlib.file_digest(written, lambda: digest)
    return rows


def _cast(batches: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield tables in the types of `schema`, but for numbers that are codes of values of their type."""
    for batch in batches:
        found = batch.schema
        if found.names == schema.names:
            kept = pa.schema([of.with_type(has.type) if is_codes_of(has, of.type) else of for has, of in zip(found, schema, strict=True)])
        else:
            kept = schema  # Arrow says what is wrong
        yield batch if found.equals(kept) else batch.cast(kept)


def _is_nested(type_: pa.DataType) -> bool:
    """Whether columns of a type may be more than one in a file, or are what only pyarrow knows."""
    return bool(type_.num_fields) or isinstance(type_, pa.BaseExtensionType)


def _write(path: Path, batches: Iterable[pa.Table], schema: pa.Schema, digest: Any) -> int:
    rows, at = 0, len(MAGIC)
    groups = []
    with path.open("wb", buffering=0) as file:
        _put(file.fileno(), [MAGIC], digest)
        for batch in batches:
            for start in range(0, batch.num_rows, MOST_ROWS):
                part = batch.slice(start, MOST_ROWS)
                chunks: list[Chunk] = []
                for columns in _together(schema, part.columns):
                    made = _chunks(columns)
                    _put(file.fileno(), [piece for chunk in made for piece in chunk.pieces], digest)
                    chunks += [Chunk((), *chunk[1:]) for chunk in made]
                groups.append(row_group(chunks, part.num_rows, at))
                at += sum(chunk.n_bytes for chunk in chunks)
                rows += part.num_rows
        _put(file.fileno(), [file_end(schema, groups, rows)], digest)
    return rows


def _together(schema: pa.Schema, columns: Sequence[pa.ChunkedArray]) -> Iterator[list[tuple[pa.Field, pa.Array]]]:
    """Yield neighbouring columns that are encoded and written together."""
    some: list[tuple[pa.Field, pa.Array]] = []
    nbytes = 0
    for field, column in zip(schema, columns, strict=True):
        some.append((field, _one_array(column)))
        nbytes += _nbytes(column)
        if nbytes >= TOGETHER_NBYTES:
            yield some
            some, nbytes = [], 0
    if some:
        yield some


def _nbytes(column: pa.ChunkedArray) -> int:
    """Return about the bytes of a column; Arrow takes microseconds to add up its buffers."""
    try:
        return len(column) * int(column.type.bit_width) // 8
    except ValueError:  # of a type whose values have no fixed width
        return int(column.nbytes)


def _chunks(columns: Sequence[tuple[pa.Field, pa.Array]]) -> list[Chunk]:
    fields, arrays = zip(*columns, strict=True)
    made = chunks_of(fields, arrays)
    return [chunk or _chunk_by_pyarrow(field, array) for (field, array), chunk in zip(columns, made, strict=True)]


def _put(file: int, pieces: Sequence[Piece], digest: Any) -> None:
    """Write pieces one after the other as they lie: to bring them together would copy all that is written.

    They are hashed while they are in the processor's cache, too: to read the file again for it takes half as long as the hash.
    """
    left = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
    if digest is not None:
        if sum(map(len, left)) < len(left) * _SMALL_NBYTES:
            left = [memoryview(b"".join(left))]
        for piece in left:
            digest.update(piece)
    while left:
        written = os.writev(file, left[:_MOST_PIECES])
        n_whole = 0
        while n_whole < len(left) and written >= len(left[n_whole]):
            written -= len(left[n_whole])
            n_whole += 1
        left = left[n_whole:]
        if written:
            left[0] = left[0][written:]


def _chunk_by_pyarrow(field: pa.Field, column: pa.Array) -> Chunk:
    """Return the chunk of a column that is not written here, out of a file in memory that pyarrow wrote."""
    column = plain(column) if is_codes_of(column, field.type) else column
    table = pa.Table.from_arrays([column], schema=pa.schema([field]))
    written = pa.BufferOutputStream()
    with pq.ParquetWriter(written, table.schema, **_settings(table.schema, table)) as writer:
        writer.write_table(table, row_group_size=table.num_rows)
    (chunk,) = chunks_of_file(written.getvalue())
    return chunk


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _write_by_pyarrow(path: Path, batches: Iterable[pa.Table], schema: pa.Schema) -> int:
    rows = 0
    writer: pq.ParquetWriter | None = None
    try:
        for batch in batches:
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
        "dictionary_pagesize_limit": REPEATED_NBYTES,
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
    return all(
        _n_distinct(column.chunk(0).slice(0, n_rows * step), step) <= MOST_IN_SAMPLE for n_rows in (MOST_IN_SAMPLE + 64, len(column))
    )


def _n_distinct(values: pa.Array, step: int) -> int:
    """Count the distinct values among every `step`-th; null is NaN, and one value."""
    ascending = np.sort(values.to_numpy(zero_copy_only=False)[::step])
    n_nan = int(np.count_nonzero(np.isnan(ascending))) if ascending.dtype.kind == "f" else 0
    return int(np.count_nonzero(ascending[1:] != ascending[:-1])) + min(len(ascending), 1) - max(n_nan - 1, 0)
