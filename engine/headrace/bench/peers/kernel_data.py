"""The columns that every side of the suite `kernels` works on, drawn from a seed by NumPy alone."""

from __future__ import annotations

import numpy as np

SEED = 7
GROUP_ROWS = 50
CATEGORIES = 10_000
EDGES = np.linspace(-3.0, 3.0, 33)


def places(rows: int, dtype: str) -> list[np.ndarray]:
    """Return latitude and longitude of two points a row, anywhere but near the poles."""
    random = np.random.default_rng(SEED)
    return [random.uniform(-reach, reach, rows).astype(dtype) for reach in (60, 170, 60, 170)]


def events(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return group, seconds and value of events, sorted by group and time; about 50 events a group within 30 days."""
    random = np.random.default_rng(SEED)
    group = np.sort(random.integers(0, max(rows // GROUP_ROWS, 1), rows))
    seconds = random.uniform(0, 30 * 86_400, rows)
    order = np.lexsort((seconds, group))
    return group, seconds[order], random.uniform(0, 10, rows)


def numbers(rows: int) -> np.ndarray:
    return np.random.default_rng(SEED).standard_normal(rows)


def integers(rows: int) -> np.ndarray:
    return np.random.default_rng(SEED).integers(0, 2**63, rows)


def strings(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets and bytes of strings of 4 to 20 letters."""
    random = np.random.default_rng(SEED)
    offsets = np.concatenate([[0], np.cumsum(random.integers(4, 21, rows))]).astype(np.int64)
    return offsets, random.integers(97, 123, offsets[-1]).astype(np.uint8)


def codes(rows: int) -> np.ndarray:
    """Return dictionary indices, the small ones more often."""
    return (np.random.default_rng(SEED).random(rows) ** 3 * CATEGORIES).astype(np.int32)


def counts_with_nulls(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return heavy-tailed whole numbers and which of them are there, four in five."""
    random = np.random.default_rng(SEED)
    return np.exp(random.normal(2, 1.5, rows)).astype(np.int32), random.random(rows) < 0.8
