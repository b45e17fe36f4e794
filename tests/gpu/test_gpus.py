"""Which GPUs are found, and what `headrace doctor` says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.gpu.driver import H100, pretend

from headrace import doctor
from headrace.gpus import Gpu, find_gpus


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Look again, as if the GPU packages were (or were not) installed: what was found, by name."""

    def look(installed: bool) -> dict[str, dict[str, str]]:
        names = tuple(doctor._GPU_PACKAGES.values())
        known = doctor._installed
        monkeypatch.setattr(doctor, "_installed", lambda asked: ("26.10.0" if installed else "") if asked[0] in names else known(asked))
        return {one["what"]: one for one in doctor._gpu_findings()}

    return look


def test_devices_are_read_from_the_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 2)
    first, second = find_gpus()
    assert first == Gpu(0, "GPU-0a2b-3c", "NVIDIA H100 80GB HBM3", 81559 << 20, (9, 0), "570.86.15")
    assert second.index == 1


@pytest.mark.parametrize(
    ("setting", "indexes"), [("1", [1]), ("1,0", [1, 0]), ("GPU-1a", [1]), ("", []), ("-1", []), ("0,7,1", [0]), ("GPU-", [])]
)
def test_hidden_devices_are_not_counted(setting: str, indexes: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    assert [gpu.index for gpu in find_gpus()] == indexes


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("MIG-1c73-84", ["MIG 3g.40gb"]),
        ("MIG-0d,MIG-0c73-84", ["MIG 1g.10gb+me", "MIG 3g.40gb"]),
        ("MIG-", []),
        ("MIG-0d,1", ["MIG 1g.10gb+me", ""]),
    ],
)
def test_a_slice_of_a_device_is_one(setting: str, names: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    found = find_gpus()
    assert [gpu.name for gpu in found] == [f"NVIDIA H100 80GB HBM3 {name}".rstrip() for name in names]
    assert [gpu.memory >> 30 for gpu in found] == [{"MIG 3g.40gb": 40, "MIG 1g.10gb+me": 10, "": 79}[name] for name in names]


def test_a_driver_that_fails_means_no_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 0)
    assert find_gpus() == ()


def test_a_device_without_numbers_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 1, line="{index}, GPU-x, NVIDIA GB10, [N/A], 12.1, {driver}\n")
    assert find_gpus() == ()


def test_doctor_without_a_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, findings: Any) -> None:
    pretend(monkeypatch, tmp_path, 0)
    found = findings(installed=False)
    assert list(found) == ["driver", "gpu", "cudf", "cuml", "dask-cuda", "cupy"]
    assert {one["state"] for one in found.values()} == {"missing"}
    assert "525.60" in found["driver"]["remedy"]
    assert found["cuml"]["remedy"] == "pip install 'headrace[gpu]'"


def test_doctor_names_the_setting_that_hides_every_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, findings: Any) -> None:
    pretend(monkeypatch, tmp_path, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = findings(installed=True)
    assert found["driver"]["state"] == "ok"
    assert found["gpu"]["found"] == "CUDA_VISIBLE_DEVICES= leaves none: jobs run on the CPU"


def test_doctor_lists_devices_driver_and_peer_access(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, findings: Any) -> None:
    pretend(monkeypatch, tmp_path, 2)
    found = findings(installed=False)
    assert found["driver"]["found"] == "570.86.15, CUDA up to 12.8"
    assert found["gpu 1"]["found"] == "NVIDIA H100 80GB HBM3, 79.6 GiB memory, compute capability 9.0"
    assert (found["peer access"]["state"], found["peer access"]["found"]) == ("missing", "1 of 2 directions")


def test_doctor_reads_the_words_of_newer_drivers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, findings: Any) -> None:
    pretend(monkeypatch, tmp_path, 1, driver="610.43")
    (tmp_path / "page").write_text("| NVIDIA-SMI 610.43   KMD Version: 610.43   CUDA UMD Version: 13.3 |\n")
    assert findings(installed=False)["driver"]["found"] == "610.43, CUDA up to 13.3"


def test_doctor_refuses_an_old_driver_and_an_old_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, findings: Any) -> None:
    pretend(monkeypatch, tmp_path, 1, driver="470.57.02", line=H100.replace("9.0", "6.1"))
    found = findings(installed=False)
    assert found["driver"]["state"] == found["gpu 0"]["state"] == "error"
    assert "too old" in found["gpu 0"]["found"]


def test_doctor_loads_what_is_installed_and_runs_a_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, findings: Any) -> None:
    def load(name: str) -> None:
        if name == "cuml":
            raise ImportError("libcublas.so.12: cannot open shared object file")

    pretend(monkeypatch, tmp_path, 1)
    monkeypatch.setattr(doctor, "import_module", load)
    found = findings(installed=True)
    assert found["cudf"]["state"] == found["dask-cuda"]["state"] == "ok"
    assert found["cuml"]["found"] == "26.10.0 does not load: ImportError: libcublas.so.12: cannot open shared object file"
    # a kernel is really launched: here the driver is a pretence, so that fails, unless Numba's simulator takes it
    assert found["gpu kernels"]["state"] in ("ok", "error")
    assert ("JFK to LHR is 5,540 km" in found["gpu kernels"]["found"]) == (found["gpu kernels"]["state"] == "ok")
