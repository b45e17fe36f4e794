"""The type of an expression's values, before any data are read."""

from __future__ import annotations

import pyarrow as pa

from headrace.errors import DataError, JobError
from headrace.expressions.nodes import Expression
from headrace.schema import Schema, Type


def infer_type(expression: Expression, schema: Schema) -> Type:
    """Return the type that `expression` has over columns of `schema`.

    The arrow evaluator runs on columns without rows: there are no second rules of types to keep in step.

    Raises
    ------
    JobError
        If a column is unknown, if a function does not take the types it is given, or if a constant cannot be
        converted to the type that it is compared with.

    Examples
    --------
    >>> from headrace.expressions import parse
    >>> from headrace.schema import INT32
    >>> str(infer_type(parse("a / 2"), Schema({"a": INT32})))
    'double'
    """
    from headrace.backends.arrow.expression import evaluate

    try:
        schema.require(expression.columns)
    except JobError as error:
        missing = next(name for name in expression.columns if name not in schema)
        text = f"a text is written in single quotes: '{missing}'. " if f'"{missing}"' in expression.sql else ""
        raise JobError(error.message, hint=f"{text}{error.hint}") from None
    columns = {name: pa.array([], schema[name].arrow) for name in expression.columns}
    try:
        result = evaluate(expression, columns, 0)
    except DataError as error:
        raise JobError(error.message, hint=error.hint) from None
    return Type.from_arrow(result.type)
