"""dask-cuda without devices: one process for each GPU that the driver's stand-in shows, and every argument kept for a test to read."""

from __future__ import annotations

from typing import Any

import distributed
from tests.gpu.standin.offered import offered

from headrace.gpus import find_gpus

_OF_LOCAL_CLUSTER = ("threads_per_worker", "host", "dashboard_address", "memory_limit", "silence_logs")


@offered("dask_cuda", "LocalCUDACluster")
class LocalCUDACluster(distributed.LocalCluster):
    """As the real one: refuses more workers than devices, and settings of the allocator that exclude each other."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        if settings.get("rmm_async") and (settings.get("rmm_managed_memory") or settings.get("rmm_pool_size") is not None):
            raise ValueError("rmm_async excludes rmm_managed_memory and rmm_pool_size")
        n_workers = settings.get("n_workers") or len(find_gpus())
        if n_workers > len(find_gpus()):
            raise ValueError("Can't specify more GPUs than are visible")
        passed = {name: settings[name] for name in _OF_LOCAL_CLUSTER if name in settings}
        # UCX moves device memory: the stand-in has none, and talks TCP
        super().__init__(n_workers=n_workers, processes=True, protocol="tcp", **passed)
