"""The data that suites read, made in a process of its own and kept for the next call.

    python -m headrace.bench.files SHAPE OUT ROWS

makes one of the shapes below.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from headrace.errors import HeadraceError

SEED = 7
MANY_FILES = 2_000
WIDE_COLUMNS = 1_000
WIDE_GROUP_ROWS, WIDE_FILE_ROWS = 25_000, 100_000
# Of the columns of the wide shape every fourth has nulls, one row in ten.
WIDE_NULLS_EVERY, WIDE_NULL_SHARE = 4, 0.1


def make_files(shape: str, folder: Path, rows: int) -> Path:
    """Make the files of a shape in a folder named after shape and rows, unless they are there; return that folder, absolute.

    Raises
    ------
    HeadraceError
        If they cannot be made.
    """
    place = (folder / f"{shape}-{rows}").absolute()
    command = [sys.executable, "-m", "headrace.bench.files", shape, str(place), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HeadraceError(
            f"the files of the shape {shape} cannot be made: {(done.stderr.strip() or '?').splitlines()[-1]}", file=str(place)
        )
    return place


def _criteo(shape: str) -> Callable[[Path, int], None]:
    def write(out: Path, rows: int) -> None:
        from headrace.sample_data.criteo import write_criteo

        write_criteo(out, rows, SEED, shape)

    return write


def _taxi(out: Path, rows: int) -> None:
    from headrace.sample_data.taxi import write_taxi

    write_taxi(out, rows, SEED)


def _taxi_training(out: Path, rows: int) -> None:
    from headrace.sample_data.taxi import write_taxi

    # Trips of another draw: nothing is predicted that was trained on.
    write_taxi(out, rows, SEED + 1)


def _many_files(out: Path, rows: int) -> None:
    """Write the Criteo rows as 2,000 files of one row group each."""
    import pyarrow.parquet as pq

    whole = out.with_name(f"{out.name}.whole")
    _criteo("dictionary")(whole, rows)
    size = -(-rows // MANY_FILES)
    pieces = (piece for path in sorted(whole.glob("*.parquet")) for piece in _cut(pq.read_table(path), size))
    _write_pieces(out, f"criteo in {MANY_FILES} files; rows={rows}", ([piece] for piece in pieces))


def _cut(table: Any, size: int) -> Iterator[Any]:
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size)


def _wide(out: Path, rows: int) -> None:
    """Write 1,000 float32 columns of means and deviations of their own."""
    import numpy as np
    import pyarrow as pa

    def group(first: int, size: int) -> Any:
        random = np.random.default_rng([SEED, first])
        columns = {}
        for index in range(WIDE_COLUMNS):
            values = random.standard_normal(size, dtype=np.float32) * np.float32(1 + index % 7) + np.float32(index % 50)
            is_null = random.random(size) < WIDE_NULL_SHARE if index % WIDE_NULLS_EVERY == 0 else None
            columns[f"f{index}"] = pa.array(values, mask=is_null)
        return pa.table(columns)

    def groups(first: int) -> Iterator[Any]:
        for start in range(first, min(first + WIDE_FILE_ROWS, rows), WIDE_GROUP_ROWS):
            yield group(start, min(WIDE_GROUP_ROWS, rows - start))

    _write_pieces(out, f"wide 1; rows={rows}", (groups(first) for first in range(0, rows, WIDE_FILE_ROWS)), use_dictionary=False)


def _write_pieces(out: Path, recipe: str, files: Iterator[Any], *, use_dictionary: bool = True) -> None:
    from headrace.sample_data.files import Pages, make_folder, whole_file, write_file

    make_folder(out)
    for index, groups in enumerate(files):
        path = out / f"part-{index:05d}.parquet"
        if whole_file(path, recipe) is None:
            write_file(path, groups, recipe, Pages(use_dictionary=use_dictionary, store_schema=False))


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "dictionary": _criteo("dictionary"),
    "plain": _criteo("plain"),
    "wide": _wide,
    "many-files": _many_files,
    "taxi": _taxi,
    "taxi-training": _taxi_training,
}


def main(arguments: Sequence[str]) -> None:
    """Make the files that the command line asks for."""
    shape, out, rows = arguments
    WRITERS[shape](Path(out), int(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
