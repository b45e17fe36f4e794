"""Walk through structs in Thrift's compact protocol, value by value, inside compiled loops.

No schema is known here: the caller looks at the fields that the walk is in and keeps the numbers it wants.

Source: Apache Thrift, "Thrift Compact protocol encoding".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace_kernels.scalars import Number, inlined

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
"""Kinds of values, as the protocol numbers them."""

END = 0
"""What a step returns as kind when it left a struct or a list."""

DEEPEST = 16


@inlined
def read_varint(data: Any, at: Number, stop: Number) -> tuple[Number, Number]:
    """Return a number of 7 bits a byte, the lowest first, and the place after it; a place of -1 if there is none before `stop`."""
    value = np.int64(0)
    shift = np.int64(0)
    while at < stop and shift < 70:
        byte = np.int64(data[at])
        at += 1
        value |= (byte & 0x7F) << min(shift, np.int64(63))
        if byte < 0x80:
            return value, at
        shift += 7
    return np.int64(0), np.int64(-1)


@inlined
def unzigzag(number: Number) -> Number:
    """Return the signed number that a varint stands for: 0, -1, 1, -2 are written 0, 1, 2, 3.

    >>> [int(unzigzag(np.int64(n))) for n in (0, 1, 2, 3)]
    [0, -1, 1, -2]
    """
    return ((number >> 1) & 0x7FFFFFFFFFFFFFFF) ^ -(number & 1)


@inlined
def step(data: Any, at: Number, depth: Number, walk: Any) -> tuple[Number, Number, Number, Number]:
    """Read one value, the head of a struct or list, or its end.

    Parameters
    ----------
    data : ndarray of uint8
        The bytes.
    at : int
        Where the walk is.
    depth : int
        How many structs and lists the walk is in, the first one not counted; -1 is returned when that one ends.
    walk : ndarray of int64, shape (DEEPEST, 3)
        Zeros at first. A level's row is: the kind of a list's items (0 in a struct), the items left, and the field that was read or
        that holds the list or struct below.

    Returns
    -------
    at, depth, kind, number
        Where the walk went on to (-1: the bytes are no such struct), and what was read: for BINARY its length, for a list its items.
    """
    stop = len(data)
    nothing = np.int64(0)
    damaged = (np.int64(-1), np.int64(depth), np.int64(END), nothing)
    kind = walk[depth, 0]
    if kind:
        if walk[depth, 1] == 0:
            return np.int64(at), np.int64(depth - 1), np.int64(END), nothing
        walk[depth, 1] -= 1
    else:
        if at >= stop:
            return damaged
        head = np.int64(data[at])
        at += 1
        if head == 0:
            return np.int64(at), np.int64(depth - 1), np.int64(END), nothing
        kind = head & 15
        if head >> 4:
            walk[depth, 2] += head >> 4
        else:
            field, at = read_varint(data, at, stop)
            walk[depth, 2] = unzigzag(field)
    number = nothing
    if at < 0:
        return damaged
    if kind in (TRUE, FALSE):
        if walk[depth, 0]:  # in a list it is a byte, in a struct it is its own kind
            at += 1
        else:
            number = np.int64(kind == TRUE)
    elif kind in (BYTE, DOUBLE):
        at += 1 if kind == BYTE else 8
    elif kind in (I16, I32, I64):
        number, at = read_varint(data, at, stop)
        number = unzigzag(number)
    elif kind == BINARY:
        number, at = read_varint(data, at, stop)
        if at < 0 or number < 0 or number > stop - at:
            return damaged
        at += number
    elif kind in (LIST, SET, STRUCT):
        depth += 1
        if depth >= DEEPEST:
            return damaged
        walk[depth, 0] = 0
        walk[depth, 2] = 0
        if kind != STRUCT:
            if at >= stop:
                return damaged
            head = np.int64(data[at])
            at += 1
            number = head >> 4
            if number == 15:
                number, at = read_varint(data, at, stop)
            if (head & 15 == 0 and number) or number < 0 or number > stop:  # each item takes a byte
                return damaged
            walk[depth, 0] = max(head & 15, TRUE)  # fastparquet writes no kind for a list without items
            walk[depth, 1] = number
    else:  # no struct that is read here has a map
        return damaged
    if at > stop:
        return damaged
    return np.int64(at), np.int64(depth), np.int64(kind), np.int64(number)
