"""The ledger: every row and every value that a pipeline changed, counted by step and column.

Rows in = rows filtered + rows quarantined + rows out; nulls filled, values clipped and categories unseen are
counted where they happen. A ledger is mergeable, so that each task keeps its own and the run adds them up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class StepTally:
    """What one step did: rows in and out, seconds of work, and its counts by (event, column)."""

    rows_in: int = 0
    rows_out: int = 0
    seconds: float = 0.0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: StepTally) -> None:
        """Add another tally of the same step."""
        self.rows_in += other.rows_in
        self.rows_out += other.rows_out
        self.seconds += other.seconds
        self.counts.update(other.counts)


@dataclass
class Transfers:
    """What moved from a device to the host, by reason: how many arrays, and their bytes.

    ``rows`` are values by row, which none should be between read and train; ``distinct`` the distinct values of columns;
    ``state`` what is learnt; ``output`` rows on their way out; ``exchange`` rows that meet others of their key; ``fallback`` rows
    that the CPU takes over.

    >>> transfers = Transfers()
    >>> transfers.add("state", 800)
    >>> transfers.describe()
    {'state': {'count': 1, 'bytes': 800}}
    """

    counts: Counter[str] = field(default_factory=Counter)
    nbytes: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, nbytes: int) -> None:
        """Count one array."""
        self.counts[reason] += 1
        self.nbytes[reason] += nbytes

    def update(self, other: Transfers) -> None:
        """Add what another task moved."""
        self.counts.update(other.counts)
        self.nbytes.update(other.nbytes)

    def describe(self) -> dict[str, dict[str, int]]:
        """Return counts and bytes by reason, as JSON values."""
        return {reason: {"count": self.counts[reason], "bytes": self.nbytes[reason]} for reason in sorted(self.counts)}


@dataclass
class Ledger:
    """Tallies by step; `step` says which one is at work.

    >>> ledger = Ledger()
    >>> ledger.count("nulls_filled", "temp", 3)
    >>> ledger.tallies[0].counts
    Counter({('nulls_filled', 'temp'): 3})
    """

    rows_in: int = 0
    rows_out: int = 0
    rows_quarantined: int = 0
    step: int = 0
    tallies: dict[int, StepTally] = field(default_factory=dict)
    transfers: Transfers = field(default_factory=Transfers)
    device: Counter[str] = field(default_factory=Counter)  # batches split for memory, batches that fell back to the CPU

    def tally(self) -> StepTally:
        """Return the tally of the step at work."""
        return self.tallies.setdefault(self.step, StepTally())

    def count(self, event: str, column: str, n: int) -> None:
        """Add `n` to an event of a column in the step at work; zero leaves no trace."""
        if n:
            self.tally().counts[event, column] += int(n)

    def add(self, other: Ledger) -> None:
        """Add another task's ledger."""
        self.rows_in += other.rows_in
        self.rows_out += other.rows_out
        self.rows_quarantined += other.rows_quarantined
        for step, tally in other.tallies.items():
            self.tallies.setdefault(step, StepTally()).add(tally)
        self.transfers.update(other.transfers)
        self.device.update(other.device)

    @classmethod
    def total(cls, ledgers: Iterable[Ledger]) -> Ledger:
        """Return the sum of many ledgers."""
        total = cls()
        for ledger in ledgers:
            total.add(ledger)
        return total

    def of_the_device(self) -> Ledger:
        """Return what moved between device and host, and what the device had no room for; no rows and no values."""
        return Ledger(transfers=self.transfers, device=self.device)

    def rows(self) -> dict[str, int]:
        """Return rows in, filtered, quarantined and out."""
        filtered = sum(max(t.rows_in - t.rows_out, 0) for t in self.tallies.values())
        return {"in": self.rows_in, "filtered": filtered, "quarantined": self.rows_quarantined, "out": self.rows_out}

    def step_counts(self, step: int) -> list[dict[str, Any]]:
        """Return the counts of one step as records, by event and column."""
        tally = self.tallies.get(step)
        counts = sorted(tally.counts.items()) if tally else []
        return [{"event": event, "column": column, "count": n} for (event, column), n in counts]
