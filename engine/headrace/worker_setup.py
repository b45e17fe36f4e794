"""How a worker process of our own begins and ends; Dask loads this module there and calls `dask_setup`."""

from __future__ import annotations

import importlib
from multiprocessing import util
from typing import Any

import numpy as np

from headrace.startup import ahead, collect_seldom, keep_freed_memory, leave, spare_pandas, warn_briefly


def dask_setup(worker: Any) -> None:
    """Import what the first tasks will need, and no more, while the run is still planned, and be quick at the end."""
    keep_freed_memory()
    collect_seldom()
    warn_briefly()
    spare_pandas()
    util.Finalize(None, leave, (0,), exitpriority=0)
    ahead(lambda: importlib.import_module("headrace.execution"), load_kernels)


def load_kernels() -> None:
    """Import the kernels that nearly every job calls, and start LLVM by a first call: 0.3 s, in which tasks read their first rows."""
    from headrace_kernels import counting, encoding, stages, tables  # noqa: F401
    from headrace_kernels.column import Column
    from headrace_kernels.exact import exact_moments

    exact_moments(Column(np.zeros(1)))
