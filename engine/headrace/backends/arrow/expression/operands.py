"""What a function is given (arrays, scalars, constants without a type yet) and how it gets what it wants.

Each function first brings its arguments into the types it works on; these are the few ways to do that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.backends.arrow.expression.casts import convert
from headrace.errors import DataError, JobError
from headrace.expressions.functions import FUNCTIONS
from headrace.expressions.nodes import Literal
from headrace.expressions.promotion import Given, common_type, integer_range, is_number, is_text, literal_type, number_type, type_error

Operand: TypeAlias = pa.Array | pa.Scalar | Literal
Values: TypeAlias = pa.Array | pa.Scalar
Implementation: TypeAlias = Callable[[str, Sequence[Operand]], Values]


def given(operands: Sequence[Operand]) -> list[Given]:
    """Return the types of `operands`, for the rules of `promotion`; a constant stands for itself."""
    return [operand if isinstance(operand, Literal) else operand.type for operand in operands]


def as_type(operand: Operand, type_: pa.DataType, *, strict: bool = True) -> Values:
    """Return `operand` as `type_`; raise DataError where a value does not convert."""
    if isinstance(operand, Literal):
        return typed_constant(operand, type_) if strict else as_type(typed_constant(operand), type_, strict=False)
    if operand.type == type_:
        return operand
    if isinstance(operand, pa.Scalar):
        return convert(pa.repeat(operand, 1), type_, strict=strict)[0]
    return convert(operand, type_, strict=strict)


@lru_cache(maxsize=4096)
def typed_constant(literal: Literal, type_: pa.DataType | None = None) -> pa.Scalar:
    """Return a constant as a scalar of `type_`, or of its own type."""
    own = literal_type(literal)
    if literal.kind == "interval" and isinstance(literal.value, tuple):
        months, micros = literal.value
        made = pa.scalar((months, 0, micros * 1000), own) if months else pa.scalar(micros, own)
        return made if type_ is None or type_ == own else convert(pa.repeat(made, 1), type_, strict=True)[0]
    # A number with a point is read as text, so that it is exact beside a decimal.
    array = pa.array([literal.value], pa.string() if literal.kind == "decimal" else own)
    return convert(array, own if type_ is None else type_, strict=True)[0]


def as_values(operands: Sequence[Operand]) -> list[Values]:
    """Return `operands` with each constant in its own type."""
    return [typed_constant(operand) if isinstance(operand, Literal) else operand for operand in operands]


def broadcast(values: Sequence[Values]) -> list[Values]:
    """Return `values` with at least one array among them, so that kernels give an array; rows of constants are one."""
    if any(isinstance(value, pa.Array) for value in values):
        return list(values)
    return [pa.repeat(values[0], 1), *values[1:]]


def alike(function: str, operands: Sequence[Operand]) -> list[Values]:
    """Return `operands` in the one type in which they can be compared or mixed."""
    type_ = common_type(function, given(operands))
    return [as_type(operand, type_) for operand in operands]


def numbers(function: str, operands: Sequence[Operand]) -> list[Values]:
    """Return `operands` in the one number type in which arithmetic on them is done."""
    type_ = number_type(function, given(operands))
    return [as_type(operand, type_) for operand in operands]


def floats(function: str, operands: Sequence[Operand]) -> list[Values]:
    """Return `operands` as float64; raise JobError if one is no number."""
    number_type(function, given(operands))
    return [as_type(operand, pa.float64()) for operand in operands]


def booleans(function: str, operands: Sequence[Operand]) -> list[Values]:
    """Return `operands` as truth values; numbers are true if they are not 0."""
    for item in given(operands):
        allowed = item.kind in ("boolean", "integer", "null") if isinstance(item, Literal) else _is_truth(item)
        if not allowed:
            raise type_error(function, given(operands), hint="a condition is needed: a > 0, a IS NOT NULL ...")
    return [as_type(operand, pa.bool_()) for operand in operands]


def _is_truth(type_: pa.DataType) -> bool:
    return bool(pa.types.is_boolean(type_) or pa.types.is_null(type_) or is_number(type_))


def text(function: str, operands: Sequence[Operand]) -> pa.Array:
    """Return the first operand as an array of texts; raise JobError if it is none."""
    first = operands[0]
    type_ = literal_type(first) if isinstance(first, Literal) else first.type
    if not (is_text(type_) or pa.types.is_null(type_)):
        raise type_error(function, given(operands[:1]), hint="CAST(x AS VARCHAR) makes it a text")
    return broadcast([as_type(first, type_ if is_text(type_) else pa.string())])[0]


def constant(function: str, operands: Sequence[Operand], position: int, type_: pa.DataType) -> Any:
    """Return the operand at `position` as a Python value (None for null); raise JobError if it differs by row."""
    operand = operands[position]
    if isinstance(operand, pa.Array):
        raise JobError(f"argument {position + 1} of {FUNCTIONS[function].signature} is a constant, not a column")
    item = given([operand])[0]
    natural = isinstance(item, Literal) or is_text(item) == is_text(type_)
    if not natural or (isinstance(item, Literal) and not item.is_null and (item.kind == "string") != is_text(type_)):
        raise type_error(function, [item])
    return as_type(operand, type_).as_py()


def to_numpy(array: pa.Array) -> npt.NDArray[Any]:
    """Return the values of a number, date, timestamp or duration array; what stands for a null is 0."""
    if array.null_count:
        array = array.fill_null(pa.scalar(0).cast(array.type) if is_number(array.type) else pa.scalar(0, array.type))
    values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values


def from_numpy(values: npt.NDArray[Any], like: pa.Array, type_: pa.DataType) -> pa.Array:
    """Return `values` as `type_`, null where `like` is null; NaN stays NaN."""
    nulls = like.is_null().to_numpy(zero_copy_only=False) if like.null_count else None
    return pa.array(np.ascontiguousarray(values), type_, mask=nulls, from_pandas=False)


def overflow(function: str, values: Sequence[Values], operation: Callable[..., Any]) -> DataError:
    """Return the error of integers that leave their type, with the first values that do.

    `operation` computes on NumPy's floats, to find the rows in question, and on Python's integers, which are exact.
    """
    arrays = [value if isinstance(value, pa.Array) else pa.repeat(value, _length(values)) for value in values]
    low, high = integer_range(arrays[0].type)
    with np.errstate(all="ignore"):
        results = operation(*(to_numpy(array).astype(np.float64) for array in arrays))
    # Beside the range's ends a float is off by up to 2048.
    near = np.flatnonzero((results > high - 4096) | (results < low + 4096))
    rows = ([array[int(row)].as_py() for array in arrays] for row in near)
    found = next(row for row in rows if None not in row and not low <= operation(*row) <= high)
    message = f"{FUNCTIONS[function].signature} leaves the range of {arrays[0].type} for {' and '.join(map(str, found))}"
    return DataError(message, hint="CAST(x AS BIGINT) or CAST(x AS DOUBLE) first")


def _length(values: Sequence[Values]) -> int:
    return next((len(value) for value in values if isinstance(value, pa.Array)), 1)
