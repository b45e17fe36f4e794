"""What all tests share: the backends there are, and row groups cut to order."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pyarrow as pa
import pytest
from tests.gpu.where import ON_STANDIN
from tests.writing import write_parquet

from headrace.backends import open_backend
from headrace.gpus import find_gpus
from headrace.table import Backend

DEVICES = ["cpu", *([pytest.param("gpu", marks=pytest.mark.gpu)] if ON_STANDIN or find_gpus() else [])]


@pytest.fixture(params=DEVICES)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each test that asks for a backend becomes one test a backend: of the CPU's, and of the GPU's where there is one or its stand-in."""
    return open_backend(request.param)


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    """Write a table as one Parquet file of so many row groups, and return its path."""

    def write(table: pa.Table, row_groups: int = 1, name: str = "rows.parquet", **options: object) -> Path:
        return write_parquet(tmp_path / name, table, row_groups, **options)

    return write


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none; fail where only that was asked for (`make test-gpu`)."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked or ON_STANDIN or find_gpus():
        return
    why = "no GPU can be used here; `headrace doctor` says what is missing"
    if config.option.markexpr == "gpu":
        pytest.exit(why, returncode=1)
    for item in marked:
        item.add_marker(pytest.mark.skip(reason=why))


# What `nohup` and a shell's background ignore, commands that tests start would ignore, too.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, usual)

# The same examples every time: what is green here is green there. New ones are looked for by running with --hypothesis-seed.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")
