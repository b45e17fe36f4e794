"""`cluster: cuda` on a stand-in of dask-cuda that takes no keyword but the real ones."""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gpu.driver import pretend

from headrace.cluster import open_cluster, planned_workers
from headrace.errors import JobError, MissingLibraryError

STANDIN = Path(__file__).parent / "standin"


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """dask_cuda of the stand-in, here and in the workers; forgotten afterwards."""
    monkeypatch.syspath_prepend(STANDIN)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    yield importlib.import_module("dask_cuda")
    del sys.modules["dask_cuda"]


def test_one_worker_a_gpu_with_spilling_and_the_async_allocator(standin: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 2)
    cluster: Any = open_cluster("cuda")
    try:
        assert (cluster.name, cluster.n_workers) == ("cuda", 2)
        assert os.getpid() not in cluster.gather([cluster.submit(os.getpid) for _ in range(3)])
        settings = cluster._owned._settings
    finally:
        cluster.close()
    assert settings["enable_cudf_spill"] is settings["rmm_async"] is True
    assert settings["device_memory_limit"] < settings["rmm_maximum_pool_size"] < 1
    assert settings["host"] == "127.0.0.1"


def test_ucx_joins_several_gpus_where_it_is_installed(standin: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    class Asked(Exception):
        pass

    def cluster(**settings: Any) -> Any:
        asked.append(settings["protocol"])
        raise Asked

    pretend(monkeypatch, tmp_path, 2)
    monkeypatch.setattr(standin, "LocalCUDACluster", cluster)
    for installed in (None, object()):
        monkeypatch.setattr("headrace.cluster.find_spec", lambda name, installed=installed: installed)
        for workers in (1, 2):
            with pytest.raises(Asked):
                open_cluster("cuda", workers)
    assert asked == [None, None, None, "ucx"]


@pytest.mark.parametrize(
    ("devices", "workers", "message"),
    [
        (0, None, "the cluster `cuda` needs a GPU, and none can be used here"),
        (1, 3, "3 workers of the cluster `cuda` need a GPU each, and 1 can be used here"),
    ],
)
def test_too_few_gpus_are_a_clear_error(
    devices: int, workers: int | None, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(monkeypatch, tmp_path, devices)
    with pytest.raises(JobError) as caught:
        open_cluster("cuda", workers)
    assert message in str(caught.value)
    assert caught.value.key == "run.cluster"
    assert "headrace doctor" in str(caught.value)


def test_a_gpu_without_dask_cuda_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name == "dask_cuda":
            raise ModuleNotFoundError("No module named 'dask_cuda'")
        return real(name, *rest, **more)

    pretend(monkeypatch, tmp_path, 1)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingLibraryError, match=r"needs dask-cuda: No module named 'dask_cuda'\n  pip install 'headrace\[gpu\]'"):
        open_cluster("cuda")


@pytest.mark.parametrize(("devices", "workers", "planned"), [(0, None, 1), (2, None, 2), (2, 1, 1)])
def test_a_plan_counts_the_gpus(devices: int, workers: int | None, planned: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, devices)
    assert planned_workers("cuda", workers) == planned


def test_the_standin_refuses_what_the_real_class_lacks(standin: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'rmm_pool'"):
        standin.LocalCUDACluster(rmm_pool="1GB")
    with pytest.raises(ValueError, match="rmm_async excludes"):
        standin.LocalCUDACluster(rmm_async=True, rmm_pool_size="1GB")
