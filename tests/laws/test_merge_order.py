"""Law: parts merge in any order and any grouping to the same state, bit for bit."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from tests.applying import as_training, learnt
from tests.laws.examples import cases, rows
from tests.laws.running import batches, canonical

from headrace.ops.base import FittedOp, Op
from headrace.table import Backend

FITTED = [pytest.param(op, id=name) for name, op in cases() if isinstance(op, FittedOp) and op.learns]


def _parts(backend: Backend, op: FittedOp[Any, Any], pieces: int) -> list[Any]:
    return [op.observe(as_training(backend, piece, first_row)) for first_row, piece in batches(rows(), pieces)]


@pytest.mark.parametrize("op", FITTED)
@pytest.mark.parametrize("pieces", [1, 7])
def test_parts_of_any_size_merge_to_the_state_of_the_whole(backend: Backend, op: FittedOp[Any, Any], pieces: int) -> None:
    merged = functools.reduce(op.merge, _parts(backend, op, pieces))
    assert canonical(op.finish(merged)) == canonical(learnt(backend, op, rows()))


@pytest.mark.parametrize("op", FITTED)
@pytest.mark.parametrize("seed", range(2))
def test_parts_merge_in_any_order_and_grouping(backend: Backend, op: FittedOp[Any, Any], seed: int) -> None:
    random = np.random.default_rng(seed)
    parts = _parts(backend, op, 9)
    while len(parts) > 1:
        one, other = random.choice(len(parts), 2, replace=False)
        merged = op.merge(parts[one], parts[other])
        parts = [part for index, part in enumerate(parts) if index not in (one, other)] + [merged]
    assert canonical(op.finish(parts[0])) == canonical(learnt(backend, op, rows()))


@pytest.mark.parametrize("op", FITTED)
def test_parts_without_rows_add_nothing(backend: Backend, op: FittedOp[Any, Any]) -> None:
    empty = [op.observe(as_training(backend, rows().slice(0, 0))) for _ in range(2)]
    whole = op.observe(as_training(backend, rows()))
    for merged in (op.merge(op.merge(*empty), whole), op.merge(whole, op.merge(*empty))):
        assert canonical(op.finish(merged)) == canonical(learnt(backend, op, rows()))


@pytest.mark.parametrize("op", FITTED)
def test_merging_changes_neither_part(backend: Backend, op: FittedOp[Any, Any]) -> None:
    left, right = (op.observe(as_training(backend, piece, first)) for first, piece in list(batches(rows(), 2))[:2])
    op.merge(left, right)
    once = canonical(op.finish(op.merge(left, right)))
    assert once == canonical(op.finish(op.merge(left, right)))


@pytest.mark.parametrize("op", FITTED)
def test_the_order_of_rows_changes_no_state(backend: Backend, op: Op) -> None:
    shuffled = rows().take(np.random.default_rng(1).permutation(rows().num_rows))
    assert canonical(learnt(backend, op, shuffled)) == canonical(learnt(backend, op, rows()))
