"""All that is marked `gpu` of operators, tables, files and `tests/gpu/parity`, on stand-ins of cuDF and CuPy and in Numba's CUDA simulator.

In a process of its own, since simulator and stand-ins cannot be taken back; nearly every line of the backend must be run.
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
TESTED = (
    "tests/gpu/parity",
    "tests/ops",
    "tests/laws/test_catalogue.py",
    *(f"tests/unit/test_{name}.py" for name in ("dataset", "split", "states", "table")),
)
# Tens of thousands of rows through kernels in plain Python; on a device they run too.
LARGE = ("flipping_a_label", "a_thousand_points", "a_hash_split_takes_its_share", "logarithms_of_a_lognormal", "about_equally_many")
LEAST_COVERED = 95.0  # percent of lines


@pytest.fixture(scope="module")
def parity(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The run, and the report of the lines it covered."""
    report = tmp_path_factory.mktemp("coverage") / "report.json"
    environment = {**os.environ, "HEADRACE_STANDIN": "1", "NUMBA_ENABLE_CUDASIM": "1", "COVERAGE_FILE": str(report.with_name("data"))}
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "pytest",
        "-m",
        "gpu",
        *TESTED,
        BACKEND,
        "-W",
        "ignore",
        "-rs",
        "-k",
        f"not ({' or '.join(LARGE)})",
    ]
    measured = [f"--cov={BACKEND}", f"--cov-report=json:{report}", "--cov-report="]
    done = subprocess.run([*command, *measured], capture_output=True, text=True, cwd=ROOT, env=environment, check=False, timeout=900)
    return done, json.loads(report.read_text()) if report.exists() else {}


def test_the_gpu_path_gives_what_the_cpu_gives(parity: tuple[subprocess.CompletedProcess[str], dict[str, Any]]) -> None:
    done, _ = parity
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    # the extra `test` has the second: without it the rest can be run all the same
    assert all("here they run on a device" in line or "umap-learn is not installed" in line for line in skipped), skipped


def test_nearly_every_line_of_the_backend_is_run(parity: tuple[subprocess.CompletedProcess[str], dict[str, Any]]) -> None:
    _, covered = parity
    files = {name: file["summary"]["percent_covered"] for name, file in covered["files"].items()}
    assert len(files) == len(list((ROOT / BACKEND).rglob("*.py")))
    assert covered["totals"]["percent_covered"] >= LEAST_COVERED, sorted(files.items(), key=lambda item: item[1])[:5]
