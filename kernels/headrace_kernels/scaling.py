"""Standardising: (x - mean) / std, in float64, stored as float32 or float64."""

from __future__ import annotations

from headrace_kernels.kernel import kernel
from headrace_kernels.scalars import Number


@kernel(output="float32")
def standardise_float32(x: Number, mean: Number = 0.0, std: Number = 1.0) -> Number:
    """Standardise a number, rounded to float32 at the end. NaN and infinities stay what they are."""
    return (x - mean) / std


@kernel(output="float64")
def standardise_float64(x: Number, mean: Number = 0.0, std: Number = 1.0) -> Number:
    """Standardise a number in float64. NaN and infinities stay what they are."""
    return (x - mean) / std
