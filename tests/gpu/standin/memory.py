"""What the stand-ins' device memory is asked for and moves: every transfer counted, and an end of memory where a test wants one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

OUT_OF_MEMORY = "std::bad_alloc: out_of_memory: CUDA error at: cuda_async_memory_resource.hpp: cudaErrorMemoryAllocation out of memory"


@dataclass
class Transfers:
    """How often, and how many bytes, something went from the device to the host and the other way.

    One number read from the device (``int(x)``, ``bool(x)``, ``x.item()``, a sum of a Series) counts under `n_scalars` alone.
    """

    n_to_host: int = 0
    bytes_to_host: int = 0
    n_to_device: int = 0
    bytes_to_device: int = 0
    n_scalars: int = 0

    def to_host(self, nbytes: int) -> None:
        self.n_to_host += 1
        self.bytes_to_host += nbytes

    def to_device(self, nbytes: int) -> None:
        allocate(nbytes)
        self.n_to_device += 1
        self.bytes_to_device += nbytes

    def scalar(self) -> None:
        self.n_scalars += 1

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]


TRANSFERS = Transfers()


@dataclass
class _Limit:
    """Which allocation fails: the first of more than `nbytes`, or the `countdown`-th from now."""

    nbytes: int | None = None
    countdown: int | None = None
    n_failures: int | None = None
    n_failed: int = 0


_LIMIT = _Limit()


def allocate(nbytes: int) -> None:
    """Take memory of the device; raises what RMM raises where there is no more."""
    if _LIMIT.n_failures is not None and _LIMIT.n_failed >= _LIMIT.n_failures:
        return
    fails = _LIMIT.nbytes is not None and nbytes > _LIMIT.nbytes
    if _LIMIT.countdown is not None:
        _LIMIT.countdown -= 1
        fails |= _LIMIT.countdown <= 0
    if fails:
        _LIMIT.n_failed += 1
        raise MemoryError(OUT_OF_MEMORY)


@contextmanager
def little_memory(*, largest: int | None = None, nth: int | None = None, n_failures: int | None = None) -> Iterator[_Limit]:
    """Let allocations fail while this is entered: those of more than `largest` bytes, or all from the `nth` on.

    Parameters
    ----------
    n_failures : int, optional
        So many fail and no more: what is tried again then succeeds.
    """
    global _LIMIT
    before, _LIMIT = _LIMIT, _Limit(largest, nth, n_failures)
    try:
        yield _LIMIT
    finally:
        _LIMIT = before
