"""Our reader of pages against pyarrow's: what it reads is the same, and what is unusual or damaged it leaves alone."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.comparing import assert_same_column

from headrace.backends.arrow import pages
from headrace.backends.arrow.backend import ArrowBackend
from headrace.backends.arrow.coded import VALUE_TYPES, is_coded, plain
from headrace.backends.arrow.pages import PageReader, read_layout
from headrace.dataset import Dataset
from headrace.errors import DataError

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
N_ROWS = 3_000
CODECS = ["none", "snappy", "gzip", "brotli", "zstd"]
NUMBERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64()]
WORDS = ["", "a", "naïve", "日本語", "🎲🎲", "x" * 300, *(f"word {i}" for i in range(400))]


def _column(type_: pa.DataType, nulls: str) -> pa.Array:
    """Return values that repeat, in runs and mixed, with no, some or only nulls."""
    rng = np.random.default_rng(5)
    picked = np.concatenate([np.zeros(N_ROWS // 3, np.int64), rng.integers(0, 100, N_ROWS - N_ROWS // 3)])
    values = pa.array([WORDS[i] for i in picked * 4]) if pa.types.is_string(type_) else pa.array(picked + 27).cast(type_)
    null = {"no": np.zeros(N_ROWS, bool), "some": rng.random(N_ROWS) < 0.3, "only": np.ones(N_ROWS, bool)}[nulls]
    return pa.array(values.to_pylist(), type_, mask=null)


def _table() -> pa.Table:
    types = [pa.string(), *NUMBERS]
    return pa.table({f"{type_}, {nulls} nulls": _column(type_, nulls) for type_ in types for nulls in ("no", "some", "only")})


def _written(table: pa.Table, **options: object) -> pa.BufferReader:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return pa.BufferReader(out.getvalue())


def _ours(source: pa.NativeFile, names: Sequence[str] | None = None, row_group: int = 0) -> dict[str, pa.Array]:
    metadata = pq.read_metadata(source)
    names = metadata.schema.to_arrow_schema().names if names is None else names
    return PageReader(source, read_layout(source, metadata, names)).read(row_group, names)


def _assert_all_read(source: pa.NativeFile, but: Sequence[str] = ()) -> dict[str, pa.Array]:
    """Fail unless every column of every row group is read here and is what pyarrow reads; return those of the last group."""
    file = pq.ParquetFile(source)
    found: dict[str, pa.Array] = {}
    for row_group in range(file.num_row_groups):
        expected = file.read_row_group(row_group)
        found = _ours(source, row_group=row_group)
        assert sorted(found) == sorted(set(expected.column_names) - set(but))
        for name, array in found.items():
            array.validate(full=True)
            assert plain(array).null_count == expected[name].null_count
            assert_same_column(array, expected[name], name=name)
    return found


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_and_page_version_is_read(codec: str, version: str) -> None:
    options = {"compression": codec, "data_page_version": version, "write_page_checksum": True}
    _assert_all_read(_written(_table(), data_page_size=256, write_batch_size=64, **options))
    _assert_all_read(_written(_table(), **options))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_plain_pages_are_read(version: str) -> None:
    found = _assert_all_read(_written(_table(), use_dictionary=False, data_page_version=version, data_page_size=500, write_batch_size=64))
    assert pa.types.is_string(found["string, some nulls"].type)


def test_each_file_is_read_by_its_own_layout_however_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.backends.arrow.read.MOST_LAYOUTS", 2)
    names = ["a", "b", "a", "c", "b"]  # files of one name are written anew
    for first, name in enumerate(names):
        values = pa.array(range(first, first + N_ROWS), [pa.int32(), pa.float64()][first % 2])
        pq.write_table(pa.table({"x": values}), tmp_path / f"{name}.parquet", row_group_size=N_ROWS - 500)
        dataset = Dataset.open(tmp_path / f"{name}.parquet")
        for group, rows in zip(dataset.row_groups, (values[: N_ROWS - 500], values[N_ROWS - 500 :]), strict=True):
            ((_, _, columns),) = ArrowBackend().read(dataset, [group], ["x"])
            assert_same_column(columns["x"], rows)


def test_plain_strings_are_checked_as_those_of_dictionaries_are() -> None:
    content = bytearray(_written(pa.table({"s": ["é" * 40, "b"]}), use_dictionary=False, compression="none", write_statistics=False).read())
    place = content.index("é".encode())
    content[place] = 0xFF  # not UTF-8 any more
    assert _ours(pa.BufferReader(bytes(content))) == {}


def test_columns_that_cannot_be_null_are_read() -> None:
    table = _table().select(["string, no nulls", "int8, no nulls", "double, no nulls"])
    required = table.cast(pa.schema([field.with_nullable(False) for field in table.schema]))
    for version in ("1.0", "2.0"):
        _assert_all_read(_written(required, data_page_version=version))
        _assert_all_read(_written(required, data_page_version=version, use_dictionary=False))


@pytest.mark.parametrize("size", [1, 127, 128, 129, 40_000])
def test_codes_are_of_the_smallest_type(size: int) -> None:
    table = pa.table({"s": [f"{i}" for i in range(size)] * 2})
    codes = _assert_all_read(_written(table))["s"].indices.type
    assert codes == (pa.int8() if size < 128 else pa.int16() if size < 1 << 15 else pa.int32())


def test_one_row_and_many_row_groups_are_read() -> None:
    table = _table()
    _assert_all_read(_written(table.slice(0, 1)))
    _assert_all_read(_written(table, row_group_size=700))


def _as_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LEAST_CODED_ROWS", N_ROWS)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", CODECS)
def test_numbers_of_few_values_are_read_as_codes(codec: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _as_codes(monkeypatch)
    options = {"compression": codec, "data_page_version": version, "write_page_checksum": True}
    for small_pages in ({}, {"data_page_size": 256, "write_batch_size": 64}):
        found = _assert_all_read(_written(_table(), **options, **small_pages))
        coded = {name for name, array in found.items() if is_coded(array)}
        assert coded == {f"{type_}, {nulls} nulls" for type_ in NUMBERS if type_ in VALUE_TYPES for nulls in ("no", "some")}
        assert all(found[name].indices.null_count == 0 for name in coded)


def test_numbers_of_many_values_and_of_few_rows_are_read_by_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (pa.table({"x": pa.array(np.arange(N_ROWS) % n, pa.int32())}) for n in (N_ROWS // 16, N_ROWS // 16 + 1))
    assert not is_coded(_ours(_written(few))["x"])
    _as_codes(monkeypatch)
    assert is_coded(_ours(_written(few))["x"])
    assert not is_coded(_assert_all_read(_written(many))["x"])
    assert not is_coded(_assert_all_read(_written(few.slice(1)))["x"])


def test_a_dictionary_that_was_given_up_is_read_by_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    _as_codes(monkeypatch)
    table = pa.table({"x": pa.array(np.append(np.arange(N_ROWS) % 50, np.arange(N_ROWS)), pa.int32())})
    source = _written(table, dictionary_pagesize_limit=256, write_batch_size=64, data_page_size=512)
    assert "PLAIN" in pq.read_metadata(source).row_group(0).column(0).encodings
    assert not is_coded(_assert_all_read(source)["x"])


def test_a_damaged_dictionary_of_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _as_codes(monkeypatch)
    table = pa.table({"x": pa.array(np.arange(N_ROWS) % 50, pa.int32())})
    old, new = (np.array(values, np.int32).tobytes() for values in ([1, 2, 3, 4], [1, 2, 7, 4]))
    path = _damaged(tmp_path / "x.parquet", table, old, new, write_page_checksum=True)
    with pytest.raises(DataError, match=r"row group 0, column 'x': cannot be read: .*CRC"):
        _batch(path)
    path = _damaged(tmp_path / "y.parquet", table, old, new)
    assert plain(_batch(path)["x"])[:4].to_pylist() == [0, 1, 2, 7]  # nothing says that this is wrong


def test_long_strings_are_read() -> None:
    _assert_all_read(
        _written(pa.table({"s": ["a" * (1 << 20), "b" * (1 << 20), None, "", "a" * (1 << 20)]}), dictionary_pagesize_limit=1 << 26)
    )


def test_floats_keep_their_bits() -> None:
    values = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324] * 50)
    found = _ours(_written(pa.table({"x": values, "y": values.astype(np.float32)})))
    assert found["x"].to_numpy().tobytes() == values.tobytes()
    assert found["y"].to_numpy().tobytes() == values.astype(np.float32).tobytes()


def test_every_layout_of_strings_is_read_as_pyarrow_reads_a_dictionary() -> None:
    strings = pa.array(["a", "b", None, "a"])
    for layout in (strings.cast(pa.large_string()), strings.dictionary_encode(), strings.cast(pa.string_view())):
        source = _written(pa.table({"s": layout}))
        expected = pq.ParquetFile(source, read_dictionary=["s"]).read()["s"].chunk(0)
        found = _ours(source)["s"]
        assert found.type.value_type == expected.type.value_type == pa.string()
        assert found.to_pylist() == expected.to_pylist()


def test_what_is_unusual_is_left_to_pyarrow() -> None:
    table = pa.table(
        {
            "truth": [True, None],
            "day": pa.array([1, 2], pa.date32()),
            "instant": pa.array([1, 2], pa.timestamp("us")),
            "decimal": pa.array([1, 2], pa.decimal128(9, 2)),
            "bytes": pa.array([b"a", b"\xff"]),
            "list": [[1], [2, 3]],
            "struct": [{"x": 1}, {"x": 2}],
            "time": pa.array([1, 2], pa.time64("us")),
            "half": pa.array([1, 2], pa.float16()),
        }
    )
    assert _ours(_written(table)) == {}


def test_numbers_of_old_files_have_the_types_that_pyarrow_gives_them() -> None:
    table = _table().select(["uint32, some nulls", "uint8, no nulls", "int8, some nulls"])  # uint32 is stored in 64 bits
    _assert_all_read(_written(table, version="1.0"))
    _assert_all_read(_written(table, version="1.0", store_schema=False))


def test_other_encodings_are_left_to_pyarrow() -> None:
    table = pa.table({"s": ["a", "b"], "i": [1, 2], "x": [1.0, 2.0]})
    encodings = {"s": "DELTA_BYTE_ARRAY", "i": "DELTA_BINARY_PACKED", "x": "BYTE_STREAM_SPLIT"}
    assert _ours(_written(table, use_dictionary=False, column_encoding=encodings)) == {}
    assert _ours(_written(table, compression="lz4")) == {}


def test_a_column_without_rows_and_names_that_are_not_there_are_left_to_pyarrow() -> None:
    source = _written(_table().slice(0, 0))
    assert _ours(source) == {}
    source = _written(pa.table({"s": ["a"]}))
    assert _ours(source, ["t"]) == {}
    assert _ours(source, row_group=1) == {}


def test_strings_whose_dictionary_grew_too_large_are_left_to_pyarrow(tmp_path: Path) -> None:
    table = pa.table({"s": [f"{i:020}" for i in range(N_ROWS)], "i": list(range(N_ROWS))})
    source = _written(table, dictionary_pagesize_limit=1 << 12, data_page_size=1 << 12)
    _assert_all_read(source, but=["s"])  # numbers go on in plain pages
    source.seek(0)
    path = tmp_path / "a.parquet"
    path.write_bytes(source.read())
    assert _batch(path)["s"].to_pylist() == table["s"].to_pylist()


@pytest.fixture(autouse=True)
def _few_rows_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.backends.arrow.read.LEAST_DECODED", 1)


def _batch(path: Path) -> dict[str, pa.Array]:
    dataset = Dataset.open(path)
    [(_, _, columns)] = ArrowBackend().read(dataset, dataset.row_groups, dataset.schema.names)
    return columns


def _damaged(path: Path, table: pa.Table, old: bytes, new: bytes, **options: object) -> Path:
    content = _written(table, compression="none", **options).read()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    return path


def test_a_dictionary_may_repeat_a_value(tmp_path: Path) -> None:
    table = pa.table({"s": ["one", "two", "six", None, "one"]})
    path = _damaged(tmp_path / "a.parquet", table, b"two\3\0\0\0six", b"one\3\0\0\0six", write_statistics=False)
    assert _batch(path)["s"].to_pylist() == ["one", "one", "six", None, "one"]


def test_only_what_our_reader_leaves_is_read_by_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    read = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_groups", lambda *args, **options: asked.append(options["columns"]) or read(*args, **options)
    )
    table = pa.table({"s": ["a", "b"], "day": pa.array([1, 2], pa.date32()), "i": [1, 2]})
    pq.write_table(table, tmp_path / "a.parquet")
    found = _batch(tmp_path / "a.parquet")
    assert list(found) == ["s", "day", "i"]
    assert asked == [["day"]]
    monkeypatch.setattr("headrace.backends.arrow.read.LEAST_DECODED", 3)
    assert {name: array.to_pylist() for name, array in _batch(tmp_path / "a.parquet").items()} == table.to_pydict()
    assert asked[1:] == [["s", "day", "i"]]


def test_a_dictionary_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    table = pa.table({"i": [1, 1], "s": ["good wörds", "b"]})
    options = {"write_statistics": False, "store_schema": False}
    path = _damaged(tmp_path / "a.parquet", table, "wörds".encode(), b"w\xb6\xc3rds", **options)
    assert _ours(pa.BufferReader(path.read_bytes())).keys() == {"i"}
    with pytest.raises(DataError, match=r"a\.parquet, row group 0, column 's': cannot be read: .*UTF"):
        _batch(path)


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    table = pa.table({"i": [1, 1], "s": ["good words", "b"]})
    options = {"write_statistics": False, "write_page_checksum": True}
    path = _damaged(tmp_path / "a.parquet", table, b"good words", b"goad words", **options)
    assert _ours(pa.BufferReader(path.read_bytes())).keys() == {"i"}
    with pytest.raises(DataError, match=r"row group 0, column 's': cannot be read: .*CRC"):
        _batch(path)
    path = _damaged(tmp_path / "b.parquet", table, b"good words", b"goad words", write_statistics=False)
    assert _batch(path)["s"].to_pylist() == ["goad words", "b"]  # nothing says that this is wrong


def test_an_encoding_that_pyarrow_lacks_is_no_damage(tmp_path: Path) -> None:
    table = pa.table({"s": pa.array(["a", "b"]).dictionary_encode()})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, use_dictionary=False, column_encoding={"s": "DELTA_BYTE_ARRAY"})
    with pytest.raises(DataError, match=r"column 's': cannot be read: Not yet implemented: .*\n.*with other settings"):
        _batch(path)


def test_an_index_that_is_not_in_the_dictionary_is_refused(tmp_path: Path) -> None:
    table = pa.table({"s": ["a", "b", "c"] * 8})
    content = bytearray(_written(table, compression="none", write_statistics=False).read())
    chunk = pq.read_metadata(io.BytesIO(content)).row_group(0).column(0)
    end = chunk.dictionary_page_offset + chunk.total_compressed_size
    content[end - 1] = 0xFF
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    assert _ours(pa.BufferReader(bytes(content))) == {}
    with pytest.raises(DataError, match="row group 0, column 's': cannot be read"):
        _batch(path)


@pytest.mark.parametrize("codec", ["snappy", "zstd", "gzip", "brotli"])
def test_a_page_that_unpacks_to_less_than_its_header_says_is_left_to_pyarrow(codec: str) -> None:
    table = pa.table({"x": pa.array([1.5] * 8)})
    content = _written(table, compression=codec, use_dictionary=False, write_statistics=False, column_encoding="PLAIN").read()
    size = 8 * 8 + 4 + 2  # values, and levels with their length
    old = bytes([0x15, 0, 0x15, *_zigzag(size)])
    assert content.count(old) == 1
    assert _ours(pa.BufferReader(content)).keys() == {"x"}
    # the footer's sum is left, so that only unpacking can tell
    longer = content.replace(old, bytes([0x15, 0, 0x15, *_zigzag(size - 1)]))
    assert _ours(pa.BufferReader(longer)) == {}


def _zigzag(number: int) -> bytes:
    number *= 2
    return bytes([number & 127 | 128, number >> 7]) if number > 127 else bytes([number])


def test_other_writers_files_are_read(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    polars = pytest.importorskip("polars")
    table = _table().select(["string, some nulls", "string, no nulls", "int32, some nulls", "int64, no nulls", "double, some nulls"])
    by_duckdb, by_polars = tmp_path / "duckdb.parquet", tmp_path / "polars.parquet"
    duckdb.from_arrow(table).write_parquet(str(by_duckdb))
    polars.from_arrow(table).write_parquet(by_polars)
    for path in (by_duckdb, by_polars):
        source = pa.BufferReader(path.read_bytes())
        found = _ours(source)
        assert any(name.startswith("string") for name in found)
        assert len(found) >= 4
        expected = pq.ParquetFile(source).read()
        for name, array in found.items():
            array.validate(full=True)
            assert_same_column(array, expected[name], name=name)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of odd files does not lie beside the repository")
def test_odd_files_are_read_as_pyarrow_reads_them() -> None:
    n_read = 0
    for path in sorted((CORPUS / "parquet-testing").rglob("*.parquet")):
        try:
            dataset = Dataset.open(path)
        except DataError:
            continue
        if len(dataset.row_groups) > 20:
            continue
        source = pa.BufferReader(path.read_bytes())
        for group in dataset.row_groups:
            for name, array in _ours(source, row_group=group.index).items():
                expected = pq.ParquetFile(source, page_checksum_verification=True).read_row_group(group.index, columns=[name])[name]
                assert_same_column(array, expected, name=f"{path.name}: {name}")
                n_read += 1
    assert n_read > 100


# Bytes of pages are changed where no checksum guards them. Pages end where the process may not read on, and the process must live.
FLIPS = """
import ctypes, io, mmap, sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
import headrace.backends.arrow.pages as pages
from headrace.backends.arrow.pages import PageReader, read_layout
from headrace_kernels.page_headers import scan_footer

libc = ctypes.CDLL(None, use_errno=True)
rooms = []
for _ in range(64):  # more than a column has pages
    room = np.frombuffer(mmap.mmap(-1, 17 * mmap.PAGESIZE), np.uint8)
    assert libc.mprotect(ctypes.c_void_p(room.ctypes.data + 16 * mmap.PAGESIZE), mmap.PAGESIZE, 0) == 0
    rooms.append(room)

def at_the_edge(buffer):
    array = np.frombuffer(buffer, np.uint8)
    room = rooms.pop(0)
    rooms.append(room)
    usable = 16 * mmap.PAGESIZE
    edge = room[usable - len(array) : usable]
    edge[:] = array
    edge.flags.writeable = False
    return edge

class Space:
    def of(self, n_bytes):
        room = at_the_edge(np.zeros(n_bytes + pages.UNPACKING_SPARE, np.uint8))
        room.flags.writeable = True
        return room

pages._space = Space()
pages.LEAST_CODED_ROWS = pages.LEAST_ROWS_A_VALUE = 1
edge, plain = at_the_edge, pages._array
rng = np.random.default_rng(int(sys.argv[1]))
n = 300
words = [None if i % 7 == 3 else f"w{i % 41}" * (i % 5) for i in range(n)]
table = pa.table({"s": words, "t": [f"{i % 3}" for i in range(n)], "i": pa.array(range(n)), "x": [None if i % 3 else i / 4 for i in range(n)], "y": [None if i % 5 else i % 30 for i in range(n)]})
read = refused = 0
for version in ("1.0", "2.0"):
    for codec in ("none", "snappy"):
        out = io.BytesIO()
        pq.write_table(table, out, data_page_version=version, compression=codec, data_page_size=200, write_batch_size=50, use_dictionary=["s", "t", "x", "y"])
        content = out.getvalue()
        metadata = pq.read_metadata(io.BytesIO(content))
        end = len(content) - 8 - metadata.serialized_size
        footer = np.frombuffer(content[end:-8], np.uint8)
        whole = scan_footer(at_the_edge(footer), metadata.num_row_groups, metadata.num_columns)
        assert whole is not None
        for _ in range(500):
            changed = footer.copy()
            changed[rng.integers(0, len(footer), 2)] ^= np.uint8(1 << int(rng.integers(0, 8)))
            scan_footer(at_the_edge(changed), metadata.num_row_groups, metadata.num_columns)
            changed = bytearray(content)
            for place in rng.integers(4, end, rng.integers(1, 4)):
                changed[place] ^= 1 << int(rng.integers(0, 8))
            source = pa.BufferReader(bytes(changed))
            pages._array = plain
            reader = PageReader(source, read_layout(source, metadata, table.column_names))
            pages._array = edge
            for name in table.column_names:
                found = reader.read(0, [name]).get(name)
                if found is None:
                    refused += 1
                    continue
                found.validate(full=True)
                read += 1
                if rng.integers(0, 8) == 0:
                    expected = pq.ParquetFile(source).read_row_group(0, columns=[name], use_threads=False)[name].combine_chunks()
                    if pa.types.is_dictionary(found.type):
                        found = found.dictionary.take(found.indices)
                    same = found.equals(expected) or np.array_equal(found.to_numpy(False), expected.to_numpy(False), equal_nan=True)
                    assert same, (version, codec, name)
print(read, refused)
"""


def test_flipped_bits_end_no_process_and_are_read_as_pyarrow_reads_them() -> None:
    done = subprocess.run([sys.executable, "-c", FLIPS, "7"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused = map(int, done.stdout.split())
    assert read > 1000
    assert refused > 1000
