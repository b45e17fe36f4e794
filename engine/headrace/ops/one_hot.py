"""OneHot: a column of 0 and 1 for each category."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from headrace.counts import Counts
from headrace.errors import JobError, JobErrors
from headrace.keys import Keys
from headrace.ops.base import Declaration, FittedOp, Names, Positive, Setting, Sources, check_columns, default, made_once, operator
from headrace.ops.vocabulary import Vocabulary
from headrace.schema import INT8, Schema, Type
from headrace.table import Table

Category = bool | int | str
Categories = Annotated[tuple[Category, ...], Field(min_length=1)]


@operator
class OneHot(FittedOp[dict[str, Counts], dict[str, Vocabulary]]):
    """Make a column of 0 and 1 for each category of a column.

    A plan names every column before the data are read, so either the categories are named, and the columns are called
    ``<column>_<category>``; or their number is, and the columns are called ``<column>_0``, ``<column>_1``, ... by falling
    frequency in the training rows, ties by value; what each stands for is among what the pipeline has learnt
    (`FittedPipeline.learnt()`, `headrace inspect`). The column itself stays.

    Parameters
    ----------
    columns : list of str
        Columns whose categories are learnt.
    max_categories : int
        How many columns each of `columns` becomes; needed with `columns`. Those left over stay 0.
    categories : mapping of str to list of str, int or bool
        Columns whose categories are named: nothing is learnt, and no pass over the data is needed.

    Returns
    -------
    int8. A row has at most one 1 among the columns made of one column.

    Nulls and NaN
    -------------
    Null, and a category that has no column, have 0 everywhere; the latter is counted as `unseen`. NaN is a category.

    Raises
    ------
    JobError
        If a named category is not of the column's type or named twice.

    Examples
    --------
    >>> OneHot(["carrier"], max_categories=3).settings()
    {'columns': ['carrier'], 'max_categories': 3}
    >>> OneHot(categories={"origin": ["JFK", "LGA"]}).settings()
    {'categories': {'origin': ['JFK', 'LGA']}}
    """

    name: ClassVar[str] = "one_hot"
    is_by_item: ClassVar[bool] = True
    columns: Names = default(())
    max_categories: Positive | None = None
    categories: Setting[dict[str, Categories], Mapping[str, Sequence[Category]]] = default(field(default_factory=dict))

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        self._check_settings()
        check_columns(schema, self.columns, lambda type_: not type_.is_nested, "a string, integer, boolean, date or number")
        check_columns(schema, tuple(self.categories), _can_be_named, "a string, integer or boolean", "categories")
        wrong = [
            JobError(f"{value!r} does not fit {column!r}, which is {schema[column]}", key=f"categories.{column}[{index}]")
            for column, values in self.categories.items()
            for index, value in enumerate(values)
            if not _fits(value, schema[column])
        ]
        if wrong:
            raise JobErrors(wrong)
        makes = made_once((name, Sources(values=(column,))) for column in self._all_columns for name in self._outputs(column))
        return Declaration(self._all_columns, schema.with_columns(dict.fromkeys(makes, INT8)), makes)

    @property
    def learns(self) -> bool:
        return bool(self.columns)

    def part_type(self) -> Any:
        return dict[str, Counts]

    def state_type(self) -> Any:
        return dict[str, Vocabulary]

    def observe(self, table: Table) -> dict[str, Counts]:
        return {column: table.counts([column]) for column in self.columns}

    def finish(self, part: dict[str, Counts]) -> dict[str, Vocabulary]:
        learnt = {column: Vocabulary.learn(counts, max_size=self.max_categories) for column, counts in part.items()}
        return {**learnt, **self._named()}

    def update(self, state: dict[str, Vocabulary], part: dict[str, Counts]) -> dict[str, Vocabulary]:
        learnt = {column: state[column].extended(counts, max_size=self.max_categories) for column, counts in part.items()}
        return {**learnt, **self._named()}

    def apply(self, table: Table, state: dict[str, Vocabulary]) -> Table:
        made = {}
        for column in self._all_columns:
            codes = table.find([column], state[column].keys)  # -1 unseen, 0 null, then the categories
            table.count("unseen", column, int((codes < 0).sum()))
            for place, name in enumerate(self._outputs(column)):
                made[name] = table.backend.from_numpy((codes == 1 + place).astype(np.int8))
        return table.with_columns(made)

    def learnt(self, state: dict[str, Vocabulary]) -> str:
        shown = []
        for column in self.columns:
            shown += [f"{column}_{place} = {value}" for place, value in enumerate(state[column].values())]
            shown += [f"{column}: {state[column].n_rare:,} categories without a column"] * bool(state[column].n_rare)
        return ", ".join(shown)

    @property
    def _all_columns(self) -> tuple[str, ...]:
        return (*self.columns, *self.categories)

    def _outputs(self, column: str) -> list[str]:
        endings: Iterable[Any] = self.categories[column] if column in self.categories else range(self.max_categories or 0)
        return [f"{column}_{ending}" for ending in endings]

    def _named(self) -> dict[str, Vocabulary]:
        """Return the vocabularies of the columns whose categories are settings."""
        keys = {column: Keys.of({column: values}).with_null() for column, values in self.categories.items()}
        return {column: Vocabulary(known, np.zeros(len(known), np.int64), 0) for column, known in keys.items()}

    def _check_settings(self) -> None:
        errors = []
        if not self._all_columns:
            errors.append(JobError("name columns, or the categories of columns", key="columns"))
        if self.columns and self.max_categories is None:
            hint = "the columns must be known before the data are read; or name the categories: categories: {carrier: [AA, UA]}"
            errors.append(JobError("is missing", key="max_categories", hint=hint))
        for column in self.categories:
            if column in self.columns:
                errors.append(JobError(f"{column!r} is also among `columns`", key=f"categories.{column}"))
            names = self._outputs(column)
            errors += [
                JobError(f"two columns would be called {name!r}", key=f"categories.{column}[{index}]")
                for index, name in enumerate(names)
                if name in names[:index]
            ]
        if errors:
            raise JobErrors(errors)


def _can_be_named(type_: Type) -> bool:
    return type_.is_string or type_.is_integer or type_.is_boolean


def _fits(value: Category, type_: Type) -> bool:
    if isinstance(value, bool):
        return type_.is_boolean
    return type_.is_integer if isinstance(value, int) else type_.is_string
