"""What the first call of kernels costs a fresh process that finds them compiled: one by one, a dozen, and all; Numba's import not counted.

    python benchmarks/first_calls.py

prints one line of JSON with CPU seconds, which are the wall time of an idle machine. The bar is 0.5 s in all; LLVM's start is most of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RUNS = 3
DOZEN = (
    "haversine_km", "bearing", "grid_cell", "cyclical", "hash64", "bucketize", "clip", "log_plus_one", "decayed_sum", "session_id",
    "dense_transform", "count_codes",
)  # fmt: skip


def calls() -> dict[str, Callable[[], Any]]:
    """Return a call of every kernel and scan that goes by a name, and of the hot paths beside them, on a hundred rows."""
    import headrace_kernels as kernels

    floats, ints = [kernels.Column(np.linspace(1.0, 2.0, 100))] * 4, kernels.Column(np.arange(100))
    starts, edges = np.array([0, 50, 100]), np.linspace(0.0, 1.0, 5)
    constants: dict[str, dict[str, Any]] = {
        "bucketize": {"edges": edges},
        "interpolate_float32": {"xs": edges, "ys": edges},
        "interpolate_float64": {"xs": edges, "ys": edges},
    }

    def launch(name: str) -> Any:
        kernel = kernels.get_kernel(name)
        return kernel.launch([ints] if name == "hash64" else floats[: len(kernel.inputs)], constants.get(name))

    def scan(name: str) -> Any:
        kernel = getattr(kernels, name)
        return kernel.launch(floats[: len(kernel.inputs)], starts)

    found: dict[str, Callable[[], Any]] = {name: lambda name=name: launch(name) for name in kernels.kernel_names()}
    found |= {name: lambda name=name: scan(name) for name in ("decayed_sum", "session_id", "seconds_since", "row_in_group")}
    found["dense_transform"] = lambda: kernels.dense_transform(floats[0], kernels.DenseSteps(0.0, 0.0, 70.0, "log1p", 1.0, 2.0))
    found["count_codes"] = lambda: kernels.count_codes(kernels.Column(np.arange(100, dtype=np.int32)), 100)
    found["exact_moments"] = lambda: kernels.exact_moments(floats[0])
    found["hash64_strings"] = lambda: kernels.hash64_strings(np.arange(11), np.zeros(10, np.uint8))
    return found


def seconds(names: Sequence[str]) -> float:
    """Return the CPU time of the first calls of some kernels in a fresh process, the fastest of a few."""
    command = [sys.executable, __file__, "--in-this-process", *names]
    taken = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(RUNS)]
    return min(taken)


def main() -> None:
    if "--in-this-process" in sys.argv:
        import numba  # noqa: F401

        started = time.process_time()
        made = calls()
        for name in sys.argv[2:]:
            made[name]()
        print(time.process_time() - started)
        return
    names = list(calls())
    seconds(names)  # compiles what is not compiled yet
    found = {**{name: seconds([name]) for name in names}, "a dozen": seconds(DOZEN), "all": seconds(names)}
    print(json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
