"""What ordered operators have in common: groups, an order, and lengths of time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from headrace.errors import JobError
from headrace.ops.base import Grouping, Setting, check_columns
from headrace.schema import Schema, Type

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # units of a timestamp's integers in a second
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])")


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _checked(value: Any) -> Any:
    if isinstance(value, str) and not _LENGTH.fullmatch(value):
        raise ValueError("write a length of time as 90s, 30m, 1h, 7d or 2w, or as a number")
    if length(value) <= 0:
        raise ValueError("a length above 0 is needed")
    return value


By = Setting[Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(default=())], str | Sequence[str]]
Length = Annotated[int | float | str, AfterValidator(_checked)]


def length(value: int | float | str) -> float:
    """Return a length of time in seconds; a number as it is.

    >>> length("1.5h"), length("500ms"), length(20)
    (5400.0, 0.5, 20.0)
    """
    if not isinstance(value, str):
        return float(value)
    found = _LENGTH.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no length of time")
    return float(found[1]) * SECONDS[found[2]]


def ticks(seconds: float, type_: Type) -> float:
    """Return a length in the units of a column's integers; a number column has units of its own.

    >>> ticks(604_800, Type.of("date32")), ticks(1.5, Type.of("timestamp[ms, tz=UTC]")), ticks(3, Type.of("int64"))
    (7.0, 1500.0, 3.0)
    """
    return seconds * per_second(type_) / per_tick(type_)


def per_second(type_: Type) -> int:
    """Return how many units of a temporal column are a second; 1 for all others."""
    name = str(type_)
    return (
        TICKS[name[len("timestamp[") : -1].partition(",")[0]] if name.startswith("timestamp[") else 1000 if name.startswith("date64") else 1
    )


def per_tick(type_: Type) -> int:
    """Return how many seconds a unit of a date column is; 1 for all others."""
    return 86_400 if str(type_).startswith("date32") else 1


def check_grouping(schema: Schema, grouping: Grouping, keys: str = "by") -> None:
    """Raise JobErrors for key columns that cannot make groups, and an order column that has no order in time."""
    check_columns(schema, grouping.keys, lambda type_: not type_.is_nested, "a key", keys)
    if grouping.order is not None:
        check_columns(schema, (grouping.order,), lambda type_: type_.is_number or type_.is_temporal, "a date, timestamp or number", "order")


def check_length(value: int | float | str, order: Type, setting: str) -> None:
    """Raise JobError for a length in units of time over a column that has no such units."""
    if isinstance(value, str) and not order.is_temporal:
        raise JobError(
            f"{value!r} is a length of time, and the order is {order}", key=setting, hint="write it as a number in the column's own units"
        )
