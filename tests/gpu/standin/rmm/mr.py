"""rmm.mr: which resource gives the device's memory; the stand-ins take it from `tests.gpu.standin.memory`, whatever is set."""

from __future__ import annotations

from typing import Any

from tests.gpu.standin.offered import offered, offered_function


class DeviceMemoryResource:
    """What gives memory."""


class CudaMemoryResource(DeviceMemoryResource):
    """The driver's own allocations, which is what is there at first."""


@offered("rmm", "mr.CudaAsyncMemoryResource")
class CudaAsyncMemoryResource(DeviceMemoryResource):
    """The driver's pool."""

    def __init__(self, initial_pool_size: Any = None, release_threshold: Any = None) -> None:
        pass


_current: DeviceMemoryResource = CudaMemoryResource()


@offered_function("rmm", "mr.get_current_device_resource")
def get_current_device_resource() -> DeviceMemoryResource:
    return _current


@offered_function("rmm", "mr.set_current_device_resource")
def set_current_device_resource(mr: DeviceMemoryResource) -> None:
    global _current
    if not isinstance(mr, DeviceMemoryResource):
        raise TypeError(f"Argument 'mr' has incorrect type (expected DeviceMemoryResource, got {type(mr).__name__})")
    _current = mr
