"""Kernels of `headrace_kernels` on columns' buffers: nothing is copied on the way in or out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import cupy

from headrace.backends.cudf.column import Rows

if TYPE_CHECKING:
    from headrace_kernels.kernel import Kernel


@cache
def _on_device(kernel: str | Kernel) -> Any:
    from headrace_kernels import get_kernel
    from headrace_kernels.cuda import on_device

    return on_device(get_kernel(kernel) if isinstance(kernel, str) else kernel)


def launch(kernel: str | Kernel, inputs: Sequence[Rows], constants: Mapping[str, Any]) -> tuple[Rows, ...]:
    """Return what a kernel makes of arrays on the device."""
    return tuple(cupy.asarray(made) for made in _on_device(kernel).launch(list(inputs), constants))
