"""What a function is given on a device (columns, scalars, constants without a type yet) and how it gets what it wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cupy
import pyarrow as pa

from headrace.backends.arrow.expression.casts import convert as convert_on_host
from headrace.backends.arrow.expression.operands import as_type as scalar_as_type
from headrace.backends.arrow.expression.operands import typed_constant
from headrace.backends.cudf.by_value import by_value
from headrace.backends.cudf.column import Coded, Column, Lists, Plain, Rows, both, is_valid, repeated, storage
from headrace.backends.cudf.expression.casts import convert
from headrace.backends.cudf.values import from_arrow
from headrace.expressions.nodes import Literal
from headrace.expressions.promotion import Given

Operand: TypeAlias = "Column | pa.Scalar | Literal"
Values: TypeAlias = "Column | pa.Scalar"
# None where the device has no way of its own: the CPU's function is then asked for each distinct row.
Implementation: TypeAlias = Callable[[str, Sequence[Operand]], "Column | None"]


def is_column(operand: Operand) -> bool:
    """Tell whether an operand differs by row."""
    return isinstance(operand, Plain | Coded | Lists)


def given(operands: Sequence[Operand]) -> list[Given]:
    """Return the types of `operands`, for the rules of `promotion`; a constant stands for itself."""
    return [operand if isinstance(operand, Literal) else operand.type for operand in operands]


def as_type(operand: Operand, type_: pa.DataType, *, strict: bool = True) -> Values:
    """Return `operand` as `type_`; raise DataError where a value does not convert."""
    if not isinstance(operand, Plain | Coded | Lists):
        return scalar_as_type(operand, type_, strict=strict)
    if operand.type == type_:
        return operand
    found = convert(operand, type_, strict=strict)
    if found is not None:
        return found
    return by_value(lambda arrays: convert_on_host(arrays[0], type_, strict=strict), [operand])


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a computation: values of rows, or one for all, without a dimension; where it is not null (None: everywhere)."""

    values: Any
    valid: Rows | None
    null: bool = False  # a constant null


def side(operand: Operand, type_: pa.DataType) -> Side:
    """Return an operand in a type that the device computes with."""
    value = as_type(operand, type_)
    if isinstance(value, Plain):
        return Side(value.values, value.valid)
    assert not isinstance(value, Coded | Lists)  # noqa: S101  (of no such type)
    dtype = storage(type_)
    assert dtype is not None  # noqa: S101
    if not value.is_valid:
        return Side(cupy.asarray(dtype.type(0)), None, null=True)
    number = value.cast(pa.int32() if dtype.itemsize == 4 else pa.int64()).as_py() if pa.types.is_temporal(type_) else value.as_py()
    return Side(cupy.asarray(dtype.type(number)), None)


def computed(values: Any, sides: Sequence[Side], type_: pa.DataType, valid: Rows | None = None) -> Plain:
    """Return computed values as a column, null where a side is (and where `valid` is false)."""
    for one in sides:
        valid = both(valid, one.valid)
        if one.null:
            valid = cupy.zeros(len(values), bool)
    return Plain(values, valid, type_)


def as_rows(operand: Values, n_rows: int) -> Column:
    """Return an operand as a column of so many rows."""
    if isinstance(operand, Plain | Coded | Lists):
        return operand
    return repeated(from_arrow(pa.repeat(operand, 1)), n_rows)


def length_of(operands: Sequence[Operand]) -> int:
    """Return how many rows the columns among `operands` have."""
    return next(len(operand) for operand in operands if isinstance(operand, Plain | Coded | Lists))


def on_device(operands: Sequence[Operand]) -> bool:
    """Tell whether all columns among `operands` are of types that the device computes with."""
    return not any(isinstance(operand, Coded | Lists) for operand in operands)


def is_true(column: Column) -> Rows:
    """Return where a truth column is true; null counts as false."""
    assert isinstance(column, Plain)  # noqa: S101
    return column.values & is_valid(column)


def device_type(type_: pa.DataType) -> bool:
    """Tell whether values of a type are computed with on the device."""
    return storage(type_) is not None


def as_values(operands: Sequence[Operand]) -> list[Values]:
    """Return `operands` with each constant in its own type."""
    return [typed_constant(operand) if isinstance(operand, Literal) else operand for operand in operands]
