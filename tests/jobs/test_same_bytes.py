"""The same bytes anywhere: threads, processes, a scheduler with workers of its own, and however the data are cut."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest


def results(run: Path, digests_of: Any, folders: tuple[str, ...] = ("features", "predictions", "bundle")) -> dict[str, str]:
    """Return the digests of what readers take from a run."""
    return {name: digest for name, digest in digests_of(run).items() if name.split("/")[0] in folders and digest != "folder"}


@pytest.fixture(scope="module")
def expected(finished: Any, digests_of: Any) -> dict[str, str]:
    """What two threads made."""
    found = results(finished.out / "latest", digests_of)
    assert len(found) > 12
    return found


@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_threads_gives_the_same_bytes(desk: Any, digests_of: Any, expected: dict[str, str], workers: int) -> None:
    assert desk("run", desk.job, "--set", f"run.workers={workers}").code == 0
    assert results(desk.out / "latest", digests_of) == expected


def test_processes_give_the_same_bytes(desk: Any, digests_of: Any, expected: dict[str, str]) -> None:
    outcome = desk.in_process("run", desk.job, "--cluster", "processes", "--json")
    assert outcome.code == 0, outcome.stderr
    assert results(desk.out / "latest", digests_of) == expected


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a Dask scheduler with two workers, started as a user would, on ports that the system chose."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "dask", *arguments, "--host", "127.0.0.1", "--no-dashboard"]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True))
        return started[-1]

    def line_of(process: subprocess.Popen[str], mark: str) -> str:
        assert process.stderr is not None
        return next(line for line in process.stderr if mark in line)

    try:
        address = line_of(start("scheduler", "--port", "0"), "Scheduler at:").split()[-1]
        workers = [start("worker", address, "--nworkers", "1", "--nthreads", "1", "--no-nanny") for _ in range(2)]
        for worker in workers:
            line_of(worker, "Registered to:")
        yield address
    finally:
        for process in reversed(started):  # workers first: one that leaves says so to its scheduler
            process.terminate()
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def test_a_scheduler_with_two_workers_gives_the_same_bytes(desk: Any, digests_of: Any, expected: dict[str, str], scheduler: str) -> None:
    outcome = desk.in_process("run", desk.job, "--cluster", scheduler, "--json")
    assert outcome.code == 0, outcome.stderr
    assert results(desk.out / "latest", digests_of) == expected
    assert outcome.json["rows"]["in"] == 4000


def test_an_error_on_a_worker_is_the_same_few_lines(desk: Any) -> None:
    desk.swap("days > 3 AS", "days > 300 AS")
    outcome = desk.in_process("run", desk.job, "--cluster", "processes")
    assert outcome.code == 1
    told = [
        line for line in outcome.stderr.splitlines() if "task" not in line and "done in" not in line and not line.startswith("kernels: ")
    ]
    assert len(told) == 2
    assert told[0].startswith("error: the target ")
    assert not desk.out.exists()


@pytest.mark.parametrize(("partition", "files"), [("file", 4), ("1TiB", 1), ("1kB", 16)])
def test_any_partitions_give_the_same_rows_in_the_same_order(
    desk: Any, finished: Any, digests_of: Any, expected: dict[str, str], partition: str, files: int
) -> None:
    assert desk("run", desk.job, "--set", f"run.partition={partition}").code == 0
    for folder in ("features", "predictions"):
        assert len(list((desk.out / "latest" / folder).iterdir())) == files
        assert pq.read_table(desk.out / "latest" / folder).equals(pq.read_table(finished.out / "latest" / folder))
    bundle = {name: digest for name, digest in expected.items() if name.startswith("bundle/")}
    assert results(desk.out / "latest", digests_of, ("bundle",)) == bundle
