"""Real files, odd files, broken files: what is damaged is refused with a clear error, and nothing ends the process."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
pytestmark = pytest.mark.skipif(
    not (CORPUS / "expected.csv").is_file(), reason="the corpus of odd files does not lie beside the repository"
)

# One of the files unfolds 4 kB to more than 2 GiB: what it does to a process must stay in a process of its own.
MEMORY_LIMIT = 3 << 30
READ_ALL = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
import headrace.backends.arrow.read
headrace.backends.arrow.read.LEAST_DECODED = 1  # our own reader is to look at every file, too
from headrace.backends.arrow.backend import ArrowBackend
from headrace.dataset import Dataset
from headrace.errors import DataError
for path in sys.argv[2:]:
    try:
        dataset = Dataset.open(path)
        found = ["read", sum(n_rows for _, n_rows, _ in ArrowBackend().read(dataset, dataset.row_groups, dataset.schema.names))]
    except DataError as error:
        found = ["refused", [error.file, str(error)]]
    except BaseException as error:
        found = ["crashed", f"{type(error).__name__}: {error}"]
    print(json.dumps([path, *found]), flush=True)
"""


def _expected() -> dict[str, dict[str, str]]:
    with (CORPUS / "expected.csv").open(newline="") as handle:
        rows = {row["path"]: row for row in csv.DictReader(handle)}
    return {
        path: row
        for path, row in rows.items()
        if path.startswith(("parquet-testing/", "arrow-fuzz/parquet/")) and not path.endswith(".csv")
    }


@pytest.fixture(scope="module")
def found() -> dict[str, list[object]]:
    """What reading each file came to: read and the rows, refused and why, or crashed."""
    paths = sorted(_expected())
    command = [sys.executable, "-c", READ_ALL, str(MEMORY_LIMIT), *(str(CORPUS / path) for path in paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"the process ended at {paths[len(lines)]}: {done.stderr[-500:]}"
    return {str(Path(path).relative_to(CORPUS)): rest for path, *rest in lines}


def _verdict(row: dict[str, str]) -> str:
    return row["note"].split()[0].rstrip(";")


def test_the_corpus_is_there_and_has_every_verdict() -> None:
    assert {_verdict(row) for row in _expected().values()} >= {"opens", "refuse", "needs-key", "checksum", "rows-differ"}
    assert len(_expected()) > 200


def test_every_file_is_read_or_refused(found: dict[str, list[object]]) -> None:
    assert {path: rest for path, rest in found.items() if rest[0] == "crashed"} == {}


def test_damaged_files_are_refused_by_name(found: dict[str, list[object]]) -> None:
    accepted = [path for path, row in _expected().items() if _verdict(row) != "opens" and found[path][0] != "refused"]
    assert accepted == []
    nameless = [path for path, (what, why) in found.items() if what == "refused" and why[0] != str(CORPUS / path)]  # type: ignore[index]
    assert nameless == []


def test_whole_files_are_read_to_the_last_row(found: dict[str, list[object]]) -> None:
    expected = {path: ["read", int(row["rows_read"])] for path, row in _expected().items() if _verdict(row) == "opens"}
    assert {path: found[path] for path in expected} == expected


def test_errors_are_short(found: dict[str, list[object]]) -> None:
    long = [why for what, why in found.values() if what == "refused" and len(why[1].splitlines()) > 4]  # type: ignore[index]
    assert long == []
