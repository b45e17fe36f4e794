"""Kernels of `headrace_kernels` on columns' buffers: nothing is copied on the way in or out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import cupy

from headrace.backends.cudf.column import Rows


@cache
def _on_device(name: str) -> Any:
    from headrace_kernels import get_kernel
    from headrace_kernels.cuda import on_device

    return on_device(get_kernel(name))


def launch(name: str, inputs: Sequence[Rows], constants: Mapping[str, Any]) -> tuple[Rows, ...]:
    """Return what a kernel makes of arrays on the device."""
    return tuple(cupy.asarray(made) for made in _on_device(name).launch(list(inputs), constants))
