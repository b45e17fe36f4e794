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
    made = table.pick_kept(links_of)
    while links_of:
        stages = {column: _stages(column, table.backend.type_of(made[column]), links) for column, links in links_of.items()}
        chained = [column for column in links_of if stages[column]]
        found = table.backend.run_stages([made[column] for column in chained], [stages[column] for column in chained])
        through = dict(zip(chained, found, strict=True))
        for column, links in links_of.items():
            made[column] = _taken(table, column, made[column], links, stages[column], through.get(column))
        links_of = {column: links for column, links in links_of.items() if links}
    return table.with_columns(made)


def _taken(
    table: Table, column: str, values: Device, links: list[Link], stages: Sequence[Stage], found: tuple[Device, Sequence[int]] | None
) -> Device:
    """Return a column after its next links, which are taken off: those of the loop that it went through, else one, by other verbs."""
    if found is None:
        link = links.pop(0)
        table.ledger.step = link.step
        return link.op.apply_column(table.with_columns({column: values}), column, link.state)
    values, counts = found
    for link, stage, n_changed in zip(links, stages, counts, strict=False):
        table.ledger.step = link.step
        table.count(stage.event, column, n_changed)
    del links[: len(stages)]
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
