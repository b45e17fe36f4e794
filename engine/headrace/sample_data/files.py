"""Write a set of Parquet files once: atomically, with the same bytes each time, skipping those that are whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import JobError

ROWS_PER_FILE = 500_000
ROWS_PER_GROUP = 125_000
GROUPS_PER_FILE = ROWS_PER_FILE // ROWS_PER_GROUP
RECIPE_KEY = b"headrace.sample_data"
# A row group of distinct 8-byte strings makes a dictionary of 1.5 MB: above Arrow's default limit of 1 MiB the writer
# would fall back to plain pages in the middle of a column.
DICTIONARY_NBYTES_LIMIT = 2 << 20


@dataclass(frozen=True)
class WrittenFile:
    """A Parquet file that is there and whole.

    Parameters
    ----------
    path : Path
        Where it lies.
    rows : int
        Its rows, from the footer.
    nbytes : int
        Its size on disk in bytes.
    """

    path: Path
    rows: int
    nbytes: int


@dataclass(frozen=True)
class Pages:
    """How a file is encoded: ``compression`` by Parquet's codec name, dictionary or plain values, Arrow's types kept or not.

    With `store_schema` a reader gets back Arrow's own types, dictionaries included. Without it the file says only what
    Parquet says, as files of any other writer do: a column of strings is one of strings, whatever its pages.
    """

    compression: str = "snappy"
    use_dictionary: bool = True
    store_schema: bool = True


@dataclass(frozen=True)
class Shards:
    """A generated set of files ``STEM-00000.parquet``, ``STEM-00001.parquet``, ... of 500,000 rows each.

    Parameters
    ----------
    stem : str
        The first part of each file's name.
    recipe : str
        Everything that decides the content (generator, its version, seed, shape). It is kept in each footer; a file with
        another recipe is written anew.
    make_group : callable
        ``make_group(index) -> pa.Table`` of 125,000 rows: the content of the row group with that global index. It must
        depend on nothing else, so that a row is the same however many are asked for and whoever makes it.
    pages : Pages
        The encoding.
    """

    stem: str
    recipe: str
    make_group: Callable[[int], pa.Table]
    pages: Pages = Pages(store_schema=False)

    def write(self, out: Path, rows: int) -> list[WrittenFile]:
        """Write the files for `rows` rows below `out`, two or more at a time; keep those that are whole.

        Raises
        ------
        JobError
            `rows` is below 1; `out` cannot be written; or it holds more files of this stem than `rows` needs, which would
            be read together with them.
        """
        if rows < 1:
            raise JobError(f"{rows:,} rows asked for: at least 1 is needed", key="rows")
        make_folder(out)
        wanted = {out / f"{self.stem}-{index:05d}.parquet": index for index in range(-(-rows // ROWS_PER_FILE))}
        surplus = sorted(path for path in out.glob(f"{self.stem}-*.parquet") if path not in wanted)
        if surplus:
            message = f"the folder holds {len(surplus):,} more {self.stem} files than {rows:,} rows need, from {surplus[0].name} on"
            raise JobError(message, file=str(out), hint="remove them, or write to another folder")

        def write_shard(path: Path) -> WrittenFile:
            return self._write_shard(path, wanted[path], rows)

        # Each thread holds one row group of a file; the arrays are made and encoded without the GIL.
        with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
            return list(pool.map(write_shard, wanted))

    def _write_shard(self, path: Path, index: int, rows: int) -> WrittenFile:
        first_row = index * ROWS_PER_FILE
        n_rows = min(ROWS_PER_FILE, rows - first_row)
        written = whole_file(path, self.recipe)
        if written and written.rows == n_rows:
            return written
        return write_file(path, self._groups(index, n_rows), self.recipe, self.pages)

    def _groups(self, index: int, n_rows: int) -> Iterator[pa.Table]:
        for group in range(-(-n_rows // ROWS_PER_GROUP)):
            # A short last group is cut from a whole one: its rows do not depend on where the set ends.
            yield self.make_group(index * GROUPS_PER_FILE + group).slice(0, n_rows - group * ROWS_PER_GROUP)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; raise JobError if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JobError(f"the folder cannot be made: {error.strerror}", file=str(folder), hint="choose another --out") from error


def whole_file(path: Path, recipe: str) -> WrittenFile | None:
    """Return the file if it is there, ends in a footer that can be read, and was made by `recipe`; else None."""
    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return None
    if (footer.metadata or {}).get(RECIPE_KEY) != recipe.encode():
        return None
    return WrittenFile(path, footer.num_rows, path.stat().st_size)


def write_file(path: Path, groups: Iterable[pa.Table], recipe: str, pages: Pages) -> WrittenFile:
    """Write one file, a row group a table, under a hidden name; then give it its own in one step.

    Pages carry checksums, row groups statistics.

    Raises
    ------
    JobError
        The path cannot be written.
    """
    hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        rows = _write_groups(hidden, groups, recipe, pages)
        # Asked for before the name is given: once it shows, nothing else may fail.
        written = WrittenFile(path, rows, hidden.stat().st_size)
        hidden.replace(path)
    except OSError as error:
        raise JobError(f"the file cannot be written: {error.strerror or error}", file=str(path), hint="choose another --out") from error
    finally:
        hidden.unlink(missing_ok=True)
    return written


def _write_groups(path: Path, groups: Iterable[pa.Table], recipe: str, pages: Pages) -> int:
    writer: pq.ParquetWriter | None = None
    rows = 0
    try:
        for group in groups:
            if writer is None:
                writer = pq.ParquetWriter(
                    path,
                    group.schema,
                    compression=pages.compression,
                    use_dictionary=pages.use_dictionary,
                    dictionary_pagesize_limit=DICTIONARY_NBYTES_LIMIT,
                    write_statistics=True,
                    write_page_checksum=True,
                    store_schema=pages.store_schema,
                )
                writer.add_key_value_metadata({RECIPE_KEY.decode(): recipe})
            writer.write_table(group, row_group_size=max(group.num_rows, 1))
            rows += group.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows
