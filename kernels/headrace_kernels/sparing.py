"""Import a package without the optional packages that it would import, too."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sparing(*names: str) -> Iterator[None]:
    """Let this thread find none of these modules if they are not imported yet; other threads import them as ever.

    >>> with sparing("turtledemo"):
    ...     import turtledemo
    Traceback (most recent call last):
    ModuleNotFoundError: No module named 'turtledemo'
    """
    gate = _Gate(frozenset(names), threading.get_ident())
    sys.meta_path.insert(0, gate)
    try:
        yield
    finally:
        sys.meta_path.remove(gate)


class _Gate:
    """A finder that finds nothing, and denies to one thread that some modules are there."""

    def __init__(self, names: frozenset[str], thread: int) -> None:
        self._names = names
        self._thread = thread

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in self._names and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
