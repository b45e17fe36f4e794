"""Cast: columns in other types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from headrace import expressions as sql
from headrace.errors import DataError, JobError, JobErrors
from headrace.ops.base import Declaration, PlainOp, check_columns, made_in_place, operator
from headrace.schema import Schema, Type
from headrace.table import Table


@operator
class Cast(PlainOp):
    """Convert columns to other types, in place.

    The rules are SQL's (`docs/expressions.md`): floats become integers by rounding halves to even, texts are read as
    numbers, dates and truth values. No integer ever wraps.

    Parameters
    ----------
    columns : mapping of str to str
        Column: type, as Arrow names it: ``bool``, ``int8`` to ``int64``, ``uint8`` to ``uint64``, ``float32``,
        ``float64``, ``string``, ``date32``, ``timestamp[us]``, ``timestamp[us, tz=UTC]``, ``decimal128(10, 2)``.
    errors : "raise" or "null"
        What a value becomes that does not fit: an error that names it (default), or null, counted as `not_cast`.

    Nulls and NaN
    -------------
    Null stays null. NaN fits floats only.

    Raises
    ------
    JobError
        If no value of the one type can become the other.
    DataError
        If a value does not fit.

    Examples
    --------
    >>> Cast({"seats": "int16"}).settings()
    {'seats': 'int16'}
    >>> Cast({"seats": "int16"}, errors="null").settings()
    {'columns': {'seats': 'int16'}, 'errors': 'null'}
    """

    name: ClassVar[str] = "cast"
    takes_mapping: ClassVar[bool] = True
    columns: Annotated[dict[str, str], Field(min_length=1)]
    errors: Literal["raise", "null"] = "raise"

    @classmethod
    def from_settings(cls, value: Any) -> Cast:
        # `errors: null` is YAML's null; a column's type is a text, so `columns:` with a mapping is no column.
        if isinstance(value, Mapping) and isinstance(value.get("columns"), Mapping):
            settings: dict[str, Any] = {key: "null" if key == "errors" and item is None else item for key, item in value.items()}
            return cls(**settings)
        return cls(value)

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, tuple(self.columns), lambda type_: True, "a column")
        types, errors = {}, []
        for column, name in self.columns.items():
            try:
                types[column] = Type.of(name)
                sql.infer_type(_cast("x", types[column], strict=True), Schema({"x": schema[column]}))
            except JobError as error:
                errors.append(
                    JobError(error.message.removesuffix(f" in the expression {_SHOWN!r}"), key=f"columns.{column}", hint=error.hint)
                )
        if errors:
            raise JobErrors(errors)
        return Declaration(tuple(self.columns), schema.with_columns(types), made_in_place(tuple(self.columns)))

    def apply(self, table: Table) -> Table:
        converted = {}
        for column, name in self.columns.items():
            expression = _cast(column, Type.of(name), strict=self.errors == "raise")
            try:
                converted[column] = table.evaluate(expression)
            except DataError as error:
                message = error.message.removesuffix(f" in the expression {_SHOWN!r}")
                raise DataError(message, column=column, hint="errors: null makes it null and counts it") from error
            lost = table.backend.null_count(converted[column]) - table.backend.null_count(table[column])
            table.count("not_cast", column, lost)
        return table.with_columns(converted)


_SHOWN = "cast"


def _cast(column: str, type_: Type, *, strict: bool) -> sql.Expression:
    return sql.Expression(_SHOWN, sql.Cast(sql.Column(column), type_, strict))
