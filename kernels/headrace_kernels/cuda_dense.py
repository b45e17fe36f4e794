"""Fill, clip, transform and standardise on a GPU in one pass: `elementwise.dense_transform` from the same function of one row."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from numpy.typing import DTypeLike

from headrace_kernels.cuda import DeviceArray, compiled, device_array_of, strided_grid, with_blocks
from headrace_kernels.cuda_codes import bit_of, bits_and_flag
from headrace_kernels.elementwise import TRANSFORMS, DenseSteps, dense_constants, dense_function, is_clipped


class DenseOnDevice(NamedTuple):
    """The transformed values, how many nulls were filled, and how many values (fills not counted) were clipped."""

    values: DeviceArray
    n_filled: int
    n_clipped: int


def dense_transform(
    values: DeviceArray, steps: DenseSteps, validity: DeviceArray | None = None, dtype: DTypeLike = np.float64
) -> DenseOnDevice:
    """Fill, clip, transform and standardise a column on the device.

    Formula: (transform(min(max(x or fill, low), high)) - mean) / std, computed in float64, then rounded to `dtype`.

    Parameters
    ----------
    values : array of numbers
        Integers, truth values as uint8, or floats.
    steps : DenseSteps
        What to do.
    validity : array of uint8, optional
        Arrow's bitmap from bit 0 on; None if no row is null.
    dtype : dtype
        float64 or float32.

    Nulls and NaN: NaN stays NaN and is neither filled nor clipped. If nothing is filled, the validity is the input's.

    Raises
    ------
    ValueError
        An unknown transform, or a std of 0 or NaN.
    """
    constants = dense_constants(steps)
    values = device_array_of(values)
    out = cuda.device_array(len(values), dtype)
    counts = cuda.to_device(np.zeros(2, np.int64))
    if len(values):
        arguments = (values, *bits_and_flag(validity), *constants, out, counts)
        with_blocks(compiled(dense_body(steps.transform)), strided_grid(len(values)))(*arguments)
    n_null, n_clipped = counts.copy_to_host().tolist()
    return DenseOnDevice(out, 0 if steps.fill is None else n_null, n_clipped)


@functools.cache
def dense_body(transform: str) -> Callable[..., None]:
    """Return the kernel for one transform; `counts` gets the nulls and the values clipped."""
    dense_value = dense_function(TRANSFORMS[transform])

    def body(
        values: Any, bits: Any, has_null: bool, fill: float, low: float, high: float, mean: float, std: float, out: Any, counts: Any
    ) -> None:
        counts_here = cuda.shared.array(2, np.int32)
        if cuda.threadIdx.x < 2:
            counts_here[cuda.threadIdx.x] = 0
        cuda.syncthreads()
        n_null, n_clipped = 0, 0
        for i in range(cuda.grid(1), len(values), cuda.gridsize(1)):
            x = np.float64(values[i])
            valid = bit_of(bits, i) if has_null else 1
            n_null += 1 - valid
            n_clipped += 1 if is_clipped(x, valid, low, high) else 0
            out[i] = dense_value(x, valid, fill, low, high, mean, std)
        cuda.atomic.add(counts_here, 0, n_null)
        cuda.atomic.add(counts_here, 1, n_clipped)
        cuda.syncthreads()
        if cuda.threadIdx.x < 2:
            cuda.atomic.add(counts, cuda.threadIdx.x, np.int64(counts_here[cuda.threadIdx.x]))

    return body
