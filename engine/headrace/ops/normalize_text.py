"""NormalizeText: one spelling for texts that differ in case and blanks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from headrace.expressions import parse, quoted
from headrace.ops.base import Columns, Declaration, PlainOp, check_columns, made_in_place, operator
from headrace.schema import Schema
from headrace.table import Table


@operator
class NormalizeText(PlainOp):
    """Bring texts to lower case and take blanks off their ends, in place, before they become categories.

    For one column, or for anything else that is done to texts, `Derive` has the functions of SQL: ``lower``, ``trim``,
    ``contains``, ``length``, ``split_part``, ``replace``, ``regexp_replace`` and more.

    Parameters
    ----------
    columns : list of str
    lower : bool
        Lower case, by Unicode's simple mapping.
    strip : bool
        Take blanks off both ends: spaces of any kind, tabs and line ends.

    Nulls and NaN
    -------------
    Null stays null; a text of blanks becomes the empty text.

    Examples
    --------
    >>> NormalizeText(["city", "street"]).settings()
    ['city', 'street']
    """

    name: ClassVar[str] = "normalize_text"
    columns: Columns
    lower: bool = True
    strip: bool = True

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_string, "a string")
        return Declaration(self.columns, schema, made_in_place(self.columns))

    def apply(self, table: Table) -> Table:
        return table.with_columns({column: table.evaluate(parse(self._sql(column))) for column in self.columns})

    def _sql(self, column: str) -> str:
        sql = f"lower({quoted(column)})" if self.lower else quoted(column)
        return f"trim({sql}, '{_BLANKS}')" if self.strip else sql


# Unicode's White_Space, as Python's str.strip takes it off.
_BLANKS = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
