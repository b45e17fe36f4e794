"""CuPy's ufuncs: NumPy's on device arrays, with the few methods that CuPy's have."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.gpu.standin.offered import has_name

from cupy._arithmetic import apply_ufunc
from cupy._array import cast, ndarray, on_device, operand

# What atomic operations there are, from the messages of CuPy 14.2.
_INTEGERS = ("int32", "int64", "uint32", "uint64")
_AT = {
    "add": (*_INTEGERS, "float16", "float32", "float64"),
    "subtract": ("int32", "uint32"),
    "maximum": (*_INTEGERS, "float32", "float64"),
    "minimum": (*_INTEGERS, "float32", "float64"),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), _INTEGERS),
}
# Of doubles these two call fmaxf and fminf (cupy/atomics.cuh): what is there and what comes become float32.
_IN_FLOAT32 = ("maximum", "minimum")


class ufunc:  # noqa: N801
    """One function of device arrays and scalars, element by element."""

    def __init__(self, on_host: np.ufunc) -> None:
        self._on_host = on_host
        self.__name__ = on_host.__name__
        self.nin, self.nout = on_host.nin, on_host.nout

    def __repr__(self) -> str:
        return f"<ufunc 'cupy_{self.__name__}'>"

    def __call__(self, *args: Any, out: Any = None, where: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
        args, more = args[: self.nin], args[self.nin :]
        out = out if not more else more[0]
        out = out[0] if isinstance(out, tuple) else out
        operands = [operand(value) for value in args]
        _refuse_wide_shifts(self.__name__, operands)
        settings: dict[str, Any] = {"casting": casting} | ({} if dtype is None else {"dtype": dtype})
        if where is not None:
            settings["where"] = operand(where)
        if out is not None:
            settings["out"] = operand(out)
        with np.errstate(all="ignore"):
            found = apply_ufunc(self._on_host, operands, **settings)
        if out is not None:
            return out
        return tuple(on_device(part) for part in found) if self.nout > 1 else on_device(found)

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        if self.__name__ not in _AT:
            raise NotImplementedError(f"`cupy_{self.__name__}.at` is not supported yet")
        on_host = operand(indices)
        if on_host.dtype.kind != "b" and a.dtype.name not in _AT[self.__name__]:
            raise TypeError(f"cupy.{self.__name__}.at only supports {', '.join(_AT[self.__name__])} as data type")
        values = cast(np.asarray(operand(b)), a.dtype)
        if a.dtype == np.float64 and self.__name__ in _IN_FLOAT32 and on_host.dtype.kind != "b":
            a._host[on_host], values = _as_float32(a._host[on_host]), _as_float32(values)
        self._on_host.at(a._host, on_host, values)

    def reduce(self, array: ndarray, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        self._only("reduce", "add", "multiply")
        return on_device(self._on_host.reduce(operand(array), axis=axis, dtype=dtype, keepdims=keepdims))

    def accumulate(self, array: ndarray, axis: int = 0, dtype: Any = None, out: Any = None) -> ndarray:
        self._only("accumulate", "add", "multiply")
        return on_device(self._on_host.accumulate(operand(array), axis=axis, dtype=dtype))

    def reduceat(self, array: ndarray, indices: ndarray, axis: int = 0, dtype: Any = None, out: Any = None) -> ndarray:
        self._only("reduceat", "add")
        return on_device(self._on_host.reduceat(operand(array), operand(indices), axis=axis, dtype=dtype))

    def outer(self, A: Any, B: Any, **kwargs: Any) -> ndarray:
        return on_device(self._on_host.outer(operand(A), operand(B), **kwargs))

    def _only(self, method: str, *names: str) -> None:
        if self.__name__ not in names:
            raise NotImplementedError(f"`cupy_{self.__name__}.{method}` is not supported yet")


def _as_float32(values: Any) -> Any:
    with np.errstate(over="ignore"):
        return cast(cast(values, np.dtype(np.float32)), np.dtype(np.float64))


def _refuse_wide_shifts(name: str, operands: list[Any]) -> None:
    if name in ("left_shift", "right_shift"):
        by = np.asarray(operands[1])
        width = 8 * max(np.asarray(value).itemsize for value in operands if not isinstance(value, int))
        if by.size and (by.min() < 0 or by.max() >= width):
            raise ValueError("a shift by the number's width or more, or by less than 0, is undefined on a device")


UFUNCS = {name: ufunc(found) for name, found in vars(np).items() if isinstance(found, np.ufunc) and has_name("cupy", name)}
