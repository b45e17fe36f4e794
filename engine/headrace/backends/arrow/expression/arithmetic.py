"""Arithmetic: integers raise instead of wrapping, division by zero gives null, halves round away from zero."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.expression import times
from headrace.backends.arrow.expression.casts import convert
from headrace.backends.arrow.expression.operands import (
    Implementation,
    Operand,
    Values,
    as_type,
    broadcast,
    constant,
    floats,
    from_numpy,
    given,
    numbers,
    overflow,
    to_numpy,
)
from headrace.errors import DataError, JobError
from headrace.expressions.nodes import Literal
from headrace.expressions.promotion import decimal_of, exact_decimal, integer_range, number_type, type_error

Operation = Callable[..., Any]  # on NumPy's floats and on Python's integers alike
_AWAY = "half_towards_infinity"  # Arrow's name for rounding halves away from zero


def _checked(function: str, kernel: Callable[..., Values], operation: Operation, values: Sequence[Values]) -> Values:
    values = broadcast(values)
    try:
        return kernel(*values)
    except pa.ArrowInvalid as error:
        if pa.types.is_integer(values[0].type):
            raise overflow(function, values, operation) from None
        raise JobError(f"{function} of {', '.join(str(value.type) for value in values)}: {error}", hint="CAST(x AS DOUBLE) first") from None


def _add(function: str, operands: Sequence[Operand]) -> Values:
    if times.is_about_time(operands):
        return times.add(function, operands)
    return _checked(function, pc.add_checked, operator.add, numbers(function, operands))


def _subtract(function: str, operands: Sequence[Operand]) -> Values:
    if times.is_about_time(operands):
        return times.subtract(function, operands)
    return _checked(function, pc.subtract_checked, operator.sub, numbers(function, operands))


def _multiply(function: str, operands: Sequence[Operand]) -> Values:
    if times.is_about_time(operands):
        return times.multiply(function, operands)
    type_ = number_type(function, given(operands))
    if pa.types.is_decimal(type_):
        # Each in its own scale: brought to one scale first, the product would need twice the digits.
        return _checked(function, pc.multiply_checked, operator.mul, [as_type(item, _own_decimal(item)) for item in operands])
    return _checked(function, pc.multiply_checked, operator.mul, numbers(function, operands))


def _own_decimal(operand: Operand) -> pa.DataType:
    if isinstance(operand, Literal):
        return exact_decimal(operand) if operand.kind in ("decimal", "integer") else pa.decimal128(1, 0)
    return pa.decimal128(1, 0) if pa.types.is_null(operand.type) else decimal_of(operand.type)


def _without_zero(divisor: Values) -> Values:
    zero = pc.equal(divisor, pa.scalar(0).cast(divisor.type))
    return pc.if_else(zero, pa.scalar(None, divisor.type), divisor)


def _divide(function: str, operands: Sequence[Operand]) -> Values:
    type_ = number_type(function, given(operands))
    target = type_ if pa.types.is_float32(type_) else pa.float64()
    left, right = broadcast([as_type(operand, target) for operand in operands])
    return pc.divide(left, _without_zero(right))


def _integers(function: str, operands: Sequence[Operand], hint: str) -> list[Values]:
    type_ = number_type(function, given(operands))
    if not pa.types.is_integer(type_):
        raise type_error(function, given(operands), hint=hint)
    return broadcast([as_type(operand, type_) for operand in operands])


def _integer_divide(function: str, operands: Sequence[Operand]) -> Values:
    # DuckDB's // divides floats without cutting off the rest; that surprise is refused, not copied.
    left, right = _integers(function, operands, "// is for integers; of floats write trunc(a / b)")
    return _checked(function, pc.divide_checked, operator.floordiv, [left, _without_zero(right)])


def _modulo(function: str, operands: Sequence[Operand]) -> Values:
    type_ = number_type(function, given(operands))
    if pa.types.is_floating(type_):
        return _float_modulo(*broadcast([as_type(operand, type_) for operand in operands]))
    left, right = _integers(function, operands, "% of decimals: CAST(x AS DOUBLE) first")
    right = _without_zero(right)
    if pa.types.is_signed_integer(type_):
        # The least integer divided by -1 overflows; its rest is 0, as with 1.
        right = pc.if_else(pc.equal(right, pa.scalar(-1, type_)), pa.scalar(1, type_), right)
    return pc.subtract(left, pc.multiply(pc.divide(left, right), right))


def _float_modulo(left: Values, right: Values) -> pa.Array:
    length = len(left) if isinstance(left, pa.Array) else len(right)
    left, right = (value if isinstance(value, pa.Array) else pa.repeat(value, length) for value in (left, _without_zero(right)))
    with np.errstate(invalid="ignore"):
        rest = np.fmod(to_numpy(left), to_numpy(right))
    return from_numpy(rest, pc.if_else(left.is_valid(), right, None), left.type)


def _negate(function: str, operands: Sequence[Operand]) -> Values:
    type_ = number_type(function, given(operands))
    if pa.types.is_unsigned_integer(type_):
        raise type_error(function, given(operands), hint="an unsigned number has no negative: CAST(x AS BIGINT) first")
    return _checked(function, pc.negate_checked, operator.neg, [as_type(operands[0], type_)])


def _abs(function: str, operands: Sequence[Operand]) -> Values:
    return _checked(function, pc.abs_checked, abs, numbers(function, operands))


def _sign(function: str, operands: Sequence[Operand]) -> Values:
    value = broadcast(numbers(function, operands))[0]
    signs = pc.sign(value)
    if pa.types.is_floating(value.type):
        signs = pc.if_else(pc.is_nan(value), pa.scalar(0, value.type), signs)
    return signs.cast(pa.int8())


def _whole(kernel: Callable[..., Values], *, of_integers: pa.DataType | None) -> Implementation:
    """Return floor, ceil or trunc; integers become `of_integers`, or stay."""

    def rounded(function: str, operands: Sequence[Operand]) -> Values:
        value = broadcast(numbers(function, operands))[0]
        if pa.types.is_integer(value.type):
            return value if of_integers is None else convert(value, of_integers, strict=True)
        if not pa.types.is_decimal(value.type):
            return kernel(value)
        scale = value.type.scale
        digits = min(38, value.type.precision - scale + 1)
        return kernel(value.cast(pa.decimal128(38, scale))).cast(pa.decimal128(digits, 0))

    return rounded


def _round(function: str, operands: Sequence[Operand]) -> Values:
    if len(operands) > 1 and isinstance(operands[1], pa.Array):
        return _round_by_row(function, operands)
    value = broadcast(numbers(function, operands[:1]))[0]
    digits = constant(function, operands, 1, pa.int32()) if len(operands) > 1 else 0
    if digits is None:
        return pa.nulls(len(value), value.type)
    if pa.types.is_decimal(value.type):
        return _round_decimal(value, digits)
    return _round_integer(value, digits) if pa.types.is_integer(value.type) else _round_float(value, digits)


def _round_integer(value: pa.Array, digits: int) -> pa.Array:
    if digits >= 0:
        return value
    if 10**-digits > 2 * integer_range(value.type)[1]:
        return pc.multiply(value, pa.scalar(0, value.type))
    try:
        return pc.round(value, digits, _AWAY)
    except pa.ArrowInvalid:
        raise DataError(f"round(x, {digits}) leaves the range of {value.type}", hint="CAST(x AS BIGINT) first") from None


def _round_float(value: pa.Array, digits: int) -> pa.Array:
    # Arrow scales by a power of ten, which must stay finite; what has no digits there is left as it is.
    finite = pc.is_finite(value)
    rounded = pc.round(pc.if_else(finite, value, pa.scalar(0, value.type)), max(min(digits, 300), -300), _AWAY)
    return pc.if_else(pc.and_(finite, pc.is_finite(rounded)), rounded, value)


def _round_by_row(function: str, operands: Sequence[Operand]) -> Values:
    value, digits = [*numbers(function, operands[:1]), operands[1]]
    if isinstance(digits, Literal) or not pa.types.is_integer(digits.type) or pa.types.is_decimal(value.type):
        raise type_error(function, given(operands))
    if pa.types.is_integer(value.type):
        digits = pc.min_element_wise(digits, pa.scalar(0, digits.type), skip_nulls=False)
    return pc.round_binary(value, as_type(digits, pa.int32()), _AWAY)


def _round_decimal(value: pa.Array, digits: int) -> pa.Array:
    scale = value.type.scale
    if digits >= scale:
        return value
    kept = max(digits, 0)
    wide = pc.round(value.cast(pa.decimal128(38, scale)), digits, _AWAY)
    return wide.cast(pa.decimal128(min(38, value.type.precision - scale + kept + 1), kept))


def _of_floats(kernel: Callable[..., Values]) -> Implementation:
    return lambda function, operands: kernel(*broadcast(floats(function, operands)))


def _numpy(ufunc: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Callable[[pa.Array], pa.Array]:
    return lambda array: from_numpy(ufunc(to_numpy(array)), array, pa.float64())


NUMBERS: dict[str, Implementation] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "integer_divide": _integer_divide,
    "modulo": _modulo,
    "negate": _negate,
    "abs": _abs,
    "sign": _sign,
    "floor": _whole(pc.floor, of_integers=pa.float64()),
    "ceil": _whole(pc.ceil, of_integers=pa.float64()),
    "round": _round,
    "trunc": _whole(pc.trunc, of_integers=None),
    "power": _of_floats(pc.power),
    "sqrt": _of_floats(pc.sqrt),
    "cbrt": _of_floats(_numpy(np.cbrt)),
    "exp": _of_floats(pc.exp),
    "expm1": _of_floats(pc.expm1),
    "ln": _of_floats(pc.ln),
    "log1p": _of_floats(pc.log1p),
    "log10": _of_floats(pc.log10),
    "log2": _of_floats(pc.log2),
    "log": _of_floats(lambda base, x: pc.divide(pc.log10(x), pc.log10(base))),
    "sin": _of_floats(pc.sin),
    "cos": _of_floats(pc.cos),
    "tan": _of_floats(pc.tan),
    "asin": _of_floats(pc.asin),
    "acos": _of_floats(pc.acos),
    "atan": _of_floats(pc.atan),
    "atan2": _of_floats(pc.atan2),
    "radians": _of_floats(lambda x: pc.multiply(x, np.pi / 180)),
    "degrees": _of_floats(lambda x: pc.multiply(x, 180 / np.pi)),
    "isnan": _of_floats(pc.is_nan),
    "isinf": _of_floats(pc.is_inf),
    "isfinite": _of_floats(pc.is_finite),
}
