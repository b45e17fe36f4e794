"""Which device `auto`, `cpu` and `gpu` mean, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest
from tests.gpu.driver import pretend

import headrace as hr
from headrace import backends
from headrace.backends import find_device, open_backend, thread_count
from headrace.errors import JobError, MissingLibraryError


@pytest.fixture(autouse=True)
def a_process_that_has_not_looked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_ready", False)
    backends._are_installed.cache_clear()
    backends._loaded.cache_clear()


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """cuDF and CuPy as if they were installed, and a note of the memory that was set up."""
    found: dict[str, Any] = {}
    pools = ModuleType("headrace.backends.cudf.memory")
    pools.use_pool = lambda: found.update(pools=found.get("pools", 0) + 1)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "headrace.backends.cudf.memory", pools)
    monkeypatch.setattr(backends, "find_spec", lambda _: object())
    monkeypatch.setattr(backends, "import_module", lambda name: found.setdefault(name, ModuleType(name)))
    for name in ("cudf", "cupy", "dask_cuda"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return found


def test_the_cpu_is_always_there() -> None:
    assert find_device("cpu") == "cpu"
    assert open_backend("cpu").name == "arrow"


@pytest.mark.parametrize(("devices", "found"), [(0, "cpu"), (1, "gpu")])
def test_auto_is_the_gpu_if_there_is_one(
    devices: int, found: str, libraries: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(monkeypatch, tmp_path, devices)
    assert find_device("auto") == found


def test_auto_is_the_cpu_where_the_libraries_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 1)
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    assert find_device("auto") == "cpu"


def test_auto_is_the_cpu_where_the_libraries_do_not_load(
    libraries: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(monkeypatch, tmp_path, 1)
    monkeypatch.setattr(backends, "import_module", _fails)
    assert find_device("auto") == "cpu"
    with pytest.raises(MissingLibraryError, match=r"needs cuDF and CuPy: libcuda\.so\.1") as caught:
        find_device("gpu")
    assert (caught.value.key, "headrace[gpu]" in str(caught.value.hint)) == ("run.device", True)


def test_a_driver_that_gives_no_memory_is_told_as_often_as_it_is_asked(
    libraries: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The libraries load with a driver that is too old for them."""

    def refuse() -> None:
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")

    pretend(monkeypatch, tmp_path, 1)
    monkeypatch.setattr(sys.modules["headrace.backends.cudf.memory"], "use_pool", refuse)
    assert find_device("auto") == "cpu"
    monkeypatch.setitem(sys.modules, "cudf", libraries["cudf"])  # loaded, but by us
    assert find_device("auto") == "cpu"
    with pytest.raises(MissingLibraryError, match="needs cuDF and CuPy: cudaErrorInsufficientDriver"):
        find_device("gpu")


def _fails(_: str) -> None:
    raise OSError("libcuda.so.1: cannot open shared object file")


def test_a_gpu_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 0)
    with pytest.raises(JobError, match="`device: gpu` needs a GPU, and none can be used here") as caught:
        hr.Pipeline([hr.Normalize(["x"])]).fit(pa.table({"x": [1.0]}), device="gpu")
    assert caught.value.key == "run.device"


def test_a_misspelt_device_is_refused() -> None:
    with pytest.raises(JobError, match="no device 'cuda'"):
        hr.Pipeline([hr.Normalize(["x"])]).fit(pa.table({"x": [1.0]}), device="cuda")


@pytest.mark.parametrize(("in_use", "pools"), [("", 1), ("cudf", 0), ("dask_cuda", 0)])
def test_memory_is_set_up_by_whoever_uses_the_device_first(
    in_use: str, pools: int, libraries: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(monkeypatch, tmp_path, 1)
    if in_use:
        monkeypatch.setitem(sys.modules, in_use, ModuleType(in_use))
    find_device("gpu")
    assert libraries.get("pools", 0) == pools


def test_few_threads_share_a_gpu(libraries: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 1)
    assert [thread_count("local", None, asked) for asked in ("cpu", "auto", "gpu")] == [None, 4, 4]
    assert (thread_count("local", 2, "gpu"), thread_count("cuda", None, "gpu")) == (2, None)
