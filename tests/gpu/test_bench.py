"""The benchmark of CUDA kernels: whole, and honest where there is no device. Its arithmetic runs in Numba's simulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gpu.driver import pretend

from headrace_kernels.cuda_catalogue import cuda_forms

ROOT = Path(__file__).parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu.kernels", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_without_a_device_nothing_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path / "driver", 0)
    done = bench("--out", str(tmp_path / "results"))
    assert done.returncode == 1
    assert done.stderr == "no GPU can be used here, and nothing was measured\n  `headrace doctor` says what is missing\n"
    assert not (tmp_path / "results").exists()


def test_every_kernel_is_measured_and_the_device_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path / "driver", 1)
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    done = bench("--rows", "96", "--repeats", "1", "--out", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").iterdir()
    assert path.name == "gpu-nvidia-h100-80gb-hbm3.json"
    record = json.loads(path.read_text())
    assert record["simulated"] is True
    assert record["device"]["driver"] == "570.86.15"
    assert sorted(record["kernels"]) == [form.name for form in cuda_forms()]
    clip = record["kernels"]["clip"]
    assert clip["bytes_per_s"] == pytest.approx(16 * 96 / clip["seconds"])
    assert record["kernels"]["hash64_strings"]["rows"] == 6
