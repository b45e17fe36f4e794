"""A disk that takes no more: what was being written is named, and nothing is left. A limit of the system on files stands for the disk."""

from __future__ import annotations

import datetime as dt
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import headrace as hr
from headrace.errors import OutputError
from headrace.jobs.bundle import write_output
from headrace.jobs.directory import new_run_id, run_directory

ROWS = pa.table({"x": np.random.default_rng(0).normal(size=50_000)})


@contextmanager
def little_room(nbytes: int = 100_000) -> Iterator[None]:
    """Let no file grow beyond `nbytes`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_transformed_files_that_do_not_fit_leave_nothing(tmp_path: Path) -> None:
    fitted = hr.Pipeline([hr.Normalize(["x"], dtype="float64")]).fit(ROWS)
    with little_room(), pytest.raises(OutputError, match=r"out' cannot be written: File too large"):
        fitted.transform(ROWS, tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_pipeline_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    fitted = hr.Pipeline([hr.Categorify(["x"])]).fit(ROWS)
    with little_room(), pytest.raises(OutputError, match=r"saved' cannot be written"):
        fitted.save(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def test_predictions_that_do_not_fit_leave_nothing(tmp_path: Path) -> None:
    with little_room(), pytest.raises(OutputError, match=r"rows.parquet' cannot be written"):
        write_output(tmp_path / "new" / "rows.parquet", [ROWS], ROWS.schema)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_does_not_fit_leaves_nothing_and_names_its_key(tmp_path: Path) -> None:
    def run() -> None:
        with run_directory(str(tmp_path / "out"), new_run_id(dt.datetime.now(dt.UTC))) as folder:
            (folder / "features").write_bytes(bytes(200_000))

    with little_room(), pytest.raises(OutputError, match=r"^output.path: .*out' cannot be written") as raised:
        run()
    assert raised.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []
