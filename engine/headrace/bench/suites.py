"""The suites, and the one function that runs one."""

from __future__ import annotations

import datetime as dt
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.bench import calls, criteo, taxi
from headrace.bench.cases import Case, CaseResult, SuiteResult
from headrace.bench.interleave import Tell, run_case
from headrace.bench.request import Request
from headrace.errors import JobError, MissingLibraryError, unknown_name
from headrace.gpus import find_gpus
from headrace.versions import installed_versions

PACKAGES = (
    "headrace",
    "pyarrow",
    "numpy",
    "numba",
    "polars",
    "duckdb",
    "dask",
    "pandas",
    "xgboost-cpu",
    "xgboost",
    "cudf-cu12",
    "cuml-cu12",
    "cupy-cuda12x",
)
DEVICES = ("auto", "cpu", "gpu")
# What a peer's scripts import, by peer.
LIBRARIES = {"polars": "polars", "duckdb": "duckdb", "dask": "dask", "numpy": "numpy"}


@dataclass(frozen=True)
class Suite:
    """A suite: its usual size, its peers, what runs its cases; its shapes, and the sizes of unusual ones."""

    rows: int
    peers: tuple[str, ...]
    run: Callable[[Request, Tell], list[CaseResult]]
    shapes: tuple[str, ...] = ("dictionary",)
    shape_rows: Mapping[str, int] = field(default_factory=dict)


def _in_turn(make: Callable[[Request], list[Case]]) -> Callable[[Request, Tell], list[CaseResult]]:
    return lambda request, tell: [run_case(case, request.runs, tell) for case in make(request)]


SUITES = {
    "criteo": Suite(5_000_000, ("polars", "duckdb", "dask"), _in_turn(criteo.cases), shapes=criteo.SHAPES, shape_rows=criteo.ROWS),
    "kernels": Suite(5_000_000, ("polars", "numpy"), calls.run),
    "operators": Suite(1_000_000, ("polars",), calls.run),
    "taxi": Suite(5_000_000, ("polars",), _in_turn(taxi.cases)),
}


def make_request(
    suite: str,
    out: Path,
    data: Path,
    *,
    rows: int | None,
    peers: str | None,
    runs: int,
    shape: str,
    cases: str | None,
    device: str = "auto",
) -> Request:
    """Check what a command line asks for.

    Raises
    ------
    JobError
        For an unknown suite, shape, peer or device, with the nearest right name; for ``gpu`` without one; if `out` is no folder to write to.
    MissingLibraryError
        If a peer's library is not installed.
    """
    found = _known("suite", suite, SUITES)
    _known("shape", shape, dict.fromkeys(found.shapes))
    _known("device", device, dict.fromkeys(DEVICES))
    if device == "gpu" and not find_gpus():
        raise JobError("no GPU can be used here, and nothing was measured", hint="`headrace doctor` says what is missing")
    chosen = found.peers if peers is None else tuple(name.strip() for name in peers.split(",") if name.strip())
    for peer in chosen:
        _known("peer", peer, dict.fromkeys(found.peers))
        _require(LIBRARIES[peer])
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # found out now, not after an hour
        raise JobError(f"results cannot be written to {out}: {error.strerror}", hint="name another folder with --out") from error
    names = tuple(name.strip() for name in cases.split(",") if name.strip()) if cases else ()
    size = found.shape_rows.get(shape, found.rows) if rows is None else rows
    return Request(suite, size, runs, chosen, out.absolute(), data.absolute(), shape, names, device)


def run_suite(request: Request, tell: Tell) -> SuiteResult:
    """Run a suite and return what it found; `tell` gets a line for each run.

    Raises
    ------
    DataError
        If the sides of a case do not agree.
    CommandFailedError
        If a side fails.
    """
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    suite = SUITES[request.suite]
    try:
        results = suite.run(request, tell)
    finally:
        shutil.rmtree(request.work, ignore_errors=True)
    shape = "" if request.shape == suite.shapes[0] else request.shape
    described = {**machine(), **(_gpu() if request.device == "gpu" else {})}
    return SuiteResult(request.suite, shape, request.runs, started, described, installed_versions(PACKAGES), tuple(results))


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, memory, system."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def _gpu() -> dict[str, Any]:
    gpu = find_gpus()[0]
    return {"gpu": gpu.name, "gpu_memory_bytes": gpu.memory, "gpu_driver": gpu.driver}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _known(kind: str, name: str, names: dict[str, Any]) -> Any:
    if name not in names:
        message, hint = unknown_name(kind, name, names)
        raise JobError(message, hint=hint)
    return names[name]


def _require(library: str) -> None:
    if library not in installed_versions([library]):
        raise MissingLibraryError(f"the peer {library} is not installed", hint="pip install 'headrace[bench]', or leave it out of --peers")
