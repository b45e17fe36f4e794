"""Values as text, as DuckDB writes them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.expression import calendar
from headrace.errors import JobError
from headrace.expressions.promotion import is_text

# Arrow and DuckDB both write the shortest digits that read back as the same float. They differ in when they use an
# exponent: DuckDB from 1e16 on and below 1e-4, Arrow from 1e10 on and below 1e-6.
_SMALL = [
    (r"^(-?)0\.0000([1-9])(\d*)$", r"\1\2.\3e-05"),
    (r"^(-?)0\.00000([1-9])(\d*)$", r"\1\2.\3e-06"),
    (r"\.e", "e"),
    (r"e([+-])(\d)$", r"e\10\2"),
    (r"^(-?\d+)$", r"\1.0"),
]


def to_text(array: pa.Array) -> pa.Array:
    """Return each value as text; null stays null, and NaN is ``nan``.

    >>> to_text(pa.array([1.0, 1e15, 1.25e-7, None])).to_pylist()
    ['1.0', '1000000000000000.0', '1.25e-07', None]
    """
    type_ = array.type
    if is_text(type_):
        return array
    if pa.types.is_floating(type_):
        return _float_text(array)
    if pa.types.is_timestamp(type_):
        return _timestamp_text(array)
    if pa.types.is_date(type_):
        return calendar.text(array)
    if not (pa.types.is_primitive(type_) or pa.types.is_decimal(type_)) or pa.types.is_duration(type_):
        raise JobError(f"no cast from {type_} to string", hint="docs/expressions.md lists the casts")
    return _decimal_text(array) if pa.types.is_decimal(type_) else array.cast(pa.string())


def _decimal_text(array: pa.Array) -> pa.Array:
    """Return decimals with all their digits: Arrow writes those below 1e-6 with an exponent."""
    text = array.cast(pa.string())
    short = pc.match_substring(text, "E")
    if not pc.any(short).as_py():
        return text
    distinct = array.filter(short).dictionary_encode()
    digits = pa.array([format(value, "f") for value in distinct.dictionary.to_pylist()], pa.string())
    return pc.replace_with_mask(text, short, digits.take(distinct.indices))


def _float_text(array: pa.Array) -> pa.Array:
    text = array.cast(pa.string())
    size = pc.abs(array)
    large = pc.and_(pc.greater_equal(size, 1e10), pc.less(size, 1e16))
    if pc.any(large).as_py():
        digits = pc.if_else(large, text, pa.scalar("0")).cast(pa.decimal128(38, 18)).cast(pa.string())
        text = pc.if_else(large, pc.replace_substring_regex(digits, r"(\.\d+?)0*$", r"\1"), text)
    for pattern, replacement in _SMALL:
        text = pc.replace_substring_regex(text, pattern, replacement)
    return text


def _timestamp_text(array: pa.Array) -> pa.Array:
    text = calendar.text(array.cast(pa.timestamp(array.type.unit)))
    return pc.binary_join_element_wise(text, "+00", "") if array.type.tz else text
