"""Arrays that call themselves a device's, kept in the host's memory: what models ask of CuPy, and nothing else."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np


class DeviceArray(np.ndarray):
    """NumPy's array with CuPy's mark, which arithmetic on it keeps."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.ctypes.data, False), "version": 3}


def asarray(array: Any, dtype: Any = None, order: str | None = None) -> DeviceArray:
    return np.asarray(array, dtype=dtype, order=order).view(DeviceArray)  # type: ignore[arg-type]


def asnumpy(array: Any) -> np.ndarray:
    return np.asarray(array).view(np.ndarray)


def concatenate(arrays: list[Any]) -> DeviceArray:
    if not all(isinstance(array, DeviceArray) for array in arrays):
        raise TypeError("CuPy takes no NumPy arrays here")
    return np.concatenate(arrays).view(DeviceArray)


def module() -> ModuleType:
    """Return these three as a module `cupy`."""
    made = ModuleType("cupy")
    vars(made).update(asarray=asarray, asnumpy=asnumpy, concatenate=concatenate, ndarray=DeviceArray)
    return made
