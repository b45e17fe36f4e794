"""Sets of sample files are written once, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import JobError
from headrace.sample_data.draws import mix32, stream, zipf_ranks
from headrace.sample_data.files import ROWS_PER_FILE, ROWS_PER_GROUP, Pages, Shards, whole_file, write_file

FIRST = pa.table({"n": pa.array([1, 2, 3], pa.int32())})
SECOND = pa.table({"n": pa.array([4], pa.int32())})


def numbered(recipe: str = "numbers") -> Shards:
    def make_group(index: int) -> pa.Table:
        start = index * ROWS_PER_GROUP
        return pa.table({"n": np.arange(start, start + ROWS_PER_GROUP, dtype=np.int64)})

    return Shards("numbers", recipe, make_group)


def times_of(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_each_table_becomes_a_row_group_with_statistics_and_the_recipe(tmp_path: Path) -> None:
    written = write_file(tmp_path / "a.parquet", [FIRST, SECOND], "recipe 1", Pages())
    footer = pq.read_metadata(written.path)
    assert (written.rows, written.nbytes) == (4, written.path.stat().st_size)
    assert [footer.row_group(i).num_rows for i in range(2)] == [3, 1]
    assert (footer.row_group(0).column(0).statistics.min, footer.row_group(0).column(0).statistics.max) == (1, 3)
    assert whole_file(written.path, "recipe 1") == written


def test_a_flipped_byte_in_a_page_is_found_by_its_checksum(tmp_path: Path) -> None:
    values = pa.table({"n": np.arange(1_000, dtype=np.int64)})
    path = write_file(tmp_path / "a.parquet", [values], "r", Pages("none", use_dictionary=False)).path
    content = bytearray(path.read_bytes())
    place = content.index((500).to_bytes(8, "little"))
    content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"CRC|checksum"):
        pq.read_table(path, page_checksum_verification=True)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet at all"])
def test_what_is_no_whole_file_does_not_pass_for_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    assert whole_file(path, "r") is None
    path.write_bytes(content)
    assert whole_file(path, "r") is None


def test_a_file_of_another_recipe_is_not_kept(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.parquet", [FIRST], "seed=1", Pages()).path
    assert whole_file(path, "seed=2") is None


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.Table]:
        yield SECOND
        raise KeyboardInterrupt

    path = write_file(tmp_path / "a.parquet", [FIRST], "r", Pages()).path
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_file(path, broken(), "r", Pages())
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.parquet"]
    assert path.read_bytes() == before


def test_rows_are_cut_into_files_and_row_groups_and_come_back_in_order(tmp_path: Path) -> None:
    rows = ROWS_PER_FILE + ROWS_PER_GROUP + 10
    written = numbered().write(tmp_path, rows)
    assert [(file.path.name, file.rows) for file in written] == [
        ("numbers-00000.parquet", ROWS_PER_FILE),
        ("numbers-00001.parquet", ROWS_PER_GROUP + 10),
    ]
    assert pq.read_metadata(written[1].path).num_row_groups == 2
    assert np.array_equal(pq.read_table(tmp_path)["n"].to_numpy(), np.arange(rows))


def test_whole_files_are_kept_and_a_truncated_one_is_made_again_with_the_same_bytes(tmp_path: Path) -> None:
    first, second = numbered().write(tmp_path, ROWS_PER_FILE + 5)
    before, content = times_of(tmp_path), second.path.read_bytes()
    assert numbered().write(tmp_path, ROWS_PER_FILE + 5) == [first, second]
    assert times_of(tmp_path) == before
    second.path.write_bytes(content[:-100])
    numbered().write(tmp_path, ROWS_PER_FILE + 5)
    assert second.path.read_bytes() == content
    assert times_of(tmp_path)[first.path.name] == before[first.path.name]


def test_a_file_with_another_number_of_rows_is_made_again(tmp_path: Path) -> None:
    numbered().write(tmp_path, 5)
    (written,) = numbered().write(tmp_path, 7)
    assert written.rows == pq.read_metadata(written.path).num_rows == 7


def test_a_folder_with_more_files_than_asked_for_is_refused(tmp_path: Path) -> None:
    numbered().write(tmp_path, ROWS_PER_FILE + 1)
    with pytest.raises(JobError, match=r"1 more numbers files than 10 rows need, from numbers-00001\.parquet"):
        numbered().write(tmp_path, 10)


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="0 rows asked for"):
        numbered().write(tmp_path, 0)


def test_a_folder_that_cannot_be_made_is_an_error_of_the_arguments(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(JobError, match="the folder cannot be made") as caught:
        numbered().write(tmp_path / "taken" / "data", 10)
    assert caught.value.file == str(tmp_path / "taken" / "data")


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "a.parquet"
    with pytest.raises(JobError, match=r"a\.parquet: the file cannot be written"):
        write_file(path, [FIRST], "r", Pages())


@pytest.mark.parametrize("exponent", [0.6, 1.0, 1.05])
def test_zipf_ranks_follow_the_power_law(exponent: float) -> None:
    counts = np.bincount(zipf_ranks(stream(1, 0), 400_000, 1_000, exponent), minlength=1_000)
    assert len(counts) == 1_000
    # Away from the first ranks, where the cut distribution is exact to a few parts in a hundred.
    assert counts[10:20].sum() / counts[110:120].sum() == pytest.approx((115.5 / 15.5) ** exponent, rel=0.1)


def test_mixed_words_stay_distinct() -> None:
    assert len(np.unique(mix32(np.arange(1_000_000, dtype=np.uint32), 5))) == 1_000_000
