"""Splitting texts of ASCII at the bytes of a class.

>>> is_separator = np.zeros(128, np.bool_)
>>> is_separator[ord(" ")] = True
>>> found = split_texts(np.array([0, 4, 4]), np.frombuffer(b"a  b", np.uint8), is_separator)
>>> found.starts.tolist(), found.offsets.tolist(), found.data.tobytes()
([0, 2, 3], [0, 1, 2, 2], b'ab')
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.compiled import jit
from headrace_kernels.hashing import Bytes, Offsets

_NOT_ASCII = -1


class Parts(NamedTuple):
    """The parts of texts, one after another.

    Parameters
    ----------
    starts : ndarray of int64, one more than texts
        The first part of each text, and the number of all.
    offsets : ndarray of int64, one more than parts
        Where each part begins in `data`.
    data : ndarray of uint8
    """

    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    data: Bytes


def split_texts(offsets: Offsets, data: Bytes, is_separator: NDArray[np.bool_]) -> Parts | None:
    """Split each text at every run of separators; None if one of them is not ASCII.

    Parameters
    ----------
    offsets : ndarray of int32 or int64
        One more than texts; they need not start at 0.
    data : ndarray of uint8
        The bytes of all texts.
    is_separator : ndarray of bool, length 128

    A text has one part more than runs: one that begins or ends with a separator has an empty part there.
    """
    starts = np.zeros(len(offsets), np.int64)
    n_bytes = _count(offsets, data, is_separator, starts)
    if n_bytes == _NOT_ASCII:
        return None
    parts = Parts(starts, np.zeros(starts[-1] + 1, np.int64), np.empty(n_bytes, np.uint8))
    _split(offsets, data, is_separator, parts.offsets, parts.data)
    return parts


@jit
def _count(offsets: Any, data: Any, is_separator: Any, starts: Any) -> int:
    """Count the parts of each text, summed up, and the bytes of all."""
    n_parts, n_bytes = 0, 0
    for text in range(len(offsets) - 1):
        within = False
        for place in range(offsets[text], offsets[text + 1]):
            byte = data[place]
            if byte >= 128:
                return _NOT_ASCII
            separates = is_separator[byte]
            n_parts += separates and not within
            n_bytes += not separates
            within = separates
        n_parts += 1
        starts[text + 1] = n_parts
    return n_bytes


@jit
def _split(offsets: Any, data: Any, is_separator: Any, ends: Any, out: Any) -> None:
    part, n_bytes = 0, 0
    for text in range(len(offsets) - 1):
        within = False
        for place in range(offsets[text], offsets[text + 1]):
            byte = data[place]
            separates = is_separator[byte]
            if separates:
                if not within:
                    part += 1
                    ends[part] = n_bytes
            else:
                out[n_bytes] = byte
                n_bytes += 1
            within = separates
        part += 1
        ends[part] = n_bytes
