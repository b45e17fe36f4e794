"""What crosses between device and host, counted: nothing else in this backend copies an array to the host.

The reasons are told apart. ``rows``: a value a row, which is what must not happen between read and train, unless the caller of the
backend has a reason of its own (see `counted_as`). ``distinct``: the distinct values of a column, as keys and dictionaries are.
``state``: sums by key, bins, and other parts of what is learnt.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cupy
import numpy.typing as npt

from headrace.ledger import Transfers

ROWS, DISTINCT, STATE, OUTPUT = "rows", "distinct", "state", "output"

_local = threading.local()


def to_host(array: Any, reason: str) -> npt.NDArray[Any]:
    """Return a device array's values on the host, and count that under `reason` (or what `counted_as` says)."""
    counter: Transfers | None = getattr(_local, "counter", None)
    if counter is not None and len(array):
        as_what = getattr(_local, "reason", None)
        counter.add(as_what if as_what and reason == ROWS else reason, int(array.nbytes))
    copied: npt.NDArray[Any] = cupy.asnumpy(array)
    return copied


def brought(array: Any, reason: str) -> Any:
    """Count an Arrow array that cuDF has brought to the host by itself, and return it."""
    counter: Transfers | None = getattr(_local, "counter", None)
    if counter is not None and len(array):
        counter.add(reason, int(array.nbytes))
    return array


@contextmanager
def counting(counter: Transfers) -> Iterator[None]:
    """Count what this thread moves to the host inside."""
    before = getattr(_local, "counter", None)
    _local.counter = counter
    try:
        yield
    finally:
        _local.counter = before


@contextmanager
def counted_as(reason: str) -> Iterator[None]:
    """Count rows that move to the host inside under another reason: on their way out, to other rows of their key, to the CPU."""
    before = getattr(_local, "reason", None)
    _local.reason = reason
    try:
        yield
    finally:
        _local.reason = before
