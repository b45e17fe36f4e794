"""Ledger: every row and every changed value is counted, and tasks' ledgers add up."""

from __future__ import annotations

import pickle

from headrace.ledger import Ledger, StepTally


def ledger(step: int, rows_in: int, rows_out: int, **counts: int) -> Ledger:
    made = Ledger(rows_in=rows_in, rows_out=rows_out, step=step)
    made.tally().rows_in, made.tally().rows_out, made.tally().seconds = rows_in, rows_out, 0.5
    for event, n in counts.items():
        made.count(event, "x", n)
    return made


def test_events_add_up_by_step_event_and_column() -> None:
    found = Ledger()
    found.count("unseen", "b", 2)
    found.count("unseen", "b", 3)
    found.count("clipped", "a", 1)
    found.step = 4
    found.count("unseen", "b", 7)
    assert found.step_counts(0) == [{"event": "clipped", "column": "a", "count": 1}, {"event": "unseen", "column": "b", "count": 5}]
    assert found.step_counts(4) == [{"event": "unseen", "column": "b", "count": 7}]
    assert found.step_counts(9) == []


def test_nothing_counted_leaves_no_trace() -> None:
    found = Ledger()
    found.count("unseen", "b", 0)
    assert found == Ledger()


def test_the_total_does_not_depend_on_the_order() -> None:
    ledgers = [ledger(0, 10, 8, unseen=1), ledger(1, 8, 8, filled=5), ledger(0, 5, 5, unseen=2)]
    total = Ledger.total(ledgers)
    assert total.tallies == Ledger.total(reversed(ledgers)).tallies
    assert total.tallies[0] == StepTally(15, 13, 1.0, total.tallies[0].counts)
    assert total.tallies[0].counts == {("unseen", "x"): 3}
    assert Ledger.total([]) == Ledger()


def test_adding_leaves_the_other_ledger_as_it_was() -> None:
    one, other = ledger(0, 1, 1, unseen=1), ledger(0, 2, 2, unseen=2)
    one.add(other)
    assert other == ledger(0, 2, 2, unseen=2)


def test_rows_in_are_rows_out_filtered_and_quarantined() -> None:
    total = Ledger.total([ledger(0, 10, 7), ledger(0, 5, 5)])
    total.rows_quarantined = 2
    assert total.rows() == {"in": 15, "filtered": 3, "quarantined": 2, "out": 12}


def test_a_ledger_travels_between_processes() -> None:
    found = ledger(3, 10, 7, unseen=4)
    assert pickle.loads(pickle.dumps(found)) == found
