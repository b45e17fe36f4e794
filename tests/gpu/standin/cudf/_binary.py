"""Arithmetic and comparison of columns: libcudf's types of results, and null where either side is null, but for times.

A null time is unequal to all, itself too: cuDF fills what libcudf leaves null (`_binaryop` of datetime.py and timedelta.py).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from cudf._column import Column, made, of_numpy
from cudf._dtypes import STRING

COMPARISONS = {"eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
LOGIC = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}
ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": operator.pow,
}
# What a division of integers computes in: 24 bits of mantissa for all that is not 64 or unsigned 32 bits wide.
_QUOTIENTS = {"int64": np.float64, "uint32": np.float64, "uint64": np.float64}


def binary(name: str, left: Any, right: Any) -> Column:
    """Return the result of an operator; one side may be a scalar."""
    column = left if isinstance(left, Column) else right
    found = _with_nulls(name, column, left, right)
    if name in COMPARISONS and column.dtype.kind in "mM":
        return of_numpy(np.where(found.valid, found.values, name == "ne"), np.ones(len(found), bool))
    return found


def _with_nulls(name: str, column: Column, left: Any, right: Any) -> Column:
    if any(value is None or value is pd.NA for value in (left, right)):
        return of_numpy(np.zeros(len(column), bool if name in COMPARISONS else column.dtype), np.zeros(len(column), bool))
    if column.dtype == STRING:
        return _of_text(name, left, right)
    left, right = _same_kind(left, right), _same_kind(right, left)
    valid = np.logical_and(*(value.valid if isinstance(value, Column) else True for value in (left, right)))
    x, y = (value.values if isinstance(value, Column) else value for value in (left, right))
    with np.errstate(all="ignore"):
        return of_numpy(_computed(name, x, y), np.broadcast_to(valid, len(column)))


def _computed(name: str, x: Any, y: Any) -> np.ndarray:
    kinds = {np.asarray(value).dtype.kind for value in (x, y)}
    if name in COMPARISONS:
        return COMPARISONS[name](x, y)
    if name in LOGIC:
        if "f" in kinds:
            raise TypeError(f"Operation 'bitwise {name}' not supported between floats")
        return LOGIC[name](x, y)
    if kinds & set("mM"):
        if name not in ("add", "sub"):
            raise TypeError(f"{name} is not supported between times")
        return ARITHMETIC[name](x, y)
    if name == "truediv":
        first = np.asarray(x)
        return operator.truediv(first if first.dtype.kind == "f" else first.astype(_QUOTIENTS.get(first.dtype.name, np.float32)), y)
    divisor = np.asarray(y)
    if name in ("floordiv", "mod") and divisor.dtype.kind in "iu" and (divisor == 0).any():
        x = np.asarray(x).astype(np.float64)  # integers have no infinity: a zero anywhere makes all results floats
    if name == "pow" and "f" not in kinds:
        raise NotImplementedError("the stand-in for cudf has no powers of integers")
    return ARITHMETIC[name](x, y)


def _same_kind(value: Any, other: Any) -> Any:
    """Refuse what libcudf would compare in a type that does not hold both sides."""
    if isinstance(value, Column) and isinstance(other, Column):
        if not isinstance(value.dtype, np.dtype) or not isinstance(other.dtype, np.dtype):
            raise NotImplementedError(f"the stand-in for cudf computes nothing with {value.dtype} and {other.dtype}")
        if {value.dtype.name, other.dtype.name} == {"int64", "uint64"}:
            raise NotImplementedError("libcudf brings int64 and uint64 to one of the two")
    if isinstance(value, Column) and not isinstance(value.dtype, np.dtype | pd.DatetimeTZDtype):
        raise NotImplementedError(f"the stand-in for cudf computes nothing with {value.dtype}")
    if isinstance(value, pd.Timestamp):
        return value.to_datetime64()
    if not isinstance(value, Column) and not isinstance(value, bool | int | float | np.generic):
        raise TypeError(f"unsupported operand {type(value).__name__}")
    return value


def _of_text(name: str, left: Any, right: Any) -> Column:
    if name not in COMPARISONS:
        raise NotImplementedError(f"the stand-in for cudf has no {name} of texts")
    arrays = [value.array if isinstance(value, Column) else value for value in (left, right)]
    if not all(isinstance(value, str) or getattr(value, "type", None) == "string" for value in arrays):
        raise NotImplementedError("the stand-in for cudf compares texts with texts alone")
    functions = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
    return made(getattr(pc, functions[name])(*arrays))
