"""Numba's CUDA simulator on the stand-in's arrays: what it lacks of the real `numba.cuda`, so that kernels take them without a copy.

Set ``NUMBA_ENABLE_CUDASIM=1`` before Numba is imported, then call `prepare` once a process.
"""

from __future__ import annotations

import copy
import math
import threading
import warnings
from typing import Any

from numba import cuda
from numba.core.errors import NumbaPerformanceWarning
from tests.gpu.standin.memory import TRANSFERS

_ONE_KERNEL = threading.Lock()
_LEAST_BLOCKS = 128  # numba.cuda.dispatcher warns of fewer


def prepare() -> None:
    """Let the simulator view arrays with ``__cuda_array_interface__``, show its own by it, and have its copies counted."""
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
    from numba.cuda.simulator.kernel import FakeCUDAKernel
    from numba.cuda.simulator.kernelapi import FakeCUDAModule

    if "simulator" not in cuda.jit.__module__:
        raise RuntimeError("Numba was imported without NUMBA_ENABLE_CUDASIM=1")
    if hasattr(cuda, "as_cuda_array"):
        return
    to_device, copy_to_host = cuda.to_device, FakeCUDAArray.copy_to_host
    run, configure = FakeCUDAKernel.__call__, FakeCUDAKernel.__getitem__

    def counted_to_device(array: Any, *args: Any, **kwargs: Any) -> Any:
        TRANSFERS.to_device(array.nbytes)
        return to_device(array, *args, **kwargs)

    def counted_to_host(self: Any, *args: Any, **kwargs: Any) -> Any:
        TRANSFERS.to_host(self.nbytes)
        return copy_to_host(self, *args, **kwargs)

    def one_at_a_time(self: Any, *args: Any) -> Any:
        if self._device:
            return run(self, *args)
        with _ONE_KERNEL:  # the simulator has room for one launch, the engine many threads
            return run(self, *args)

    def configured(self: Any, configuration: Any) -> Any:
        """As the real one: a launch with its own numbers, whatever other threads ask for; and a warning of few blocks."""
        launch = copy.copy(self)
        configure(launch, configuration)
        if cuda.config.CUDA_LOW_OCCUPANCY_WARNINGS and math.prod(launch.grid_dim) < _LEAST_BLOCKS:
            told = f"Grid size {math.prod(launch.grid_dim)} will likely result in GPU under-utilization due to low occupancy."
            warnings.warn(NumbaPerformanceWarning(told), stacklevel=2)
        return launch

    def as_cuda_array(array: Any, sync: bool = True) -> Any:
        from cupy._array import memory_of

        return FakeCUDAArray(memory_of(array))

    cuda.to_device, cuda.as_cuda_array = counted_to_device, as_cuda_array
    FakeCUDAArray.copy_to_host = counted_to_host
    FakeCUDAKernel.__call__, FakeCUDAKernel.__getitem__ = one_at_a_time, configured
    # While a kernel runs, this stands in the place of `cuda` in its module, for all threads.
    for name in ("as_cuda_array", "to_device", "device_array", "jit"):
        setattr(FakeCUDAModule, name, staticmethod(getattr(cuda, name)))
    FakeCUDAArray.__cuda_array_interface__ = property(_interface)


def _interface(array: Any) -> dict[str, Any]:
    host = array._ary
    strides = None if host.flags.c_contiguous else host.strides
    data = (host.ctypes.data if host.size else 0, False)
    return {"shape": host.shape, "typestr": host.dtype.str, "data": data, "strides": strides, "version": 3}
