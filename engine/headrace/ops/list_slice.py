"""ListSlice: a part of each list, of fixed length if wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from headrace.errors import JobError
from headrace.ops.base import Columns, Declaration, PlainOp, check_columns, made_in_place, operator
from headrace.schema import Schema, Type
from headrace.states import Ints
from headrace.table import Device, Table


@operator
class ListSlice(PlainOp):
    """Keep the elements from `start` up to `stop` (left out) of each list, in place, counted as Python does.

    Parameters
    ----------
    columns : list of str
    start : int
        From 0; a negative one counts from the end, so ``start: -10`` keeps the last ten.
    stop : int, optional
        Default: to the end.
    pad : number, optional
        What is put behind lists that are shorter, so that all have one length: ``stop - start``. Lists of numbers only.

    Nulls and NaN
    -------------
    A null list stays null, padded or not. Null elements and NaN stay.

    Raises
    ------
    JobError
        If `pad` is given, and `start` and `stop` do not tell a length.

    Examples
    --------
    >>> ListSlice(["visited"], start=-10, pad=0).settings()
    {'columns': ['visited'], 'start': -10, 'pad': 0}
    """

    name: ClassVar[str] = "list_slice"
    columns: Columns
    start: int = 0
    stop: int | None = None
    pad: int | float | None = None

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_list, "a list")
        if self.pad is not None:
            self._check_pad(schema)
        return Declaration(self.columns, schema, made_in_place(self.columns))

    def apply(self, table: Table) -> Table:
        return table.with_columns({column: self._sliced(table, column) for column in self.columns})

    def _sliced(self, table: Table, column: str) -> Device:
        lengths, elements = table.backend.explode(table[column])
        first, size = self._kept(lengths)
        if self.pad is None:
            kept = np.where(lengths < 0, np.int64(-1), size)
            rows = np.repeat(first - (np.cumsum(size) - size), size) + table.backend.row_numbers(int(size.sum()))
        else:
            width = self._width
            present = lengths >= 0
            kept = np.where(present, np.int64(width), np.int64(-1))
            places = table.backend.row_numbers(width)
            n_elements = np.maximum(lengths, 0).sum()  # the row of what is put behind
            rows = np.where(places < size[present][:, np.newaxis], first[present][:, np.newaxis] + places, n_elements).reshape(-1)
            elements = self._with_pad(table, column, elements)
        return table.backend.implode(kept, table.backend.take({column: elements}, rows)[column])

    def _kept(self, lengths: Ints) -> tuple[Ints, Ints]:
        """Return the place among all elements of the first one kept of each list, and how many are kept."""
        n = np.maximum(lengths, 0)
        low, high = _place(self.start, n), n if self.stop is None else _place(self.stop, n)
        return np.cumsum(n) - n + low, np.maximum(high - low, 0)

    def _with_pad(self, table: Table, column: str, elements: Device) -> Device:
        pad = table.backend.cast(table.backend.from_numpy(np.array([self.pad])), table.backend.type_of(elements))
        return table.backend.concat([{column: elements}, {column: pad}])[column]

    @property
    def _width(self) -> int:
        """The length of all lists when padded, -1 where the settings do not tell."""
        if self.stop is None:
            return -self.start if self.start < 0 else -1
        return max(self.stop - self.start, 0) if (self.start < 0) == (self.stop < 0) else -1

    def _check_pad(self, schema: Schema) -> None:
        if self._width < 0:
            hint = "give start and stop of one sign, or a negative start without a stop"
            raise JobError("lists are padded to a length that start and stop must tell", key="pad", hint=hint)
        for column in self.columns:
            element = Type.from_arrow(schema[column].arrow.value_type)
            if not element.is_number or (element.is_integer and isinstance(self.pad, float)):
                raise JobError(f"{self.pad!r} does not fit the elements of {column!r}, which are {element}", key="pad")


def _place(place: int, lengths: Ints) -> npt.NDArray[np.int64]:
    return np.minimum(lengths, place) if place >= 0 else np.maximum(lengths + place, 0)
