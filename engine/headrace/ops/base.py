"""What an operator is: frozen settings, what it reads and makes, and how it changes a table.

Four kinds: a plain `Op` works row by row; a `FittedOp` first learns a state from the training rows; a `BoundOp` is
given its state before any row is read (a table to join); an `OrderedOp` looks at all rows of one key in their order.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar, dataclass_transform

import pyarrow as pa
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as validated
from pydantic.fields import FieldInfo

from headrace import states
from headrace.errors import JobError, JobErrors
from headrace.pool import Room
from headrace.schema import Schema
from headrace.setting_errors import setting_errors
from headrace.states import Ints
from headrace.table import ByRow, Device, Table

P = TypeVar("P")
S = TypeVar("S")
C = TypeVar("C", bound=type)
G = TypeVar("G", covariant=True)
W = TypeVar("W", contravariant=True)


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


if TYPE_CHECKING:

    class Setting(Generic[G, W]):
        """A setting of one type that is made of others: callers may write a list of names where the operator holds a tuple."""

        def __get__(self, op: object, owner: type | None = None) -> G: ...
        def __set__(self, op: object, value: W) -> None: ...

else:

    class Setting:
        """When a program runs, a setting's type is what the operator holds; what it is made of is for type checkers."""

        def __class_getitem__(cls, types: tuple[Any, Any]) -> Any:
            return types[0]


# Settings of ops, checked when the op is made: a job's `min_frequency: "15"` is refused, not guessed at.
Names = Setting[Annotated[tuple[str, ...], BeforeValidator(_as_tuple)], str | Sequence[str]]
Columns = Setting[Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)], str | Sequence[str]]
Group = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
Groups = Setting[Annotated[tuple[Group, ...], BeforeValidator(_as_tuple), Field(min_length=1)], str | Sequence[str | Sequence[str]]]
Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Positive = Annotated[int, Field(strict=True, ge=1, lt=2**63)]
Real = Annotated[float, Field(allow_inf_nan=False)]


def default(value: Any) -> Any:
    """Return a setting's default, in whatever type the setting takes."""
    return value


@dataclass(frozen=True)
class Sources:
    """Where a column comes from: columns whose values it holds, columns it was looked up by, columns its state was learnt from.

    A value of another table is written ``weather.temp``.
    """

    values: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    learnt: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declaration:
    """What an op does to a schema: columns read, the schema after it, where each column it makes comes from.

    `observes` are columns that a fitted op learns from and does not need to be applied.
    """

    reads: tuple[str, ...]
    schema: Schema
    makes: Mapping[str, Sources]
    drops_rows: bool = False
    observes: tuple[str, ...] = ()


@dataclass_transform(frozen_default=True)
def operator(cls: C) -> C:
    """Make a class a frozen, validated dataclass whose mistakes are JobErrors with the setting's path as their key."""
    if not hasattr(cls, "name"):
        raise TypeError(f'{cls.__name__} has no name: write `name: ClassVar[str] = "{cls.__name__.lower()}"` in it')
    made = validated(frozen=True, config=ConfigDict(extra="forbid"))(cls)
    build = made.__init__
    names = [field.name for field in fields(made)]

    @functools.wraps(build)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) > len(names):
            raise JobError(f"{cls.__name__} has {len(names)} settings, and {len(args)} were given", hint=f"Settings: {', '.join(names)}")
        # by name, so that a mistake is placed by the setting's name and not by its number
        by_name = dict(zip(names, args, strict=False))
        try:
            build(self, **by_name, **kwargs)
        except ValidationError as error:
            raise JobErrors(setting_errors(error, {**by_name, **kwargs}, lambda above: names)) from None

    made.__init__ = init  # type: ignore[method-assign]
    return made  # type: ignore[return-value]


class Op(ABC):
    """One named transformation of a table. Frozen; never holds what it learnt; knows no library."""

    # The YAML key, and the setting that a value without keys stands for (`normalize: [km]` is `{columns: [km]}`).
    name: ClassVar[str]
    shorthand: ClassVar[str] = "columns"
    # True where the whole YAML mapping is the shorthand setting (`derive: {late: "..."}`).
    takes_mapping: ClassVar[bool] = False
    # The key that holds a user's function or kernel, if there is one: files hold its name.
    code: ClassVar[str | None] = None
    # True where `apply` passes over what it lacks the columns for: rows that are served have none of the label.
    makes_what_it_can: ClassVar[bool] = False

    @classmethod
    def has_built_in(cls, name: str) -> bool:
        """Say whether a name under `code` is not a user's but Headrace's own."""
        return False

    @abstractmethod
    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        """Return what the op reads and makes, given the schema before it and the schemas of the job's tables.

        Raises JobError for columns that are not there or have a type it cannot take.
        """

    @classmethod
    def from_settings(cls, value: Any) -> Op:
        """Make the op of its YAML value."""
        if isinstance(value, Mapping) and not cls.takes_mapping:
            wrong = [key for key in value if not isinstance(key, str)]
            if wrong:
                raise JobError(f"keys are names, not {wrong[0]!r}")
            return cls(**value)
        return cls(**{cls.shorthand: value})

    def settings(self) -> Any:
        """Return the op's YAML value: only what differs from the defaults, in the short form where it can stand."""
        differing = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            default = field.default_factory() if field.default_factory is not MISSING else field.default
            if isinstance(default, FieldInfo):  # what pydantic's `Field(default_factory=...)` leaves
                default = default.get_default(call_default_factory=True, validated_data={})
            if value != default:
                differing[field.name] = _plain(value)
        short = set(differing) == {self.shorthand}
        if short and (self.takes_mapping or not isinstance(differing[self.shorthand], dict)):
            return differing[self.shorthand]
        return differing

    def text(self) -> str:
        """Return the settings in one line for people."""
        settings = self.settings()
        if isinstance(settings, dict):
            return ", ".join(f"{key}: {_short(value)}" for key, value in settings.items())
        return _short(settings)

    @property
    def takes_codes(self) -> bool:
        """Say whether all it asks of columns of strings is their counts and codes: then numbers are kept for them between passes."""
        return False

    @property
    def needs_all_rows(self) -> bool:
        """Say whether what becomes of a row depends on other rows, or on its number in the source."""
        return False


class PlainOp(Op):
    """An op that needs nothing but the rows at hand."""

    @abstractmethod
    def apply(self, table: Table) -> Table:
        """Return the changed table."""


class StatefulOp(Op, Generic[S]):
    """An op that needs a state to be applied."""

    @abstractmethod
    def state_type(self) -> Any:
        """Return the type of the state, by which a saved one is read."""

    @abstractmethod
    def apply(self, table: Table, state: S) -> Table:
        """Return the changed table."""

    def learnt(self, state: S) -> str:
        """Return in one line for people what the state holds."""
        return ""


class FittedOp(StatefulOp[S], Generic[P, S]):
    """An op that learns its state from the training rows: parts are observed, merged in any order, and finished."""

    # Its part is a dictionary of counts, and `merge` and `condense` do with each item what they would do without the others.
    is_by_item: ClassVar[bool] = False

    @property
    def learns(self) -> bool:
        """Say whether there is anything to observe; if not, the state is `finish({})` and no pass is needed."""
        return True

    @abstractmethod
    def part_type(self) -> Any:
        """Return the type of the part, by which a saved one is read."""

    @abstractmethod
    def observe(self, table: Table) -> P:
        """Return the summary of some training rows."""

    def merge(self, *parts: P) -> P:
        """Return the summary of all their rows: associative, and the same bits in any order."""
        merged: P = states.merge(*parts)
        return merged

    def condense(self, part: P) -> P:
        """Return the summary of all training rows without what neither `finish` nor a later merge asks of it."""
        return part

    def settle(self, part: P, room: Room) -> P:
        """Return the summary of all training rows as it is finished and kept for `update`; `room` is what its keys may take."""
        settled: P = states.settle(part, room)
        return settled

    @abstractmethod
    def finish(self, part: P) -> S:
        """Return what is learnt from the summary of all training rows."""

    def update(self, state: S, part: P) -> S:
        """Return the state for a summary that has grown; ids given before must not move."""
        return self.finish(part)


class BoundOp(StatefulOp[S], Generic[S]):
    """An op whose state is made of the job's tables before any row is read."""

    @abstractmethod
    def tables_read(self) -> Mapping[str, Sequence[str]]:
        """Return the columns needed of each of the job's tables."""

    @abstractmethod
    def bind(self, tables: Mapping[str, pa.Table]) -> S:
        """Return the state."""


@dataclass(frozen=True)
class Grouping:
    """Which rows an ordered op looks at together and in which order, and the columns it looks at besides.

    Rows of one key are sorted by `order` (missing values last), then by their number in the source.
    """

    keys: tuple[str, ...]
    order: str | None
    inputs: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that make groups and order."""
        return self.keys if self.order is None else (*self.keys, self.order)

    @property
    def reads(self) -> tuple[str, ...]:
        """All columns."""
        return tuple(dict.fromkeys([*self.columns, *self.inputs]))

    def same_groups(self, other: Grouping) -> bool:
        """Say whether both look at the same rows in the same order."""
        return (self.keys, self.order) == (other.keys, other.order)


class OrderedOp(Op):
    """An op whose result for a row depends on other rows of its key: execution brings them together, from all partitions.

    It knows the rows at hand and nothing else: no split, no state. What is transformed later begins anew.
    """

    @property
    def needs_all_rows(self) -> bool:
        return True

    @abstractmethod
    def grouping(self) -> Grouping:
        """Return which rows belong together, and in which order."""

    @abstractmethod
    def scan(self, table: Table, starts: Ints) -> dict[str, Device]:
        """Return columns for the rows of whole groups.

        Parameters
        ----------
        table : Table
            The columns of `grouping().reads`, sorted by key, order and row.
        starts : array of int64, length n_groups + 1
            The first row of each group, and the number of rows: an array of the table's device, as all that is made of rows.
        """

    def apply(self, table: Table, found: ByRow) -> Table:
        """Return the table with the columns that the scan found for its rows."""
        return table.with_columns(found.of(table))


class ThinningOp(OrderedOp):
    """An ordered op that keeps one row of each key: its scan returns a value for each group, and only kept rows are handed on."""

    @abstractmethod
    def kept(self, starts: Ints) -> Ints:
        """Return which of the sorted rows is kept of each group; `starts` is what `scan` gets."""

    def apply(self, table: Table, found: ByRow) -> Table:
        """Return the rows that are kept, with the columns that the scan found for them."""
        return found.kept(table)


def made_in_place(columns: Sequence[str], learnt: tuple[str, ...] = ()) -> dict[str, Sources]:
    """Return the sources of columns that replace themselves."""
    return {column: Sources(values=(column,), learnt=learnt) for column in columns}


def made_once(made: Iterable[tuple[str, Sources]]) -> dict[str, Sources]:
    """Return the sources of columns by their names; raise JobError if two that are made of other columns would have one name."""
    makes: dict[str, Sources] = {}
    for name, sources in made:
        other = makes.setdefault(name, sources)
        if other != sources:
            of = " and of ".join(", ".join(one.values) for one in (other, sources))
            raise JobError(f"two columns would be called {name!r}, that of {of}", hint="rename one of them before this step")
    return makes


def check_columns(schema: Schema, columns: Sequence[str], accepts: Callable[[Any], bool], wanted: str, setting: str = "columns") -> None:
    """Raise JobErrors for each of `columns` that is not there or is of a type that `accepts` refuses."""
    errors = []
    for index, column in enumerate(columns):
        key = f"{setting}[{index}]"
        try:
            type_ = schema[column]
        except JobError as error:
            errors.append(JobError(error.message, key=key, hint=error.hint))
            continue
        if not accepts(type_):
            errors.append(JobError(f"{column!r} is {type_}, and {wanted} is needed", key=key))
    if errors:
        raise JobErrors(errors)


def _plain(value: Any) -> Any:
    """Return settings as YAML holds them: tuples of one name in a group become the name."""
    if isinstance(value, tuple):
        return [_plain(item[0]) if isinstance(item, tuple) and len(item) == 1 else _plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_short(item) if not isinstance(item, list) else "(" + _short(item) + ")" for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_short(item)}" for key, item in value.items())
    return str(value)
