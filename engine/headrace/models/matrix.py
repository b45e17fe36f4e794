"""Rows on their way into a model: checked, and cut into blocks that do not depend on how they came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from headrace.errors import DataError

Block = tuple[np.ndarray, np.ndarray]

# Fixed once and for all, since a model may depend on it (see FixedBlocks). 131072 rows of 40 features are 20 MiB.
BLOCK_ROWS = 131_072


def reblock(blocks: Sequence[Block], rows: int = BLOCK_ROWS) -> Iterator[Block]:
    """Yield the same rows in blocks of exactly `rows` rows; the last may be shorter.

    A block that lies within one input block is a view of it; others are copied, one at a time.

    Parameters
    ----------
    blocks : sequence of (matrix ``[n, k]``, target ``[n]``)
        In the order of the rows; empty ones are allowed.
    rows : int
        Rows of a block.

    Examples
    --------
    >>> pieces = [(np.zeros((n, 2), np.float32), np.zeros(n)) for n in (3, 0, 4)]
    >>> [len(matrix) for matrix, _ in reblock(pieces, rows=5)]
    [5, 2]
    """
    held: list[Block] = []
    n_held = 0
    for matrix, target in blocks:
        start = 0
        while start < len(matrix):
            stop = min(len(matrix), start + rows - n_held)
            held.append((matrix[start:stop], target[start:stop]))
            n_held += stop - start
            start = stop
            if n_held == rows:
                yield _joined(held)
                held, n_held = [], 0
    if held:
        yield _joined(held)


def joined(blocks: Sequence[Block], dtype: type[np.generic]) -> Block:
    """Return all rows as one C-order matrix of `dtype`, and one target."""
    n_rows, n_features = sum(len(matrix) for matrix, _ in blocks), blocks[0][0].shape[1]
    whole = np.empty((n_rows, n_features), dtype=dtype)
    start = 0
    for matrix, _ in blocks:
        whole[start : start + len(matrix)] = matrix
        start += len(matrix)
    return whole, joined_target(blocks)


def joined_target(blocks: Sequence[Block]) -> np.ndarray:
    """Return the targets of all blocks, in order."""
    return np.concatenate([target for _, target in blocks])


def check_blocks(blocks: Sequence[Block], features: tuple[str, ...]) -> None:
    """Raise DataError where blocks are none, have other shapes than `features` say, or hold infinities."""
    if not features:
        raise DataError("no features to train on", hint="the pipeline's output has no number besides the target")
    if not blocks:
        raise DataError("no rows to train on", hint="look at the filters and the split")
    for matrix, target in blocks:
        check_matrix(matrix, features)
        if target.shape != (len(matrix),):
            raise DataError(f"{len(matrix)} rows of features, but a target of shape {target.shape}")


def check_matrix(matrix: np.ndarray, features: tuple[str, ...], *, missing: bool = True) -> None:
    """Check a matrix before a model takes it.

    Parameters
    ----------
    matrix : float ``[n, k]``
        The rows.
    features : tuple of str
        The names of the ``k`` columns.
    missing : bool
        Whether NaN is allowed.

    Raises
    ------
    DataError
        Another shape; the first feature that is infinite (or NaN, if that is not allowed), with the count of rows.
    """
    if matrix.ndim != 2 or matrix.shape[1] != len(features):
        raise DataError(f"a matrix of shape {matrix.shape} for a model of {len(features)} features")
    # One cheap pass for the usual case; which column it is, is looked up only when there is something to say.
    bad = np.isinf(matrix) if missing else ~np.isfinite(matrix)
    if not bad.any():
        return
    column = int(bad.any(axis=0).argmax())
    values = matrix[:, column]
    n_infinite, n_missing = int(np.isinf(values).sum()), int(np.isnan(values).sum())
    if n_infinite:
        message, hint = f"infinite in {n_infinite} of {len(matrix)} rows", f"add clip for {features[column]!r}"
    else:
        message = f"missing in {n_missing} of {len(matrix)} rows, which this kind of model cannot take"
        hint = f"add fill_missing: {{columns: [{features[column]}], value: median}}"
    raise DataError(message, column=features[column], hint=hint)


def _joined(pieces: Sequence[Block]) -> Block:
    if len(pieces) == 1:
        matrix, target = pieces[0]
    else:
        matrix, target = np.concatenate([rows for rows, _ in pieces]), joined_target(pieces)
    if hasattr(matrix, "__cuda_array_interface__"):  # NumPy would ask for a copy on the host
        return matrix.astype(np.float32, order="C", copy=False), target
    return np.ascontiguousarray(matrix, dtype=np.float32), target
