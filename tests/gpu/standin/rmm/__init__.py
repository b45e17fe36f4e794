"""RMM without a device: its error and its state. The end of memory is `tests.gpu.standin.memory.little_memory`, as MemoryError, which RMM raises too."""

from __future__ import annotations

from typing import Any

from tests.gpu.standin import offered as _offered

from rmm import mr as mr


class RMMError(Exception):
    """What RMM raises where it is used wrongly; no memory left is a MemoryError."""

    def __init__(self, errcode: int, msg: str) -> None:
        self.errcode = errcode
        super().__init__(msg)


def is_initialized() -> bool:
    return True


@_offered.offered_function("rmm")
def reinitialize(**settings: Any) -> None:
    """Take the settings of the pool; there is none."""


__version__ = "26.10.00"
__getattr__ = _offered.refuse_names("rmm")
