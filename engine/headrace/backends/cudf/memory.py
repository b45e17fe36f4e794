"""The device memory of a process that is the first to use its GPU."""

from __future__ import annotations

import rmm

# The pool grows from here on; processes that share a device must all find room.
INITIAL_BYTES = 256 << 20


def use_pool() -> None:
    """Let RMM keep what is freed, for cuDF, CuPy and Numba alike: each allocation of the driver's own waits for the whole device.

    Only before anything lies on the device: what was allocated before is lost.
    """
    # CuPy and Numba ask RMM from the moment cuDF is imported: it sets the allocators of both.
    rmm.reinitialize(pool_allocator=True, initial_pool_size=INITIAL_BYTES)
