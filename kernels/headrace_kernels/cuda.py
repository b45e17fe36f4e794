"""The kernels on a GPU, each compiled from the same scalar function as on the CPU.

Import this module only where a GPU, or Numba's simulator (``NUMBA_ENABLE_CUDASIM=1``), is there; nothing else in the package needs it.
Arrays are anything with ``__cuda_array_interface__`` (cuDF, CuPy, Numba) and stay on the device, or NumPy arrays, which are copied there.
Kernels compute on values; validity is the caller's: a row is null where any input's is.

Integer results are the CPU's bits. Floating-point ones differ by rounding, within the bounds that each function states: the compiler for
CUDA contracts a * b + c into one operation, which rounds once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
from numba import cuda, types
from numba import from_dtype as machine_type
from numba.cuda import config
from numpy.typing import DTypeLike

from headrace_kernels.hashing import U64, hash_slice
from headrace_kernels.kernel import CONVERSIONS, Kernel, row_function
from headrace_kernels.scalars import inlined
from headrace_kernels.segments import SegmentKernel, group_function

DeviceArray = Any
_THREADS = 256
_MOST_BLOCKS = 1024  # eight a multiprocessor of the largest devices there are


class CudaKernel:
    """A kernel on a GPU, one thread a row; made by `Kernel.cuda`.

    Parameters
    ----------
    kernel : Kernel
        The kernel whose scalar function is compiled.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._device_function = _device(kernel.reference)
        self._compiled: dict[np.dtype[Any] | None, Any] = {}

    def launch(self, inputs: Sequence[DeviceArray], constants: Mapping[str, float] | None = None) -> tuple[DeviceArray, ...]:
        """Compute the outputs of all rows on the device.

        Parameters
        ----------
        inputs : sequence of array
            One for each of the kernel's inputs, of equal length.
        constants : mapping of str to number, optional
            Values that replace defaults.

        Returns
        -------
        tuple of device array
            One for each of the kernel's outputs.

        Raises
        ------
        TypeError
            Another number of arrays than inputs, or an unknown constant.
        ValueError
            Arrays of different lengths.
        """
        arrays = tuple(device_array_of(x) for x in inputs)
        n_rows = self.kernel.check_lengths([len(x) for x in arrays])
        dtypes = [x.dtype for x in arrays]
        real = self.kernel.real_type(dtypes)
        outputs = tuple(cuda.device_array(n_rows, dtype) for dtype in self.kernel.output_types(dtypes))
        if real not in self._compiled:
            self._compiled[real] = compiled(self._body(real))
        if n_rows:
            values = _constants(self.kernel.constant_values(constants, real))
            with self.kernel.compiling(dtypes):
                with_blocks(self._compiled[real], grid(n_rows))(arrays, values, outputs, n_rows)
        return outputs

    def ptx(self, dtypes: Sequence[np.dtype[Any]], capability: tuple[int, int] = (8, 0)) -> str:
        """Return the assembly for inputs of these types; needs CUDA's compiler libraries, but no GPU."""
        dtypes = [np.dtype(dtype) for dtype in dtypes]
        real = self.kernel.real_type(dtypes)
        inputs = types.Tuple([array_type(dtype) for dtype in dtypes])
        outputs = types.Tuple([array_type(dtype) for dtype in self.kernel.output_types(dtypes)])
        constants = types.Tuple([_constant_type(value) for value in self.kernel.constant_values(None, real)])
        return ptx_of(self._body(real), types.void(inputs, constants, outputs, types.int64), capability)

    def _body(self, real: np.dtype[Any] | None) -> Callable[..., None]:
        compute_row = _device(row_function(self._device_function, CONVERSIONS[real]))

        def body(inputs: Any, constants: Any, outputs: Any, n_rows: int) -> None:
            i = cuda.grid(1)
            if i < n_rows:
                compute_row(inputs, constants, outputs, i)

        return body


class CudaSegmentKernel:
    """A scan over sorted groups on a GPU, one thread a group; made by `SegmentKernel.cuda`."""

    def __init__(self, kernel: SegmentKernel) -> None:
        self.kernel = kernel
        self._compiled: Any = None

    def launch(
        self,
        inputs: Sequence[DeviceArray],
        starts: DeviceArray,
        valid: DeviceArray | None = None,
        constants: Mapping[str, float] | None = None,
    ) -> DeviceArray:
        """Compute the output of all rows on the device.

        Parameters
        ----------
        inputs : sequence of array
            One for each of the kernel's inputs, sorted by group and time.
        starts : array of int64, length n_groups + 1
            First row of each group, and the number of rows.
        valid : array of truth values, optional
            Rows to take; the others leave the state alone, and what stands in their output means nothing.
        constants : mapping of str to number, optional
            Values that replace defaults.
        """
        arrays = tuple(device_array_of(x) for x in inputs)
        starts = device_array_of(starts)
        n_groups = len(starts) - 1
        out = cuda.device_array(len(arrays[0]), self.kernel.output)
        flags = device_array_of(np.ones(1, np.bool_) if valid is None else valid)
        if self._compiled is None:
            self._compiled = compiled(self._body())
        if n_groups > 0:
            values = _constants(self.kernel.constant_values(constants))
            with self.kernel.compiling([x.dtype for x in arrays]):
                with_blocks(self._compiled, grid(n_groups))(arrays, values, flags, valid is not None, starts, out, n_groups)
        return out

    def ptx(self, dtypes: Sequence[np.dtype[Any]], capability: tuple[int, int] = (8, 0)) -> str:
        """Return the assembly for inputs of these types; needs CUDA's compiler libraries, but no GPU."""
        inputs = types.Tuple([array_type(np.dtype(dtype)) for dtype in dtypes])
        constants = types.Tuple([_constant_type(value) for value in self.kernel.constants.values()])
        flags, starts, out = (array_type(np.dtype(dtype)) for dtype in (np.bool_, np.int64, self.kernel.output))
        signature = types.void(inputs, constants, flags, types.boolean, starts, out, types.int64)
        return ptx_of(self._body(), signature, capability)

    def _body(self) -> Callable[..., None]:
        between = None if self.kernel.between is None else _device(self.kernel.between)
        scan_group = _device(group_function(_device(self.kernel.reference), self.kernel.start, between))

        def body(inputs: Any, constants: Any, valid: Any, has_null: bool, starts: Any, out: Any, n_groups: int) -> None:
            group = cuda.grid(1)
            if group < n_groups:
                scan_group(inputs, constants, valid, has_null, starts, out, group)

        return body


def hash64_strings(offsets: DeviceArray, data: DeviceArray, seed: int = 0) -> DeviceArray:
    """Return XXH64 of each string on the device: the same bits as `hashing.hash64_strings`.

    Parameters
    ----------
    offsets : array of int32 or int64
        One more than strings.
    data : array of uint8
        The bytes of all strings.
    seed : int
        XXH64's seed.
    """
    offsets, data = device_array_of(offsets), device_array_of(data)
    out = cuda.device_array(len(offsets) - 1, np.uint64)
    if len(out):
        with_blocks(compiled(hash_string), grid(len(out)))(offsets, data, U64(seed), out)
    return out


def hash_string(offsets: Any, data: Any, seed: Any, out: Any) -> None:
    """One thread a string."""
    i = cuda.grid(1)
    if i < len(out):
        out[i] = hash_slice(data, np.int64(offsets[i]), np.int64(offsets[i + 1]), seed)


_JITTED: dict[Callable[..., None], Any] = {}
_DEVICE_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}


def compiled(body: Callable[..., None]) -> Any:
    """Return a kernel's body compiled for the device, once a process."""
    if body not in _JITTED:
        _JITTED[body] = cuda.jit(body)
    return _JITTED[body]


def _device(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a plain function callable from device code; unlike ``cuda.jit(device=True)`` this compiles without a GPU too."""
    if function not in _DEVICE_FUNCTIONS:
        _DEVICE_FUNCTIONS[function] = inlined(function)
    return _DEVICE_FUNCTIONS[function]


def ptx_of(body: Callable[..., None], signature: Any, capability: tuple[int, int]) -> str:
    """Return the assembly of a kernel's body; needs CUDA's compiler libraries, but no GPU."""
    code, _ = cuda.compile(body, signature, device=False, abi="numba", cc=capability, output="ptx")
    return str(code)


def array_type(dtype: DTypeLike) -> Any:
    """Return Numba's type of a device array."""
    return types.Array(machine_type(np.dtype(dtype)), 1, "C")


def _constant_type(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return array_type(value.dtype)
    return machine_type(value.dtype) if isinstance(value, np.generic) else types.float64 if isinstance(value, float) else types.int64


def _constants(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(device_array_of(value) if isinstance(value, np.ndarray) else value for value in values)


def device_array_of(array: Any) -> DeviceArray:
    """Return an array as one on the device: a view of what is there already, a copy of a NumPy array."""
    if isinstance(array, np.ndarray):
        return cuda.to_device(np.ascontiguousarray(array))
    # Numba's own arrays say so; the simulator has no other way to take them
    return array if getattr(array, "__cuda_ndarray__", False) else cuda.as_cuda_array(array)


def with_blocks(kernel: Any, blocks: tuple[int, int]) -> Any:
    """Return a kernel that runs in so many blocks and threads. Numba would warn of fewer than 128 blocks: few rows are no mistake here."""
    with _CONFIGURING:
        warns = config.CUDA_LOW_OCCUPANCY_WARNINGS
        config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
        try:
            return kernel[blocks]
        finally:
            config.CUDA_LOW_OCCUPANCY_WARNINGS = warns


_CONFIGURING = Lock()  # Numba's setting is one for all threads


def strided_grid(n: int) -> tuple[int, int]:
    """Return blocks and threads for a kernel whose threads go on in strides: what a block sets up is then paid for by many rows."""
    return min(grid(n)[0], _MOST_BLOCKS), _THREADS


def grid(n: int) -> tuple[int, int]:
    """Return blocks and threads for a kernel with `n` threads at work."""
    return (n + _THREADS - 1) // _THREADS, _THREADS


def on_device(kernel: Kernel | SegmentKernel) -> CudaKernel | CudaSegmentKernel:
    """Return a kernel's or a scan's scalar function as a CUDA kernel (scans: one thread a group)."""
    return CudaSegmentKernel(kernel) if isinstance(kernel, SegmentKernel) else CudaKernel(kernel)
