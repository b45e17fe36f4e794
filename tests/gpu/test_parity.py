"""All that is marked `gpu` of operators, tables, files and `tests/gpu/parity`, on stand-ins of cuDF and CuPy and in Numba's CUDA simulator.

In processes of their own, since simulator and stand-ins cannot be taken back; nearly every line of the backend must be run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BACKEND = "engine/headrace/backends/cudf"
# Each in a process of its own, at the same time.
TESTED = (
    ("tests/gpu/parity", BACKEND),
    ("tests/ops", "tests/laws", *(f"tests/unit/test_{name}.py" for name in ("dataset", "partitions", "profile", "split", "table"))),
)
# Tens of thousands of rows through kernels in plain Python; on a device they run too.
LARGE = ("flipping_a_label", "a_thousand_points", "a_hash_split_takes_its_share", "logarithms_of_a_lognormal", "about_equally_many")
LEAST_COVERED = 95.0  # percent of lines


@pytest.fixture(scope="module")
def parity(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[int, str]], dict[str, Any]]:
    """How each process ended and what it printed, and the report of the lines that they covered."""
    folder = tmp_path_factory.mktemp("coverage")
    environment = {**os.environ, "HEADRACE_STANDIN": "1", "NUMBA_ENABLE_CUDASIM": "1"}
    options = ["-W", "ignore", "-rs", "-k", f"not ({' or '.join(LARGE)})", f"--cov={BACKEND}", "--cov-report=", "-p", "no:cacheprovider"]
    running = []
    for place, tested in enumerate(TESTED):
        command = [sys.executable, "-W", "ignore", "-m", "pytest", "-m", "gpu", *tested, *options]
        own = {**environment, "COVERAGE_FILE": str(folder / f"data.{place}")}
        with (folder / f"printed.{place}").open("w") as printed:
            running.append(subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT, cwd=ROOT, env=own))
    codes = [process.wait(timeout=1800) for process in running]
    report = folder / "report.json"
    own = {**environment, "COVERAGE_FILE": str(folder / "data")}
    for action in (["combine", *(str(folder / f"data.{place}") for place in range(len(TESTED)))], ["json", "-q", "-o", str(report)]):
        subprocess.run([sys.executable, "-m", "coverage", *action], capture_output=True, cwd=ROOT, env=own, check=False, timeout=60)
    printed = [(folder / f"printed.{place}").read_text(errors="replace") for place in range(len(TESTED))]
    return list(zip(codes, printed, strict=True)), json.loads(report.read_text()) if report.exists() else {}


def test_the_gpu_path_gives_what_the_cpu_gives(parity: tuple[list[tuple[int, str]], dict[str, Any]]) -> None:
    done, _ = parity
    for code, printed in done:
        assert code == 0, printed[-6_000:]
    skipped = [line for _, printed in done for line in printed.splitlines() if line.startswith("SKIPPED")]
    # the extra `test` has the second: without it the rest can be run all the same
    assert all("here they run on a device" in line or "umap-learn is not installed" in line for line in skipped), skipped


def test_nearly_every_line_of_the_backend_is_run(parity: tuple[list[tuple[int, str]], dict[str, Any]]) -> None:
    _, covered = parity
    files = {name: file["summary"]["percent_covered"] for name, file in covered["files"].items()}
    assert len(files) == len(list((ROOT / BACKEND).rglob("*.py")))
    assert covered["totals"]["percent_covered"] >= LEAST_COVERED, sorted(files.items(), key=lambda item: item[1])[:5]
