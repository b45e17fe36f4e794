"""Arithmetic on a device: integers raise instead of wrapping, division by zero gives null, halves round away from zero.

What each means stands in `headrace.backends.arrow.expression.arithmetic`. Where integers leave their type the first such row goes
through the host's function, which raises and names its values. Decimals are the host's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cupy
import numpy as np
import pyarrow as pa

from headrace.backends.arrow.expression.operands import constant
from headrace.backends.cudf.column import Column, Rows, is_valid, only, take
from headrace.backends.cudf.expression import times
from headrace.backends.cudf.expression.host import on_the_host
from headrace.backends.cudf.expression.operands import (
    Implementation,
    Operand,
    Side,
    as_type,
    computed,
    device_type,
    given,
    is_column,
    on_device,
    side,
)
from headrace.backends.cudf.values import comparable
from headrace.expressions.promotion import integer_range, number_type


def _sides(function: str, operands: Sequence[Operand]) -> tuple[list[Side], pa.DataType] | None:
    """Return operands in the one number type in which arithmetic is done; None for decimals."""
    type_ = number_type(function, given(operands))
    if not device_type(type_) or not on_device(operands):
        return None
    return [side(operand, type_) for operand in operands], type_


def _is_integer(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_))


def _column(function: str, operands: Sequence[Operand], values: Rows, sides: Sequence[Side], type_: pa.DataType, over: Any) -> Column:
    """Return a result, unless integers left their type in a row that has a value."""
    made = computed(values, sides, type_)
    if over is not None:
        over = over & is_valid(made)
        if bool(over.any()):
            first = cupy.flatnonzero(over)[:1]
            rows = [take(operand, first) if is_column(operand) else operand for operand in operands]  # type: ignore[arg-type]
            on_the_host(function, rows)  # raises
    return made


def _wide(values: Any) -> Any:
    return values.astype(np.int64)


def _narrowed(values: Rows, type_: pa.DataType) -> tuple[Rows, Rows]:
    """Return integers of 64 bits in a narrower type, and which do not fit it."""
    low, high = integer_range(type_)
    return values.astype(type_.to_pandas_dtype()), (values < low) | (values > high)


def _add_wraps(left: Any, right: Any, total: Rows) -> Rows:
    return total < left if total.dtype == np.uint64 else ((left ^ total) & (right ^ total)) < 0


def _subtract_wraps(left: Any, right: Any, rest: Rows) -> Rows:
    return left < right if rest.dtype == np.uint64 else ((left ^ right) & (left ^ rest)) < 0


def _multiply_wraps(left: Any, right: Any, product: Rows) -> Rows:
    """Tell where a product of 64 bits wrapped: divided by one factor it does not give the other."""
    zero = left == 0
    divisor = cupy.where(zero, product.dtype.type(1), left)
    wrapped = ~zero & (product // divisor != right)
    if product.dtype == np.int64:
        least = np.int64(-(1 << 63))
        wrapped = wrapped | ((left == -1) & (right == least)) | ((right == -1) & (left == least))
    return wrapped


def _checked(
    compute: Callable[[Any, Any], Any], wraps: Callable[[Any, Any, Rows], Rows], about_time: Callable[..., Column | None]
) -> Implementation:
    def checked(function: str, operands: Sequence[Operand]) -> Column | None:
        if times.is_about_time(operands):
            return about_time(function, operands)
        found = _sides(function, operands)
        if found is None:
            return None
        sides, type_ = found
        left, right = (one.values for one in sides)
        if not _is_integer(type_):
            return computed(compute(left, right), sides, type_)
        if type_.bit_width == 64:
            values = compute(left, right)
            return _column(function, operands, values, sides, type_, wraps(left, right, values))
        values, over = _narrowed(compute(_wide(left), _wide(right)), type_)
        return _column(function, operands, values, sides, type_, over)

    return checked


def _without_zero(one: Side) -> tuple[Any, Rows | None]:
    """Return a divisor with 1 in place of 0, and where it was not 0 (None: it is a constant that is not)."""
    zero = one.values == 0
    if one.values.ndim == 0:
        return (cupy.ones_like(one.values), ~zero) if bool(zero) else (one.values, None)
    return cupy.where(zero, one.values.dtype.type(1), one.values), ~zero


def _not_by_zero(made: Column, nonzero: Any) -> Column:
    if nonzero is None:
        return made
    return only(made, nonzero if nonzero.ndim else cupy.zeros(len(made), bool))


def _divide(function: str, operands: Sequence[Operand]) -> Column | None:
    type_ = number_type(function, given(operands))
    if not on_device(operands) or not device_type(type_):
        return None
    target = type_ if pa.types.is_float32(type_) else pa.float64()
    left, right = (side(operand, target) for operand in operands)
    divisor, nonzero = _without_zero(right)
    return _not_by_zero(computed(left.values / divisor, [left, right], target), nonzero)


def _integer_divide(function: str, operands: Sequence[Operand]) -> Column | None:
    found = _sides(function, operands)
    if found is None or not _is_integer(found[1]):
        return None
    (left, right), type_ = found
    divisor, nonzero = _without_zero(right)
    rest = left.values % divisor
    quotient = left.values // divisor + ((rest != 0) & ((left.values < 0) != (divisor < 0)))
    over = None
    if pa.types.is_signed_integer(type_):
        over = (left.values == integer_range(type_)[0]) & (divisor == -1)
    made = _column(function, operands, quotient.astype(type_.to_pandas_dtype()), [left, right], type_, over)
    return _not_by_zero(made, nonzero)


def _modulo(function: str, operands: Sequence[Operand]) -> Column | None:
    found = _sides(function, operands)
    if found is None:
        return None
    (left, right), type_ = found
    divisor, nonzero = _without_zero(right)
    if pa.types.is_signed_integer(type_):  # the least integer divided by -1 overflows; its rest is 0, as with 1
        divisor = cupy.where(divisor == -1, divisor.dtype.type(1), divisor)
    return _not_by_zero(computed(_rest(left.values, divisor), [left, right], type_), nonzero)


def _rest(left: Any, divisor: Any) -> Rows:
    """Return what a division towards zero leaves; CuPy's fmod of integers would go through float64."""
    if left.dtype.kind == "f":
        return cupy.fmod(left, divisor)
    rest = left % divisor
    return cupy.where((rest != 0) & ((left < 0) != (divisor < 0)), rest - divisor, rest)


def _negate(function: str, operands: Sequence[Operand]) -> Column | None:
    found = _sides(function, operands)
    if found is None or pa.types.is_unsigned_integer(found[1]):
        return None
    (one,), type_ = found
    over = one.values == integer_range(type_)[0] if _is_integer(type_) else None
    return _column(function, operands, -one.values, [one], type_, over)


def _abs(function: str, operands: Sequence[Operand]) -> Column | None:
    found = _sides(function, operands)
    if found is None:
        return None
    (one,), type_ = found
    over = one.values == integer_range(type_)[0] if pa.types.is_signed_integer(type_) else None
    return _column(function, operands, cupy.abs(one.values), [one], type_, over)


def _sign(function: str, operands: Sequence[Operand]) -> Column | None:
    found = _sides(function, operands)
    if found is None:
        return None
    (one,), _ = found
    values = comparable(one.values)
    signs = (values > 0).astype(np.int8) - (values < 0).astype(np.int8)  # NaN is neither
    return computed(signs, [one], pa.int8())


def _whole(ufunc: Callable[[Rows], Rows], *, of_integers: pa.DataType | None) -> Implementation:
    def rounded(function: str, operands: Sequence[Operand]) -> Column | None:
        found = _sides(function, operands)
        if found is None:
            return None
        (one,), type_ = found
        if _is_integer(type_):
            made = as_type(operands[0], of_integers or type_)
            assert is_column(made)  # noqa: S101  (a call of constants is computed on the host)
            return made
        return computed(ufunc(one.values), [one], type_)

    return rounded


def _round(function: str, operands: Sequence[Operand]) -> Column | None:
    found = _sides(function, operands[:1])
    if found is None or (len(operands) > 1 and is_column(operands[1])):
        return None
    (one,), type_ = found
    digits = constant(function, [pa.scalar(None, pa.null()), operands[1]], 1, pa.int32()) if len(operands) > 1 else 0
    if digits is None or _is_integer(type_):
        return None
    # Arrow's way: scaled by a power of ten, which must stay finite; what has no digits there is left as it is.
    power = one.values.dtype.type(10.0 ** abs(max(min(digits, 300), -300)))
    with np.errstate(all="ignore"):
        scaled = one.values * power if digits >= 0 else one.values / power
        floor = cupy.floor(scaled)
        rest = scaled - floor
        up = (rest > 0.5) | ((rest == 0.5) & (scaled > 0))
        whole = floor + up
        back = whole / power if digits > 0 else whole * power
    changed = (rest != 0) & cupy.isfinite(back) & cupy.isfinite(one.values)
    return computed(cupy.where(changed, back.astype(one.values.dtype), one.values), [one], type_)


def _of_floats(ufunc: Callable[..., Rows], result: pa.DataType | None = None) -> Implementation:
    def of_floats(function: str, operands: Sequence[Operand]) -> Column | None:
        number_type(function, given(operands))
        if not on_device(operands):
            return None
        sides = [side(operand, pa.float64()) for operand in operands]
        with np.errstate(all="ignore"):
            return computed(ufunc(*(one.values for one in sides)), sides, result or pa.float64())

    return of_floats


NUMBERS: dict[str, Implementation] = {
    "add": _checked(lambda a, b: a + b, _add_wraps, times.add),
    "subtract": _checked(lambda a, b: a - b, _subtract_wraps, times.subtract),
    "multiply": _checked(lambda a, b: a * b, _multiply_wraps, lambda _function, _operands: None),
    "divide": _divide,
    "integer_divide": _integer_divide,
    "modulo": _modulo,
    "negate": _negate,
    "abs": _abs,
    "sign": _sign,
    "floor": _whole(cupy.floor, of_integers=pa.float64()),
    "ceil": _whole(cupy.ceil, of_integers=pa.float64()),
    "round": _round,
    "trunc": _whole(cupy.trunc, of_integers=None),
    "power": _of_floats(cupy.power),
    "sqrt": _of_floats(cupy.sqrt),
    "cbrt": _of_floats(cupy.cbrt),
    "exp": _of_floats(cupy.exp),
    "expm1": _of_floats(cupy.expm1),
    "ln": _of_floats(cupy.log),
    "log1p": _of_floats(cupy.log1p),
    "log10": _of_floats(cupy.log10),
    "log2": _of_floats(cupy.log2),
    "log": _of_floats(lambda base, x: cupy.log10(x) / cupy.log10(base)),
    "sin": _of_floats(cupy.sin),
    "cos": _of_floats(cupy.cos),
    "tan": _of_floats(cupy.tan),
    "asin": _of_floats(cupy.arcsin),
    "acos": _of_floats(cupy.arccos),
    "atan": _of_floats(cupy.arctan),
    "atan2": _of_floats(cupy.arctan2),
    "radians": _of_floats(lambda x: x * (np.pi / 180)),
    "degrees": _of_floats(lambda x: x * (180 / np.pi)),
    "isnan": _of_floats(cupy.isnan, pa.bool_()),
    "isinf": _of_floats(cupy.isinf, pa.bool_()),
    "isfinite": _of_floats(cupy.isfinite, pa.bool_()),
}
