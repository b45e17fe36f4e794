"""Ops that change each of their columns by itself: several in a row take a column through a chain, in one loop over its values.

An op says what it does to a column as a `Stage`, if it can; the backend runs a chain of stages if it can. Where either cannot
(64-bit integers, decimals), the op's own verbs do the same, op by op.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from headrace.ops.base import Columns, Op
from headrace.schema import FLOAT32, Type
from headrace.table import Device, Stage, Table


class ColumnOp(Op):
    """An op that replaces each of `columns` by values computed of that column alone."""

    columns: Columns

    @abstractmethod
    def stage(self, column: str, type_: Type, state: Any) -> Stage | None:
        """Return what the op does to a column of this type as a stage of a chain; None if it is no stage."""

    @abstractmethod
    def apply_column(self, table: Table, column: str, state: Any) -> Device:
        """Return the new column by the device's other verbs."""

    def apply(self, table: Table, state: Any = None) -> Table:
        return apply_chain(table, [Link(table.ledger.step, self, state)])


class Link(NamedTuple):
    """An op in a chain, with the number of its step and its state."""

    step: int
    op: ColumnOp
    state: Any


def apply_chain(table: Table, links: Sequence[Link]) -> Table:
    """Apply consecutive ops column by column; what each changed is counted in its step."""
    links_of: dict[str, list[Link]] = {}
    for link in links:
        for column in dict.fromkeys(link.op.columns):
            links_of.setdefault(column, []).append(link)
    return table.with_columns({column: _through(table, column, of_column) for column, of_column in links_of.items()})


def _through(table: Table, column: str, links: Sequence[Link]) -> Device:
    values, done = table[column], 0
    while done < len(links):
        stages = _stages(column, table.backend.type_of(values), links[done:])
        found = table.backend.run_stages(values, stages) if stages else None
        if found is None:
            link = links[done]
            table.ledger.step = link.step
            values = link.op.apply_column(table.with_columns({column: values}), column, link.state)
            done += 1
            continue
        values, counts = found
        for link, stage, n_changed in zip(links[done:], stages, counts, strict=False):
            table.ledger.step = link.step
            table.count(stage.event, column, n_changed)
        done += len(stages)
    return values


def _stages(column: str, type_: Type, links: Sequence[Link]) -> list[Stage]:
    """Return the stages of the ops that can go through one loop: it rounds to float32 at its end only."""
    stages: list[Stage] = []
    for link in links:
        stage = link.op.stage(column, type_, link.state)
        if stage is None:
            break
        stages.append(stage)
        if stage.type == FLOAT32 and type_ != FLOAT32:
            break
        type_ = stage.type
    return stages
