"""What is wrong with settings, in the words of the file they were written in: pydantic's errors as JobErrors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import JobError, nearest

if TYPE_CHECKING:
    from pydantic import ValidationError

_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden", "no_such_attribute")
_MISSING = ("missing", "missing_argument")
# What a value should have been. A type that may be one of several has an error of pydantic's for each.
_WANTED = {
    "string_type": "a text",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
_MOST_SHOWN = 60


def setting_errors(error: ValidationError, values: Any, names_at: Callable[[Sequence[str | int]], Sequence[str]]) -> list[JobError]:
    r"""Return what is wrong with `values`: one error a key path, with the nearest of the names that there are at the place above it.

    >>> from pydantic import BaseModel, ValidationError
    >>> class Settings(BaseModel, extra="forbid"):
    ...     size: int | bool
    >>> try:
    ...     Settings.model_validate(values := {"size": None, "sise": 3})
    ... except ValidationError as error:
    ...     print(*setting_errors(error, values, lambda above: ["size"]), sep="\n")
    size: an integer or true or false is needed, not null
    sise: unknown key
      nearest: 'size'. Keys: size
    """
    found: dict[str, JobError] = {}
    wanted: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        kind, place, value = item["type"], item["loc"], item.get("input")
        if kind in _UNKNOWN:
            key = _key_path(place)
            found[key] = JobError("unknown key", key=key, hint=_known(str(place[-1]), names_at(place[:-1])))
        elif kind in _MISSING:
            key = _key_path([*_written(place[:-1], values), place[-1]])
            found[key] = JobError("is missing", key=key)
        elif kind == "too_short" and hasattr(value, "__len__") and len(value) >= item["ctx"]["min_length"]:
            continue  # one of its items is wrong, which has an error of its own
        else:
            key = _key_path(_written(place, values))
            if kind in _WANTED:
                words = wanted.setdefault(key, [])
                words += [_WANTED[kind]] if _WANTED[kind] not in words else []
                message = f"{', '.join(words[:-1])}{' or ' if words[1:] else ''}{words[-1]} is needed"
            elif key in found:
                continue
            elif kind == "too_short":
                message = f"at least {item['ctx']['min_length']} must be named"
            else:
                message = item["msg"].removeprefix("Value error, ")
                message = message[0].lower() + message[1:]
            found[key] = JobError(f"{message}, not {shown(value)}" if "input" in item else message, key=key)
    return list(found.values())


def _known(name: str, names: Sequence[str]) -> str:
    above, _, below = name.partition(".")
    if above in names:
        return f"`{name}` is how `--set` writes it; here it is `{above}: {{{below}: ...}}`"
    near, listed = nearest(name, names), f"Keys: {', '.join(names)}"
    return f"nearest: {near!r}. {listed}" if near else listed


def shown(value: Any) -> str:
    """Return a value as an error shows it: as YAML calls it, cut where it is long.

    >>> shown(None), shown(True), shown("x" * 100)[-8:]
    ('null', 'true', 'xxxx ...')
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 4]} ..."


def _written(place: Sequence[str | int], values: Any) -> list[str | int]:
    """Return what of pydantic's place is a key or a position that somebody wrote: it also names the type of several that it tried."""
    path: list[str | int] = []
    for item in place:
        is_key = isinstance(values, Mapping) and item in values
        is_position = isinstance(values, list | tuple) and isinstance(item, int) and item < len(values)
        if is_key or is_position:
            values = values[item]
            path.append(item)
    return path


def _key_path(place: Sequence[str | int]) -> str:
    path = ""
    for item in place:
        if isinstance(item, int) and not isinstance(item, bool):
            path += f"[{item}]"
        else:
            path += f".{item}" if path else str(item)
    return path
