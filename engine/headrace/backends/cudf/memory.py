"""The device memory of a process that is the first to use its GPU."""

from __future__ import annotations

import rmm


def use_pool() -> None:
    """Let the driver keep what is freed, for cuDF, CuPy and Numba alike: each allocation without it waits for the whole device.

    The driver's pool and not RMM's: that one doubles when it is full, and gives nothing back to XGBoost, which does not ask RMM. The
    driver takes what its pool does not use where anything in this process finds no memory.

    Source: "Stream Ordered Memory Allocator", CUDA C++ Programming Guide, on the physical page caching of pools.
    """
    # CuPy and Numba ask RMM from the moment cuDF is imported: it sets the allocators of both.
    rmm.mr.set_current_device_resource(rmm.mr.CudaAsyncMemoryResource())
