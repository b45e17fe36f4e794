"""Training by questions about all rows: each is answered where rows lie, answers add up exactly, and the next question follows from the sum.

A kind that trains so needs no rows: linear regression asks once (`headrace.models.sums`), logistic regression and k-means in rounds.
It has the same bits however rows were cut and whoever answered, as often as an answer was lost and given again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from headrace.models.device import to_host
from headrace.models.matrix import Block
from headrace.models.sums import moments_of
from headrace.states import Moments


class Answer(Protocol):
    """What some rows say."""

    def merged(self, other: Self) -> Self:
        """Return what the rows of both say; the same bits in any order."""
        ...


Found = TypeVar("Found", bound=Answer, covariant=True)


class Question(Protocol[Found]):
    """What is asked of rows: a frozen value, which travels to them."""

    def of(self, matrix: Any, target: Any) -> Found:
        """Answer for some rows, or none, on the host or on a device."""
        ...


class TrainingRows(Protocol):
    """All training rows, wherever they lie."""

    @property
    def n_rows(self) -> int: ...

    def ask(self, question: Question[Found]) -> Found:
        """Return what all rows say."""
        ...

    def sample(self, n_rows: int) -> np.ndarray:
        """Return up to so many rows, evenly spaced over all: float32 ``[n, k]`` on the host."""
        ...


@dataclass(frozen=True)
class RowsHere:
    """Training rows of this process, in blocks.

    >>> rows = RowsHere([(np.array([[1.0], [2.0]], np.float32), np.zeros(2)), (np.array([[6.0]], np.float32), np.zeros(1))])
    >>> rows.ask(Spread()).means().tolist(), rows.sample(2).tolist()
    ([3.0], [[1.0], [6.0]])
    """

    blocks: Sequence[Block]

    @property
    def n_rows(self) -> int:
        return sum(len(matrix) for matrix, _ in self.blocks)

    def ask(self, question: Question[Found]) -> Found:
        return merged([question.of(*block) for block in self.blocks])

    def sample(self, n_rows: int) -> np.ndarray:
        whole = np.concatenate([to_host(matrix) for matrix, _ in self.blocks])
        return np.ascontiguousarray(whole[evenly_spaced(n_rows, len(whole))], np.float32)


def merged(answers: Sequence[Any]) -> Any:
    """Return what the rows of all answers say."""
    return reduce(lambda left, right: left.merged(right), answers)


def evenly_spaced(wanted: int, n_rows: int) -> np.ndarray:
    """Return up to `wanted` row numbers below `n_rows`.

    >>> evenly_spaced(3, 9).tolist(), evenly_spaced(3, 2).tolist(), evenly_spaced(3, 0).tolist()
    ([0, 4, 8], [0, 1], [])
    """
    return np.unique(np.linspace(0, n_rows - 1, min(wanted, n_rows)).astype(np.int64))


@dataclass(frozen=True)
class Spread:
    """Ask how each feature is spread."""

    def of(self, matrix: Any, target: Any) -> Spreads:
        return Spreads(tuple(moments_of(matrix[:, index]) for index in range(matrix.shape[1])))


@dataclass(frozen=True)
class Spreads:
    """Count, extremes and exact sums of each feature."""

    features: tuple[Moments, ...]

    def merged(self, other: Spreads) -> Spreads:
        return Spreads(tuple(ours.merged(theirs) for ours, theirs in zip(self.features, other.features, strict=True)))

    def means(self) -> np.ndarray:
        """Return each feature's mean."""
        return np.array([one.mean_and_std()[0] for one in self.features])

    def deviations(self) -> np.ndarray:
        """Return each feature's standard deviation, of all rows."""
        return np.array([one.mean_and_std()[1] for one in self.features])

    def largest(self) -> np.ndarray:
        """Return the largest size of each feature's values."""
        return np.array([max(abs(float(end or 0.0)) for end in (one.minimum, one.maximum)) for one in self.features])
