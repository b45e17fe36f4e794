"""A GPU that the engine can use is measured beside the CPU, the way a job would use it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.gpu.where import MARKS

from headrace.backends import THREADS_OF_A_GPU
from headrace.bench.calibrate import calibrate
from headrace.gpus import find_gpus

pytestmark = MARKS

JOB = """
job: small
source: {path: x}
pipeline:
  - normalize: [I1]
  - categorify: [C1]
  - select: [I1, C1]
output: {path: y}
"""


def test_a_gpu_is_measured_where_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[str] = []

    def start_seconds(files: object, folder: object, device: str) -> float:
        started.append(device)
        return 1.5

    (tmp_path / "job.yaml").write_text(JOB)  # the 39 columns of the real one take half a minute in the simulator
    monkeypatch.setattr("headrace.bench.calibrate.config", lambda name: str(tmp_path / "job.yaml"))
    # A fresh process would have no stand-ins.
    monkeypatch.setattr("headrace.bench.calibrate._start_seconds", start_seconds)
    told: list[str] = []
    found = calibrate(told.append, rows=40, runs=1)
    assert list(found.devices) == started == ["cpu", "gpu"]
    assert [line.partition(":")[0] for line in told] == started
    assert found.machine["gpu"] == find_gpus()[0].name
    gpu = found.devices["gpu"]
    assert min(gpu.read, gpu.transform, gpu.write, gpu.speedup) > 0
    assert (gpu.start_s, gpu.workers) == (1.5, THREADS_OF_A_GPU)
