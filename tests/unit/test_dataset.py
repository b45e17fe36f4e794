"""Dataset: what the footers say, before anything is computed; and errors that name the file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr
from headrace.dataset import Dataset
from headrace.errors import DataError, JobError
from headrace.partitions import cut, read_partition
from headrace.table import Backend, Ledger

Write = Callable[..., Path]


def ids(*values: int | None, type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"id": pa.array(values, type_ or pa.int64())})


def read(dataset: Dataset, backend: Backend, columns: tuple[str, ...] | None = None) -> pa.Table:
    """Return all rows of a data set as the engine reads them."""
    names = dataset.schema.names if columns is None else columns
    batches = [table.to_arrow() for one in cut(dataset, names) for table in read_partition(dataset, one, names, backend, Ledger())]
    return pa.concat_tables([batch.cast(dataset.schema.select(names).to_arrow()) for batch in batches])


@pytest.fixture
def months(parquet: Write, tmp_path: Path) -> Path:
    """A folder of three files, 2, 3 and 1 rows, with what other writers leave beside them."""
    for month, values in ((1, (1, 2)), (2, (3, 4, 5)), (10, (6,))):
        parquet(ids(*values), name=f"data/m{month:02d}.parquet")
    (tmp_path / "data" / "_SUCCESS").write_text("")
    (tmp_path / "data" / "notes.txt").write_text("not Parquet")
    parquet(ids(99), name="data/.hidden.parquet")
    parquet(ids(99), name="data/_temporary/half.parquet")
    return tmp_path / "data"


@pytest.mark.parametrize("pattern", ["{}", "{}/", "{}/*.parquet", "{}/m??.parquet", "{}/m[01]*.parquet", "{}/**/m*.parquet"])
def test_directories_and_globs_find_the_files_in_order(months: Path, backend: Backend, pattern: str) -> None:
    dataset = Dataset.open(pattern.format(months))
    assert [Path(file.path).name for file in dataset.files] == ["m01.parquet", "m02.parquet", "m10.parquet"]
    assert (dataset.n_rows, len(dataset.row_groups)) == (6, 3)
    assert [(group.file, group.first_row, group.n_rows) for group in dataset.row_groups] == [(0, 0, 2), (1, 2, 3), (2, 5, 1)]
    assert read(dataset, backend)["id"].to_pylist() == [1, 2, 3, 4, 5, 6]


def test_relative_sources_find_the_same_files(months: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(months.parent)
    for source in ("data", "./data", "./data/*.parquet", "../" + months.parent.name + "/data"):
        assert Dataset.open(source).n_rows == 6
    months.rename(months.parent / ".data")
    assert Dataset.open("./.data").n_rows == 6  # what starts with a dot is left out below a source, not when it is named


def test_one_file_and_a_list_keep_their_order(months: Path, backend: Backend) -> None:
    assert Dataset.open(months / "m02.parquet").n_rows == 3
    listed = Dataset.open([months / "m10.parquet", str(months / "m01.parquet")])
    assert read(listed, backend)["id"].to_pylist() == [6, 1, 2]


def test_a_file_uri_is_a_source(months: Path, backend: Backend) -> None:
    assert read(Dataset.open(f"file://{months}/m*.parquet"), backend)["id"].to_pylist() == [1, 2, 3, 4, 5, 6]


def test_a_glob_mark_in_an_existing_name_is_part_of_the_name(parquet: Write, backend: Backend) -> None:
    path = parquet(ids(1), name="odd [1].parquet")
    assert read(Dataset.open(path), backend)["id"].to_pylist() == [1]


def test_row_groups_and_their_bytes_come_from_the_footer(parquet: Write) -> None:
    path = parquet(pa.table({"a.b": [1, 2, 3, 4], "s": [[1], [2, 3], None, []]}), 2)
    dataset = Dataset.open(path)
    metadata = pq.read_metadata(path)
    assert [group.n_rows for group in dataset.row_groups] == [2, 2]
    for index, group in enumerate(dataset.row_groups):
        chunks = [metadata.row_group(index).column(column) for column in range(2)]
        assert group.nbytes == {"a.b": chunks[0].total_uncompressed_size, "s": chunks[1].total_uncompressed_size}
    assert dataset.nbytes == path.stat().st_size


def test_hive_folders_are_columns(parquet: Write, tmp_path: Path, backend: Backend) -> None:
    for month in (2, 10):
        parquet(ids(month), name=f"hive/year=2013/month={month}/a.parquet")
    for source in ("hive", "hive/year=*/month=*/*.parquet", "hive/**/*.parquet"):
        dataset = Dataset.open(tmp_path / source)
        assert [(name, str(type_)) for name, type_ in dataset.schema.columns.items()] == [
            ("id", "int64"),
            ("year", "int64"),
            ("month", "int64"),
        ]
        assert read(dataset, backend).to_pydict() == {"id": [10, 2], "year": [2013, 2013], "month": [10, 2]}
        assert read(dataset, backend, ("month",)).to_pydict() == {"month": [10, 2]}


def test_hive_values_are_text_unless_all_are_whole_numbers(parquet: Write, tmp_path: Path, backend: Backend) -> None:
    for value in ("1", "--2", "S%C3%A3o%20Paulo"):
        parquet(ids(1), name=f"hive/p={value}/a.parquet")
    dataset = Dataset.open(tmp_path / "hive")
    assert str(dataset.schema["p"]) == "string"
    assert read(dataset, backend)["p"].to_pylist() == ["--2", "1", "São Paulo"]


def test_the_name_that_hive_gives_a_null_is_a_null(parquet: Write, tmp_path: Path, backend: Backend) -> None:
    for value in ("3", "__HIVE_DEFAULT_PARTITION__"):
        parquet(ids(1), name=f"hive/p={value}/q=__HIVE_DEFAULT_PARTITION__/a.parquet")
    dataset = Dataset.open(tmp_path / "hive")
    assert [str(dataset.schema[name]) for name in "pq"] == ["int64", "string"]
    assert read(dataset, backend).to_pydict() == {"id": [1, 1], "p": [3, None], "q": [None, None]}


def test_a_file_outside_the_hive_folders_is_refused(parquet: Write, tmp_path: Path) -> None:
    parquet(ids(1), name="hive/p=1/a.parquet")
    parquet(ids(1), name="hive/b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet, column 'p': lies in no folder p=\.\.\., and other files do"):
        Dataset.open(tmp_path / "hive")


@pytest.mark.parametrize("source", ["nothere/*.parquet", "data/*.csv", "data/m99.parquet", "data/m??/x.parquet"])
def test_no_files_says_what_the_nearest_folder_holds(months: Path, source: str) -> None:
    with pytest.raises(JobError, match=f"no Parquet files at '.*{source[-9:-1].replace('*', '.').replace('?', '.')}") as caught:
        Dataset.open(months.parent / source)
    nearest = months if source.startswith("data") else months.parent
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(f"{nearest} holds: ")
    assert ("m01.parquet" in caught.value.hint) == (nearest == months)


def test_an_empty_list_is_no_source() -> None:
    with pytest.raises(JobError, match="no file is named\n  an empty list was given"):
        Dataset.open([])


def test_an_empty_folder_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no Parquet files at"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x", b"PAR1", b"a,b\n1,2\n" * 100, b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_not_parquet_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not a readable Parquet file") as caught:
        Dataset.open(path)
    assert caught.value.file == str(path)


def test_a_file_cut_short_is_refused(parquet: Write) -> None:
    path = parquet(ids(*range(1000)))
    content = path.read_bytes()
    for length in (len(content) - 1, len(content) // 2, 8):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match="is not a readable Parquet file"):
            Dataset.open(path)


def test_a_list_with_a_missing_file_names_it(months: Path) -> None:
    with pytest.raises(JobError, match=r"no Parquet files at '.*gone\.parquet'"):
        Dataset.open([months / "m01.parquet", months / "gone.parquet"])


def test_clashing_schemas_name_both_files(parquet: Write, tmp_path: Path) -> None:
    parquet(ids(1), name="d/a.parquet")
    parquet(pa.table({"id": ["one"]}), name="d/b.parquet")
    with pytest.raises(DataError, match=r"d/b\.parquet, column 'id': is string here, but int64 in .*d/a\.parquet"):
        Dataset.open(tmp_path / "d")


@pytest.mark.parametrize("n_rows", [3, 5_000])  # pyarrow reads the few, our own reader the many
def test_integers_are_floats_where_another_file_has_floats(parquet: Write, tmp_path: Path, backend: Backend, n_rows: int) -> None:
    parquet(pa.table({"x": pa.array([2**53, -1, None] * n_rows)}), name="d/a.parquet")
    parquet(pa.table({"x": pa.array([0.5, None], pa.float32())}), name="d/b.parquet")
    found = read(Dataset.open(tmp_path / "d"), backend)
    assert found.equals(pa.table({"x": [2.0**53, -1.0, None] * n_rows + [0.5, None]}))


def test_times_of_several_units_and_zones_are_of_the_finest_unit(parquet: Write, tmp_path: Path, backend: Backend) -> None:
    parquet(pa.table({"t": pa.array([1_500, None], pa.timestamp("ms", "Europe/Oslo"))}), name="d/a.parquet")
    parquet(pa.table({"t": pa.array([1], pa.timestamp("ns", "UTC"))}), name="d/b.parquet")
    found = read(Dataset.open(tmp_path / "d"), backend)
    assert found.equals(pa.table({"t": pa.array([1_500_000_000, None, 1], pa.timestamp("ns", "UTC"))}))


@pytest.mark.parametrize(
    ("too_large", "other"),
    [
        (pa.array([1, 2**53 + 1]), pa.array([0.5])),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([0.5])),
        (pa.array([253_402_214_400], pa.timestamp("s")), pa.array([1], pa.timestamp("ns"))),  # 9999-12-31
    ],
)
def test_a_value_that_the_common_type_does_not_hold_is_refused(
    parquet: Write, tmp_path: Path, backend: Backend, too_large: pa.Array, other: pa.Array
) -> None:
    parquet(pa.table({"x": other}), name="d/a.parquet")
    parquet(pa.table({"x": too_large}), name="d/b.parquet")
    with pytest.raises(DataError, match=r"d/b\.parquet, column 'x': is .* here, and .* does not hold it"):
        read(Dataset.open(tmp_path / "d"), backend)


@pytest.mark.parametrize("first", [0, 1])
def test_a_column_missing_in_one_file_is_refused(parquet: Write, tmp_path: Path, first: int) -> None:
    tables = [pa.table({"id": [1], "extra": [1]}), ids(2)]
    parquet(tables[first], name="d/a.parquet")
    parquet(tables[1 - first], name="d/b.parquet")
    with pytest.raises(DataError, match=r"lacks the column 'extra' that .*\.parquet has") as caught:
        Dataset.open(tmp_path / "d")
    assert caught.value.file is not None
    assert caught.value.file.endswith("ba"[first] + ".parquet")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("files of one source need one schema")


def test_a_column_of_another_spelling_in_one_file_is_named(parquet: Write, tmp_path: Path) -> None:
    parquet(pa.table({"Id": [1]}), name="d/a.parquet")
    parquet(ids(2), name="d/b.parquet")
    with pytest.raises(DataError, match=r"a\.parquet.*lacks the column 'id' that .*b\.parquet has\n  nearest: 'Id'\."):
        Dataset.open(tmp_path / "d")


@pytest.mark.parametrize(
    ("narrow", "wide", "common"),
    [
        (pa.int32(), pa.int64(), "int64"),
        (pa.int8(), pa.uint8(), "int16"),
        (pa.uint32(), pa.int32(), "int64"),
        (pa.float32(), pa.float64(), "double"),
        (pa.null(), pa.int16(), "int16"),
        (pa.null(), pa.string(), "string"),
        (pa.large_string(), pa.string(), "string"),
        (pa.large_binary(), pa.binary(), "binary"),
        (pa.large_list(pa.int64()), pa.list_(pa.int64()), "list<item: int64>"),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), "string"),
    ],
)
def test_files_of_like_types_have_one_that_holds_both(
    parquet: Write, tmp_path: Path, backend: Backend, narrow: pa.DataType, wide: pa.DataType, common: str
) -> None:
    value: Any = "x" if pa.types.is_string(wide) else b"x" if pa.types.is_binary(wide) else [1] if pa.types.is_list(wide) else 1
    one = pa.array([None if pa.types.is_null(narrow) else value, None], pa.string() if pa.types.is_dictionary(narrow) else narrow)
    parquet(pa.table({"v": one.cast(narrow)}), name="d/a.parquet")
    parquet(pa.table({"v": pa.array([value], wide)}), name="d/b.parquet")
    for names in (("a", "b"), ("b", "a")):
        dataset = Dataset.open([tmp_path / "d" / f"{name}.parquet" for name in names])
        assert str(dataset.schema["v"]) == common
        expected = {"a": [None if pa.types.is_null(narrow) else value, None], "b": [value]}
        assert read(dataset, backend)["v"].to_pylist() == expected[names[0]] + expected[names[1]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.uint64(), pa.int64()),
        (pa.int64(), pa.decimal128(9, 2)),
        (pa.timestamp("us"), pa.timestamp("us", "UTC")),
        (pa.bool_(), pa.int8()),
    ],
)
def test_types_that_no_type_holds_both_of_clash(parquet: Write, tmp_path: Path, one: pa.DataType, other: pa.DataType) -> None:
    parquet(pa.table({"v": pa.array([None], one)}), name="d/a.parquet")
    parquet(pa.table({"v": pa.array([None], other)}), name="d/b.parquet")
    with pytest.raises(DataError, match=r"column 'v': is .* here, but"):
        Dataset.open(tmp_path / "d")


def test_columns_may_stand_in_another_order(parquet: Write, tmp_path: Path, backend: Backend) -> None:
    parquet(pa.table({"a": [1], "b": ["x"]}), name="d/a.parquet")
    parquet(pa.table({"b": ["y"], "a": [2]}), name="d/b.parquet")
    assert read(Dataset.open(tmp_path / "d"), backend).to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_lists_of_dictionaries_are_read_from_several_row_groups(parquet: Write, backend: Backend) -> None:
    words = pa.array([["a", "b"], None, [], ["c", None], ["a"]])
    coded = pa.ListArray.from_arrays(words.offsets, words.values.dictionary_encode(), mask=words.is_null())
    found = read(Dataset.open(parquet(pa.table({"id": range(5), "words": coded}), 3)), backend)
    assert found.to_pydict() == {"id": [0, 1, 2, 3, 4], "words": words.to_pylist()}


def test_a_column_that_stands_twice_is_refused(parquet: Write) -> None:
    path = parquet(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
    with pytest.raises(DataError, match="column 'a': stands twice in the schema"):
        Dataset.open(path)


def test_the_fingerprint_knows_names_content_and_hive_values(parquet: Write, tmp_path: Path) -> None:
    def fingerprint(name: str, *values: int, **options: object) -> str:
        return Dataset.open(parquet(ids(*values), name=name, **options)).fingerprint

    first = fingerprint("a.parquet", 1, 2, 3)
    assert fingerprint("a.parquet", 1, 2, 3) == first
    assert fingerprint("elsewhere/a.parquet", 1, 2, 3) == first
    others = [
        fingerprint("a.parquet", 1, 2, 4),
        fingerprint("b.parquet", 1, 2, 3),
        fingerprint("a.parquet", 1, 2, 3, 3),
        fingerprint("a.parquet", 1, 2, 3, compression="zstd"),
    ]
    assert len({first, *others}) == 5
    parquet(ids(1), name="hive/p=1/a.parquet")
    before = Dataset.open(tmp_path / "hive").fingerprint
    (tmp_path / "hive" / "p=1").rename(tmp_path / "hive" / "p=2")
    assert Dataset.open(tmp_path / "hive").fingerprint != before


def test_every_byte_of_a_footer_is_in_the_fingerprint(parquet: Write) -> None:
    path = parquet(ids(*range(5)))
    before, content = Dataset.open(path).fingerprint, path.read_bytes()
    start = content.index(b"parquet-cpp-arrow")
    path.write_bytes(content[:start] + b"P" + content[start + 1 :])
    assert Dataset.open(path).fingerprint != before


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False},
        {"column_encoding": "DELTA_BYTE_ARRAY", "use_dictionary": False},
        {"column_encoding": "DELTA_LENGTH_BYTE_ARRAY", "use_dictionary": False},
    ],
)
def test_strings_are_read_from_every_page_encoding(parquet: Write, backend: Backend, options: dict[str, object]) -> None:
    values = ["Łódź", None, "", "x" * 100_000, "Łódź"]
    path = parquet(pa.table({"c": values}), 2, **options)
    assert read(Dataset.open(path), backend)["c"].to_pylist() == values


@pytest.mark.parametrize("backend", ["cpu"], indirect=True)  # cuDF does not verify checksums
def test_a_damaged_page_is_refused_with_its_place(parquet: Write, backend: Backend) -> None:
    path = parquet(
        pa.table({"good": [1, 2], "bad": ["aaaa", "bbbb"]}),
        2,
        write_page_checksum=True,
        write_statistics=False,
        compression="none",
        use_dictionary=False,
    )
    content = bytearray(path.read_bytes())
    content[content.index(b"bbbb")] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read") as caught:
        read(Dataset.open(path), backend)
    assert (caught.value.file, caught.value.row_group, caught.value.column) == (str(path), 1, "bad")


def test_a_file_that_goes_away_is_a_data_error(parquet: Write, backend: Backend) -> None:
    path = parquet(ids(1))
    dataset = Dataset.open(path)
    path.unlink()
    with pytest.raises(DataError, match="cannot be opened any more") as caught:
        read(dataset, backend)
    assert caught.value.file == str(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_data_error(parquet: Write) -> None:
    path = parquet(ids(1))
    path.chmod(0)
    with pytest.raises(DataError, match="is not a readable Parquet file"):
        Dataset.open(path)


def test_files_without_rows_and_without_row_groups_are_data(parquet: Write, tmp_path: Path, backend: Backend) -> None:
    parquet(ids(), name="d/a.parquet")
    pq.ParquetWriter(tmp_path / "d" / "b.parquet", ids().schema).close()
    parquet(ids(7), name="d/c.parquet")
    assert read(Dataset.open(tmp_path / "d"), backend)["id"].to_pylist() == [7]


def test_instants_of_int96_are_read_in_microseconds(parquet: Write, backend: Backend) -> None:
    stamps = pa.array([-62135596800000000, None, 253402300799999999], pa.timestamp("us"))  # years 1 and 9999
    path = parquet(pa.table({"t": stamps}), use_deprecated_int96_timestamps=True)
    dataset = Dataset.open(path)
    assert str(dataset.schema["t"]) == "timestamp[us]"
    assert read(dataset, backend)["t"].combine_chunks().equals(stamps)


def test_what_a_run_records_of_its_source(months: Path) -> None:
    dataset = Dataset.open(months)
    assert dataset.describe() == {
        "path": str(months),
        "files": 3,
        "row_groups": 3,
        "rows": 6,
        "bytes": sum((months / f"m{month}.parquet").stat().st_size for month in ("01", "02", "10")),
        "fingerprint": dataset.fingerprint,
    }


def test_small_files_are_read_as_few_batches_whatever_their_pages(backend: Backend, tmp_path: Path) -> None:
    texts = [["a", "b", None], ["c", "a", "d"], ["b", None, "e"], ["z", "z", "z"]]
    for index, values in enumerate(texts):
        table = pa.table({"s": pa.array(values), "n": pa.array([index, None, 7], pa.int32())})
        encoding = {"use_dictionary": False, "column_encoding": {"s": "DELTA_BYTE_ARRAY"}} if index == 1 else {}
        pq.write_table(table, tmp_path / f"{index}.parquet", **encoding)
    dataset = Dataset.open(str(tmp_path))
    (partition,) = cut(dataset, dataset.schema.names)
    tables = list(read_partition(dataset, partition, dataset.schema.names, backend, Ledger()))
    assert len(tables) == 1
    whole = tables[0].to_arrow()
    assert whole["s"].to_pylist() == [value for values in texts for value in values]
    assert whole["n"].to_pylist() == [value for index in range(4) for value in (index, None, 7)]
    assert tables[0].n_rows == 12


def test_files_are_found_from_any_working_folder(months: Path, monkeypatch: pytest.MonkeyPatch, backend: Backend) -> None:
    monkeypatch.chdir(months.parent)
    dataset = Dataset.open(f"{months.name}/*.parquet")
    assert dataset.source == f"{months.name}/*.parquet"
    assert dataset.fingerprint == Dataset.open(months).fingerprint
    monkeypatch.chdir("/")
    assert read(dataset, backend).num_rows == 6


@pytest.mark.parametrize("backend", ["cpu"], indirect=True)  # on a GPU batches are as large as memory allows
def test_small_files_of_long_strings_are_not_read_as_one(backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.backends.arrow.read.BATCH_BYTES", 10_000)
    for index in range(4):
        pq.write_table(pa.table({"s": [chr(97 + index) * 6_000]}), tmp_path / f"{index}.parquet")
    dataset = Dataset.open(str(tmp_path))
    (partition,) = cut(dataset, ["s"])
    tables = list(read_partition(dataset, partition, ["s"], backend, Ledger()))
    assert [table.n_rows for table in tables] == [2, 2]


def test_dictionaries_are_read_of_large_row_groups_only(tmp_path: Path) -> None:
    table = pa.table({"s": ["a", "b"] * 2_000, "n": [1, 2] * 2_000})
    pq.write_table(table, tmp_path / "large.parquet")
    pq.write_table(table, tmp_path / "small.parquet", row_group_size=100)
    pq.write_table(table, tmp_path / "plain.parquet", use_dictionary=False)
    found = {Path(file.path).stem: set(file.dictionaries) for file in Dataset.open(tmp_path).files}
    assert found == {"large": {"s"}, "plain": set(), "small": set()}


@pytest.mark.parametrize(("value", "n_rows"), [(2.0, 4_000), (1.0, 3_000), (1.0, 5_000)])
def test_a_file_that_changes_between_planning_and_reading_is_refused(tmp_path: Path, value: float, n_rows: int) -> None:
    def write(value: float, n_rows: int) -> None:
        # without compression and dictionaries other values leave the file as long as it was
        pq.write_table(pa.table({"x": [value] * n_rows}), tmp_path / "x.parquet", use_dictionary=False, compression="none")

    write(1.0, 4_000)
    planned = Dataset.open(tmp_path / "x.parquet")
    write(1.0, 4_000)
    fitted = hr.Pipeline([hr.Normalize(["x"])]).fit(planned)
    write(value, n_rows)
    with pytest.raises(DataError, match=r"x.parquet: has changed since the run began"):
        fitted.transform(planned)


def test_a_glob_takes_the_files_of_folders_that_are_called_as_files(parquet: Write, tmp_path: Path, backend: Backend) -> None:
    parquet(ids(1, 2), name="data/a.parquet/part-0.parquet")
    parquet(ids(3), name="data/a.parquet/_temporary/part-9.parquet")
    parquet(ids(4), name="data/b.parquet")
    assert read(Dataset.open(tmp_path / "data" / "*.parquet"), backend)["id"].to_pylist() == [1, 2, 4]


@pytest.mark.parametrize("source", ["data", "data/*.parquet"])
def test_a_link_that_leads_nowhere_is_refused_by_name(parquet: Write, tmp_path: Path, source: str) -> None:
    parquet(ids(1), name="data/a.parquet")
    (tmp_path / "data" / "b.parquet").symlink_to("nowhere.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: no such file"):
        Dataset.open(tmp_path / source)


def test_a_file_that_two_sources_name_is_refused(months: Path) -> None:
    with pytest.raises(JobError, match=r"m02\.parquet' is named 2 times"):
        Dataset.open([months / "*.parquet", f"{months}/../{months.name}/m02.parquet"])


def test_a_tilde_is_the_home_folder(months: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(months.parent))
    assert Dataset.open("~/data/m01.parquet").n_rows == 2


WITH_ONE_WRONG_BIT = """
import sys
from pathlib import Path

from headrace.dataset import Dataset
from headrace.errors import DataError

path = Path(sys.argv[1])
whole = path.read_bytes()
n_footer = int.from_bytes(whole[-8:-4], "little")
refused = 0
for bit in range(8 * (len(whole) - 8 - n_footer), 8 * len(whole)):
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    path.write_bytes(changed)
    try:
        Dataset.open(path)
    except DataError as error:
        assert error.file == str(path)
        refused += 1
print(refused)
"""


def test_no_bit_of_a_footer_ends_the_process(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": [1, None], "s": ["a", "b"]}), path, store_schema=False)
    done = subprocess.run([sys.executable, "-c", WITH_ONE_WRONG_BIT, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_a_list_without_items_may_have_no_kind(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": [1, 2, 3]}), path, store_schema=False)
    whole = path.read_bytes()
    n_footer = int.from_bytes(whole[-8:-4], "little")
    # A list of no key-value pairs (field 5), as fastparquet writes it, between the row groups and who wrote them (field 6).
    before, writer, behind = whole[-8 - n_footer : -8].partition(b"\x28\x20parquet-cpp-arrow")
    footer = before + b"\x19\x00" + b"\x18" + writer[1:] + behind
    path.write_bytes(whole[: -8 - n_footer] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    assert [group.n_rows for group in Dataset.open(path).row_groups] == [3]


def test_text_that_is_no_parquet_is_to_be_converted(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"rows\.csv: is not a readable Parquet file: .*\n  convert it to Parquet first"):
        Dataset.open(tmp_path / "rows.csv")


@pytest.mark.parametrize("scheme", ["s3", "ftp", "https"])
def test_a_password_in_a_path_is_refused_and_not_repeated(scheme: str) -> None:
    with pytest.raises(JobError, match=rf"a password stands in '{scheme}://...@bucket/x/\*.parquet'\n  paths are written") as caught:
        Dataset.open(f"{scheme}://me:hush@bucket/x/*.parquet")
    assert "hush" not in f"{caught.value} {caught.value.fields()}"
