"""cupy.ndarray without a device: NumPy's arrays behind CuPy's refusals.

It is no numpy.ndarray and never becomes one unasked, so a hidden copy to the host is an error here as it is there.
Where a device would silently do what NumPy does not (indices out of bounds wrap, equal indices are written in any order),
this raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from tests.gpu.standin.memory import TRANSFERS, allocate
from tests.gpu.standin.offered import offered

from cupy._arithmetic import flushed

IMPLICIT = "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."


@offered("cupy", "ndarray")
class ndarray:  # noqa: N801
    """An array on the device."""

    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C") -> None:
        if memptr is not None or strides is not None:
            raise NotImplementedError("arrays over given memory")
        self._host = np.empty(shape, checked_dtype(dtype), order=order)  # type: ignore[call-overload]
        allocate(self._host.nbytes)

    # ---- what it is ---------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._host.shape

    @shape.setter
    def shape(self, shape: tuple[int, ...]) -> None:
        self._host = self._host.reshape(shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._host.dtype

    @property
    def ndim(self) -> int:
        return self._host.ndim

    @property
    def size(self) -> int:
        return self._host.size

    @property
    def nbytes(self) -> int:
        return self._host.nbytes

    @property
    def itemsize(self) -> int:
        return self._host.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        return self._host.strides

    @property
    def flags(self) -> Any:
        flags = self._host.flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=flags.owndata)

    @property
    def data(self) -> Any:
        """Where the memory is: an address and nothing else of the real MemoryPointer."""
        return SimpleNamespace(ptr=self._host.ctypes.data)

    @property
    def T(self) -> ndarray:
        return on_device(self._host.T)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        strides = None if self._host.flags.c_contiguous else self._host.strides
        data = (self._host.ctypes.data if self._host.size else 0, False)
        return {"shape": self.shape, "typestr": self.dtype.str, "descr": self.dtype.descr, "data": data, "strides": strides, "version": 3}

    def __repr__(self) -> str:
        return repr(self._host)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError("the stand-in does not go through an array one by one: each step would be a launch")

    # ---- to the host --------------------------------------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(IMPLICIT)

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        TRANSFERS.to_host(self.nbytes)
        if out is not None:
            out[...] = self._host
            return out
        return self._host.copy(order=order)  # type: ignore[arg-type]

    def tolist(self) -> Any:
        TRANSFERS.to_host(self.nbytes)
        return self._host.tolist()

    def tobytes(self, order: str = "C") -> bytes:
        TRANSFERS.to_host(self.nbytes)
        return self._host.tobytes(order)  # type: ignore[arg-type]

    def item(self) -> Any:
        TRANSFERS.scalar()
        return self._host.item()

    def set(self, arr: Any, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        TRANSFERS.to_device(arr.nbytes)
        self._host[...] = arr

    def __bool__(self) -> bool:
        TRANSFERS.scalar()
        return bool(self._host)

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError("only integer scalar arrays can be converted to a scalar index")
        return int(self.item())

    # ---- parts of it --------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> ndarray:
        checked_dtype(self.dtype)
        return on_device(self._host[_indices(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        host_key = _indices(key)
        if isinstance(value, np.ndarray):
            if not any(isinstance(part, np.ndarray) for part in (host_key if isinstance(host_key, tuple) else (host_key,))):
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            TRANSFERS.to_device(value.nbytes)
        value = cast(value._host, self.dtype) if isinstance(value, ndarray) else value
        if isinstance(host_key, np.ndarray) and host_key.dtype.kind in "iu" and np.ndim(value) and np.size(value) > 1:
            _refuse_races(host_key, value, len(self))
        self._host[host_key] = value

    def take(self, indices: Any, axis: int | None = None, out: Any = None) -> ndarray:
        host = indices._host if isinstance(indices, ndarray) else np.asarray(indices)
        return on_device(np.take(self._host, host, axis))

    def nonzero(self) -> tuple[ndarray, ...]:
        if not self.ndim:
            raise ValueError("Calling nonzero on 0d arrays is not allowed. Use cp.atleast_1d(scalar).nonzero() instead.")
        return tuple(on_device(found) for found in self._host.nonzero())

    # ---- other forms of it --------------------------------------------------------------------------------------------

    def astype(self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True) -> ndarray:
        dtype = checked_dtype(dtype)
        if dtype == self.dtype and not copy:
            return self
        return on_device(cast(self._host, dtype).copy() if dtype == self.dtype else cast(self._host, dtype))

    def view(self, dtype: Any = None) -> ndarray:
        return on_device(self._host.view() if dtype is None else self._host.view(dtype), new=False)

    def copy(self, order: str = "C") -> ndarray:
        return on_device(self._host.copy(order))  # type: ignore[arg-type]

    def reshape(self, *shape: Any, order: str = "C") -> ndarray:
        return on_device(self._host.reshape(*shape, order=order), new=False)  # type: ignore[call-overload]

    def ravel(self, order: str = "C") -> ndarray:
        return on_device(self._host.ravel(order), new=False)  # type: ignore[arg-type]

    def flatten(self, order: str = "C") -> ndarray:
        return on_device(self._host.flatten(order))  # type: ignore[arg-type]

    def squeeze(self, axis: Any = None) -> ndarray:
        return on_device(self._host.squeeze(axis), new=False)

    def transpose(self, *axes: Any) -> ndarray:
        return on_device(self._host.transpose(*axes), new=False)

    def fill(self, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.shape:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._host.fill(value._host if isinstance(value, ndarray) else value)

    def sort(self, axis: int = -1, kind: Any = None) -> None:
        self._host.sort(axis, stable_only(kind))

    def argsort(self, axis: int | None = -1, kind: Any = None) -> ndarray:
        return on_device(self._host.argsort(axis, stable_only(kind)))

    def repeat(self, repeats: Any, axis: int | None = None) -> ndarray:
        return on_device(self._host.repeat(repeats._host if isinstance(repeats, ndarray) else repeats, axis))

    # ---- dispatch -----------------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        import cupy

        found = getattr(cupy, ufunc.__name__, None)
        if found is None:
            return NotImplemented
        return found(*inputs, **kwargs) if method == "__call__" else getattr(found, method)(*inputs, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        import cupy

        found = getattr(cupy, func.__name__, None)
        if found is None or found is func or any(kind not in (ndarray, np.ndarray) for kind in types):
            return NotImplemented
        return found(*args, **kwargs)


def on_device(host: Any, *, new: bool = True) -> ndarray:
    """Return an array over NumPy memory; `new` says that the device had to find room for it."""
    array = ndarray.__new__(ndarray)
    array._host = np.asarray(host)
    if new and array._host.base is None:
        allocate(array._host.nbytes)
    return array


def operand(value: Any) -> Any:
    """Return what NumPy may compute with; a host array is refused, as CuPy's kernels refuse it."""
    if isinstance(value, ndarray):
        checked_dtype(value.dtype)  # times can be viewed, not computed with
        return value._host
    if hasattr(value, "__cuda_array_interface__"):
        return memory_of(value)
    if value is None or isinstance(value, int | float | complex | np.generic):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


class _Memory:
    """Keeps the owner of device memory alive for as long as NumPy looks at it."""

    def __init__(self, interface: dict[str, Any], owner: Any) -> None:
        self._owner = owner
        self.__array_interface__ = {**{key: interface.get(key) for key in ("shape", "typestr", "data", "strides")}, "version": 3}


def memory_of(owner: Any) -> np.ndarray:
    """Return the memory of an object with ``__cuda_array_interface__`` as NumPy sees it, without a copy."""
    interface = owner.__cuda_array_interface__
    if interface.get("mask") is not None:
        raise ValueError("CuPy currently does not support masked arrays.")
    if 0 in interface["shape"]:
        return np.empty(interface["shape"], interface["typestr"])
    return np.asarray(_Memory(interface, owner))


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    found = np.dtype(dtype)
    if found.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {found}")
    return found


def stable_only(kind: Any) -> Any:
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    return "stable"


def cast(host: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Convert as PTX's cvt does: floats saturate, and NaN becomes 0, or the least integer if either side has 64 bits."""
    if host.dtype == dtype:
        return host
    host = flushed(host)
    if host.dtype.kind != "f" or dtype.kind not in "iu":
        return flushed(host.astype(dtype))
    wide = dtype if dtype.itemsize >= 4 else np.dtype(f"{dtype.kind}4")  # there is no conversion to fewer bits: the rest is cut off
    info = np.iinfo(wide)
    of_nan = 0 if host.dtype.itemsize < 8 and wide.itemsize < 8 else (info.min if wide.kind == "i" else 1 << (8 * wide.itemsize - 1))
    low, high = host <= float(info.min), host >= float(info.max)
    inside = np.where(low | high | np.isnan(host), 0, host).astype(wide)
    found = np.select([np.isnan(host), low, high], [np.array(of_nan, wide), np.array(info.min, wide), np.array(info.max, wide)], inside)
    return found.astype(dtype)


def _indices(key: Any) -> Any:
    """Return NumPy's key; lists and host arrays are copied to the device first, as CuPy does."""
    if isinstance(key, tuple):
        return tuple(_indices(part) for part in key)
    if isinstance(key, ndarray):
        return key._host
    if isinstance(key, np.ndarray | list):
        host = np.asarray(key)
        TRANSFERS.to_device(host.nbytes)
        return host.astype(np.int32) if isinstance(key, list) and not host.size else host
    return memory_of(key) if hasattr(key, "__cuda_array_interface__") else key


def _refuse_races(indices: np.ndarray, values: Any, length: int) -> None:
    places = (indices % max(length, 1)).ravel()
    order = np.argsort(places, kind="stable")
    same = places[order][1:] == places[order][:-1]
    written = np.broadcast_to(values, indices.shape).ravel()[order]
    if np.any(same & (written[1:] != written[:-1])):
        raise ValueError("different values are written to one element: on a device any of them may stay")


def _reduction(name: str, settings: str) -> Callable[..., ndarray]:
    known = ["axis", *settings.split()]

    def method(self: ndarray, *args: Any, **kwargs: Any) -> ndarray:
        given = dict(zip(known, args, strict=False)) | kwargs
        if len(args) > len(known) or not set(given) <= set(known):
            raise TypeError(f"{name}() takes {known}")
        if given.pop("out", None) is not None:
            raise NotImplementedError(f"{name} into given memory")
        with np.errstate(all="ignore"):
            return on_device(getattr(np, name)(self._host, **given))

    method.__name__ = name
    return method


def _binary(name: str, *, reflected: bool) -> Callable[..., Any]:
    def method(self: ndarray, other: Any) -> Any:
        import cupy

        if not isinstance(other, np.ndarray | ndarray) and hasattr(other, "__array_ufunc__") and not isinstance(other, np.generic):
            return NotImplemented
        return getattr(cupy, name)(*((other, self) if reflected else (self, other)))

    return method


def _in_place(name: str) -> Callable[..., Any]:
    def method(self: ndarray, other: Any) -> ndarray:
        import cupy

        return getattr(cupy, name)(self, other, out=self)

    return method


_REDUCTIONS = {
    **dict.fromkeys(("sum", "prod", "mean"), "dtype out keepdims"),
    **dict.fromkeys(("max", "min", "any", "all"), "out keepdims"),
    **dict.fromkeys(("argmax", "argmin"), "out dtype keepdims"),
    **dict.fromkeys(("cumsum", "cumprod"), "dtype out"),
    **dict.fromkeys(("std", "var"), "dtype out ddof keepdims"),
}
for _name, _settings in _REDUCTIONS.items():
    setattr(ndarray, _name, _reduction(_name, _settings))

_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
for _name, _ufunc in _OPERATORS.items():
    setattr(ndarray, f"__{_name}__", _binary(_ufunc, reflected=False))
    setattr(ndarray, f"__r{_name}__", _binary(_ufunc, reflected=True))
    setattr(ndarray, f"__i{_name}__", _in_place(_ufunc))
for _name, _ufunc in {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}.items():
    setattr(ndarray, f"__{_name}__", _binary(_ufunc, reflected=False))
for _name, _ufunc in {"neg": "negative", "pos": "positive", "invert": "invert", "abs": "absolute"}.items():
    setattr(ndarray, f"__{_name}__", lambda self, _ufunc=_ufunc: getattr(__import__("cupy"), _ufunc)(self))
