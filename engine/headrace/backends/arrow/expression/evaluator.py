"""Evaluates a tree of `headrace.expressions` over Arrow arrays.

A part of the tree that reads one dictionary-encoded column and constants is computed on the dictionary's values
only, and its results are taken by index: the strings of a million rows are never decoded.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.backends.arrow.expression.arithmetic import NUMBERS
from headrace.backends.arrow.expression.comparison import COMPARISONS
from headrace.backends.arrow.expression.operands import Implementation, Operand, Values, alike, as_type, given, typed_constant
from headrace.backends.arrow.expression.texts import TEXTS
from headrace.backends.arrow.expression.times import TIMES
from headrace.errors import DataError, JobError, unknown_name
from headrace.expressions.nodes import Call, Cast, Column, Expression, Literal, Node, columns_of
from headrace.expressions.promotion import is_text, type_error

IMPLEMENTATIONS: dict[str, Implementation] = {**COMPARISONS, **NUMBERS, **TEXTS, **TIMES}

# A dictionary with many more values than there are rows (a slice of a large table) is not worth computing on.
_MAX_VALUES_PER_ROW = 2


def evaluate(expression: Expression, columns: Mapping[str, pa.Array], n_rows: int) -> pa.Array:
    """Return the values of `expression`, one a row.

    Parameters
    ----------
    expression : Expression
        What `headrace.expressions.parse` returned.
    columns : mapping of str to pyarrow.Array [n_rows]
        The columns that it reads, of any layout: dictionary-encoded with any index type, large or view strings.
    n_rows : int
        How many rows there are; needed for an expression that reads no column.

    Returns
    -------
    pyarrow.Array [n_rows]
        Texts may be dictionary-encoded, with each text once in the dictionary and no null in it.

    Nulls and NaN
    -------------
    As in SQL: nulls spread, AND, OR and CASE follow three-valued logic. NaN is a number: it equals itself and is
    greater than all others.

    Raises
    ------
    DataError
        If an integer overflows or a CAST meets a value that it cannot convert, with the value.
    JobError
        If a function does not take the types of its arguments.

    Examples
    --------
    >>> from headrace.expressions import parse
    >>> delays = pa.array([10, 20, None])
    >>> evaluate(parse("CAST(delay > 15 AS INT)"), {"delay": delays}, 3).to_pylist()
    [0, 1, None]
    """
    missing = [name for name in expression.columns if name not in columns]
    if missing:
        message, hint = unknown_name("column", missing[0], columns)
        raise JobError(f"{message}, in the expression {expression.sql!r}", hint=hint)
    try:
        result = _Evaluation({name: columns[name] for name in expression.columns}, n_rows).root(expression.root)
    except DataError as error:
        raise DataError(f"{error.message} in the expression {expression.sql!r}", hint=error.hint) from None
    except JobError as error:
        raise JobError(f"{error.message} in the expression {expression.sql!r}", hint=error.hint) from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{error} in the expression {expression.sql!r}") from error
    return result if isinstance(result, pa.Array) else pa.repeat(result, n_rows)


class _Evaluation:
    """One evaluation over the same rows; what occurs twice in the tree is computed once."""

    def __init__(self, columns: Mapping[str, pa.Array], n_rows: int) -> None:
        self._columns = columns
        self._n_rows = n_rows
        self._done: dict[Node, Values] = {}
        self._any_encoded = any(pa.types.is_dictionary(array.type) for array in columns.values())

    def root(self, node: Node) -> Values:
        """Return the values of the whole tree; texts that were computed on a dictionary stay encoded."""
        if isinstance(node, Column):
            return self._columns[node.name]
        encoded = self._encoded(node)
        return self.values(node) if encoded is None else self._by_value(node, encoded, encode=True)

    def values(self, node: Node) -> Values:
        """Return the values of a part of the tree, decoded; a constant stands for all rows."""
        operand = self._operand(node)
        return typed_constant(operand) if isinstance(operand, Literal) else operand

    def _operand(self, node: Node) -> Operand:
        if isinstance(node, Literal):
            return node
        if node not in self._done:
            encoded = self._encoded(node)
            self._done[node] = self._computed(node) if encoded is None else self._by_value(node, encoded)
        return self._done[node]

    def _computed(self, node: Column | Call | Cast) -> Values:
        if isinstance(node, Column):
            return _plain(self._columns[node.name])
        if isinstance(node, Cast):
            return as_type(self._operand(node.arg), node.type.arrow, strict=node.strict)
        return self._call(node)

    def _call(self, node: Call) -> Values:
        try:
            operands = [self._operand(arg) for arg in node.args]
            constant = not any(isinstance(operand, pa.Array) for operand in operands)
            result = _applied(node.function, operands)
        except DataError:
            if node.function not in ("case", "coalesce"):
                raise
            return self._branch_by_branch(_as_case(node))
        return result[0] if constant and isinstance(result, pa.Array) else result

    # ---- dictionaries -------------------------------------------------------------------------------------------------

    def _encoded(self, node: Node) -> str | None:
        """Return the name of the dictionary-encoded column that is all `node` reads, or None."""
        names = columns_of(node) if self._any_encoded else ()
        if len(names) != 1 or isinstance(node, Column):
            return None
        array = self._columns[names[0]]
        if not pa.types.is_dictionary(array.type) or len(array.dictionary) > _MAX_VALUES_PER_ROW * max(len(array), 1):
            return None
        return names[0]

    def _by_value(self, node: Node, name: str, *, encode: bool = False) -> Values:
        """Return the values of a part that reads one encoded column, computed once for each value of its dictionary."""
        column = self._columns[name]
        values = _plain(column.dictionary)
        if column.null_count:
            values = pa.concat_arrays([values, pa.nulls(1, values.type)])
        try:
            result = _Evaluation({name: values}, len(values)).values(node)
        except DataError:
            # The value at fault may stand in the dictionary and in no row.
            return _Evaluation({name: _plain(column)}, self._n_rows).values(node)
        if isinstance(result, pa.Scalar):
            return result
        indices = column.indices
        if column.null_count and result[-1].is_valid:
            indices = indices.cast(pa.int64()).fill_null(len(values) - 1)  # what the function makes of null
        return _with_dictionary(result, indices) if encode and is_text(result.type) else result.take(indices)

    # ---- conditions that guard ----------------------------------------------------------------------------------------

    def _branch_by_branch(self, node: Call) -> Values:
        """Return a CASE whose branches see only the rows that they are for.

        All branches at once are faster, and right unless one of them raises: ``CASE WHEN s <> '' THEN CAST(s AS INT)
        END`` must not fail for the rows that its condition keeps away.
        """
        rows = pa.array(np.arange(self._n_rows))
        pieces, places = [], []
        for condition, value in zip(node.args[:-1:2], node.args[1:-1:2], strict=True):
            chosen = _mask(self._at(rows, condition), len(rows))
            pieces.append((value, rows.filter(chosen)))
            rows = rows.filter(pc.invert(chosen))
        pieces.append((node.args[-1], rows))
        operands = [self._at(place, value) for value, place in pieces]
        typed = _typed_pieces(operands, [len(place) for _, place in pieces])
        places = [place for _, place in pieces]
        return pa.concat_arrays(typed).take(pc.sort_indices(pa.concat_arrays(places)))

    def _at(self, rows: pa.Array, node: Node) -> Operand:
        if isinstance(node, Literal):
            return node
        columns = {name: self._columns[name].take(rows) for name in columns_of(node)}
        return _Evaluation(columns, len(rows)).values(node)


def _applied(function: str, operands: list[Operand]) -> Values:
    try:
        return IMPLEMENTATIONS[function](function, operands)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
        raise type_error(function, given(operands)) from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{function}: {str(error).splitlines()[0]}") from None


def _as_case(node: Call) -> Call:
    """Return COALESCE as the CASE that it stands for."""
    if node.function == "case":
        return node
    *first, last = node.args
    return Call("case", (*(part for arg in first for part in (Call("not", (Call("is_null", (arg,)),)), arg)), last))


def _mask(condition: Operand, length: int) -> pa.Array:
    values = as_type(condition, pa.bool_())
    return pc.fill_null(values if isinstance(values, pa.Array) else pa.repeat(values, length), False)


def _typed_pieces(operands: list[Operand], lengths: list[int]) -> list[pa.Array]:
    values = alike("case", operands)
    return [value if isinstance(value, pa.Array) else pa.repeat(value, length) for value, length in zip(values, lengths, strict=True)]


def _plain(array: pa.Array) -> pa.Array:
    """Return an array in a layout that all kernels take: decoded, text as string or large_string."""
    type_ = array.type
    if pa.types.is_dictionary(type_):
        return _plain(array.dictionary).take(array.indices)
    if pa.types.is_run_end_encoded(type_):
        return _plain(pc.run_end_decode(array))
    if pa.types.is_string_view(type_):
        return array.cast(pa.large_string())
    if pa.types.is_float16(type_):
        return array.cast(pa.float32())
    return array.cast(pa.date32()) if pa.types.is_date64(type_) else array


def _with_dictionary(values: pa.Array, indices: pa.Array) -> pa.Array:
    """Return a dictionary array of the texts `values` at `indices`, each text once."""
    encoded = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(indices), encoded.dictionary)
