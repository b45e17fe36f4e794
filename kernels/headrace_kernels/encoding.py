"""Encode dictionary indices: the id of each row by a table over the dictionary, nulls and unseen values counted on the way.

>>> ids, n_unseen = encode_indices(Column(np.array([1, 0, 1], np.int32)), np.array([7, 1, 0], np.int32), np.array([False, True, False]))
>>> ids.tolist(), n_unseen
([1, 7, 1], 2)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_kernels.column import Column, is_valid
from headrace_kernels.compiled import jit
from headrace_kernels.counting import in_dictionary


def encode_indices(indices: Column, ids: NDArray[np.int32], unseen: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Return the id of each row and how many rows are unseen.

    Parameters
    ----------
    indices : Column
        Dictionary indices of any integer type; a null's index may be anything.
    ids : ndarray of int32, length n + 1
        The id of each of the dictionary's n values, and last the id of a null.
    unseen : ndarray of bool, length n + 1
        Which of them count as unseen.

    Raises
    ------
    IndexError
        A valid index is not in the dictionary.
    """
    out = np.empty(len(indices.values), np.int32)
    has_null = indices.validity is not None
    valid = is_valid(indices) if has_null else np.ones(1, np.bool_)
    counted = _encode(indices.values, valid, has_null, ids, unseen, out)
    if counted < 0:
        raise IndexError(f"an index is not in the dictionary of {len(ids) - 1} values")
    return out, counted


@jit
def _encode(indices: Any, valid: Any, has_null: bool, ids: Any, unseen: Any, out: Any) -> int:
    null = len(ids) - 1
    counted = 0
    for i in range(len(indices)):
        index = np.int64(null)
        if not has_null or valid[i]:
            index = np.int64(indices[i])
            if not in_dictionary(index, null):
                return -1
        out[i] = ids[index]
        counted += unseen[index]
    return counted
