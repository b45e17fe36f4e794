"""The benchmarks on a GPU: whole, and honest where there is no device. They run on the stand-ins, and in Numba's simulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gpu.driver import pretend
from tests.gpu.standin.children import prepare_children

from headrace.bench import suites, taxi
from headrace.bench.cases import SuiteResult
from headrace.errors import JobError
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
    assert path.name == "gpu-nvidia-h100-80gb-hbm3-kernels.json"
    record = json.loads(path.read_text())
    assert record["simulated"] is True
    assert record["device"]["driver"] == "570.86.15"
    assert sorted(record["kernels"]) == [form.name for form in cuda_forms()]
    clip = record["kernels"]["clip"]
    assert clip["bytes_per_s"] == pytest.approx(16 * 96 / clip["seconds"])
    assert record["kernels"]["hash64_strings"]["rows"] == 6


def on_a_gpu(suite: str, folder: Path, rows: int, cases: str) -> SuiteResult:
    """Run cases of a suite on a GPU and on the CPU, and nobody else's."""
    asked = {"rows": rows, "peers": "", "runs": 1, "shape": "dictionary", "cases": cases, "device": "gpu"}
    return suites.run_suite(suites.make_request(suite, folder / "out", folder / "data", **asked), lambda line: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("suite", ["operators", "criteo", "taxi"])
def test_no_suite_is_measured_without_a_device(suite: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path / "driver", 0)
    with pytest.raises(JobError, match="no GPU can be used here, and nothing was measured"):
        on_a_gpu(suite, tmp_path, 100, "")


@pytest.mark.parametrize(
    ("suite", "rows", "cases"),
    [("operators", 300, "clip,kernel,normalize,rolling"), ("criteo", 400, "job,second"), ("taxi", 400, "predict,second")],
)
def test_a_suite_is_run_on_a_gpu_beside_the_cpu_and_both_agree(
    suite: str, rows: int, cases: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(taxi, "TRAINING_ROWS", 2_000)
    prepare_children(monkeypatch, tmp_path)
    found = on_a_gpu(suite, tmp_path, rows, cases)
    assert [case.name for case in found.cases] == cases.split(",")
    assert [[side.name for side in case.sides] for case in found.cases] == [["headrace", "headrace-cpu"]] * len(found.cases)
    assert all(case.agreement["headrace-cpu"]["mismatches"] == {} for case in found.cases)
    assert found.machine["gpu"] == "NVIDIA H100 80GB HBM3"
    assert found.machine["gpu_driver"] == "570.86.15"
    assert found.write(tmp_path).name == f"gpu-nvidia-h100-80gb-hbm3-{suite}-{rows}.json"
