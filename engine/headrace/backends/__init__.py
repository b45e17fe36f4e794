"""Backends: what columns are on a device, and how its verbs are carried out. A device is asked for by its name."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from headrace.errors import JobError, MissingLibraryError
from headrace.gpus import find_gpus
from headrace.ledger import Ledger
from headrace.pool import Pools
from headrace.startup import keep_freed_memory, take_small_pages
from headrace.table import Backend

CPU, GPU = "cpu", "gpu"
# One thread alone leaves a device waiting while it reads and writes; each has a partition in the device's memory.
THREADS_OF_A_GPU = 4
# Asking the driver takes a tenth of a second: a process that has found its GPU asks no more.
_ready = False
_LIBRARIES = ("cudf", "cupy")
_INSTALL = "pip install 'headrace[gpu]', in an environment without the extra `cpu`; `headrace doctor` says what is missing"

keep_freed_memory()  # before a task's thread is there
take_small_pages()


def find_device(asked: str) -> str:
    """Return the device that ``auto``, ``cpu`` or ``gpu`` means for this process.

    ``auto`` is the GPU if there is one and cuDF can be imported. A process that finds its GPU for the first time gets a pool of its
    memory, unless dask-cuda gave it one, or cuDF was in use before: then the memory is the caller's.

    Raises
    ------
    JobError
        For ``gpu``, if no GPU can be used here.
    MissingLibraryError
        For ``gpu``, if cuDF or CuPy is not installed, does not load, or gets nothing from the driver.
    """
    global _ready
    if _ready and asked != CPU:
        return GPU
    if asked == CPU or (asked != GPU and not _are_installed()):
        return CPU
    if not find_gpus():
        if asked != GPU:
            return CPU
        raise JobError(
            "`device: gpu` needs a GPU, and none can be used here",
            key="run.device",
            hint="`headrace doctor` says what is missing; or write `device: cpu`",
        )
    failed = _loaded()
    if failed is not None:
        if asked != GPU:
            return CPU
        raise MissingLibraryError(f"`device: gpu` needs cuDF and CuPy: {failed}", key="run.device", hint=_INSTALL) from failed
    _ready = True
    return GPU


@cache
def _loaded() -> Exception | None:
    """Load a GPU's libraries and give them memory, once a process; return what went wrong. They load with a driver that is too old: memory fails."""
    ours = not {"cudf", "dask_cuda"} & sys.modules.keys()
    try:
        for name in _LIBRARIES:
            import_module(name)
        if ours:
            from headrace.backends.cudf.memory import use_pool

            use_pool()
    except (ImportError, OSError, RuntimeError) as error:
        return error
    return None


@cache
def _are_installed() -> bool:
    """Say whether a GPU's libraries are there: to look costs more than to transform a row, and is done once."""
    return all(find_spec(name) is not None for name in _LIBRARIES)


def thread_count(cluster: str, workers: int | None, asked: str) -> int | None:
    """Return how many workers a cluster is to have: `workers` if that is said, few threads where they share a GPU, else None: its default."""
    if workers is None and cluster == "local" and find_device(asked) == GPU:
        return THREADS_OF_A_GPU
    return workers


def open_backend(device: str, pools: Pools | None = None) -> Backend:
    """Return the verbs of a device, ``cpu`` or ``gpu``; the CPU's number strings by `pools`."""
    if device == GPU:
        from headrace.backends.cudf.backend import CudfBackend

        return CudfBackend()
    from headrace.backends.arrow.backend import ArrowBackend

    return ArrowBackend(pools)


def counting(device: str, ledger: Ledger) -> AbstractContextManager[Any]:
    """Count in a ledger what this thread moves from a device to the host, as long as this is entered."""
    if device != GPU:
        return nullcontext()
    from headrace.backends.cudf import transfers

    return transfers.counting(ledger.transfers)
