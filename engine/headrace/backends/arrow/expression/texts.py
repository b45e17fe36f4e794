"""Functions of texts, and what lists share with them: length and the element at a place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.expression.operands import Implementation, Operand, Values, as_values, broadcast, constant, given, text
from headrace.backends.arrow.expression.to_text import to_text
from headrace.errors import JobError
from headrace.expressions.promotion import is_text, type_error
from headrace.keys import string_buffers

# What trim takes off if no characters are given: Unicode's space separators, as in DuckDB (tabs and newlines stay).
_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"

# What Unicode keeps free for a program's own use.
_NO_CHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
# What matches a place, not a character.
_AN_EDGE = re.compile(r"(?<!\[)\^|\$|\\[AbBzZ]")
# A class of characters, once or more, that needs no look at what stands around.
# No text has more characters.
_LONGEST = 2**40
_A_CLASS = re.compile(r"\[\^?(?:[^\[\]\\^]|\\[pP]\{\^?\w+\}|\\[wWsSdD])+\]\+")


def _plain(kernel: Callable[[pa.Array], pa.Array]) -> Implementation:
    return lambda function, operands: kernel(text(function, operands))


def _with_constants(kernel: Callable[..., pa.Array], *types: pa.DataType, result: pa.DataType | None = None) -> Implementation:
    """Return a function of a text and constants of `types`; a null constant gives null."""

    def of_text(function: str, operands: Sequence[Operand]) -> Values:
        array = text(function, operands)
        constants = [constant(function, operands, position, types[position - 1]) for position in range(1, len(operands))]
        if any(value is None for value in constants):
            return pa.nulls(len(array), result or array.type)
        return kernel(array, *constants)

    return of_text


def _like(*, ignore_case: bool) -> Callable[[pa.Array, str], pa.Array]:
    return lambda array, pattern: pc.match_like(array, pattern, ignore_case=ignore_case)


def _trimming(kernel: Callable[..., pa.Array]) -> Callable[..., pa.Array]:
    return lambda array, characters=_SPACES: kernel(array, characters=characters) if characters else array


def _slice(array: pa.Array, start: int, stop: int | None) -> pa.Array:
    # Arrow reckons with places beyond any text's end until they overflow.
    start, stop = _within_reach(start), stop if stop is None else _within_reach(stop)
    if stop is not None and (stop <= start and (start < 0) == (stop < 0)):
        return pc.utf8_slice_codeunits(array, 0, 0)
    return pc.utf8_slice_codeunits(array, start, stop)


def _within_reach(place: int) -> int:
    return max(-_LONGEST, min(place, _LONGEST))


def _substring(array: pa.Array, start: int, count: int | None = None) -> pa.Array:
    if start < 0:
        low, high = (start, None if count is None else start + count) if count is None or count >= 0 else (start + count, start)
        return _slice(array, low, None if high is not None and high >= 0 and low < 0 else high)
    first = start - 1
    low, high = (first, None if count is None else first + count) if count is None or count >= 0 else (first + count, first)
    return _slice(array, max(low, 0), None if high is None else max(high, 0))


def _left(array: pa.Array, count: int) -> pa.Array:
    return _slice(array, 0, count)


def _right(array: pa.Array, count: int) -> pa.Array:
    return _slice(array, -count, None) if count else _slice(array, 0, 0)


def _replace(array: pa.Array, old: str, new: str) -> pa.Array:
    return pc.replace_substring(array, old, new) if old else array


def _pattern(pattern: str, options: str, allowed: str) -> str:
    unknown = set(options) - set(allowed)
    if unknown:
        raise JobError(f"regular expressions have no option {''.join(sorted(unknown))!r}", hint=f"options: {', '.join(allowed)}")
    flags = "".join(flag for flag in "is" if flag in options)
    found = f"(?{flags}){pattern}" if flags else pattern
    try:
        pc.match_substring_regex(pa.array([""]), found)  # on no rows, Arrow would not look at the pattern
    except pa.ArrowInvalid as error:
        raise JobError(
            f"the regular expression {pattern!r} cannot be read: {error}", hint="RE2's syntax: no look-ahead, no back references"
        ) from None
    return found


def _regexp_matches(array: pa.Array, pattern: str, options: str = "") -> pa.Array:
    return pc.match_substring_regex(array, _pattern(pattern, options, "cis"))


def _regexp_replace(array: pa.Array, pattern: str, new: str, options: str = "") -> pa.Array:
    found = _pattern(pattern, options, "cisg")
    if "g" in options:
        return pc.replace_substring_regex(array, found, new)
    if _AN_EDGE.search(pattern) and not re.search(r"\\[89]", new):
        # Arrow looks at the first match anew, without what stands around: here with all before it, as the first of two groups more.
        moved = re.sub(r"\\(\d)|\\\\", lambda one: f"\\{int(one[1]) + 2}" if one[1] else one[0], new)
        return pc.replace_substring_regex(array, rf"\A((?s:.*?))({found})", rf"\1{moved}")
    return pc.replace_substring_regex(array, found, new, max_replacements=1)


def _regexp_split(array: pa.Array, pattern: str, options: str = "") -> pa.Array:
    found = _pattern(pattern, options, "cis")
    parts = _split_at_class(array, found) if _A_CLASS.fullmatch(pattern) else None
    if parts is not None:
        return parts
    if pc.match_substring_regex(pa.array([""]), found)[0].as_py():  # Arrow would never come back from it
        raise JobError(f"the regular expression {pattern!r} matches the empty text", hint="write one that matches a character or more")
    return _split_at_edges(array, found) if _AN_EDGE.search(pattern) else pc.split_pattern_regex(array, found)


def _split_at_edges(array: pa.Array, pattern: str) -> pa.Array:
    """Split texts by a pattern that looks at what stands around: Arrow's own takes what is behind a match for a text of its own."""
    mark = next(one for one in _NO_CHARACTERS if not pc.any(pc.match_substring(array, one)).as_py())
    return pc.split_pattern(pc.replace_substring_regex(array, pattern, mark), mark)


def _split_at_class(array: pa.Array, pattern: str) -> pa.Array | None:
    """Split texts at runs of a class of characters by a kernel: a tenth of RE2's time. None where they are not all ASCII."""
    from headrace_kernels.splitting import split_texts

    found = split_texts(*string_buffers(array), _ascii_members(pattern))
    if found is None or found.starts[-1] >= 2**31:
        return None
    wide = pa.types.is_large_string(array.type)
    offsets = pa.py_buffer(found.offsets if wide else found.offsets.astype(np.int32))
    parts = pa.Array.from_buffers(array.type, len(found.offsets) - 1, [None, offsets, pa.py_buffer(found.data)])
    return pa.ListArray.from_arrays(pa.array(found.starts, pa.int32()), parts, mask=array.is_null() if array.null_count else None)


@lru_cache
def _ascii_members(pattern: str) -> npt.NDArray[np.bool_]:
    """Return which of ASCII's characters a class matches: RE2 itself says so."""
    return pc.match_substring_regex(pa.array([chr(code) for code in range(128)]), pattern).to_numpy(zero_copy_only=False)


def _split_part(array: pa.Array, separator: str, index: int) -> pa.Array:
    if not index:
        return _slice(array, 0, 0)
    if not separator:
        return _substring(array, index, 1) if index > 0 else _slice(array, index, index + 1 or None)
    parts = pc.split_pattern(array, separator)
    return pc.if_else(array.is_valid(), pc.coalesce(_at(parts, pa.scalar(index)), pa.scalar("", array.type)), None)


def _concat_operator(function: str, operands: Sequence[Operand]) -> Values:
    return pc.binary_join_element_wise(*_as_texts(operands), null_handling="emit_null")


def _concat(function: str, operands: Sequence[Operand]) -> Values:
    return pc.binary_join_element_wise(*_as_texts(operands), null_handling="replace", null_replacement="")


def _as_texts(operands: Sequence[Operand]) -> list[Values]:
    """Return all operands as texts, and the empty separator behind them."""
    texts = [_text_of(value) for value in broadcast(as_values(operands))]
    type_ = pa.large_string() if any(pa.types.is_large_string(value.type) for value in texts) else pa.string()
    return [*(value.cast(type_) for value in texts), pa.scalar("", type_)]


def _text_of(value: Values) -> Values:
    if pa.types.is_null(value.type):
        value = value.cast(pa.string())
    return to_text(value) if isinstance(value, pa.Array) else to_text(pa.repeat(value, 1))[0]


def _length(function: str, operands: Sequence[Operand]) -> Values:
    value = broadcast(as_values(operands))[0]
    if _is_list(value.type):
        return pc.list_value_length(value).cast(pa.int64())
    if not (is_text(value.type) or pa.types.is_null(value.type)):
        raise type_error(function, given(operands))
    return pc.utf8_length(text(function, operands)).cast(pa.int64())


def _is_list(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_))


def _element(function: str, operands: Sequence[Operand]) -> Values:
    lists, index = broadcast(as_values(operands))
    if not (isinstance(lists, pa.Array) and _is_list(lists.type) and (pa.types.is_integer(index.type) or pa.types.is_null(index.type))):
        raise type_error(function, given(operands))
    return _at(lists, index)


def _at(lists: pa.Array, index: Values) -> pa.Array:
    """Return the element of each list at `index` (from 1, negative from the end), null where there is none."""
    if pa.types.is_fixed_size_list(lists.type):
        lists = lists.cast(pa.list_(lists.type.value_type))
    if isinstance(index, pa.Scalar):
        index = pa.repeat(index, len(lists))
    known = pc.and_(lists.is_valid(), index.is_valid()).to_numpy(zero_copy_only=False)
    offsets = lists.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    place = index.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    sizes = np.diff(offsets)
    inside = known & (place != 0) & (-sizes <= place) & (place <= sizes)
    rows = np.where(place > 0, offsets[:-1] + place - 1, offsets[1:] + place)
    return lists.values.take(pa.array(rows, mask=~inside))


_TEXT, _NUMBER, _BOOL = pa.string(), pa.int64(), pa.bool_()

TEXTS: dict[str, Implementation] = {
    "concat_operator": _concat_operator,
    "concat": _concat,
    "like": _with_constants(_like(ignore_case=False), _TEXT, result=_BOOL),
    "ilike": _with_constants(_like(ignore_case=True), _TEXT, result=_BOOL),
    "lower": _plain(pc.utf8_lower),
    "upper": _plain(pc.utf8_upper),
    "trim": _with_constants(_trimming(pc.utf8_trim), _TEXT),
    "ltrim": _with_constants(_trimming(pc.utf8_ltrim), _TEXT),
    "rtrim": _with_constants(_trimming(pc.utf8_rtrim), _TEXT),
    "length": _length,
    "substring": _with_constants(_substring, _NUMBER, _NUMBER),
    "left": _with_constants(_left, _NUMBER),
    "right": _with_constants(_right, _NUMBER),
    "contains": _with_constants(pc.match_substring, _TEXT, result=_BOOL),
    "starts_with": _with_constants(pc.starts_with, _TEXT, result=_BOOL),
    "ends_with": _with_constants(pc.ends_with, _TEXT, result=_BOOL),
    "replace": _with_constants(_replace, _TEXT, _TEXT),
    "regexp_matches": _with_constants(_regexp_matches, _TEXT, _TEXT, result=_BOOL),
    "regexp_replace": _with_constants(_regexp_replace, _TEXT, _TEXT, _TEXT),
    "regexp_split_to_array": _with_constants(_regexp_split, _TEXT, _TEXT, result=pa.list_(_TEXT)),
    "split_part": _with_constants(_split_part, _TEXT, _NUMBER),
    "element": _element,
}
