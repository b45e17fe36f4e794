"""Where CuPy's arithmetic gives other numbers than NumPy's: what its kernels say, and how they are compiled.

CuPy compiles them with ``-ftz=true`` (cupy/cuda/compiler.py): a float32 below the normal numbers is 0 to them, going in and coming
out, also on its way to float64. Where a kernel only moves values (take, where of one type, copies) it stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# These look at bits, or at nothing but NaN and infinity.
_OF_BITS = ("isnan", "isinf", "isfinite", "signbit", "copysign")


def flushed(values: Any) -> Any:
    """Return float32 values with 0, of their sign, for those below the normal numbers; all else as it is."""
    if getattr(values, "dtype", None) != np.float32:
        return values
    tiny = np.abs(values) < np.finfo(np.float32).tiny
    return np.where(tiny, np.copysign(np.float32(0), values), values) if np.any(tiny) else values


def apply_ufunc(on_host: np.ufunc, operands: list[Any], **settings: Any) -> Any:
    """Return what CuPy's function of this name makes of NumPy's memory."""
    name = on_host.__name__
    if name in _OF_BITS:
        return on_host(*operands, **settings)
    operands = [flushed(value) for value in operands]
    own = _OWN.get(name)
    if own is not None and not settings.keys() & {"dtype", "out", "where"}:
        dtype = np.result_type(*operands)
        if own[0] == dtype.kind or (own[0] == "i" and dtype.kind == "u"):
            return flushed(own[1](*(np.asarray(value, dtype) for value in operands)))
    found = on_host(*operands, **settings)
    if "out" in settings:
        settings["out"][...] = flushed(settings["out"])
    return tuple(flushed(part) for part in found) if isinstance(found, tuple) else flushed(found)


def _fmod(x: Any, y: Any) -> Any:
    """Integers go through float64, which has 53 bits."""
    rest = np.fmod(x.astype(np.float64), np.where(y == 0, 1, y).astype(np.float64))
    return np.where(y == 0, 0, rest).astype(x.dtype)


def _remainder(x: Any, y: Any) -> Any:
    return x - np.floor(x / y) * y


def _floor_divide(x: Any, y: Any) -> Any:
    return np.floor(x / y)


def _power(x: Any, y: Any) -> Any:
    """C's pow for each element; NumPy takes a root where the exponent is one number, 1/2, and then -inf gives NaN."""
    x, y = np.broadcast_arrays(x, y)
    return np.power(x, np.array(y)) if x.ndim else np.power(x[None], y[None].copy())[0]


_OWN: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "fmod": ("i", _fmod),
    "remainder": ("f", _remainder),
    "floor_divide": ("f", _floor_divide),
    "power": ("f", _power),
}
