"""The bandwidth that each CUDA kernel reaches, beside a plain copy on the same device: `make bench-gpu`.

Each kernel is called as the engine calls it, on device arrays, outputs allocated by RMM's pool where it is installed. The time is the
median of several, each of a few calls in a row. What it writes to benchmarks/results/gpu-<device>-kernels.json was measured on the device it names.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import config, cuda

from headrace.bench.cases import gpu_slug
from headrace.gpus import Gpu, find_gpus
from headrace.versions import installed_versions
from headrace_kernels import DenseSteps, get_kernel, kernel_names
from headrace_kernels.cuda import hash64_strings, on_device
from headrace_kernels.cuda_catalogue import SCANS, cuda_forms
from headrace_kernels.cuda_codes import SHARED_CODES, count_codes, encode_indices
from headrace_kernels.cuda_dense import dense_transform
from headrace_kernels.cuda_rolling import rolling

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = ("headrace", "numba", "numba-cuda", "cupy-cuda12x", "rmm-cu12")
ROWS_A_GROUP, STRING_BYTES = 64, 16
CALLS = 5  # between two looks at the clock, so that starting a kernel (some 10 us) counts little
CONSTANTS: dict[str, dict[str, Any]] = {
    "bucketize": {"edges": np.linspace(-80.0, 80.0, 31)},
    "interpolate_float32": {"xs": np.linspace(-80.0, 80.0, 31), "ys": np.linspace(0.0, 1.0, 31)},
    "interpolate_float64": {"xs": np.linspace(-80.0, 80.0, 31), "ys": np.linspace(0.0, 1.0, 31)},
}


def launches(n_rows: int) -> dict[str, Callable[[], Any]]:
    """Return a call of every kernel on `n_rows` rows of random data that lies on the device."""
    rng = np.random.default_rng(11)
    floats = [cuda.to_device(rng.uniform(-80.0, 80.0, n_rows)) for _ in range(4)]
    ints = cuda.to_device(rng.integers(-(1 << 62), 1 << 62, n_rows))
    bits = cuda.to_device(rng.integers(0, 256, (n_rows + 7) // 8).astype(np.uint8))
    indices, many = (cuda.to_device(rng.integers(0, n, n_rows).astype(np.int32)) for n in (1000, 1 << 20))
    ids, unseen = cuda.to_device(np.arange(1001, dtype=np.int32)), cuda.to_device(np.zeros(1001, np.bool_))
    starts = cuda.to_device(np.append(np.arange(0, n_rows, ROWS_A_GROUP), n_rows).astype(np.int64))
    offsets = cuda.to_device(np.arange(0, n_rows // STRING_BYTES * STRING_BYTES + 1, STRING_BYTES).astype(np.int32))
    found: dict[str, Callable[[], Any]] = {}
    for name in kernel_names():
        kernel = get_kernel(name)
        inputs = [ints] if name == "hash64" else floats[: len(kernel.inputs)]
        found[name] = functools.partial(on_device(kernel).launch, inputs, CONSTANTS.get(name))
    for scan in SCANS:
        found[scan.name] = functools.partial(on_device(scan).launch, floats[: len(scan.inputs)], starts)
    every, times = cuda.to_device(np.ones(n_rows, np.bool_)), cuda.to_device(np.arange(n_rows))
    found["rolling"] = functools.partial(rolling, floats[0], every, times, every, starts, ROWS_A_GROUP / 2)
    for name, transform in (("dense_transform", ""), ("dense_transform_log", "log"), ("dense_transform_log1p", "log1p")):
        found[name] = functools.partial(dense_transform, floats[0], DenseSteps(0.0, 0.5, 70.0, transform, 1.0, 2.0), bits)
    found["count_codes"] = functools.partial(count_codes, indices, 1000, bits)
    found[f"count_codes_from_{SHARED_CODES}"] = functools.partial(count_codes, many, 1 << 20, bits)
    found["encode_indices"] = functools.partial(encode_indices, indices, ids, unseen, bits)
    data = cuda.to_device(rng.integers(0, 256, n_rows).astype(np.uint8))
    found["hash64_strings"] = functools.partial(hash64_strings, offsets, data)
    return found


def rows_of(name: str, n_rows: int) -> int:
    """Return how many rows a call of `launches` computes."""
    return n_rows // STRING_BYTES if name == "hash64_strings" else n_rows


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Return the median time of a call; the first one, which compiles, is not counted."""
    call()
    taken = []
    for _ in range(repeats):
        cuda.synchronize()
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        cuda.synchronize()
        taken.append((time.perf_counter() - started) / CALLS)
    return statistics.median(taken)


def copy_bytes_per_s(n_rows: int, repeats: int) -> tuple[str, float]:
    """Return what copies, and the bytes a second that a copy of float64 reads and writes: CuPy's if it is installed, else the driver's."""
    try:
        import cupy
    except ImportError:
        source, target = cuda.to_device(np.zeros(n_rows)), cuda.device_array(n_rows)
        return "driver", 16 * n_rows / seconds(lambda: target.copy_to_device(source), repeats)
    source, target = cupy.zeros(n_rows), cupy.empty(n_rows)
    with cupy.cuda.Stream.null:
        return "cupy", 16 * n_rows / seconds(lambda: cupy.copyto(target, source), repeats)


def measure(gpu: Gpu, n_rows: int, repeats: int) -> dict[str, Any]:
    """Time every kernel, and return the whole record."""
    copier, copied = copy_bytes_per_s(n_rows, repeats)
    floors = {form.name: form.bytes_a_row for form in cuda_forms()}
    kernels = {}
    for name, call in sorted(launches(n_rows).items()):
        taken = seconds(call, repeats)
        reached = floors[name] * rows_of(name, n_rows) / taken
        kernels[name] = {"rows": rows_of(name, n_rows), "seconds": taken, "bytes_per_s": reached, "share_of_copy": reached / copied}
        print(f"{name:24} {taken * 1e3:9.3f} ms {reached / 1e9:9.1f} GB/s {reached / copied:6.1%} of a copy", flush=True)
    device = {"name": gpu.name, "memory": gpu.memory, "capability": list(gpu.capability), "driver": gpu.driver}
    simulated = bool(config.ENABLE_CUDASIM)  # by Numba on the host: then the times say nothing of a device
    return {
        "device": device,
        "simulated": simulated,
        "versions": installed_versions(PACKAGES),
        "copy": {"by": copier, "bytes_per_s": copied},
        "kernels": kernels,
    }


def write(record: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write a record under the name of its device."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{gpu_slug(record['device']['name'])}-kernels.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def _use_pool() -> None:
    """Let outputs come from RMM's pool: without it each call would wait for the driver's own allocator."""
    try:
        import rmm
        from rmm.allocators.numba import RMMNumbaManager
    except ImportError:
        return
    rmm.reinitialize(pool_allocator=True)
    cuda.set_memory_manager(RMMNumbaManager)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1 << 26)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    gpus = find_gpus()
    if not gpus:
        sys.exit("no GPU can be used here, and nothing was measured\n  `headrace doctor` says what is missing")
    _use_pool()
    print(write(measure(gpus[0], asked.rows, asked.repeats), asked.out))


if __name__ == "__main__":
    main()
