"""The hot paths of Headrace as Numba kernels, usable without the engine.

`KERNELS` names the built-in ones; `get_kernel` imports the one that is asked for, so that importing this package does not import Numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace_kernels.kernel import Kernel

# name -> module
KERNELS = {
    "bearing": "geo",
    "grid_cell": "geo",
    "haversine_km": "geo",
    "standardise_float32": "scaling",
    "standardise_float64": "scaling",
}


def get_kernel(name: str) -> Kernel:
    """Return a built-in kernel by its name; raise KeyError if there is none."""
    found: Kernel = getattr(import_module(f"headrace_kernels.{KERNELS[name]}"), name)
    return found
