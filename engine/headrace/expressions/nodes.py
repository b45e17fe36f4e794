"""The tree that an expression is read into: columns, constants, calls of listed functions, casts.

Nodes are frozen and hold only Python values and types, so that they can be compared, hashed, pickled and sent to
workers, and so that a backend needs no SQL parser.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from headrace.schema import Type

Value: TypeAlias = bool | int | float | str | tuple[int, int] | None


@dataclass(frozen=True)
class Column:
    """The values of the column `name`."""

    name: str


@dataclass(frozen=True)
class Literal:
    """A constant as it was written; it takes the type of what it meets, as in DuckDB.

    Parameters
    ----------
    value : None, bool, int, float, str or (int, int)
        A `decimal` keeps its text ("1.50"), so that it stays exact beside a decimal column; an `interval` is
        (months, microseconds).
    kind : str
        ``null``, ``boolean``, ``integer``, ``decimal`` (written with a point), ``double`` (with an exponent),
        ``string`` or ``interval``.
    """

    value: Value
    kind: str

    @property
    def is_null(self) -> bool:
        return self.kind == "null"


@dataclass(frozen=True)
class Call:
    """A function of the table `headrace.expressions.FUNCTIONS` and its arguments."""

    function: str
    args: tuple[Node, ...]


@dataclass(frozen=True)
class Cast:
    """A conversion; where it fails, `strict` raises and otherwise the value becomes null (TRY_CAST)."""

    arg: Node
    type: Type
    strict: bool


Node: TypeAlias = Column | Literal | Call | Cast


@dataclass(frozen=True)
class Expression:
    """A parsed expression: make it with `headrace.expressions.parse`.

    Two expressions are equal if their trees are; how they were written does not count.
    """

    sql: str = field(compare=False)
    root: Node

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that are read, in the order in which they first occur."""
        return columns_of(self.root)

    def __str__(self) -> str:
        return self.sql


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly below `node`."""
    if isinstance(node, Call):
        return node.args
    return (node.arg,) if isinstance(node, Cast) else ()


def walk(node: Node) -> Iterator[Node]:
    """Yield `node` and all nodes below it, left to right."""
    yield node
    for child in children(node):
        yield from walk(child)


def columns_of(node: Node) -> tuple[str, ...]:
    """Return the names of the columns read by `node`, in the order in which they first occur."""
    return tuple(dict.fromkeys(found.name for found in walk(node) if isinstance(found, Column)))
