"""CuPy's functions: NumPy's on device arrays, under CuPy's signatures, which have fewer keywords."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tests.gpu.standin.memory import TRANSFERS
from tests.gpu.standin.offered import check_arguments

from cupy._array import cast, checked_dtype, memory_of, ndarray, on_device, operand, stable_only

_REDUCE = "(a, axis=, dtype=, out=, keepdims=)"
_ORDER = "(a, axis=, out=, keepdims=)"
SIGNATURES = {
    "arange": "(start, stop=, step=, dtype=)",
    "linspace": "(start, stop, num=, endpoint=, retstep=, dtype=, axis=)",
    **dict.fromkeys(("zeros", "ones", "empty"), "(shape, dtype=, order=)"),
    "full": "(shape, fill_value, dtype=, order=)",
    **dict.fromkeys(("zeros_like", "ones_like"), "(a, dtype=, order=, subok=, shape=)"),
    "empty_like": "(prototype, dtype=, order=, subok=, shape=)",
    "full_like": "(a, fill_value, dtype=, order=, subok=, shape=)",
    **dict.fromkeys(("concatenate", "stack"), "(tup, axis=, out=, *, dtype=, casting=)"),
    **dict.fromkeys(("hstack", "vstack"), "(tup, *, dtype=, casting=)"),
    "column_stack": "(tup)",
    "split": "(ary, indices_or_sections, axis=)",
    "bincount": "(x, weights=, minlength=)",
    **dict.fromkeys(("cumsum", "cumprod"), "(a, axis=, dtype=, out=)"),
    "diff": "(a, n=, axis=, prepend=, append=)",
    "unique": "(ar, return_index=, return_inverse=, return_counts=, axis=, *, equal_nan=)",
    "searchsorted": "(a, v, side=, sorter=)",
    **dict.fromkeys(("sort", "argsort"), "(a, axis=, kind=)"),
    "lexsort": "(keys)",
    **dict.fromkeys(("flatnonzero", "nonzero"), "(a)"),
    "count_nonzero": "(a, axis=)",
    "where": "(condition, x=, y=)",
    "select": "(condlist, choicelist, default=)",
    "clip": "(a, a_min, a_max, out=)",
    "take": "(a, indices, axis=, out=)",
    "take_along_axis": "(a, indices, axis)",
    "compress": "(condition, a, axis=, out=)",
    "repeat": "(a, repeats, axis=)",
    "tile": "(A, reps)",
    "roll": "(a, shift, axis=)",
    "flip": "(a, axis=)",
    **dict.fromkeys(("sum", "prod", "mean", "nansum", "argmax", "argmin"), _REDUCE),
    **dict.fromkeys(("any", "all", "amin", "amax", "min", "max", "nanmin", "nanmax"), _ORDER),
    **dict.fromkeys(("std", "var"), "(a, axis=, dtype=, out=, ddof=, keepdims=)"),
    "isin": "(element, test_elements, assume_unique=, invert=)",
    "nan_to_num": "(x, copy=, nan=, posinf=, neginf=)",
    **dict.fromkeys(("round", "around"), "(a, decimals=, out=)"),
    "digitize": "(x, bins, right=)",
    "interp": "(x, xp, fp, left=, right=, period=)",
    **dict.fromkeys(("packbits", "unpackbits"), "(a, axis=, bitorder=)"),
    "reshape": "(a, newshape, order=, *, copy=)",
    "ravel": "(a, order=)",
    "copy": "(a, order=)",
    "broadcast_to": "(array, shape)",
    "transpose": "(a, axes=)",
    "expand_dims": "(a, axis)",
    "atleast_1d": "(*arys)",
    "array_equal": "(a1, a2, equal_nan=)",
    "isclose": "(a, b, rtol=, atol=, equal_nan=)",
    "allclose": "(a, b, rtol=, atol=, equal_nan=)",
}  # fmt: skip


def functions() -> dict[str, Callable[..., Any]]:
    """Return every function by name."""
    return {name: _function(name, signature) for name, signature in SIGNATURES.items()} | {
        function.__name__: function for function in (asarray, asanyarray, ascontiguousarray, array, asnumpy, asfortranarray)
    }


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    """Take an array to the device; one that is there already is the same memory."""
    if getattr(a, "__cuda_ndarray__", False):  # Numba's simulator shows its arrays' memory to nobody
        a = on_device(a._ary, new=False)
    elif hasattr(a, "__cuda_array_interface__") and not isinstance(a, ndarray):
        a = on_device(memory_of(a), new=False)
    if isinstance(a, ndarray):
        found = a if dtype is None else a.astype(dtype, copy=False)
        return on_device(np.array(found._host, order=order or "K")) if copy else found
    if isinstance(a, list | tuple) and any(isinstance(part, ndarray) for part in a):
        return on_device(np.stack([operand(part) for part in a]))
    host = np.array(a, order=order if order in ("C", "F") else "K")
    checked_dtype(host.dtype)
    TRANSFERS.to_device(host.nbytes)
    return on_device(host if dtype is None else cast(host, checked_dtype(dtype)), new=False)


def asanyarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    return asarray(a, dtype, order, copy=copy)


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    return on_device(np.ascontiguousarray(asarray(a, dtype)._host))


def asfortranarray(a: Any, dtype: Any = None) -> ndarray:
    return on_device(np.asfortranarray(asarray(a, dtype)._host))


def array(
    obj: Any, dtype: Any = None, copy: Any = True, order: str = "K", subok: bool = False, ndmin: int = 0, *, blocking: bool = False
) -> ndarray:
    found = asarray(obj, dtype, order)
    return on_device(np.array(found._host, copy=True, ndmin=ndmin)) if copy or ndmin else found


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    """Copy an array to the host."""
    if not isinstance(a, ndarray) and not hasattr(a, "__cuda_array_interface__"):
        return np.asarray(a, order=order)  # type: ignore[arg-type]
    return asarray(a).get(order=order, out=out)


def _function(name: str, signature: str) -> Callable[..., Any]:
    on_host = getattr(np, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        check_arguments(name, {"signature": signature}, args, kwargs)
        args, kwargs = _CHECKS.get(name, lambda *given, **named: (given, named))(*args, **kwargs)
        out = kwargs.pop("out", None)
        kwargs = {key: value for key, value in kwargs.items() if key not in ("dtype", "subok") or value is not None}
        if "dtype" in kwargs:
            checked_dtype(kwargs["dtype"])
        with np.errstate(all="ignore"):
            found = on_host(*[_argument(value) for value in args], **{key: _argument(value) for key, value in kwargs.items()})
        if out is None:
            return _wrapped(found)
        out[...] = _wrapped(found)
        return out

    call.__name__ = name
    return call


def _argument(value: Any) -> Any:
    if isinstance(value, list | tuple) and any(isinstance(part, ndarray) or hasattr(part, "__array__") for part in value):
        return type(value)([operand(part) for part in value])
    if isinstance(value, np.dtype | type | str | list | tuple | range) or value is None:
        return value
    return operand(value)


def _wrapped(found: Any) -> Any:
    if isinstance(found, tuple | list):
        return type(found)([_wrapped(part) for part in found]) if type(found) in (tuple, list) else tuple(_wrapped(part) for part in found)
    return on_device(found)


# ---- where CuPy asks for more than NumPy ------------------------------------------------------------------------------

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def _needs_device(name: str, *arrays: Any) -> None:
    for value in arrays:
        if not isinstance(value, ndarray):
            raise TypeError(f"cupy.{name}: a device array is needed, not {type(value)}")


def _concatenate(tup: Any, *args: Any, **kwargs: Any) -> Arguments:
    if not all(isinstance(part, ndarray) for part in tup):
        raise TypeError("Only cupy arrays can be concatenated")
    return (list(tup), *args), kwargs


def _lexsort(keys: Any) -> Arguments:
    _needs_device("lexsort", keys)
    if keys.ndim > 2:
        raise NotImplementedError("Keys with the rank of three or more is not supported in lexsort")
    return (keys,), {}


def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Arguments:
    if not isinstance(a, ndarray):
        raise NotImplementedError("Only int or ndarray are supported for a")
    if not isinstance(v, ndarray | int | float | complex):
        raise NotImplementedError("Only python scalars or ndarrays are supported for v")
    return (a, v), {"side": side, "sorter": sorter}


def _sort(a: Any, axis: Any = -1, kind: Any = None) -> Arguments:
    _needs_device("sort", a)
    return (a, axis), {"kind": stable_only(kind)}


def _packbits(a: Any, axis: Any = None, bitorder: str = "big") -> Arguments:
    _needs_device("packbits", a)
    if axis is not None:
        raise NotImplementedError("axis option is not supported yet")
    return (a.ravel(),), {"bitorder": bitorder}


def _bincount(x: Any, weights: Any = None, minlength: Any = None) -> Arguments:
    _needs_device("bincount", x, *([] if weights is None else [weights]))
    if x.ndim != 1:
        raise ValueError("object too deep for desired array" if x.ndim else "object of too small depth for desired array")
    if x.dtype.kind == "f":
        raise TypeError("x must be int array")
    TRANSFERS.scalar()  # the size of the result
    if x.dtype == np.uint64:
        x = x.astype(np.int64)
    return (x,), {"weights": weights, "minlength": int(minlength or 0)}


def _nonzero(a: Any) -> Arguments:
    _needs_device("nonzero", a)
    TRANSFERS.scalar()
    return (a,), {}


def _where(condition: Any, x: Any = None, y: Any = None) -> Arguments:
    _needs_device("where", condition)
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if x is None:
        TRANSFERS.scalar()
    if x is None:
        return (condition,), {}
    dtype = np.result_type(*(value._host if isinstance(value, ndarray) else value for value in (x, y)))
    return (condition.astype(bool), *(value.astype(dtype, copy=False) if isinstance(value, ndarray) else value for value in (x, y))), {}


def _one_device_array(name: str) -> Callable[..., Arguments]:
    def check(a: Any, *args: Any, **kwargs: Any) -> Arguments:
        _needs_device(name, a)
        return (a, *args), kwargs

    return check


_CHECKS: dict[str, Callable[..., Arguments]] = {
    **{
        name: _one_device_array(name)
        for name, signature in SIGNATURES.items()
        if signature.startswith(("(a,", "(a)", "(ar,", "(x,", "(element,")) and "(a, fill" not in signature
    },
    **dict.fromkeys(("concatenate", "stack", "hstack", "vstack", "column_stack"), _concatenate),
    **dict.fromkeys(("sort", "argsort"), _sort),
    **dict.fromkeys(("packbits", "unpackbits"), _packbits),
    **dict.fromkeys(("flatnonzero", "nonzero"), _nonzero),
    "lexsort": _lexsort,
    "searchsorted": _searchsorted,
    "bincount": _bincount,
    "where": _where,
}
