"""What all tests share: the backends there are, and row groups cut to order."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.table import Backend


@pytest.fixture(params=["arrow"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each test that asks for a backend becomes one test a backend."""
    from headrace.backends.arrow.backend import ArrowBackend

    return {"arrow": ArrowBackend}[request.param]()


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    """Write a table as one Parquet file of so many row groups, and return its path."""

    def write(table: pa.Table, row_groups: int = 1, name: str = "rows.parquet", **options: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        edges = [table.num_rows * index // row_groups for index in range(row_groups + 1)]
        with pq.ParquetWriter(path, table.schema, **options) as writer:
            for start, end in itertools.pairwise(edges):
                writer.write_table(table.slice(start, end - start), row_group_size=max(end - start, 1))
        return path

    return write


# The same examples every time: what is green here is green there. New ones are looked for by running with --hypothesis-seed.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")
