"""Put the stand-ins in the place of the real packages, and take them away again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.gpu.standin.memory import TRANSFERS

PACKAGES = ("cudf", "cuml", "cupy", "dask_cuda", "rmm")


@contextmanager
def standins() -> Iterator[None]:
    """Import cudf, cupy and the others from here while this is entered; transfers are counted from 0."""
    path = str(Path(__file__).parent)
    kept = {name: module for name, module in sys.modules.items() if _is_ours(name)}
    _forget()
    sys.path.insert(0, path)
    TRANSFERS.clear()
    try:
        yield
    finally:
        sys.path.remove(path)
        _forget()
        sys.modules.update(kept)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES


def _forget() -> None:
    for name in [name for name in sys.modules if _is_ours(name)]:
        del sys.modules[name]
