"""The rows that every side of the suite `operators` works on, as NumPy arrays drawn from a seed; each makes its own table of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SEED = 7
KEY_ROWS = 50
CITIES = np.array([f"City {number:04d}" for number in range(1_000)])
ZONES = np.array([f"zone-{number:02d}" for number in range(50)])
WORDS = np.array([f"Word{number}" for number in range(500)])
EDGES = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
START_US = 1_700_000_000_000_000
SPAN_US = 30 * 86_400_000_000


@dataclass(frozen=True)
class Rows:
    """Columns by name; `nulls` has the mask of those that have some; `lengths` and `items` make the lists."""

    columns: dict[str, np.ndarray]
    nulls: dict[str, np.ndarray]
    lengths: np.ndarray
    items: np.ndarray


def draw(rows: int) -> Rows:
    random = np.random.default_rng(SEED)
    keys = random.integers(0, max(rows // KEY_ROWS, 1), rows)
    words = WORDS[random.integers(0, len(WORDS), (rows, 4))]
    titles = words[:, 0]
    for place in range(1, words.shape[1]):
        titles = np.char.add(np.char.add(titles, " "), words[:, place])
    lengths = random.integers(0, 6, rows)
    columns = {
        "id": np.arange(rows),
        "key": keys,
        # No two rows of one time: what ties are worth is each library's own.
        "when": START_US + np.sort(random.choice(SPAN_US // 1_000, rows, replace=False)) * 1_000,
        "x": random.lognormal(0.5, 1.2, rows),
        "y": random.normal(100.0, 15.0, rows),
        "n": random.integers(0, 24, rows).astype(np.int32),
        "city": CITIES[(random.random(rows) ** 3 * len(CITIES)).astype(np.int64)],
        "zone": ZONES[random.integers(0, len(ZONES), rows)],
        "title": np.char.add(np.char.add("  ", titles), " "),
        "late": random.integers(0, 2, rows).astype(np.int8),
        **{name: random.uniform(-reach, reach, rows) for name, reach in (("lat1", 60), ("lon1", 170), ("lat2", 60), ("lon2", 170))},
    }
    nulls = {name: random.random(rows) < 0.1 for name in ("x", "n")}
    return Rows(columns, nulls, lengths, random.integers(0, 1_000, lengths.sum()).astype(np.int32))


def people() -> np.ndarray:
    """Return a number for each city: the table that is joined."""
    return np.random.default_rng(SEED).integers(1_000, 10_000_000, len(CITIES))


def rates(count: int = 20_000) -> dict[str, np.ndarray]:
    """Return what changes with time: zone, the microsecond from which it holds, value."""
    random = np.random.default_rng(SEED + 1)
    since = START_US + np.sort(random.choice(SPAN_US // 1_000, count, replace=False)) * 1_000 + 500
    return {"zone": ZONES[random.integers(0, len(ZONES), count)], "since": since, "rate": random.random(count)}
