"""Matrices that lie on a GPU: whether one does, there and back, and clear errors where a library for it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from headrace.errors import MemoryBudgetError, MissingLibraryError
from headrace.models.matrix import Block

DEVICES = ("cpu", "gpu")
_INSTALL = "pip install 'headrace[gpu]', in an environment without the extra `cpu`"


def is_on_device(matrix: Any) -> bool:
    """Return whether an array lies on a GPU.

    >>> is_on_device(np.zeros(3))
    False
    """
    return hasattr(matrix, "__cuda_array_interface__")


def to_host(array: Any) -> np.ndarray:
    """Return an array on the host: itself if it is there.

    >>> to_host(np.ones(1))
    array([1.])
    """
    return gpu_library("cupy").asnumpy(array) if is_on_device(array) else array


def to_device(array: Any, dtype: type[np.generic]) -> Any:
    """Return a C-order array of `dtype` on the device: itself if it is that already."""
    return gpu_library("cupy").asarray(array, dtype=dtype, order="C")


def to_float64(array: Any) -> Any:
    """Return an array as float64, on whichever side it lies; CuPy's own conversion takes a float32 below the normal numbers for 0."""
    if not is_on_device(array):
        return array.astype(np.float64)
    from headrace.backends.cudf.values import as_float64

    return as_float64(array)


def joined_on_device(blocks: list[Block], dtype: type[np.generic]) -> tuple[Any, Any]:
    """Return all rows as one matrix on the device, and one target; blocks that lie there are not copied to the host."""
    cupy = gpu_library("cupy")
    matrices = [to_device(matrix, dtype) for matrix, _ in blocks]
    targets = [to_device(target, np.float64) for _, target in blocks]
    return cupy.concatenate(matrices), cupy.concatenate(targets)


def gpu_library(name: str) -> Any:
    """Return a library of the extra `gpu`.

    Raises
    ------
    MissingLibraryError
        It is not installed, or does not load: without a driver, for one.
    """
    try:
        return import_module(name)
    except (ImportError, OSError) as error:
        raise MissingLibraryError(f"a model on a GPU needs the library {name!r}: {error}", key="run.device", hint=_INSTALL) from error


def check_build(xgboost: Any) -> None:
    """Raise MissingLibraryError if the XGBoost that is installed cannot use a GPU: it would train on the CPU and only warn."""
    if not xgboost.build_info().get("USE_CUDA"):
        message = f"the installed xgboost {xgboost.__version__} was built without CUDA"
        raise MissingLibraryError(message, key="run.device", hint=_INSTALL)


@contextmanager
def room_to_train(device: str) -> Iterator[None]:
    """Say what to do where a GPU has no room for what is done inside; a host's want of memory stays what it is."""
    try:
        yield
    except MemoryError as error:
        if device != "gpu":
            raise
        raise no_room(str(error)) from error


def no_room(told: str) -> MemoryBudgetError:
    """Return the error of a GPU that has no room to train."""
    hint = "fewer features or rows, for xgboost a smaller max_bin, all GPUs by `run.training: all_workers`, or `run.device: cpu`"
    return MemoryBudgetError(f"the GPU has no room to train: {told}", key="run.device", hint=hint)
