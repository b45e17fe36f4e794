"""Which type values of different types meet in: DuckDB's rules, once for all backends.

A constant has no type of its own until it meets one: ``1`` beside an int8 column is an int8, if it fits. A constant
with a decimal point is exact beside a decimal column and a float elsewhere (DuckDB makes decimals of integers there).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeAlias

import pyarrow as pa

from headrace.errors import JobError
from headrace.expressions.functions import FUNCTIONS
from headrace.expressions.nodes import Literal

# What a function is given: a typed value's type, or a constant that has none yet.
Given: TypeAlias = pa.DataType | Literal

_DECIMAL_DIGITS = {1: 3, 2: 5, 4: 10, 8: 20}
_UNITS = ("s", "ms", "us", "ns")


def type_error(function: str, given: Sequence[Given], hint: str | None = None) -> JobError:
    """Return the error of a function that does not take these types."""
    names = [f"the constant {item.value!r}" if isinstance(item, Literal) else str(item) for item in given]
    signature = FUNCTIONS[function].signature if function in FUNCTIONS else function
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return JobError(f"{signature} does not take {listed}", hint=hint or "CAST(x AS DOUBLE), CAST(x AS VARCHAR) ... make a type fit")


def common_type(function: str, given: Sequence[Given]) -> pa.DataType:
    """Return the type in which `given` can be compared, or stand in one column.

    Raises
    ------
    JobError
        If there is none, as for a text column and a number.
    """
    found: pa.DataType | None = None
    for item in given:
        if not isinstance(item, Literal) and not pa.types.is_null(item):
            found = item if found is None else merged_type(found, item)
            if found is None:
                raise type_error(function, given)
    texts = False
    for item in given:
        if isinstance(item, Literal) and not item.is_null:
            if item.kind == "string":
                texts = True  # takes any other type, so it is looked at last
                continue
            found = beside_constant(found, item)
            if found is None:
                raise type_error(function, given)
    if found is None:
        return pa.string() if texts else pa.null()
    return found


def number_type(function: str, given: Sequence[Given]) -> pa.DataType:
    """Return the type in which arithmetic on `given` is done; raise JobError if one is no number."""
    if not all(_is_number_constant(item) if isinstance(item, Literal) else is_number(item) or pa.types.is_null(item) for item in given):
        raise type_error(function, given)
    found = common_type(function, given)
    return pa.int32() if pa.types.is_null(found) else found


def is_number(type_: pa.DataType) -> bool:
    """Tell whether a type is one of integers, floats or decimals."""
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def is_text(type_: pa.DataType) -> bool:
    """Tell whether a type is one of texts."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def decimal_of(type_: pa.DataType) -> pa.DataType:
    """Return the decimal type that holds every value of an integer type; a decimal stays as it is."""
    return type_ if pa.types.is_decimal(type_) else pa.decimal128(_DECIMAL_DIGITS[type_.bit_width // 8], 0)


def _is_number_constant(literal: Literal) -> bool:
    return literal.kind in ("integer", "decimal", "double", "null")


def merged_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """Return the type for values of both types, or None."""
    if left == right:
        return left
    if pa.types.is_boolean(left) and is_number(right):
        return right
    if pa.types.is_boolean(right) and is_number(left):
        return left
    if is_number(left) and is_number(right):
        return _merged_numbers(left, right)
    if is_text(left) and is_text(right):
        return pa.large_string()
    if pa.types.is_duration(left) and pa.types.is_duration(right):
        return pa.duration(max(left.unit, right.unit, key=_UNITS.index))
    if _is_time(left) and _is_time(right):
        return _merged_times(left, right)
    return None


def _is_time(type_: pa.DataType) -> bool:
    return bool(pa.types.is_date(type_) or pa.types.is_timestamp(type_))


def _merged_times(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    stamps = [type_ for type_ in (left, right) if pa.types.is_timestamp(type_)]
    if not stamps:
        return pa.date32()
    unit = max((type_.unit for type_ in stamps), key=_UNITS.index)
    zone = next((type_.tz for type_ in stamps if type_.tz), None)
    return pa.timestamp(unit if len(stamps) == 2 else max(unit, "s", key=_UNITS.index), tz=zone)


def _merged_numbers(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if pa.types.is_integer(left) and pa.types.is_integer(right):
        return _merged_integers(left, right)
    if pa.types.is_float64(left) or pa.types.is_float64(right):
        return pa.float64()
    if pa.types.is_floating(left) or pa.types.is_floating(right):
        return pa.float32()
    first, second = decimal_of(left), decimal_of(right)
    scale = max(first.scale, second.scale)
    digits = max(first.precision - first.scale, second.precision - second.scale)
    return pa.decimal128(min(digits + scale, 38), scale)


def _merged_integers(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    if pa.types.is_signed_integer(left) == pa.types.is_signed_integer(right):
        return left if left.bit_width >= right.bit_width else right
    unsigned = left if pa.types.is_unsigned_integer(left) else right
    # No integer of 64 bits holds both; DuckDB takes 128 bits, a decimal of 20 digits holds them as well.
    return pa.decimal128(20, 0) if unsigned.bit_width == 64 else pa.int64()


def beside_constant(found: pa.DataType | None, literal: Literal) -> pa.DataType | None:
    """Return the type of a constant that stands beside values of type `found` (None: it stands alone)."""
    if literal.kind == "boolean":
        return pa.bool_() if found is None else merged_type(found, pa.bool_())
    if literal.kind == "interval":
        return literal_type(literal) if found is None else merged_type(found, literal_type(literal))
    if literal.kind == "string":
        return pa.string() if found is None else found
    if found is None:
        return literal_type(literal)
    if literal.kind == "integer":
        return _beside_integer(found, literal)
    if not is_number(found):
        return None
    if literal.kind == "decimal" and pa.types.is_decimal(found):
        return merged_type(found, exact_decimal(literal))
    return found if pa.types.is_float32(found) and literal.kind == "decimal" else pa.float64()


def _beside_integer(found: pa.DataType, literal: Literal) -> pa.DataType | None:
    value = literal.value
    if pa.types.is_boolean(found):
        return literal_type(literal)
    if not is_number(found) or not isinstance(value, int):
        return None
    if pa.types.is_integer(found) and fits(value, found):
        return found
    return merged_type(found, literal_type(literal))


def literal_type(literal: Literal) -> pa.DataType:
    """Return the type of a constant that meets no other."""
    if literal.kind == "integer" and isinstance(literal.value, int):
        for type_ in (pa.int32(), pa.int64(), pa.uint64()):
            if fits(literal.value, type_):
                return type_
        raise JobError(f"the constant {literal.value} is beyond 64 bits", hint=f"as a float: {float(literal.value)!r}")
    if literal.kind == "interval" and isinstance(literal.value, tuple):
        return pa.month_day_nano_interval() if literal.value[0] else pa.duration("us")
    plain = {"boolean": pa.bool_(), "decimal": pa.float64(), "double": pa.float64(), "string": pa.string()}
    return plain.get(literal.kind, pa.null())


def exact_decimal(literal: Literal) -> pa.DataType:
    """Return the decimal type that holds a constant as it was written.

    >>> print(exact_decimal(Literal("1.50", "decimal")))
    decimal128(3, 2)
    """
    digits, exponent = Decimal(str(literal.value)).as_tuple()[1:]
    scale = -int(exponent)
    return pa.decimal128(max(len(digits), scale, 1), scale)


def fits(value: int, type_: pa.DataType) -> bool:
    """Tell whether an integer type holds `value`.

    >>> fits(127, pa.int8()), fits(128, pa.int8()), fits(-1, pa.uint8())
    (True, False, False)
    """
    low, high = integer_range(type_)
    return low <= value <= high


def integer_range(type_: pa.DataType) -> tuple[int, int]:
    """Return the least and the greatest value of an integer type."""
    bits = type_.bit_width
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if pa.types.is_signed_integer(type_) else (0, 2**bits - 1)
