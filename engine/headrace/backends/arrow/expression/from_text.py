"""Texts as values: what CAST('...' AS ...) reads, null where a text is none.

Spaces around a value are allowed. A first look by pattern keeps garbage away from Arrow's parsers, which stop at the
first text they cannot read; what passes the pattern and still fails (a 30th of February, an integer of 30 digits) is
found by halving, which takes few steps as such values are rare.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.expression.number_casts import convert_number
from headrace.errors import JobError

_DAY = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"[ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?"
_ZONE = r" ?(Z|[+-]\d{2}(:?\d{2})?)"
_INTEGER = r"^-?\d+$"
_FLOAT = r"^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_SPECIAL = r"^[+-]?(?i:nan|inf|infinity)$"
_DATE = rf"^{_DAY}$"
_TIMESTAMP = rf"^{_DAY}({_CLOCK})?$"
_TRUE, _FALSE = pa.array(["true", "t", "yes", "y", "1"]), pa.array(["false", "f", "no", "n", "0"])


def parse_text(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Return the texts of `array` as values of `target`, null where one is none.

    >>> parse_text(pa.array([" 12 ", "2.5", "1e3", "x", None]), pa.int32()).to_pylist()
    [12, 3, 1000, None, None]
    """
    text = pc.utf8_trim_whitespace(array.cast(pa.string()) if not pa.types.is_large_string(array.type) else array)
    if pa.types.is_boolean(target):
        return _booleans(text)
    if pa.types.is_integer(target):
        return _integers(text, target)
    if pa.types.is_floating(target):
        return _floats(text).cast(target, safe=False)
    if pa.types.is_decimal(target):
        return _decimals(text, target)
    if pa.types.is_date(target):
        return _read(_days(text), _DATE, target)
    if pa.types.is_timestamp(target):
        return _timestamps(text, target)
    raise JobError(f"no cast from string to {target}", hint="docs/expressions.md lists the casts")


def _booleans(text: pa.Array) -> pa.Array:
    low = pc.utf8_lower(text).cast(pa.string())
    known = pc.or_(pc.is_in(low, _TRUE), pc.is_in(low, _FALSE))
    return pc.if_else(known, pc.is_in(low, _TRUE), pa.scalar(None, pa.bool_()))


def _integers(text: pa.Array, target: pa.DataType) -> pa.Array:
    unsigned = pc.replace_substring_regex(text, r"^(?:\+|-(0+)$)", r"\1")  # Arrow takes no +1, and no -0 for types without a sign
    whole = _read(unsigned, _INTEGER, target)
    # Texts such as 2.5 and 1e3 are numbers too: exactly as decimals where they fit, which rounds halves away from zero.
    rest = pc.if_else(pc.and_(whole.is_null(), pc.invert(pc.match_substring_regex(unsigned, _INTEGER))), unsigned, None)
    if rest.null_count == len(rest):
        return whole
    return pc.coalesce(whole, convert_number(_decimals(rest, pa.decimal128(38, 0)), target))


def _floats(text: pa.Array) -> pa.Array:
    unsigned = pc.replace_substring_regex(text, r"^\+", "")
    return _read(unsigned, f"{_FLOAT}|{_SPECIAL}", pa.float64())


def _decimals(text: pa.Array, target: pa.DataType) -> pa.Array:
    """Return numbers rounded to decimals. Arrow reads those whose digits fit as they stand: it gives wrong digits for some that do not."""
    text = pc.replace_substring_regex(text, r"^\+", "")
    wide = pa.decimal128(38, min(target.scale + 10, 37))
    short = rf"^-?(\d{{1,{38 - wide.scale}}}\.?|\d{{0,{38 - wide.scale}}}\.\d{{1,{wide.scale}}})$"
    found = convert_number(_read(text, short, wide), target)
    others = pc.and_(pc.match_substring_regex(text, _FLOAT), pc.invert(pc.match_substring_regex(text, short)))
    if not pc.any(others).as_py():
        return found
    return pc.replace_with_mask(
        found, others.fill_null(False), pa.array(map(_decimal_reader(target), text.filter(others).to_pylist()), target)
    )


def _decimal_reader(target: pa.DataType) -> Callable[[str], decimal.Decimal | None]:
    context = decimal.Context(prec=target.precision, rounding=decimal.ROUND_HALF_UP, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
    unit = decimal.Decimal((0, (1,), -target.scale))

    def read(text: str) -> decimal.Decimal | None:
        try:
            return decimal.Decimal(text).quantize(unit, context=context)
        except decimal.InvalidOperation:  # more digits than the type has
            return None

    return read


def _days(text: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(text, rf"({_CLOCK})({_ZONE})?$", "")


def _timestamps(text: pa.Array, target: pa.DataType) -> pa.Array:
    # Digits beyond the unit fall away, as in DuckDB.
    digits = {"us": 6, "ns": 9}[target.unit]
    text = pc.replace_substring_regex(text, rf"(\.\d{{{digits}}})\d+", r"\1")
    if not target.tz:
        return _read(pc.replace_substring_regex(text, rf"({_CLOCK}){_ZONE}$", r"\1"), _TIMESTAMP, target)
    zoned = pc.match_substring_regex(text, rf"{_CLOCK}{_ZONE}$")
    with_zone = pc.replace_substring_regex(pc.if_else(zoned, text, None), r" ([Z+-][^ ]*)$", r"\1")
    with_zone = _read(with_zone, rf"^{_DAY}{_CLOCK}{_ZONE}$", target)
    return pc.if_else(zoned, with_zone, _read(text, _TIMESTAMP, pa.timestamp(target.unit)).cast(target))


def _read(text: pa.Array, pattern: str, target: pa.DataType) -> pa.Array:
    """Return what Arrow reads from the texts that match `pattern`."""
    return _halving(pc.if_else(pc.match_substring_regex(text, pattern), text, None), target)


def _halving(text: pa.Array, target: pa.DataType) -> pa.Array:
    try:
        return text.cast(target)
    except pa.ArrowInvalid:
        if len(text) == 1:
            return pa.nulls(1, target)
        middle = len(text) // 2
        return pa.concat_arrays([_halving(text[:middle], target), _halving(text[middle:], target)])
