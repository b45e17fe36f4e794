"""Parquet on a device: the CPU's columns, whichever reader makes them; damaged files are clear errors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.comparing import assert_same_column
from tests.gpu.where import MARKS, ON_STANDIN
from tests.laws.examples import rows

from headrace.dataset import Dataset
from headrace.errors import DataError
from headrace.table import Backend

pytestmark = MARKS

NAN = float("nan")


def read(backend: Backend, source: Path | str, columns: list[str] | None = None) -> list[tuple[int, int, dict[str, pa.Array]]]:
    dataset = Dataset.open(str(source))
    names = dataset.schema.names if columns is None else columns
    return [
        (first, n_rows, {name: backend.to_arrow(column) for name, column in made.items()})
        for first, n_rows, made in backend.read(dataset, dataset.row_groups, names)
    ]


def whole(backend: Backend, source: Path | str) -> dict[str, pa.Array]:
    batches = read(backend, source)
    names = batches[0][2]
    plain = {name: [_plain(columns[name]) for _, _, columns in batches] for name in names}
    return {name: pa.concat_arrays([piece.cast(pieces[0].type) for piece in pieces]) for name, pieces in plain.items()}


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary.take(array.indices) if pa.types.is_dictionary(array.type) else array


def assert_read_alike(cpu: Backend, gpu: Backend, source: Path | str) -> None:
    expected, found = whole(cpu, source), whole(gpu, source)
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert_same_column(found[name], array, name=name)


def test_every_kind_of_column_is_read_as_on_the_cpu(cpu: Backend, gpu: Backend, parquet: Callable[..., Path]) -> None:
    assert_read_alike(cpu, gpu, parquet(rows(200), 3))


def test_null_and_nan_stay_two_things(gpu: Backend, parquet: Callable[..., Path]) -> None:
    table = pa.table({"x": [1.0, NAN, None, -0.0], "y": pa.array([None, NAN, 1.5, 2.5], pa.float32())})
    found = whole(gpu, parquet(table))
    assert_same_column(found["x"], table["x"])
    assert_same_column(found["y"], table["y"])


@pytest.mark.parametrize(
    "array",
    [
        pa.array([Decimal("1.50"), None, Decimal("-2.25")], pa.decimal128(9, 2)),
        pa.array([b"\xff", None, b""]),
        pa.array([dt.time(1, 2, 3), None, dt.time(0)], pa.time64("us")),
        pa.array([1, None, 3], pa.int8()),
        pa.array([1, None, 2**64 - 1], pa.uint64()),
        pa.array([True, None, False]),
        pa.array([dt.date(1969, 12, 31), None, dt.date(2024, 2, 29)]),
        pa.array([-1, None, 2**40], pa.timestamp("ms", "Europe/Oslo")),
        pa.array([-1, None, 2**60], pa.timestamp("ns")),
        pa.array([["a", None], None, []], pa.list_(pa.string())),
        pa.array([[1], None, [None, 2]], pa.list_(pa.int16())),
        pa.array([[[1, 2], [3]], None, [[], None, [4]]], pa.list_(pa.list_(pa.int32()))),
        pa.array([[1.5, None], None, [0.5]], pa.list_(pa.float32())),
        pa.array([[True, None], None, [False]], pa.list_(pa.bool_())),
        pa.array([[dt.date(1969, 12, 31), None], None, []], pa.list_(pa.date32())),
        pa.array([[-1, None], None, [2**40]], pa.list_(pa.timestamp("ms", "UTC"))),
        pa.array([[Decimal("1.5"), None], None, []], pa.list_(pa.decimal128(5, 1))),
        pa.array([["a", None], None, ["a"]], pa.large_list(pa.large_string())),
        pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)),
        pa.array([["a"], None, ["b", "a"]], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
        pa.array([1, None, -5], pa.duration("ms")),
        pa.array([1, None, 3], pa.time32("ms")),
        pa.array([0.5, None, 1.5], pa.float16()),
        pa.array([dt.date(1969, 12, 31), None], pa.date64()),
        pa.array(["x", None, "x"]).dictionary_encode(),
        pa.array([7, None, 7]).dictionary_encode(),
        pa.array([b"ab", None], pa.binary(2)),
        pa.nulls(3, pa.string()),
        pa.nulls(3, pa.list_(pa.int64())),
        pa.nulls(3),
        pa.nulls(3, pa.float64()),
    ],
    ids=lambda array: str(array.type),
)
def test_a_type_is_read_as_on_the_cpu(array: pa.Array, cpu: Backend, gpu: Backend, parquet: Callable[..., Path]) -> None:
    assert_read_alike(cpu, gpu, parquet(pa.table({"x": array})))


def test_files_of_unlike_widths_have_the_data_sets_type(cpu: Backend, gpu: Backend, tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": pa.array([1, None], pa.int16()), "f": pa.array([1e-40, None], pa.float32())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"n": pa.array([2**40], pa.int64()), "f": pa.array([0.1], pa.float64())}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"n": pa.array([7], pa.int16()), "f": pa.array([-1e-40], pa.float32())}), tmp_path / "c.parquet")
    assert_read_alike(cpu, gpu, tmp_path / "*.parquet")


def test_instants_of_96_bits_are_read_in_microseconds(cpu: Backend, gpu: Backend, parquet: Callable[..., Path]) -> None:
    stamps = pa.array([-62135596800000000, None, 253402300799999999], pa.timestamp("us"))  # years 1 and 9999
    assert_read_alike(cpu, gpu, parquet(pa.table({"t": stamps, "n": [1, 2, 3]}), use_deprecated_int96_timestamps=True))


def test_hive_folders_are_columns(cpu: Backend, gpu: Backend, tmp_path: Path) -> None:
    for month in (1, 2):
        (tmp_path / f"month={month}").mkdir()
        pq.write_table(pa.table({"x": [month, month]}), tmp_path / f"month={month}" / "part.parquet")
    assert_read_alike(cpu, gpu, tmp_path)


def test_a_folder_above_the_source_is_no_column(cpu: Backend, gpu: Backend, tmp_path: Path) -> None:
    (tmp_path / "x=5").mkdir()
    pq.write_table(pa.table({"x": [1, 2], "y": [3, 4]}), tmp_path / "x=5" / "part.parquet")
    assert_read_alike(cpu, gpu, tmp_path / "x=5" / "part.parquet")
    assert whole(gpu, tmp_path / "x=5" / "part.parquet")["x"].to_pylist() == [1, 2]


@pytest.mark.parametrize("index", [["id"], ["id", "word"], [None]], ids=str)
def test_what_pandas_called_the_index_is_a_column(index: list[str], cpu: Backend, gpu: Backend, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [3, 3, 4], "word": ["a", None, "b"], "x": [0.5, 1.5, 2.5]})
    (frame.iloc[[2, 0, 1]] if index == [None] else frame.set_index(index)).to_parquet(tmp_path / "x.parquet")
    assert_read_alike(cpu, gpu, tmp_path / "x.parquet")


def test_every_second_row_of_a_frame_of_pandas_is_read_by_arrow_at_once(
    cpu: Backend, gpu: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.backends.cudf import read as reading

    pd.DataFrame({"x": [0.5, 1.5, 2.5, 3.5]})[::2].to_parquet(tmp_path / "x.parquet")
    monkeypatch.setattr(reading, "_decoded", None)
    assert_read_alike(cpu, gpu, tmp_path / "x.parquet")


def test_a_column_named_as_a_field_of_another_is_read(gpu: Backend, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [{"b": 1}], "a.b": [7], "c.d": [8]}), tmp_path / "x.parquet")
    dataset = Dataset.open(tmp_path / "x.parquet")
    ((_, _, columns),) = gpu.read(dataset, dataset.row_groups, ["a.b", "c.d"])
    assert [gpu.to_arrow(columns[name]).to_pylist() for name in ("a.b", "c.d")] == [[7], [8]]


def test_a_name_with_the_signs_of_a_pattern_is_that_file(gpu: Backend, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x[1].parquet")
    pq.write_table(pa.table({"x": [2]}), tmp_path / "x1.parquet")
    assert whole(gpu, tmp_path / "x[1].parquet")["x"].to_pylist() == [1]


def test_files_elsewhere_are_left_to_arrow_which_fetches_what_it_needs(
    cpu: Backend, gpu: Backend, parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.backends.cudf import read as reader

    with fsspec.open("memory://rows/part.parquet", "wb") as file:
        file.write(parquet(rows(50)).read_bytes())

    def fetch_all(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(reader.cudf, "read_parquet", fetch_all)
    assert_read_alike(cpu, gpu, "memory://rows/part.parquet")


def test_no_column_still_has_its_rows(gpu: Backend, parquet: Callable[..., Path]) -> None:
    ((first, n_rows, columns),) = read(gpu, parquet(rows(50), 2), [])
    assert (first, n_rows, columns) == (0, 50, {})


def test_batches_end_where_they_are_large_enough(gpu: Backend, parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.backends.cudf import read as reader

    path = parquet(rows(120), 4)
    assert len(read(gpu, path)) == 1
    monkeypatch.setattr(reader, "BATCH_BYTES", 1)
    assert [(first, n_rows) for first, n_rows, _ in read(gpu, path)] == [(0, 30), (30, 30), (60, 30), (90, 30)]


def test_a_damaged_page_names_file_row_group_and_column(gpu: Backend, parquet: Callable[..., Path]) -> None:
    path = parquet(pa.table({"x": list(range(5_000)), "y": list(range(5_000))}), 2, compression="zstd", use_dictionary=False)
    place = pq.ParquetFile(path).metadata.row_group(1).column(1)
    content = bytearray(path.read_bytes())
    start = place.data_page_offset + 40
    content[start : start + 60] = b"\xff" * 60
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(gpu, path)
    assert (caught.value.column, caught.value.row_group) == ("y", 1)


@pytest.mark.skipif(not ON_STANDIN, reason="the real reader is not taught to fail")
def test_what_cudf_cannot_decode_and_arrow_can_is_read_by_arrow(
    gpu: Backend, parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.backends.cudf import read as reader

    path = parquet(pa.table({"x": [1, None]}))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Unsupported encoding")

    for module, name in ((reader.cudf, "read_parquet"), (reader, "from_series")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, fail)
            assert whole(gpu, path)["x"].to_pylist() == [1, None]


@pytest.mark.skipif(not ON_STANDIN, reason="the real reader is not taught to lie")
def test_rows_that_differ_from_the_footer_are_refused(gpu: Backend, parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.backends.cudf import read as reader

    path = parquet(pa.table({"x": [1, 2]}))
    other = parquet(pa.table({"x": [1]}), name="other.parquet")
    real = reader.cudf.read_parquet
    monkeypatch.setattr(reader.cudf, "read_parquet", lambda _, **options: real(str(other), **options))
    with pytest.raises(DataError, match="has 1 rows where the footer says 2"):
        read(gpu, path)


def test_a_struct_is_refused_with_what_to_do(gpu: Backend) -> None:
    with pytest.raises(DataError, match=r"a column of struct.* cannot be taken to a GPU"):
        gpu.from_arrow(pa.array([{"a": 1}]))


def test_a_file_written_anew_since_its_footer_was_read_is_refused(gpu: Backend, tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        pq.write_table(pa.table({"x": [value] * 100}), tmp_path / "x.parquet")
        if value == 1.0:
            planned = Dataset.open(tmp_path)
    with pytest.raises(DataError, match="has changed since the run began"):
        list(gpu.read(planned, planned.row_groups, ["x"]))
