"""Apply: a user's own function on the columns as a narwhals frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from headrace.errors import DataError, JobError, JobErrors
from headrace.frames import call_on_frame
from headrace.ops.base import Columns, Declaration, PlainOp, Sources, check_columns, operator
from headrace.ops.code import code_name, failure, findable
from headrace.schema import Schema, Type
from headrace.table import Table


@operator
class Apply(PlainOp):
    """Make columns by your own function of a narwhals frame.

    The function gets some of the rows at a time, as a `narwhals.DataFrame` of the columns named, and returns a frame (of
    narwhals, pyarrow, pandas or polars) that has a row for each of them, in their order, and the outputs among its columns. It
    must work row by row: which rows come together depends on the partitions.

    Parameters
    ----------
    function : callable
        Defined at the top of a module; in YAML its name, ``my_package.my_module:my_function``, which is imported when the job is
        read. A bundle holds the name alone: pass the function again when loading, ``headrace.load(path, ops=[my_function])``.
    columns : list of str
        What the function gets.
    outputs : mapping of str to str
        The columns it makes, and their types as Arrow names them.

    Nulls and NaN
    -------------
    The function's business; they come and go as they are.

    Raises
    ------
    DataError
        If the function raises, returns another number of rows, or leaves an output out, or if an output does not fit its type.

    Examples
    --------
    >>> from headrace.frames import call_on_frame
    >>> Apply(call_on_frame, columns=["km"], outputs={"miles": "float64"}).settings()
    {'function': 'headrace.frames:call_on_frame', 'columns': ['km'], 'outputs': {'miles': 'float64'}}
    """

    name: ClassVar[str] = "apply"
    shorthand: ClassVar[str] = "function"
    code: ClassVar[str | None] = "function"
    function: Annotated[Callable[..., Any], AfterValidator(findable)]
    columns: Columns
    outputs: Annotated[dict[str, str], Field(min_length=1)]

    def settings(self) -> Any:
        return {"function": code_name(self.function), "columns": list(self.columns), "outputs": dict(self.outputs)}

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: True, "a column")
        types, errors = {}, []
        for column, name in self.outputs.items():
            try:
                types[column] = Type.of(name)
            except JobError as error:
                errors.append(JobError(error.message, key=f"outputs.{column}", hint=error.hint))
        if errors:
            raise JobErrors(errors)
        return Declaration(self.columns, schema.with_columns(types), dict.fromkeys(self.outputs, Sources(values=self.columns)))

    def apply(self, table: Table) -> Table:
        name = code_name(self.function)
        given = table.select(self.columns)
        try:
            with table.backend.moving("fallback"):
                rows = given.to_arrow()
            returned = call_on_frame(self.function, rows.cast(given.schema.to_arrow()))
        except DataError as error:
            raise DataError(f"{name}: {error.message}", hint=error.hint) from error
        except Exception as error:
            raise DataError(f"{name} failed: {failure(error)}") from error
        if returned.num_rows != table.n_rows:
            raise DataError(f"{name} returned {returned.num_rows} rows for {table.n_rows}", hint="it must make one row of each")
        missing = [column for column in self.outputs if column not in returned.column_names]
        if missing:
            raise DataError(f"{name} returned no column {missing[0]!r}, only {', '.join(returned.column_names)}")
        made = Table.from_arrow(table.backend, returned.select(list(self.outputs)))
        return table.with_columns({column: self._typed(made, column) for column in self.outputs})

    def _typed(self, made: Table, column: str) -> Any:
        try:
            return made.backend.cast(made[column], Type.of(self.outputs[column]))
        except DataError as error:
            raise DataError(f"of {code_name(self.function)} {error.message}", column=column) from error
