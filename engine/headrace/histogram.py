"""Counts of values in bins of one width."""

from __future__ import annotations

import numpy as np

from headrace.states import Floats, Ints


def histogram(values: Floats, n_bins: int, low: float, high: float, weights: Ints | None = None) -> tuple[Floats, Floats]:
    """Return the counts [bins] and the edges [bins + 1] of bins between two finite numbers, which are moved apart if they are too close.

    >>> counts, edges = histogram(np.array([0.0, 1.0, 4.0]), 2, 0.0, 4.0)
    >>> counts.tolist(), edges.tolist()
    ([2, 1], [0.0, 2.0, 4.0])
    """
    least = n_bins * float(np.spacing(max(abs(low), abs(high))))  # floats further out lie further apart than bins may
    if high - low < 2 * least:
        pad = max(0.5, least) if low == high else least
        low, high = low - pad, high + pad
    if np.isinf(high - low):  # the width is no float, but its half is
        counts, edges = np.histogram(values / 2, n_bins, (low / 2, high / 2), weights=weights)
        return counts, edges * 2
    return np.histogram(values, n_bins, (low, high), weights=weights)
