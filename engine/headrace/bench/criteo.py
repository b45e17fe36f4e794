"""The suite `criteo`: 13 numbers filled, clipped, logged and normalised, 26 categories as ids; and its hard shapes."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from headrace.bench.cases import HEADRACE, Case, Side, short_count
from headrace.bench.files import WIDE_COLUMNS, make_files
from headrace.bench.request import Request, config, headrace, script

SHAPES = ("dictionary", "plain", "wide", "many-files")
# 5,000,000 rows of 1,000 columns would be 20 GB.
ROWS = {"wide": 200_000, "many-files": 1_000_000}
# On a GPU beside the CPU; how it goes with more workers is asked of a CPU.
GPU_CASES = ("job", "second")
CASES = ("job", "second", "workers", "processes", "memory")
# The budget of the case `memory`, and what part of the rows its other side has: whoever keeps to it peaks at the same.
BUDGET, FEWER = "2GiB", 4
TITLES = {
    "dictionary": "Criteo shape",
    "plain": "Criteo shape, plain pages and near-unique strings",
    "wide": f"{WIDE_COLUMNS:,} columns normalised",
    "many-files": "Criteo shape in 2,000 files",
}
# What a script's name begins with, by shape.
SCRIPTS = {"wide": "wide"}
# Two ways in Polars are so near each other that the machine decides which is best: both run.
VARIANTS = {"criteo": {"polars": ("polars", "polars_eager")}}


def cases(request: Request) -> list[Case]:
    """Make the data and return the cases; only `job` and `second` have peers."""
    known = GPU_CASES if request.device == "gpu" else CASES
    request.check(known)
    source = make_files(request.shape, request.data, request.rows)
    job = _wide_job(request) if request.shape == "wide" else config("criteo.yaml")
    made = []
    title = TITLES[request.shape]
    if request.wanted("job"):
        sides = (*_on_devices(request, job, source), *_peers(request, source, 1))
        made.append(Case("job", f"{title}: fit, transform, write, as a job", request.rows, sides))
    if request.wanted("second"):
        sides = (*_twice_on_devices(request, job, source), *_peers(request, source, 2))
        made.append(Case("second", f"{title}: second time in one process", request.rows, sides, times="last"))
    if "workers" in known and request.wanted("workers"):
        made.append(Case("workers", f"{title}: threads", request.rows, _scaled(request, job, source, "local")))
    if "processes" in known and request.wanted("processes"):
        made.append(Case("processes", f"{title}: Dask workers", request.rows, _scaled(request, job, source, "processes")))
    if "memory" in request.cases:  # only if asked for: few rows do not fill the budget
        title = f"{title}: the largest of 2 Dask workers with run.memory {BUDGET}"
        made.append(Case("memory", title, request.rows, _bounded(request, job, source), compares="memory"))
    return made


def _ours(request: Request, job: str, source: Path, name: str, *settings: str) -> Side:
    folder = request.work / name
    return Side(name, headrace("run", job, *_settings(source, folder, *settings), "--json"), folder, "out/latest/features")


def _on_devices(request: Request, job: str, source: Path) -> list[Side]:
    return [_ours(request, job, source, name, f"run.device={device}") for name, device in request.devices().items()]


def _twice_on_devices(request: Request, job: str, source: Path) -> list[Side]:
    sides = []
    for name, device in request.devices().items():
        folder = request.work / name
        settings = _settings(source, folder, f"run.device={device}")
        command = (sys.executable, str(script("job_headrace")), job, *settings, "--repeat", "2")
        sides.append(Side(name, command, folder, "out/latest/features"))
    return sides


def _settings(source: Path, folder: Path, *more: str) -> list[str]:
    settings = [f"source.path={json.dumps(str(source / '*.parquet'))}", f"output.path={json.dumps(str(folder / 'out'))}", *more]
    return [argument for setting in settings for argument in ("--set", setting)]


def _peers(request: Request, source: Path, repeat: int) -> list[Side]:
    stem = SCRIPTS.get(request.shape, "criteo")
    sides = []
    for peer in request.peers:
        for variant in VARIANTS.get(stem, {}).get(peer, (peer,)):
            folder = request.work / variant
            command = (sys.executable, str(script(f"{stem}_{variant}")), str(source), str(folder / "out"), "--repeat", str(repeat))
            sides.append(Side(variant, command, folder))
    return sides


def _scaled(request: Request, job: str, source: Path, cluster: str) -> tuple[Side, ...]:
    """Return the job on all cores and on one; the first counts as ours, so the ratio is what the cores save."""
    counts = sorted({os.cpu_count() or 1, 1}, reverse=True)
    return tuple(_ours(request, job, source, f"{HEADRACE}-{n}", f"run.cluster={cluster}", f"run.workers={n}") for n in counts)


def _bounded(request: Request, job: str, source: Path) -> tuple[Side, ...]:
    """Return the job within a budget on all rows, and on a part of them."""
    few = max(request.rows // FEWER, 1)
    sources = {request.rows: source, few: make_files(request.shape, request.data, few)}
    settings = ("run.cluster=processes", "run.workers=2", f"run.memory={BUDGET}")
    return tuple(
        replace(_ours(request, job, files, f"{HEADRACE}-{short_count(rows)}", *settings), rows=rows) for rows, files in sources.items()
    )


def _wide_job(request: Request) -> str:
    columns = ", ".join(f"f{index}" for index in range(WIDE_COLUMNS))
    path = request.work / "wide.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"job: wide\nsource: {{path: data/wide}}\npipeline:\n  - normalize: [{columns}]\noutput: {{path: out/wide, features: true}}\n"
    )
    return str(path)
