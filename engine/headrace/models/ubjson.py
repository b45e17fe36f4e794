r"""Read UBJSON, the form in which XGBoost saves models: objects, arrays, strings and numbers; packed arrays as NumPy arrays.

>>> read_ubjson(b"{i\x01aTi\x01bS" + b"i\x02hii\x01c[$i#i\x02\x01\x02}")
{'a': True, 'b': 'hi', 'c': array([1, 2], dtype=int8)}

Source: *Universal Binary JSON Specification*, draft 12, https://ubjson.org
"""

from __future__ import annotations

from typing import Any

import numpy as np

_NUMBERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_WORDS = {b"T": True, b"F": False, b"Z": None}
_DEEPEST = 64


def read_ubjson(content: bytes) -> Any:
    """Return the value that some bytes hold.

    Raises
    ------
    ValueError
        If they are no UBJSON, end too early, or nest deeper than 64.
    """
    reader = _Reader(content)
    value = reader.value(reader.take(1), 0)
    if reader.place != len(content):
        raise ValueError(f"{len(content) - reader.place} bytes too many")
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, nbytes: int) -> bytes:
        """Return the next bytes; a length that the file cannot hold is refused before anything of it is made."""
        if nbytes < 0 or self.place + nbytes > len(self.content):
            raise ValueError(f"it ends at byte {len(self.content)}, before a value of {nbytes} bytes does")
        self.place += nbytes
        return self.content[self.place - nbytes : self.place]

    def value(self, mark: bytes, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"values nest deeper than {_DEEPEST}")
        if mark in _NUMBERS:
            return np.frombuffer(self.take(np.dtype(_NUMBERS[mark]).itemsize), _NUMBERS[mark])[0].item()
        if mark in _WORDS:
            return _WORDS[mark]
        if mark == b"S":
            return self.text()
        if mark == b"{":
            return self.mapping(depth + 1)
        if mark == b"[":
            return self.array(depth + 1)
        raise ValueError(f"no value begins with {mark!r}, at byte {self.place - 1}")

    def length(self) -> int:
        found = self.value(self.take(1), 0)
        if not isinstance(found, int) or isinstance(found, bool):
            raise ValueError(f"a length that is no whole number, at byte {self.place}")
        return found

    def text(self) -> str:
        return self.take(self.length()).decode()

    def mapping(self, depth: int) -> dict[str, Any]:
        found = {}
        while self.take(1) != b"}":
            self.place -= 1
            name = self.text()
            found[name] = self.value(self.take(1), depth)
        return found

    def array(self, depth: int) -> Any:
        mark = self.take(1)
        if mark == b"$":
            dtype = np.dtype(_NUMBERS.get(self.take(1), "V0"))
            if self.take(1) != b"#" or dtype.itemsize == 0:
                raise ValueError(f"a packed array of no numbers, at byte {self.place}")
            return np.frombuffer(self.take(self.length() * dtype.itemsize), dtype).astype(dtype.newbyteorder("="))
        if mark == b"#":
            return [self.value(self.take(1), depth) for _ in range(self.length())]
        found = []
        while mark != b"]":
            found.append(self.value(mark, depth))
            mark = self.take(1)
        return found
