"""Files of our own writer: what pyarrow, DuckDB, Polars and our reader read is what was written, and footers say what pyarrow's say."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.backends.arrow import chunks
from headrace.backends.arrow.chunks import chunks_of
from headrace.backends.arrow.coded import is_coded, plain
from headrace.backends.arrow.pages import PageReader, read_layout
from headrace.backends.arrow.write import write_batches

INTS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
FLOATS = [pa.float32(), pa.float64()]
TIMES = [
    pa.date32(),
    pa.timestamp("ms"),
    pa.timestamp("us", "UTC"),
    pa.timestamp("ns"),
    pa.timestamp("ns", "Europe/Zurich"),
    pa.timestamp("s"),
]
OURS = [*INTS, *FLOATS, *(type_ for type_ in TIMES if type_ != pa.timestamp("s"))]
OTHERS = [pa.bool_(), pa.string(), pa.large_string(), pa.binary(), pa.float16(), pa.time64("us"), pa.decimal128(21, 2), pa.null()]
SPECIAL = [0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1.5]


def _write(path: Path, batches: Sequence[pa.Table], schema: pa.Schema) -> Path:
    digest = hashlib.sha256()
    assert write_batches(path, iter(batches), schema, digest) == sum(batch.num_rows for batch in batches)
    assert digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()
    return path


def _write_by_pyarrow(path: Path, batches: Sequence[pa.Table], schema: pa.Schema) -> Path:
    with pq.ParquetWriter(path, schema) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write_table(batch, row_group_size=batch.num_rows)
    return path


def _bits(column: pa.ChunkedArray) -> list[object]:
    """Return a column's values, floats as their bits, times as their numbers."""
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_timestamp(array.type) or pa.types.is_date32(array.type):
        array = array.view(pa.from_numpy_dtype(f"i{array.type.byte_width}"))
    elif pa.types.is_floating(array.type):
        array = array.view(pa.from_numpy_dtype(f"u{array.type.byte_width}"))
    return array.to_pylist()


def _assert_same_bits(actual: pa.Table, expected: pa.Table) -> None:
    actual.validate(full=True)
    assert actual.schema.equals(expected.schema, check_metadata=True)
    for name in expected.column_names:
        assert _bits(actual[name]) == _bits(expected[name]), name


def _assert_well_written(folder: Path, batches: Sequence[pa.Table]) -> pq.ParquetFile:
    """Fail unless a file is as pyarrow's own to pyarrow, and reads back bit for bit by it and by our reader; return it."""
    schema = batches[0].schema
    path, reference = _write(folder / "ours.parquet", batches, schema), _write_by_pyarrow(folder / "arrow.parquet", batches, schema)
    expected = pq.read_table(reference)
    _assert_same_bits(pq.read_table(path), expected)
    _assert_same_bits(pq.read_table(path, page_checksum_verification=True), expected)
    ours, theirs = pq.ParquetFile(path), pq.ParquetFile(reference)
    assert ours.schema.equals(theirs.schema)
    assert str(ours.schema).splitlines()[1:] == str(theirs.schema).splitlines()[1:]
    assert ours.schema_arrow.equals(theirs.schema_arrow, check_metadata=True)
    assert ours.metadata.num_rows == theirs.metadata.num_rows
    assert ours.metadata.format_version == theirs.metadata.format_version
    assert ours.metadata.num_row_groups == theirs.metadata.num_row_groups
    at = 4
    for index in range(ours.metadata.num_row_groups):
        group, other = ours.metadata.row_group(index), theirs.metadata.row_group(index)
        assert group.num_rows == other.num_rows
        assert group.total_byte_size == sum(group.column(i).total_uncompressed_size for i in range(group.num_columns))
        for i in range(group.num_columns):
            chunk = group.column(i)
            _assert_same_statistics(chunk, other.column(i))
            assert at == (chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset)
            at += chunk.total_compressed_size
    _assert_our_reader_agrees(path, batches)
    return ours


def _assert_same_statistics(chunk: pq.ColumnChunkMetaData, other: pq.ColumnChunkMetaData) -> None:
    assert (chunk.physical_type, chunk.num_values, chunk.path_in_schema) == (other.physical_type, other.num_values, other.path_in_schema)
    ours, theirs = chunk.statistics, other.statistics
    assert (ours is None) == (theirs is None), chunk.path_in_schema
    if ours is not None:
        assert _what_is_said(ours) == _what_is_said(theirs), chunk.path_in_schema


def _what_is_said(about: pq.Statistics) -> tuple[object, ...]:
    """Return what statistics say; the ends as text, since -0.0 equals 0.0."""
    ends = (repr(about.min_raw), repr(about.max_raw)) if about.has_min_max else ()
    return about.null_count, about.num_values, about.distinct_count, about.physical_type, str(about.logical_type), *ends


def _assert_our_reader_agrees(path: Path, batches: Sequence[pa.Table]) -> None:
    metadata = pq.read_metadata(path)
    names = [field.name for field in batches[0].schema if field.type in [*INTS, *FLOATS]]
    written = [batch for batch in batches if batch.num_rows]
    with pa.OSFile(str(path)) as handle:
        reader = PageReader(handle, read_layout(handle, metadata, names))
        for index, batch in enumerate(written):
            found = reader.read(index, names)
            for name, array in found.items():
                assert _bits(pa.chunked_array([array])) == _bits(batch[name]), name
            plain = [name for name in names if "DELTA_BINARY_PACKED" not in _encodings(metadata, index, name)]
            assert sorted(found) == sorted(plain)


def _encodings(metadata: pq.FileMetaData, row_group: int, name: str) -> tuple[str, ...]:
    group = metadata.row_group(row_group)
    return next(group.column(i).encodings for i in range(group.num_columns) if group.column(i).path_in_schema == name)


def _values(type_: pa.DataType, shape: str, n_rows: int) -> pa.Array:
    """Return values of a type: few, many, one, none, or with the largest and smallest there are; a third of them null."""
    rng = np.random.default_rng(len(shape))
    null = rng.random(n_rows) < (1 if shape == "null" else 0.3)
    if pa.types.is_floating(type_):
        some = {"few": [*SPECIAL, 7.25], "one": [-0.0], "null": [0.5], "zeros": [0.0, -0.0], "nan": [float("nan")]}
        numbers = np.array(some[shape])[rng.integers(0, len(some[shape]), n_rows)] if shape in some else rng.normal(size=n_rows)
        return pa.array(numbers.astype(type_.to_pandas_dtype()), mask=null)
    width = 8 * (4 if type_ == pa.date32() else 8 if pa.types.is_timestamp(type_) else type_.byte_width)
    dtype = np.dtype(f"{'u' if pa.types.is_unsigned_integer(type_) else ''}int{width}")
    limits = np.iinfo(dtype)
    ends = {"few": (27, 90), "one": (5, 6), "null": (0, 1), "extremes": (limits.min, limits.max)}
    low, high = ends.get(shape, (limits.min // 2, limits.max // 2))
    numbers = rng.integers(low, high, n_rows, dtype=dtype)
    if shape == "extremes" and n_rows > 2:
        numbers[:2], null[:2] = (low, high), False
    return pa.array(numbers, mask=null).view(type_)


def _tables(types: Sequence[pa.DataType], shape: str, n_rows: int) -> pa.Table:
    return pa.table({str(type_): _values(type_, shape, n_rows) for type_ in types})


@pytest.mark.parametrize("n_rows", [1, 7, 8, 1000, 20_001])
@pytest.mark.parametrize("shape", ["few", "one", "null", "extremes", "many"])
def test_integers_dates_and_times_are_written(shape: str, n_rows: int, tmp_path: Path) -> None:
    types = [*INTS, *(type_ for type_ in TIMES if shape in ("few", "one", "null") or type_ != pa.timestamp("s"))]
    table = _tables(types, shape, n_rows)
    _assert_well_written(tmp_path, [table, table.slice(n_rows // 2), table.slice(0, 0), table.slice(n_rows // 3, n_rows // 2)])


@pytest.mark.parametrize("n_rows", [1, 7, 8, 1000, 20_001])
@pytest.mark.parametrize("shape", ["few", "one", "null", "zeros", "nan", "many"])
def test_floats_are_written_bit_for_bit(shape: str, n_rows: int, tmp_path: Path) -> None:
    table = _tables(FLOATS, shape, n_rows)
    _assert_well_written(tmp_path, [table, table.slice(n_rows // 2), table.slice(n_rows // 3, n_rows // 2)])


def _codes(values: Sequence[float | None], codes: Sequence[int], type_: pa.DataType) -> pa.Array:
    coded = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int16()), pa.array(values, type_))
    assert is_coded(coded)
    return coded


@pytest.mark.parametrize("type_", [*FLOATS, pa.int32(), pa.uint8()])
def test_codes_of_values_are_written_as_values_are(type_: pa.DataType, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    values = [5.0, 1.0, 3.0, 1.0, 9.0, None]  # one twice, and one that no row has
    codes = [code for code in random.integers(0, 6, 5000) if code != 4]
    columns = {
        "some nulls": _codes(values, codes, type_),
        "no null": _codes(values[:5], [code % 4 for code in codes], type_),
        "no row is null": _codes(values, [code % 4 for code in codes], type_),
        "only nulls": _codes(values, [5] * len(codes), type_),
        "one value": _codes(values, [2] * len(codes), type_),
        "no null value": _codes(values[:2], [code % 2 for code in codes], type_),
    }
    schema = pa.schema([(name, type_) for name in columns])
    coded, by_row = pa.table(columns), pa.table({name: plain(column) for name, column in columns.items()})
    ours = _write(tmp_path / "coded.parquet", [coded, coded.slice(1000, 2000)], schema)
    assert ours.read_bytes() == _write(tmp_path / "plain.parquet", [by_row, by_row.slice(1000, 2000)], schema).read_bytes()
    nested = schema.append(pa.field("list", pa.list_(pa.int8())))
    lists = pa.array([[1]] * len(codes), nested.field("list").type)
    path = _write(tmp_path / "nested.parquet", [coded.append_column("list", lists)], nested)
    assert pq.read_table(path).drop(["list"]).equals(by_row.combine_chunks())


def test_special_values_of_codes_keep_their_bits_and_bound_no_statistics(tmp_path: Path) -> None:
    codes = np.arange(7000) % len(SPECIAL)
    coded = pa.table({str(type_): _codes([*SPECIAL, 7.0], codes.tolist(), type_) for type_ in FLOATS})
    schema = pa.schema([(str(type_), type_) for type_ in FLOATS])
    by_row = pa.table({name: plain(coded[name].chunk(0)) for name in coded.column_names})
    ours = _write(tmp_path / "coded.parquet", [coded], schema)
    assert ours.read_bytes() == _write(tmp_path / "plain.parquet", [by_row], schema).read_bytes()


def test_nulls_among_codes_of_a_required_column_are_refused(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("x", pa.float64(), nullable=False)])
    with pytest.raises(pa.ArrowInvalid):
        write_batches(tmp_path / "x.parquet", [pa.table({"x": _codes([1.0, None], [0, 1] * 50, pa.float64())})], schema)


def test_columns_without_nulls_and_required_columns_are_written(tmp_path: Path) -> None:
    table = pa.table({str(type_): _values(type_, "few", 3000).drop_null()[:2000] for type_ in OURS})
    _assert_well_written(tmp_path, [table])
    required = pa.schema([field.with_nullable(False) for field in table.schema])
    _assert_well_written(tmp_path, [table.cast(required)])


def test_payloads_of_nan_are_kept(tmp_path: Path) -> None:
    bits = np.array([0x7FC00000, 0x7FC00001, 0xFFC00000, 0x7F800001, 0x3F800000] * 50, np.uint32)
    _assert_well_written(tmp_path, [pa.table({"x": bits.view(np.float32)})])


def test_every_column_of_a_known_type_is_written_here() -> None:
    for type_ in OURS:
        assert chunks_of([pa.field("x", type_)], [_values(type_, "few", 2000)]) != [None]
    for type_ in OTHERS:
        assert chunks_of([pa.field("x", type_)], [pa.nulls(10, type_)]) == [None]


def test_columns_of_other_types_stand_between_ours(tmp_path: Path) -> None:
    n_rows = 3000
    columns: dict[str, pa.Array] = {}
    for index, type_ in enumerate(OTHERS):
        columns[f"ours {index}"] = _values(pa.int32(), "few", n_rows)
        words = pa.array([None, "1", "0", "1"] * (n_rows // 4))
        through = pa.float32() if type_ == pa.float16() else pa.int64() if pa.types.is_time(type_) or pa.types.is_decimal(type_) else type_
        columns[f"other {index}"] = pa.nulls(n_rows) if pa.types.is_null(type_) else words.cast(through).cast(type_)
    columns["split"] = pa.array(["train", "test"] * (n_rows // 2)).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string()))
    columns["sorted"] = pa.array(np.arange(n_rows) * 1000)
    table = pa.table(columns)
    _assert_well_written(tmp_path, [table, table.slice(1000, 7)])


@pytest.mark.parametrize(
    "column", [pa.array([[1], None, []]), pa.array([{"a": 1, "b": "x"}] * 3), pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int8()))]
)
def test_tables_with_nested_columns_are_written(column: pa.Array, tmp_path: Path) -> None:
    table = pa.table({"x": [1, 2, 3], "nested": column, "y": [0.5, None, -0.0]})
    path = _write(tmp_path / "ours.parquet", [table], table.schema)
    expected = pq.read_table(_write_by_pyarrow(tmp_path / "arrow.parquet", [table], table.schema))
    _assert_same_bits(pq.read_table(path), expected)


def test_pages_are_cut_where_a_column_is_long(tmp_path: Path) -> None:
    n_rows = 1_100_003
    rng = np.random.default_rng(2)
    null = rng.random(n_rows) < 0.2
    columns = {
        "ids": pa.array(rng.integers(0, 33_000, n_rows, np.int32)),
        "ids with nulls": pa.array(rng.integers(0, 5000, n_rows, np.int32), mask=null),
        "floats": pa.array(rng.random(n_rows, np.float32)),
        "floats with nulls": pa.array(rng.random(n_rows), mask=null),
        "whole": pa.array(rng.integers(0, 300, n_rows).astype(np.float32), mask=null),
        "late": pa.array(rng.integers(0, 300, n_rows, np.int32), mask=np.arange(n_rows) < 600_000),
        "late and wide": pa.array(rng.integers(0, 1 << 19, n_rows), mask=np.arange(n_rows) < 600_000),
        "late floats": pa.array(rng.integers(0, 100, n_rows) / 8, mask=np.arange(n_rows) < 600_000),
        "zero, then one": pa.array((np.arange(n_rows) > n_rows // 2).astype(np.int8)),
    }
    table = pa.table(columns)
    path = _write(tmp_path / "ours.parquet", [table], table.schema)
    assert pq.read_table(path, page_checksum_verification=True).equals(table)
    metadata = pq.read_metadata(path)
    assert _encodings(metadata, 0, "ids") == ("PLAIN", "RLE", "RLE_DICTIONARY")
    assert _encodings(metadata, 0, "late and wide") == ("RLE", "DELTA_BINARY_PACKED")
    assert _encodings(metadata, 0, "floats") == ("RLE", "PLAIN")
    # 16 bits an id, 13, 4 and 8 bytes a float, 9 bits a whole number, one a null, one for zeros and ones; from row 600,000 on 9, 20 and 7 bits
    expected = n_rows * (16 + 0.8 * 13 + 32 + 0.8 * 64 + 0.8 * 9 + 1 + 6 + 5 / 11 * (9 + 20 + 7)) / 8 + 4 * 38_000
    assert path.stat().st_size < 1.02 * expected
    with pa.OSFile(str(path)) as handle:
        for name, array in PageReader(handle, read_layout(handle, metadata, table.column_names)).read(0, table.column_names).items():
            assert plain(array).equals(table[name].chunk(0)), name
    assert duckdb.sql(f"FROM '{path}'").to_arrow_table().equals(table)
    assert pl.read_parquet(path).to_arrow().cast(table.schema).equals(table)


def test_duckdb_and_polars_read_every_type(tmp_path: Path) -> None:
    table = pa.concat_tables([_tables(OURS, shape, 999) for shape in ("few", "one", "null")])
    table = table.append_column("flag", pa.array([True, None, False] * 999)).append_column("word", pa.array(["a", None, "é"] * 999))
    path = _write(tmp_path / "ours.parquet", [table, table.slice(500, 1000)], table.schema)
    expected = pq.read_table(path)
    by_polars = pl.read_parquet(path)
    assert by_polars.equals(pl.from_arrow(expected), null_equal=True)
    by_duckdb = duckdb.sql(f"FROM '{path}'").to_arrow_table()
    for name in expected.column_names:
        if not pa.types.is_timestamp(expected[name].type) or expected[name].type.tz is None:
            assert _bits(by_duckdb[name].cast(expected[name].type)) == _bits(expected[name]), name


def test_readers_skip_row_groups_by_our_statistics(tmp_path: Path) -> None:
    batches = [pa.table({"x": pa.array([low, low + 1, None], pa.int32()), "f": [float(low), float("nan"), -0.0]}) for low in (0, 10, 20)]
    path = _write(tmp_path / "ours.parquet", batches, batches[0].schema)
    assert pq.read_table(path, filters=[("x", ">=", 11)])["x"].to_pylist() == [11, 20, 21]
    assert pq.read_table(path, filters=[("f", "=", 0.0)]).num_rows == 4
    assert duckdb.sql(f"SELECT x FROM '{path}' WHERE x BETWEEN 11 AND 20 ORDER BY x").fetchall() == [(11,), (20,)]
    assert pl.scan_parquet(path).filter(pl.col("x") == 21).collect()["x"].to_list() == [21]


def test_no_batch_or_empty_batches_give_an_empty_file(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("x", pa.int32(), metadata={"unit": "m"}), pa.field("s", pa.string())], metadata={"made": "by hand"})
    for batches in ([], [schema.empty_table()]):
        path = _write(tmp_path / "empty.parquet", batches, schema)
        assert pq.read_table(path).schema.equals(schema, check_metadata=True)
        assert pq.read_metadata(path).num_row_groups == 0


def test_batches_are_cast_to_the_schema(tmp_path: Path) -> None:
    schema = pa.schema([("x", pa.float32()), ("s", pa.dictionary(pa.int8(), pa.string()))])
    path = _write(tmp_path / "cast.parquet", [pa.table({"x": [1, 2], "s": ["a", "b"]})], schema)
    assert pq.read_table(path).schema.equals(schema)


def test_nulls_in_a_required_column_are_refused(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("x", pa.int32(), nullable=False)])
    with pytest.raises(pa.ArrowInvalid, match="non-nullable"):
        write_batches(tmp_path / "x.parquet", [pa.table([pa.array([1, None], pa.int32())], schema=schema)], schema)


def test_a_batch_in_several_arrays_is_one_row_group(tmp_path: Path) -> None:
    parts = [_tables(OURS, "few", 500), _tables(OURS, "null", 30), _tables(OURS, "few", 3)]
    _assert_well_written(tmp_path, [pa.concat_tables(parts)])


def test_what_stands_under_nulls_changes_no_byte(tmp_path: Path) -> None:
    valid = np.packbits(np.arange(800) % 3 != 0, bitorder="little")
    written = []
    for under in (0, 1_000_000):
        numbers = np.where(np.arange(800) % 3 != 0, np.arange(800) % 50, under).astype(np.int32)
        arrays = [pa.Array.from_buffers(pa.int32(), 800, [pa.py_buffer(valid), pa.py_buffer(numbers)])]
        arrays.append(pa.Array.from_buffers(pa.float32(), 800, [pa.py_buffer(valid), pa.py_buffer(numbers.astype(np.float32))]))
        table = pa.table(arrays, names=["i", "f"])
        written.append(_write(tmp_path / f"{under}.parquet", [table], table.schema).read_bytes())
        written.append(_write(tmp_path / f"{under}.parquet", [table], table.schema).read_bytes())
    assert len(set(written)) == 1


def test_keys_in_order_and_scattered_integers_stay_small(tmp_path: Path) -> None:
    n_rows = 50_000
    scattered = np.random.default_rng(0).integers(0, 1 << 20, n_rows)
    for numbers in (np.arange(n_rows), np.arange(n_rows) // 8, scattered):
        table = pa.table({"key": numbers})
        path = _write(tmp_path / "key.parquet", [table], table.schema)
        assert _encodings(pq.read_metadata(path), 0, "key") == ("RLE", "DELTA_BINARY_PACKED")
        assert pq.read_table(path).equals(table)


def test_a_byte_that_changed_is_found(tmp_path: Path) -> None:
    n_rows = 2000
    rng = np.random.default_rng(0)
    table = pa.table({"id": rng.integers(0, 9, n_rows, np.int32), "x": rng.random(n_rows), "s": ["a", "b"] * (n_rows // 2)})
    path = _write(tmp_path / "x.parquet", [table], table.schema)
    whole, group = path.read_bytes(), pq.read_metadata(path).row_group(0)
    for index in range(3):
        chunk = group.column(index)
        at = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 2
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(OSError, match="CRC"):
            pq.read_table(path, page_checksum_verification=True)


def test_columns_that_repeat_have_dictionaries_and_others_have_none(tmp_path: Path) -> None:
    n_rows = 8000
    rng = np.random.default_rng(0)
    logs = np.log1p(rng.integers(0, 50, n_rows)).astype(np.float32)
    wide = rng.integers(0, 1 << 62, n_rows)
    columns = {
        "logs": logs,
        "random": rng.random(n_rows),
        "few wide": wide[:9].repeat(n_rows // 8)[:n_rows],
        "ids": wide % 2000,
        "signed": wide,
    }
    table = pa.table({**columns, "wide": wide.astype(np.uint64), "ascending": pa.array(np.arange(n_rows), pa.uint32())})
    metadata = pq.read_metadata(_write(tmp_path / "x.parquet", [table], table.schema))
    with_dictionary = [name for name in table.column_names if "RLE_DICTIONARY" in _encodings(metadata, 0, name)]
    assert with_dictionary == ["logs", "few wide"]
    assert _encodings(metadata, 0, "ids") == ("RLE", "DELTA_BINARY_PACKED")
    assert _encodings(metadata, 0, "wide") == ("RLE", "PLAIN")
    assert _encodings(metadata, 0, "signed") == ("RLE", "DELTA_BINARY_PACKED")


def test_large_batches_are_cut_into_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.backends.arrow.write.MOST_ROWS", 400)
    table = _tables(OURS, "few", 1000)
    path = _write(tmp_path / "ours.parquet", [table], table.schema)
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [400, 400, 200]
    _assert_same_bits(pq.read_table(path), table)


def test_small_pages_hold_the_rows_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "PAGE_NBYTES", 64)
    for shape in ("few", "one", "null"):
        _assert_well_written(tmp_path, [_tables(OURS, shape, 1003)])


_LITERALS = {
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.string(): st.text(max_size=5).filter(lambda word: "\0" not in word),
    pa.bool_(): st.booleans(),
}
for _type in INTS:
    _SIGNED = not pa.types.is_unsigned_integer(_type)
    _BITS = 8 * _type.byte_width
    _WHOLE = st.integers(-(1 << _BITS - 1) if _SIGNED else 0, (1 << _BITS - _SIGNED) - 1)
    _LITERALS[_type] = st.one_of(_WHOLE, st.integers(0, 9))


@st.composite
def _batches(draw: st.DrawFn) -> list[pa.Table]:
    """Return batches of one random schema."""
    fields = draw(st.lists(st.tuples(st.sampled_from(list(_LITERALS)), st.booleans()), min_size=1, max_size=5))
    schema = pa.schema([pa.field(f"c{i}", type_, nullable=nullable) for i, (type_, nullable) in enumerate(fields)])
    batches = []
    for n_rows in draw(st.lists(st.integers(0, 40), min_size=1, max_size=3)):
        columns = []
        for type_, nullable in fields:
            few = draw(st.lists(_LITERALS[type_], min_size=1, max_size=4))
            one = st.sampled_from(few) | st.none() if nullable else st.sampled_from(few)
            columns.append(pa.array(draw(st.lists(one, min_size=n_rows, max_size=n_rows)), type_))
        batches.append(pa.table(columns, schema=schema))
    return batches


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(_batches())
def test_random_tables_are_written(tmp_path: Path, batches: list[pa.Table]) -> None:
    _assert_well_written(tmp_path, batches)
