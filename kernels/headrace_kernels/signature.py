"""What a scalar function takes, columns first and then constants with their defaults, and whether what it is given fits."""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np

from headrace_kernels.column import Column
from headrace_kernels.numba_names import NumbaError

Scalar = Callable[..., Any]


class ResultError(TypeError):
    """What a scalar function returns cannot be stored in its outputs; raised while Numba compiles it."""


class Signature(ABC):
    """A scalar function with the names of its columns and constants: what `Kernel` and `SegmentKernel` have in common.

    Parameters
    ----------
    function : callable
        Parameters without a default are columns, those with a default are constants.
    n_before : int
        How many parameters stand before the columns, for what a scan passes on.
    """

    kind = "kernel"

    def __init__(self, function: Scalar, n_before: int = 0) -> None:
        self.name = function.__name__
        self.reference = function
        parameters = list(inspect.signature(function).parameters.values())[n_before:]
        self.inputs = tuple(p.name for p in parameters if p.default is p.empty)
        self.constants: Mapping[str, float] = MappingProxyType({p.name: p.default for p in parameters if p.default is not p.empty})
        self.__doc__, self.__module__, self.__qualname__ = function.__doc__, function.__module__, function.__qualname__
        if not self.inputs:
            raise TypeError(f"{self._told} has no parameter without a default: nothing to read")
        if [p.name for p in parameters][: len(self.inputs)] != list(self.inputs):
            raise TypeError(f"{self._told}: columns come first, then the constants with their defaults")
        starred = next((p for p in parameters if p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)), None)
        if starred is not None:
            raise TypeError(f"{self._told}: {str(starred)!r} cannot be given by its position; name each column and constant")

    def __reduce__(self) -> str | tuple[Any, ...]:
        # As a function goes to other processes: by where it stands, and by value (which cloudpickle can) where that is a prompt or a notebook.
        if self.__module__ == "__main__" and not hasattr(sys.modules["__main__"], "__file__"):
            return type(self), self._made_of
        return self.__qualname__

    @property
    @abstractmethod
    def _made_of(self) -> tuple[Any, ...]:
        """What another one like it is made of."""

    @property
    def _told(self) -> str:
        return f"{self.kind} {self.name!r}"

    def constant_values(self, constants: Mapping[str, float] | None, real: np.dtype[Any] | None = None) -> tuple[Any, ...]:
        """Return the constants in order, defaults filled in, in the precision of the computation; raise TypeError for what is none."""
        unknown = sorted(set(constants or {}) - set(self.constants))
        if unknown:
            raise TypeError(f"{self._told} has no constant {unknown[0]!r}; constants: {', '.join(self.constants) or 'none'}")
        values = {**self.constants, **(constants or {})}
        for name, value in values.items():
            if not isinstance(value, int | float | np.number | np.bool_ | np.ndarray):
                raise TypeError(f"{self._told}: constant {name!r} is no number: {value!r}")
        return tuple(values.values() if real is None else [real.type(value) for value in values.values()])

    def check_lengths(self, lengths: Sequence[int]) -> int:
        """Return the number of rows; raise if there are not as many columns as inputs, or of different lengths."""
        if len(lengths) != len(self.inputs):
            raise TypeError(f"{self._told} takes {len(self.inputs)} columns ({', '.join(self.inputs)}), {len(lengths)} given")
        if len(set(lengths)) > 1:
            raise ValueError(f"{self._told}: columns of different lengths {sorted(set(lengths))}")
        return lengths[0]

    def check_columns(self, columns: Sequence[Column]) -> int:
        """Return the number of rows; raise if the columns are not what the function takes."""
        if isinstance(columns, Column | np.ndarray) or not isinstance(columns, Sequence):
            raise TypeError(f"{self._told} takes a list of columns, and a {_type_name(columns)} was given")
        for name, column in zip(self.inputs, columns, strict=False):
            wrong = _mistake(column)
            if wrong is not None:
                raise TypeError(f"{self._told}: input {name!r} {wrong}")
        n_rows = self.check_lengths([len(column.values) for column in columns])
        for name, column in zip(self.inputs, columns, strict=True):
            if column.validity is not None and 8 * len(column.validity) < column.offset + n_rows:
                told = f"{8 * len(column.validity)} bits of validity for {n_rows} rows from bit {column.offset} on"
                raise ValueError(f"{self._told}: input {name!r} has {told}")
        return n_rows

    @contextmanager
    def compiling(self, dtypes: Sequence[np.dtype[Any]]) -> Iterator[None]:
        """Say of what Numba cannot compile which function it is, for which types, and what is wrong with it."""
        try:
            yield
        except ResultError as error:
            raise TypeError(f"{self._told}: {error}") from None
        except NumbaError as error:
            raise TypeError(f"{self._told} cannot be compiled for {', '.join(map(str, dtypes))}: {_reason(error)}") from error


def number_type(name: Any, told: str) -> np.dtype[Any]:
    """Return the NumPy type of an output by its name; raise TypeError if it is none of a number or a truth value."""
    try:
        found = np.dtype(name)
    except TypeError:
        found = np.dtype(object)
    if not isinstance(name, str) or not _is_taken(found):
        raise TypeError(f"{told}: {name!r} is no type of numbers; write one as 'float64', 'int32' or 'bool'")
    return found


def _is_taken(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf" and dtype.isnative and dtype.itemsize <= 8 and dtype != np.float16


def _mistake(column: Any) -> str | None:
    """Return what is wrong with a column by itself, or None."""
    if not isinstance(column, Column):
        return f"is a {_type_name(column)}, and a Column is needed: Column(values, validity), both arrays of NumPy's"
    values, validity = column.values, column.validity
    if not isinstance(values, np.ndarray) or values.ndim != 1:
        shape = f" of {values.ndim} dimensions" if isinstance(values, np.ndarray) else ""
        return f"has a {_type_name(values)}{shape} for its values, and a NumPy array of one dimension is needed"
    if values.dtype.kind in "mM":
        return f"holds {values.dtype}, and numbers are needed: its integers are values.view('int64')"
    if not _is_taken(values.dtype):
        return f"holds {values.dtype}, and numbers are needed: integers, float32, float64, or truth values, in this machine's byte order"
    if validity is not None and (not isinstance(validity, np.ndarray) or validity.dtype != np.uint8):
        given = f"{validity.dtype} array" if isinstance(validity, np.ndarray) else _type_name(validity)
        return f"has a {given} for its validity, and Arrow's bitmap is needed: np.packbits(is_valid, bitorder='little') makes one"
    return None


def _type_name(thing: Any) -> str:
    kind = type(thing)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _reason(error: NumbaError) -> str:
    """Return what Numba says of a function, without the passes of its compiler that the error came through."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith("Failed in nopython mode")]
    passes = (index for index, line in enumerate(lines) if index and line.startswith("During: "))
    return "\n".join(lines[: next(passes, None)])
