"""JSON for files that people look into: a line an item down to some depth, compact below it.

Python indents JSON with its slow encoder; a run's record of 1,000 columns took 0.5 s with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_compact = json.JSONEncoder(allow_nan=False).encode


def dump(value: Any, levels: int = 2, indent: str = "") -> str:
    """Return a value as JSON text; mappings and lists have a line an item in their first `levels` levels.

    >>> print(dump({"a": 1, "b": [{"c": [2, 3]}]}))
    {
     "a": 1,
     "b": [
      {"c": [2, 3]}
     ]
    }

    Raises
    ------
    ValueError
        For NaN and infinities: JSON has none.
    """
    below = indent + " "
    if levels and value and isinstance(value, Mapping):
        items = [f"{_compact(str(key))}: {dump(item, levels - 1, below)}" for key, item in value.items()]
        return "{\n" + ",\n".join(below + item for item in items) + f"\n{indent}}}"
    if levels and value and isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        return "[\n" + ",\n".join(below + dump(item, levels - 1, below) for item in value) + f"\n{indent}]"
    return _compact(value)
