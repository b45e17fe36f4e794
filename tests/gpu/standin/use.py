"""Put the stand-ins in the place of the real packages, and take them away again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.gpu.standin.memory import TRANSFERS

PACKAGES = ("cudf", "cuml", "cupy", "dask_cuda", "rmm")
_PATH = str(Path(__file__).parent)


def install() -> None:
    """Import cudf, cupy and the others from here from now on, for as long as the process lives; transfers are counted from 0."""
    _forget()
    sys.path.insert(0, _PATH)
    TRANSFERS.clear()


@contextmanager
def standins() -> Iterator[None]:
    """Import cudf, cupy and the others from here while this is entered; transfers are counted from 0."""
    kept = {name: module for name, module in sys.modules.items() if _is_ours(name)}
    install()
    try:
        yield
    finally:
        sys.path.remove(_PATH)
        _forget()
        sys.modules.update(kept)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES


def _forget() -> None:
    for name in [name for name in sys.modules if _is_ours(name)]:
        del sys.modules[name]
