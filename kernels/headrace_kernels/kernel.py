"""Turn one scalar Python function into a loop over columns, a CUDA kernel and a plain reference.

>>> @kernel(output="float64")
... def area(width, height, scale=1.0):
...     return width * height * scale
>>> area.launch([Column(np.array([1.0, 2.0])), Column(np.array([3.0, 4.0]))])[0].values.tolist()
[3.0, 8.0]
>>> area.reference(1.0, 3.0), area.inputs, dict(area.constants)
(3.0, ('width', 'height'), {'scale': 1.0})

A row is null in the output if it is null in any input; NaN stays what the function makes of it. The function is compiled without
Python's error on division by zero (it gives inf or NaN). It vectorises if it has no branch that LLVM cannot turn into a select and
calls nothing but arithmetic, ``math.sqrt`` and ``headrace_kernels.scalars``, ``angles`` and ``elementary``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Column, merged_validity
from headrace_kernels.compiled import jit
from headrace_kernels.numba_names import overload
from headrace_kernels.scalars import inlined
from headrace_kernels.threads import over_chunks

Scalar = Callable[..., Any]
SAME = "same"


class Kernel:
    """A scalar function and what is built from it; made by `kernel`.

    Parameters
    ----------
    function : callable
        Parameters without a default are columns, those with a default are constants.
    outputs : mapping of str to str
        NumPy type of each output by name; "" names a single output; "same" is the inputs' common real type.
    """

    def __init__(self, function: Scalar, outputs: Mapping[str, str]) -> None:
        parameters = inspect.signature(function).parameters.values()
        self.name = function.__name__
        self.reference = function
        self.inputs = tuple(p.name for p in parameters if p.default is p.empty)
        self.constants: Mapping[str, float] = MappingProxyType({p.name: p.default for p in parameters if p.default is not p.empty})
        self.outputs: Mapping[str, str] = MappingProxyType(dict(outputs))
        self.__doc__, self.__module__, self.__qualname__ = function.__doc__, function.__module__, function.__qualname__
        self._scalar: Scalar | None = None
        self._loops: dict[np.dtype[Any] | None, Scalar] = {}
        if not self.inputs:
            raise TypeError(f"kernel {self.name!r} has no parameter without a default: nothing to read")
        if [p.name for p in parameters][: len(self.inputs)] != list(self.inputs):
            raise TypeError(f"kernel {self.name!r}: columns come first, then the constants with their defaults")

    def __reduce__(self) -> str:
        return self.__qualname__  # as a function goes to other processes: by where it stands

    def __repr__(self) -> str:
        return f"Kernel({self.name}: {', '.join(self.inputs)} -> {dict(self.outputs)})"

    @property
    def scalar(self) -> Scalar:
        """The compiled scalar function."""
        if self._scalar is None:
            self._scalar = jit(self.reference, inline=True)
        return self._scalar

    def real_type(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any] | None:
        """Return the type that inputs are converted to: float32 if all are, else float64; None where none is asked for."""
        if SAME not in self.outputs.values():
            return None
        return np.dtype(np.float32) if all(dtype == np.float32 for dtype in dtypes) else np.dtype(np.float64)

    def output_types(self, dtypes: Sequence[np.dtype[Any]]) -> tuple[np.dtype[Any], ...]:
        """Return the outputs' types for inputs of these types."""
        real = self.real_type(dtypes)
        return tuple(real if name == SAME and real is not None else np.dtype(name) for name in self.outputs.values())

    def constant_values(self, constants: Mapping[str, float] | None, real: np.dtype[Any] | None) -> tuple[Any, ...]:
        """Return the constants in order, defaults filled in, in the precision of the computation."""
        given = dict(constants or {})
        unknown = sorted(set(given) - set(self.constants))
        if unknown:
            raise TypeError(f"kernel {self.name!r} has no constant {unknown[0]!r}; constants: {', '.join(self.constants) or 'none'}")
        values = [given.get(name, default) for name, default in self.constants.items()]
        return tuple(values if real is None else [real.type(value) for value in values])

    def launch(self, columns: Sequence[Column], constants: Mapping[str, float] | None = None, threads: int = 1) -> tuple[Column, ...]:
        """Compute the outputs of all rows.

        Parameters
        ----------
        columns : sequence of Column
            One for each of `inputs`, of equal length.
        constants : mapping of str to number, optional
            Values that replace defaults.
        threads : int
            Threads to use; the result does not depend on it.

        Returns
        -------
        tuple of Column
            One for each of `outputs`. A row is null if it is null in any input.

        Raises
        ------
        TypeError
            Another number of columns than inputs, or an unknown constant.
        ValueError
            Columns of different lengths.
        """
        n_rows = self.check_lengths([len(column.values) for column in columns])
        inputs = tuple(column.values for column in columns)
        dtypes = [values.dtype for values in inputs]
        real = self.real_type(dtypes)
        loop, values = self._loop(real), self.constant_values(constants, real)
        outputs = tuple(np.empty(n_rows, dtype) for dtype in self.output_types(dtypes))

        def compute(start: int, stop: int) -> None:
            loop(tuple(x[start:stop] for x in inputs), values, tuple(x[start:stop] for x in outputs), stop - start)

        over_chunks(compute, n_rows, threads)
        validity = merged_validity(columns, n_rows)
        return tuple(Column(output, validity) for output in outputs)

    def check_lengths(self, lengths: Sequence[int]) -> int:
        """Return the number of rows; raise if there are not as many columns as inputs, or of different lengths."""
        if len(lengths) != len(self.inputs):
            raise TypeError(f"kernel {self.name!r} takes {len(self.inputs)} columns ({', '.join(self.inputs)}), {len(lengths)} given")
        if len(set(lengths)) > 1:
            raise ValueError(f"kernel {self.name!r}: columns of different lengths {sorted(set(lengths))}")
        return lengths[0]

    def _loop(self, real: np.dtype[Any] | None) -> Scalar:
        if real not in self._loops:
            self._loops[real] = _loop_of(self.scalar, CONVERSIONS[real])
        return self._loops[real]


def kernel(output: str | None = None, *, outputs: Mapping[str, str] | None = None) -> Callable[[Scalar], Kernel]:
    """Make a kernel of the decorated scalar function.

    Parameters
    ----------
    output : str
        NumPy type of the result; "same" computes in and gives float32 if all inputs are float32, else float64.
    outputs : mapping of str to str
        Instead: names and types of several results, which the function returns as a tuple.

    Examples
    --------
    >>> kernel(outputs={"low": "float64", "high": "float64"})(lambda x, width=2.0: (x - width, x + width)).reference(1.0)
    (-1.0, 3.0)
    """
    if (output is None) == (outputs is None):
        raise TypeError("kernel() takes either output or outputs")
    named = {"": output} if output is not None else dict(outputs or {})
    return lambda function: Kernel(function, named)


@inlined
def as_given(x: Any) -> Any:
    """Leave a value as it is."""
    return x


@inlined
def as_float32(x: Any) -> Any:
    """Convert a value to float32."""
    return np.float32(x)


@inlined
def as_float64(x: Any) -> Any:
    """Convert a value to float64."""
    return np.float64(x)


CONVERSIONS: dict[np.dtype[Any] | None, Scalar] = {
    None: as_given,
    np.dtype(np.float32): as_float32,
    np.dtype(np.float64): as_float64,
}


def row_of(columns: tuple[NDArray[Any], ...], i: int) -> tuple[Any, ...]:
    """Return row `i` of several arrays as a tuple."""
    return tuple(column[i] for column in columns)


@overload(row_of, strict=False)
def _compile_row_of(columns: Any, i: Any) -> Any:
    if len(columns) == 0:
        return lambda columns, i: ()
    return lambda columns, i: (columns[0][i], *row_of(columns[1:], i))


def store_row(columns: tuple[NDArray[Any], ...], i: int, values: Any) -> None:
    """Write a value or a tuple of values to row `i` of as many arrays."""
    for column, value in zip(columns, values if isinstance(values, tuple) else (values,), strict=True):
        column[i] = value


@overload(store_row, strict=False)
def _compile_store_row(columns: Any, i: Any, values: Any) -> Any:
    if len(columns) == 0:
        return lambda columns, i, values: None
    if not hasattr(values, "types"):

        def store_one(columns: Any, i: Any, values: Any) -> None:
            columns[0][i] = values

        return store_one

    def store_first(columns: Any, i: Any, values: Any) -> None:
        columns[0][i] = values[0]
        store_row(columns[1:], i, values[1:])

    return store_first


def converted(values: tuple[Any, ...], convert: Scalar) -> tuple[Any, ...]:
    """Return each value of a tuple converted."""
    return tuple(convert(value) for value in values)


@overload(converted, strict=False)
def _compile_converted(values: Any, convert: Any) -> Any:
    if len(values) == 0:
        return lambda values, convert: ()
    return lambda values, convert: (convert(values[0]), *converted(values[1:], convert))


def row_function(scalar: Scalar, convert: Scalar) -> Scalar:
    """Return the function that computes row `i`, for `scalar` compiled for whichever device; loops and CUDA kernels call it."""

    def compute_row(inputs: Any, constants: Any, outputs: Any, i: int) -> None:
        store_row(outputs, i, scalar(*(converted(row_of(inputs, i), convert) + constants)))

    return compute_row


def _loop_of(scalar: Scalar, convert: Scalar) -> Scalar:
    """Return the compiled loop over rows, the scalar function inlined by LLVM."""
    compute_row = jit(row_function(scalar, convert), inline=True)

    def loop(inputs: Any, constants: Any, outputs: Any, n_rows: int) -> None:
        for i in range(n_rows):  # from 0: with a start that may be negative LLVM does not vectorise
            compute_row(inputs, constants, outputs, i)

    return jit(loop)
