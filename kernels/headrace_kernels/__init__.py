"""The hot paths of Headrace as Numba kernels, usable without the engine: NumPy and Numba are all they need.

>>> import numpy as np
>>> from headrace_kernels import Column, get_kernel
>>> places = [Column(np.array([degrees])) for degrees in (40.64, -73.78, 33.94, -118.41)]
>>> (km,) = get_kernel("haversine_km").launch(places)
>>> round(km.values[0])
3974

| module | what it is for |
|---|---|
| `column` | Arrow's buffers as NumPy views |
| `kernel`, `segments` | your own scalar function as a loop over columns, or as a scan over sorted groups |
| `windows`, `rolling`, `scans` | lags, rolling and decaying statistics within sorted groups; such scans by name |
| `as_of` | the last row at or before a time, within sorted groups |
| `geo`, `elementwise` | distances, bearings, grid cells; cyclical features, fill-clip-log-standardise in one loop |
| `stages` | a chain of such steps on one column in one loop, each counting what it changed |
| `transforms`, `scaling`, `piecewise` | clip, logarithms, power transforms; standardise; buckets and straight lines between points |
| `hashing` | hash64: XXH64 of numbers and strings |
| `exact`, `group_sums`, `group_stats`, `limbs` | sums, means and variances with the same bits in any order |
| `counting`, `encoding`, `factorize`, `tables` | counts and codes of dictionary indices, integers and strings |
| `boosted` | the sums of boosted trees, a block of rows at a time |
| `forest` | what forests of decision trees predict, and what each feature added |
| `scalars` | what scalar functions are made of: constants, bits, fused operations, polynomials |
| `angles`, `elementary` | sines and arcs; logarithms and exponentials; all vectorise |
| `compiled`, `bodies`, `threads` | compiling with a cache that holds closures, each function once for all its callers; threads over fixed chunks |
| `cuda`, `cuda_codes`, `cuda_dense` | the same scalar functions on a GPU; dictionary indices and dense columns there |
| `cuda_catalogue` | every CUDA kernel, what it must move, and how it compiles without a GPU |

Names are loaded when first used: importing this package does not import Numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace_kernels.kernel import Kernel

_MODULE_OF = {
    name: module
    for module, names in {
        "as_of": ("last_at_or_before",),
        "boosted": ("BoostedForest", "predict_boosted"),
        "column": ("Column", "count_nulls", "is_valid", "merged_validity"),
        "counting": ("count_codes", "look_up"),
        "elementwise": ("Dense", "DenseSteps", "cyclical", "dense_transform"),
        "encoding": ("encode_indices",),
        "exact": ("ExactMoments", "exact_moments", "merge_moments"),
        "factorize": ("Factorized", "factorize_ints", "factorize_strings"),
        "forest": ("Forest", "forest_contributions", "predict_forest", "with_node_means"),
        "geo": ("bearing", "grid_cell", "haversine_km"),
        "group_sums": ("GroupSums", "exact_group_sums", "group_limbs_to_floats", "merge_group_limbs"),
        "group_stats": ("GroupStats", "group_deviations"),
        "hashing": ("combine_hashes", "hash64", "hash64_ints", "hash64_strings", "hash_bytes"),
        "kernel": ("Kernel",),  # the decorator has its module's name: from headrace_kernels.kernel import kernel
        "limbs": ("limbs_to_int", "mean_and_std", "mean_and_variance", "merge_limbs"),
        "piecewise": ("bucketize", "interpolate_float32", "interpolate_float64"),
        "rolling": ("Rolling", "decayed_past"),  # `rolling` has its module's name, as `group_stats` has
        "scaling": ("standardise_float32", "standardise_float64"),
        "scans": ("get_scan",),
        "segments": (
            "SegmentKernel",
            "decayed_sum",
            "group_starts",
            "row_in_group",
            "seconds_since",
            "segment_kernel",
            "session_id",
        ),
        "stages": ("Stage", "run_stages"),
        "tables": ("IntTable", "StringTable"),
        "transforms": ("clip", "log_plus", "log_plus_one", "yeo_johnson_float32", "yeo_johnson_float64"),
        "windows": ("lag", "rolling_sum"),
    }.items()
    for name in names
}
_BUILT_IN = (
    "bearing",
    "bucketize",
    "clip",
    "cyclical",
    "grid_cell",
    "hash64",
    "haversine_km",
    "interpolate_float32",
    "interpolate_float64",
    "log_plus",
    "log_plus_one",
    "standardise_float32",
    "standardise_float64",
    "yeo_johnson_float32",
    "yeo_johnson_float64",
)
__all__ = sorted([*_MODULE_OF, "get_kernel", "kernel_names"])


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def kernel_names() -> tuple[str, ...]:
    """Return the names of the built-in kernels.

    >>> "haversine_km" in kernel_names()
    True
    """
    return _BUILT_IN


def get_kernel(name: str) -> Kernel:
    """Return a built-in kernel; raise KeyError, with the names there are, if there is none of this name."""
    if name not in _BUILT_IN:
        raise KeyError(f"no kernel {name!r}; kernels: {', '.join(_BUILT_IN)}")
    found: Kernel = __getattr__(name)
    return found
