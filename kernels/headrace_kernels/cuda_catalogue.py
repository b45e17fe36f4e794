"""Every CUDA kernel there is: what a row of it must move, what bounds it, and how it is compiled without a GPU.

The bytes are a floor: each input read once and each output written once, whatever caches do. A new built-in kernel stands here by itself;
`CUDA_ONLY` lists the ones that are written for CUDA, and `SCANS` the scans over groups.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types

from headrace_kernels import get_kernel, kernel_names
from headrace_kernels.cuda import CudaKernel, CudaSegmentKernel, array_type, hash_string, ptx_of
from headrace_kernels.cuda_codes import SHARED_CODES, count_in_memory, count_in_shared_memory, encode
from headrace_kernels.cuda_dense import dense_body
from headrace_kernels.cuda_rolling import roll
from headrace_kernels.segments import decayed_sum, decayed_sum_before, row_in_group, seconds_since, session_id

Capability = tuple[int, int]
SCANS = (decayed_sum, decayed_sum_before, session_id, seconds_since, row_in_group)
ROW, SCAN, LOOKUP, ATOMIC, STRING = "row", "scan", "lookup", "atomic", "string"

_READ_AS: dict[str, str] = {"hash64": "int64"}  # what a row kernel is compiled and counted for; the others: float64
_INDEX, _BIT, _STRING_BYTES = "int32", 1 / 8, 16.0


@dataclass(frozen=True)
class CudaForm:
    """One CUDA kernel, as it is compiled and counted.

    Parameters
    ----------
    name : str
        Ours; the compiler's own names change from version to version.
    access : str
        ``row``: each thread a row, neighbours side by side. ``scan``: each thread a group of rows. ``lookup``: a table held in cache.
        ``atomic``: a counter a row. ``string``: bytes of any length.
    reads, writes : tuple of str
        NumPy types of what each row reads and writes.
    extra_bytes : float
        Bytes a row beside them: an eighth for a validity bit, 16 for the text of a string.
    compile : callable
        Takes a compute capability, returns PTX.
    stores : int, optional
        Stores that the code of a row has, where they are more than its outputs: in either branch, into memory of its own.
    """

    name: str
    access: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    extra_bytes: float
    compile: Callable[[Capability], str]
    stores: int | None = None

    @property
    def bytes_a_row(self) -> float:
        """What a row moves at least.

        >>> [form.bytes_a_row for form in cuda_forms() if form.name == "haversine_km"]
        [40.0]
        """
        return sum(np.dtype(name).itemsize for name in (*self.reads, *self.writes)) + self.extra_bytes


def cuda_forms() -> tuple[CudaForm, ...]:
    """Return every CUDA kernel, by name.

    >>> [form.name for form in cuda_forms()][:3]
    ['bearing', 'bucketize', 'clip']
    """
    return tuple(sorted((*_row_forms(), *_scan_forms(), *CUDA_ONLY), key=lambda form: form.name))


def _row_forms() -> list[CudaForm]:
    forms = []
    for name in kernel_names():
        kernel = get_kernel(name)
        reads = (_READ_AS.get(name, "float64"),) * len(kernel.inputs)
        dtypes = [np.dtype(read) for read in reads]
        writes = tuple(dtype.name for dtype in kernel.output_types(dtypes))
        forms.append(CudaForm(name, ROW, reads, writes, 0.0, functools.partial(CudaKernel(kernel).ptx, dtypes)))
    return forms


def _scan_forms() -> list[CudaForm]:
    forms = []
    for scan in SCANS:
        reads = ("float64",) * len(scan.inputs)
        ptx = functools.partial(CudaSegmentKernel(scan).ptx, [np.dtype(read) for read in reads])
        forms.append(CudaForm(scan.name, SCAN, reads, (scan.output.name,), 0.0, ptx))
    return forms


def _of(body: Callable[..., None], *arguments: Any) -> Callable[[Capability], str]:
    return lambda capability: ptx_of(body, types.void(*arguments), capability)


def _dense(name: str, transform: str) -> CudaForm:
    constants = (types.float64,) * 5
    arguments = (array_type("float64"), *_BITS, *constants, array_type("float64"), array_type("int64"))
    return CudaForm(name, ROW, ("float64",), ("float64",), _BIT, _of(dense_body(transform), *arguments))


_BITS = (array_type("uint8"), types.boolean)
_COUNTED = (array_type("int64"), array_type("int64"))
CUDA_ONLY = (
    CudaForm(
        "count_codes",
        LOOKUP,
        (_INDEX,),
        ("uint16",),
        _BIT,
        _of(count_in_shared_memory, array_type(_INDEX), *_BITS, types.int64, array_type("uint16"), *_COUNTED),
    ),
    CudaForm(
        f"count_codes_from_{SHARED_CODES}",
        ATOMIC,
        (_INDEX,),
        ("uint32",),
        _BIT,
        _of(count_in_memory, array_type(_INDEX), *_BITS, types.int64, array_type("uint32"), *_COUNTED),
    ),
    CudaForm(
        "encode_indices",
        LOOKUP,
        (_INDEX,),
        ("int32",),
        _BIT,
        _of(encode, array_type(_INDEX), *_BITS, array_type("int32"), array_type("bool"), array_type("int32"), array_type("int64")),
    ),
    _dense("dense_transform", ""),
    _dense("dense_transform_log", "log"),
    _dense("dense_transform_log1p", "log1p"),
    CudaForm(
        "hash64_strings",
        STRING,
        ("int32",),
        ("uint64",),
        _STRING_BYTES,
        _of(hash_string, array_type("int32"), array_type("uint8"), types.uint64, array_type("uint64")),
    ),
    CudaForm(
        "rolling",
        SCAN,
        ("float64", "bool", "int64", "bool"),
        ("int64", "float64", "float64", "float64"),
        0.0,
        _of(
            roll,
            *(array_type(name) for name in ("float64", "bool", "int64", "bool", "int64")),
            types.float64,
            types.boolean,
            *(array_type(name) for name in ("int64", "float64", "float64", "float64", "int64", "int64")),
        ),
        stores=10,
    ),
)
