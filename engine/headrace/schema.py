"""The names, types and order of a table's columns, in one vocabulary for every device.

Types are written as Arrow writes them (``int32``, ``timestamp[us, tz=UTC]``). How a column is laid out (as a
dictionary, as large_string) is the backend's business and not part of its type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import pyarrow as pa

from headrace.errors import JobError, unknown_name

# Arrow's types that are another layout of a logical one, or hold such.
_LAYOUTS = frozenset(
    arrow.id
    for arrow in (
        pa.dictionary(pa.int32(), pa.string()),
        pa.run_end_encoded(pa.int32(), pa.int32()),
        pa.large_string(),
        pa.string_view(),
        pa.large_binary(),
        pa.binary_view(),
        pa.list_(pa.int32()),
        pa.large_list(pa.int32()),
        pa.list_(pa.int32(), 1),
        pa.struct([]),
        pa.map_(pa.string(), pa.int32()),
        pa.float16(),
        pa.decimal32(1),
        pa.decimal64(1),
        pa.uuid(),  # as every extension type
    )
)


@dataclass(frozen=True)
class Type:
    """The logical type of a column.

    >>> Type.of("int32").is_integer, Type.of("timestamp[us, tz=UTC]").zone
    (True, 'UTC')
    """

    arrow: pa.DataType

    @staticmethod
    @lru_cache
    def of(name: str) -> Type:
        """Return the type of an Arrow type's name; raise JobError if there is none."""
        try:
            return Type.from_arrow(_parse_type(name))
        except (ValueError, pa.ArrowException):
            known = ["bool", "int8", "int16", "int32", "int64", "float32", "float64", "string", "date32", "timestamp[us]"]
            message, hint = unknown_name("type", name, known)
            raise JobError(message, hint=hint) from None

    @classmethod
    def from_arrow(cls, arrow: pa.DataType) -> Type:
        """Return the logical type of an Arrow type: dictionaries, views, large variants, narrow floats and decimals and extensions fall away."""
        if arrow.id not in _LAYOUTS:
            return cls(arrow)
        if pa.types.is_dictionary(arrow) or pa.types.is_run_end_encoded(arrow):
            return cls.from_arrow(arrow.value_type)
        if isinstance(arrow, pa.BaseExtensionType):
            return cls.from_arrow(arrow.storage_type)
        if pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow):
            return cls(pa.string())
        if pa.types.is_large_binary(arrow) or pa.types.is_binary_view(arrow):
            return cls(pa.binary())
        if pa.types.is_list(arrow) or pa.types.is_large_list(arrow) or pa.types.is_fixed_size_list(arrow):
            return cls(pa.list_(cls.from_arrow(arrow.value_type).arrow))
        if pa.types.is_struct(arrow):
            return cls(pa.struct([field.with_type(cls.from_arrow(field.type).arrow) for field in arrow]))
        if pa.types.is_map(arrow):
            return cls(pa.map_(cls.from_arrow(arrow.key_type).arrow, cls.from_arrow(arrow.item_type).arrow))
        if pa.types.is_float16(arrow):
            return cls(pa.float32())
        if pa.types.is_decimal32(arrow) or pa.types.is_decimal64(arrow):
            return cls(pa.decimal128(arrow.precision, arrow.scale))
        return cls(arrow)

    def __str__(self) -> str:
        return str(self.arrow)

    @property
    def is_boolean(self) -> bool:
        return bool(pa.types.is_boolean(self.arrow))

    @property
    def is_integer(self) -> bool:
        return bool(pa.types.is_integer(self.arrow))

    @property
    def is_float(self) -> bool:
        return bool(pa.types.is_floating(self.arrow))

    @property
    def is_decimal(self) -> bool:
        return bool(pa.types.is_decimal(self.arrow))

    @property
    def is_number(self) -> bool:
        return self.is_integer or self.is_float or self.is_decimal

    @property
    def is_string(self) -> bool:
        return bool(pa.types.is_string(self.arrow))

    @property
    def is_timestamp(self) -> bool:
        return bool(pa.types.is_timestamp(self.arrow))

    @property
    def is_temporal(self) -> bool:
        return bool(pa.types.is_timestamp(self.arrow) or pa.types.is_date(self.arrow))

    @property
    def is_span(self) -> bool:
        """A time of day, or a duration."""
        return bool(pa.types.is_time(self.arrow) or pa.types.is_duration(self.arrow))

    def is_like(self, other: Type) -> bool:
        """Say whether values of this type can mean the same as values of another: numbers of any width, times and dates of any unit.

        >>> INT8.is_like(FLOAT64), INT8.is_like(STRING)
        (True, False)
        """
        if self.is_empty or self == other:
            return True
        if self.is_timestamp and other.is_timestamp:
            return (self.zone is None) == (other.zone is None)
        kinds = (pa.types.is_date, pa.types.is_time, pa.types.is_duration)
        return (self.is_number and other.is_number) or any(is_one(self.arrow) and is_one(other.arrow) for is_one in kinds)

    @property
    def is_empty(self) -> bool:
        """Say whether it is the type of columns without any value."""
        return bool(pa.types.is_null(self.arrow))

    @property
    def is_list(self) -> bool:
        return bool(pa.types.is_list(self.arrow))

    @property
    def is_nested(self) -> bool:
        """A row holds more than one value: a list, a struct, a map, or an interval of months, days and nanoseconds.

        Such a column has no order and is no key.
        """
        return bool(pa.types.is_nested(self.arrow) or pa.types.is_interval(self.arrow))

    @property
    def is_feature(self) -> bool:
        """A model can take it as it is: a number or a truth value."""
        return self.is_number or self.is_boolean

    @property
    def zone(self) -> str | None:
        """The time zone of a timestamp, None for one without a zone."""
        return self.arrow.tz if self.is_timestamp else None


BOOL = Type(pa.bool_())
INT8, INT32, INT64 = Type(pa.int8()), Type(pa.int32()), Type(pa.int64())
FLOAT32, FLOAT64 = Type(pa.float32()), Type(pa.float64())
STRING = Type(pa.string())


@dataclass(frozen=True)
class Schema:
    """Columns in order, each with its type.

    >>> schema = Schema({"km": FLOAT64, "carrier": STRING})
    >>> schema.names, str(schema["km"])
    (('km', 'carrier'), 'double')
    """

    columns: Mapping[str, Type]

    @classmethod
    def from_arrow(cls, schema: pa.Schema) -> Schema:
        """Return the logical schema of an Arrow schema."""
        return cls({field.name: Type.from_arrow(field.type) for field in schema})

    def to_arrow(self) -> pa.Schema:
        """Return an Arrow schema of the logical types."""
        return pa.schema([(name, type_.arrow) for name, type_ in self.columns.items()])

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, name: str) -> Type:
        try:
            return self.columns[name]
        except KeyError:
            message, hint = unknown_name("column", name, self.columns)
            raise JobError(message, column=None, hint=hint) from None

    def require(self, names: Iterable[str]) -> None:
        """Raise JobError for the first of `names` that is no column."""
        for name in names:
            self[name]

    def select(self, names: Iterable[str]) -> Schema:
        """Return only `names`, in their order."""
        return Schema({name: self[name] for name in names})

    def without(self, names: Iterable[str]) -> Schema:
        """Return all columns but `names`."""
        gone = set(names)
        return Schema({name: type_ for name, type_ in self.columns.items() if name not in gone})

    def with_columns(self, columns: Mapping[str, Type]) -> Schema:
        """Return the schema with columns replaced in place or added at the end."""
        return Schema({**self.columns, **columns})


def odd_name(names: Sequence[str]) -> tuple[str, str] | None:
    """Return a column's name that no source may have, and why: one that stands twice, or that begins as those of columns of our own.

    >>> odd_name(["a", "b", "a"])
    ('a', 'stands twice in the schema')
    """
    for name, count in Counter(names).items():
        if count > 1:
            return name, "stands twice in the schema"
        if name.startswith("\0"):
            return name, "begins with a NUL character, as no column of a source may"
    return None


def _parse_type(name: str) -> pa.DataType:
    if name.startswith("timestamp[") and name.endswith("]"):
        unit, _, zone = name[len("timestamp[") : -1].partition(",")
        return pa.timestamp(unit.strip(), tz=zone.strip().removeprefix("tz=") or None)
    if name.startswith(("decimal128(", "decimal256(")) and name.endswith(")"):
        precision, scale = name[len("decimal128(") : -1].split(",")
        return (pa.decimal128 if name.startswith("decimal128") else pa.decimal256)(int(precision), int(scale))
    if name.startswith("fixed_size_binary[") and name.endswith("]"):
        return pa.binary(int(name[len("fixed_size_binary[") : -1]))
    if name.startswith("list<") and name.endswith(">"):
        return pa.list_(_parse_type(name[len("list<") : -1].removeprefix("item:").strip()))
    return pa.type_for_alias(name)
