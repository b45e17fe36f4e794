"""Some operators on a GPU whose cuDF may keep a megabyte only: ``python -m tests.gpu.spilling SOURCE OUT`` prints the bytes that it spilled.

cuDF reads its settings once, when it is imported, so this is a process of its own.
"""

from __future__ import annotations

import os
import sys

import headrace as hr

# Far less than one column of the test: each that is decoded pushes others to the host.
SETTINGS = {"CUDF_SPILL": "on", "CUDF_SPILL_DEVICE_LIMIT": str(1 << 20), "CUDF_SPILL_STATS": "1"}


def pipeline() -> hr.Pipeline:
    numbers = [f"x{index}" for index in range(8)]
    return hr.Pipeline([hr.FillMissing(numbers, value="median"), hr.Normalize(numbers), hr.Categorify(["word"])])


def spilled() -> int:
    """Return the bytes that cuDF has moved from the device to the host to stay within its limit."""
    from cudf.core.buffer.spill_manager import get_global_manager

    nbytes, _ = get_global_manager().statistics.spill_totals["gpu", "cpu"]
    return int(nbytes)


if __name__ == "__main__":
    os.environ.update(SETTINGS)
    pipeline().fit_transform(sys.argv[1], output=sys.argv[2], device="gpu")
    print(spilled())
