"""Decimals as floats."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_EXACT_DIGITS = 15  # every integer of so many digits is a float64


def nearest_floats(decimals: pa.Array) -> pa.Array:
    """Return decimals as the float64 nearest to each; Arrow's own cast is off by a last digit at one price in seven.

    >>> nearest_floats(pa.array(["4966373.81", None]).cast(pa.decimal128(9, 2))).to_pylist()
    [4966373.81, None]
    """
    type_ = decimals.type
    if not (pa.types.is_decimal128(type_) and type_.precision <= _EXACT_DIGITS and 0 <= type_.scale <= _EXACT_DIGITS and len(decimals)):
        return decimals.cast(pa.string()).cast(pa.float64())  # reading a text rounds to the nearest
    words = np.frombuffer(decimals.buffers()[1], np.int64)[2 * decimals.offset : 2 * (decimals.offset + len(decimals)) : 2]
    floats = words / 10.0**type_.scale  # of two numbers without an error, so rounded once
    found = pa.Array.from_buffers(pa.float64(), len(floats), [None, pa.py_buffer(floats)])
    return pc.if_else(decimals.is_valid(), found, pa.scalar(None, pa.float64())) if decimals.null_count else found
