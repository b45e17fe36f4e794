"""Compare every CUDA kernel with its CPU form, in Numba's simulator or on a device: `python -m tests.kernels.cuda_parity kernel hash64`.

It runs in a process of its own, because the simulator is chosen when Numba is imported. It prints each name that is right.
"""

import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headrace_kernels import (
    Column,
    DenseSteps,
    count_codes,
    cuda,
    cuda_codes,
    cuda_dense,
    cuda_rolling,
    dense_transform,
    encode_indices,
    get_kernel,
    hashing,
    kernel_names,
    rolling,
    segments,
)
from headrace_kernels.cuda import on_device
from headrace_kernels.cuda_catalogue import SCANS

DTYPES = (np.float64, np.float32)
RNG = np.random.default_rng(3)
CONSTANTS = {
    "bucketize": {"edges": np.array([-10.0, 0.0, 5.5])},
    "interpolate_float32": {"xs": np.array([-50.0, 0.0, 70.0]), "ys": np.array([1.0, 2.0, 0.0])},
    "interpolate_float64": {"xs": np.array([-50.0, 0.0, 70.0]), "ys": np.array([1.0, 2.0, 0.0])},
    "hash64": {"seed": 9},
}


def check(name, found, on_host, rtol=1e-12):
    found = found.copy_to_host()
    assert found.dtype == on_host.dtype, (name, found.dtype, on_host.dtype)
    if on_host.dtype.kind == "f":
        np.testing.assert_allclose(found, on_host, rtol=rtol, atol=1e-30, err_msg=name)
    else:
        np.testing.assert_array_equal(found, on_host, err_msg=name)


def check_kernel(name):
    kernel = get_kernel(name)
    for dtype in DTYPES:
        columns = [np.append(RNG.uniform(-80, 80, 30), [0.0, -0.0, np.nan]).astype(dtype) for _ in kernel.inputs]
        constants = CONSTANTS.get(name)
        on_host = kernel.launch([Column(column) for column in columns], constants)
        for found, expected in zip(on_device(kernel).launch(columns, constants), on_host, strict=True):
            # plain Python keeps float32 where compiled code goes on in float64
            check(name, found, expected.values, 1e-5 if np.float32 in (dtype, expected.values.dtype) else 1e-12)
    assert len(on_device(kernel).launch([column[:0] for column in columns], constants)[0]) == 0


def check_scan(name):
    scan = getattr(segments, name)
    starts = np.array([0, 4, 4, 5, 20])
    columns = [{"value": RNG.normal(size=20), "seconds": np.arange(20.0) * 700}[name] for name in scan.inputs]
    check(name, on_device(scan).launch(columns, starts), scan.launch([Column(c) for c in columns], starts).values)
    valid = RNG.random(20) < 0.6
    bits = np.packbits(valid, bitorder="little")
    found = on_device(scan).launch(columns, starts, valid, None).copy_to_host()
    expected = scan.launch([Column(c, bits) for c in columns], starts).values
    np.testing.assert_allclose(found[valid], expected[valid], rtol=1e-12, err_msg=name)


def check_strings():
    strings = [b"", b"abc", bytes(range(200)), "fjörd".encode()]
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in strings])]).astype(np.int32)
    data = np.frombuffer(b"".join(strings), np.uint8)
    check("strings", cuda.hash64_strings(offsets, data, 7), hashing.hash64_strings(offsets, data, 7))


def nullable(n_rows):
    return [None, np.packbits(RNG.random(n_rows) < 0.7, bitorder="little")]


def check_rolling(_):
    starts = np.array([0, 9, 9, 10, 40])
    times = np.concatenate([np.sort(RNG.integers(0, 60, size)) for size in np.diff(starts)])
    timed = np.ones(40, bool)
    timed[[7, 8, 39]] = False
    numbers = RNG.normal(size=40)
    numbers[10:14] = 1e308, 1e308, -1e308, 3.0  # a sum that goes beyond float64, and comes back
    for values in (numbers, numbers.astype(np.float32), RNG.integers(-(2**62), 2**62, 40), RNG.integers(0, 2, 40).astype(np.uint8)):
        counted = (RNG.random(40) < 0.8) & np.isfinite(values)
        bits = [np.packbits(mask, bitorder="little") for mask in (counted, timed)]
        for ordered, include in ((times, True), (times * 0.5, False), ((times - 2**31).astype(np.int32), True)):
            found = cuda_rolling.rolling(values, counted, ordered, timed, starts, 20.0, include_current=include)
            expected = rolling.rolling(Column(values, bits[0]), Column(ordered, bits[1]), starts, 20.0, include_current=include)
            for name, device, host in zip(found._fields, found, expected, strict=True):
                check(f"rolling: {name}", device, host, 0.0)
    assert refuses(cuda_rolling.rolling, values, counted, times, timed, starts, 0.0) == "window must be above 0: 0.0"
    assert len(cuda_rolling.rolling(values[:0], counted[:0], times[:0], timed[:0], starts[:1], 1.0).counts) == 0


def refuses(call, *arguments):
    try:
        call(*arguments)
    except (IndexError, ValueError) as error:
        return str(error)
    raise AssertionError("not refused")


def check_count_codes(n_codes):
    indices = RNG.integers(0, n_codes, 300).astype(np.int32)
    for bits in nullable(300):
        found = cuda_codes.count_codes(indices, n_codes, bits)
        for device, host in zip(found, count_codes(Column(indices, bits), n_codes), strict=True):
            check("count_codes", device, host)
    assert refuses(cuda_codes.count_codes, np.array([0, n_codes]), n_codes) == f"an index is not in the dictionary of {n_codes} values"
    assert refuses(cuda_codes.count_codes, np.array([-1]), n_codes)
    # what lies under a null is never an error
    _, counts = cuda_codes.count_codes(np.array([-9, 1 << 40]), n_codes, np.array([0], np.uint8))
    assert counts.copy_to_host()[-1] == 2
    assert len(cuda_codes.count_codes(indices[:0], n_codes)[0]) == 0


def check_encode_indices(_):
    ids, unseen = np.array([7, 1, 5, 0], np.int32), np.array([False, True, False, True])
    for dtype in (np.int8, np.uint32, np.int64):
        indices = RNG.integers(0, 3, 300).astype(dtype)
        for bits in nullable(300):
            found, n_unseen = cuda_codes.encode_indices(indices, ids, unseen, bits)
            expected, n_expected = encode_indices(Column(indices, bits), ids, unseen)
            check("encode_indices", found, expected)
            assert n_unseen == n_expected > 0
    assert refuses(cuda_codes.encode_indices, np.array([3]), ids, unseen) == "an index is not in the dictionary of 3 values"
    assert len(cuda_codes.encode_indices(indices[:0], ids, unseen)[0]) == 0


def check_dense(transform):
    cuda._MOST_BLOCKS = 1  # fewer threads than rows: each goes on to a row one stride further
    for values in (np.append(RNG.normal(2, 9, 268), [np.nan, np.inf]), RNG.integers(-5, 90, 270).astype(np.int32)):
        for bits, fill in zip([*nullable(270), *nullable(270)], (None, None, 1.5, 1.5), strict=True):
            steps = DenseSteps(fill, 0.25, 20.0, transform, 2.0, 3.0)
            for dtype, rtol in ((np.float64, 1e-12), (np.float32, 1e-6))[values.dtype.kind == "i" :]:
                found = cuda_dense.dense_transform(values, steps, bits, dtype)
                expected = dense_transform(Column(values, bits), steps, dtype)
                check("dense", found.values, expected.column.values, rtol)
                assert (found.n_filled, found.n_clipped) == (expected.n_filled, expected.n_clipped), steps
    assert len(cuda_dense.dense_transform(values[:0], DenseSteps()).values) == 0


CHECKS = {
    "rolling": check_rolling,
    "kernel": check_kernel,
    "scan": check_scan,
    "strings": lambda _: check_strings(),
    "count_codes": lambda n: check_count_codes(int(n)),
    "encode_indices": check_encode_indices,
    "dense": lambda name: check_dense("" if name == "as_is" else name),
}

CASES = {
    "rolling": ("rolling",),
    "kernel": kernel_names(),
    "scan": tuple(scan.name for scan in SCANS),
    "strings": ("hash64_strings",),
    "count_codes": ("3", "300", str(cuda_codes.SHARED_CODES)),
    "encode_indices": ("encode_indices",),
    "dense": ("as_is", "log", "log1p"),
}


def parity(
    kind: str, names: Sequence[str], python: Sequence[str] = (sys.executable,), **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the checks of one kind in a process of their own, by a command that takes `-m` and a module's name."""
    command = [*python, "-m", "tests.kernels.cuda_parity", kind, *names]
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    root = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, env={**kept, **environment}, check=False, timeout=600)


if __name__ == "__main__":
    np.seterr(all="ignore")
    warnings.filterwarnings("error", "Grid size")  # few rows are no mistake
    for name in sys.argv[2:]:
        CHECKS[sys.argv[1]](name)
        print(name)
