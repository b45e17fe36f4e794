"""Do two sets of Parquet files hold the same rows? Run as a process of its own: the driver of the runs stays small.

    python -m headrace.bench.agreement FILE... --with FILE...

prints one line of JSON. Whole numbers, and what is null, must be equal; floats to 1e-5 of the larger value, or of 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

TOLERANCE = 1e-5
BATCH_ROWS = 1 << 17


def agreement_of(ours: Sequence[Path], theirs: Sequence[Path]) -> dict[str, Any]:
    """Compare two sets of files, row by row in their order, in another process.

    Returns
    -------
    `rows` of both, `columns` compared, `mismatches` by column (only columns that have some), `mismatched_rows`, and
    `largest_difference` of floats in units of the larger value, or of 1. With `error` in place of them if rows or columns
    are not the same in number or name.
    """
    command = [sys.executable, "-m", "headrace.bench.agreement", *map(str, ours), "--with", *map(str, theirs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {
            "error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"the comparison ended with status {done.returncode}"
        }
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(ours: Sequence[Path], theirs: Sequence[Path]) -> dict[str, Any]:
    """Compare two sets of files; see `agreement_of`."""
    import pyarrow.parquet as pq

    rows = [sum(pq.read_metadata(path).num_rows for path in paths) for paths in (ours, theirs)]
    if not ours or not theirs or rows[0] != rows[1]:
        return {"error": f"{rows[0]:,} rows in {len(ours)} files against {rows[1]:,} rows in {len(theirs)} files"}
    names = [pq.read_schema(paths[0]).names for paths in (ours, theirs)]
    if sorted(names[0]) != sorted(names[1]):
        return {"error": f"the columns differ: {', '.join(sorted(set(names[0]) ^ set(names[1])))}"}
    return _compare_rows(_tables(ours, names[0]), _tables(theirs, names[0]), rows[0], names[0])


def _compare_rows(ours: Iterator[Any], theirs: Iterator[Any], rows: int, names: Sequence[str]) -> dict[str, Any]:
    import numpy as np

    counts = dict.fromkeys(names, 0)
    largest, wrong_rows = 0.0, 0
    for one, other in zip(ours, theirs, strict=True):
        is_wrong = np.zeros(one.num_rows, dtype=np.bool_)
        for name in names:
            differs, difference = _differences(one[name], other[name])
            counts[name] += int(differs.sum())
            largest = max(largest, difference)
            is_wrong |= differs
        wrong_rows += int(is_wrong.sum())
    mismatches = {name: count for name, count in counts.items() if count}
    return {"rows": rows, "columns": len(names), "mismatches": mismatches, "mismatched_rows": wrong_rows, "largest_difference": largest}


def _tables(paths: Sequence[Path], names: Sequence[str]) -> Iterator[Any]:
    """Yield the rows of the files in tables of the same size, whatever the row groups are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def batches() -> Iterator[Any]:
        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS, columns=list(names), use_threads=False):
                yield pa.Table.from_batches([batch]).select(list(names))

    kept: list[Any] = []
    for table in chain(batches(), [None]):
        if table is not None:
            kept.append(table)
        size = sum(one.num_rows for one in kept)
        while size >= BATCH_ROWS or (table is None and size):
            joined = pa.concat_tables(kept).combine_chunks()
            yield joined.slice(0, BATCH_ROWS)
            kept = [joined.slice(BATCH_ROWS)]
            size = kept[0].num_rows


def _differences(one: Any, other: Any) -> tuple[Any, float]:
    """Return which rows differ, and the largest difference of floats."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    nulls = pc.xor(pc.is_null(one), pc.is_null(other)).to_numpy(zero_copy_only=False)
    if not (pa.types.is_floating(one.type) or pa.types.is_floating(other.type)):
        common = one.type if not pa.types.is_integer(one.type) else pa.int64()
        unequal = pc.fill_null(pc.not_equal(one.cast(common), other.cast(common)), False)
        return nulls | unequal.to_numpy(zero_copy_only=False), 0.0
    left, right = (column.cast(pa.float64()).to_numpy(zero_copy_only=False) for column in (one, other))
    with np.errstate(invalid="ignore"):  # inf - inf
        difference = np.abs(left - right) / np.maximum(np.maximum(np.abs(left), np.abs(right)), 1.0)
    difference[(left == right) | (np.isnan(left) & np.isnan(right))] = 0.0
    differs = ~(difference <= TOLERANCE)
    known = difference[~np.isnan(difference)]
    return nulls | differs, float(known.max(initial=0.0))


def main(arguments: Sequence[str]) -> None:
    """Compare what the command line names, and print what was found."""
    place = list(arguments).index("--with")
    found = compare([Path(name) for name in arguments[:place]], [Path(name) for name in arguments[place + 1 :]])
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
