"""Turn one scalar Python function into a loop over columns, a CUDA kernel and a plain reference.

>>> @kernel(output="float64")
... def area(width, height, scale=1.0):
...     return width * height * scale
>>> area.launch([Column(np.array([1.0, 2.0])), Column(np.array([3.0, 4.0]))])[0].values.tolist()
[3.0, 8.0]
>>> area.reference(1.0, 3.0), area.inputs, dict(area.constants)
(3.0, ('width', 'height'), {'scale': 1.0})

A row is null in the output if it is null in any input; NaN stays what the function makes of it. The function is compiled without
Python's error on division by zero: as in NumPy a float gives inf or NaN, an integer 0, and integers wrap at 64 bits. It vectorises if it has no branch that LLVM cannot turn into a select and
calls nothing but arithmetic, ``math.sqrt`` and ``headrace_kernels.scalars``, ``angles`` and ``elementary``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Column, merged_validity
from headrace_kernels.compiled import jit
from headrace_kernels.numba_names import overload, types
from headrace_kernels.scalars import inlined
from headrace_kernels.signature import ResultError, Scalar, Signature, number_type
from headrace_kernels.threads import over_chunks

SAME = "same"


class Kernel(Signature):
    """A scalar function and what is built from it; made by `kernel`.

    Parameters
    ----------
    function : callable
        Parameters without a default are columns, those with a default are constants.
    outputs : mapping of str to str
        NumPy type of each output by name; "" names a single output; "same" is the inputs' common real type.
    """

    def __init__(self, function: Scalar, outputs: Mapping[str, str]) -> None:
        super().__init__(function)
        for name in outputs.values():
            if name != SAME:
                number_type(name, self._told)
        self.outputs: Mapping[str, str] = MappingProxyType(dict(outputs))
        self._scalar: Scalar | None = None
        self._loops: dict[np.dtype[Any] | None, Scalar] = {}

    @property
    def _made_of(self) -> tuple[Any, ...]:
        return self.reference, dict(self.outputs)

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

    def launch(self, columns: Sequence[Column], constants: Mapping[str, float] | None = None, threads: int = 1) -> tuple[Column, ...]:
        """Compute the outputs of all rows.

        Parameters
        ----------
        columns : sequence of Column
            One for each of `inputs`, of equal length: integers, float32, float64 or truth values.
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
            Another number of columns than inputs, one that is no Column of numbers, an unknown constant, or a function that cannot be
            compiled for the columns' types.
        ValueError
            Columns of different lengths, or a bitmap with fewer bits than rows.
        """
        n_rows = self.check_columns(columns)
        inputs = tuple(column.values for column in columns)
        dtypes = [values.dtype for values in inputs]
        real = self.real_type(dtypes)
        loop, values = self._loop(real), self.constant_values(constants, real)
        outputs = tuple(np.empty(n_rows, dtype) for dtype in self.output_types(dtypes))

        def compute(start: int, stop: int) -> None:
            loop(tuple(x[start:stop] for x in inputs), values, tuple(x[start:stop] for x in outputs), stop - start)

        with self.compiling(dtypes):
            over_chunks(compute, n_rows, threads)
        validity = merged_validity(columns, n_rows)
        return tuple(Column(output, validity) for output in outputs)

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
    if callable(output) or (output is None) == (outputs is None):
        raise TypeError('a kernel is made with the type of its result: @kernel(output="float64"), or @kernel(outputs={...}) for several')
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
    returned = tuple(values) if isinstance(values, types.BaseTuple) else (values,)
    if len(returned) != len(columns):
        raise ResultError(f"values returned: {len(returned)}, outputs declared: {len(columns)}")
    for one in returned:
        if not isinstance(one, types.Integer | types.Float | types.Boolean):
            raise ResultError(f"it returns {one}, and a number is needed")
    if len(columns) == 0:
        return lambda columns, i, values: None
    if not isinstance(values, types.BaseTuple):

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
