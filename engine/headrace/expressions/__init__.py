"""SQL expressions in DuckDB's dialect, read into a small tree of our own that every backend evaluates.

Only what `FUNCTIONS` lists gets through: an expression reads the columns of its row and constants, nothing else.
No code is ever generated or run from its text.

>>> expression = parse("CAST(arr_delay > 15 AS INT)")
>>> expression.columns
('arr_delay',)
>>> from headrace.schema import INT64, Schema
>>> str(infer_type(expression, Schema({"arr_delay": INT64})))
'int32'
"""

from headrace.expressions.functions import DATE_PARTS, FUNCTIONS, TRUNCATIONS, Function
from headrace.expressions.inference import infer_type
from headrace.expressions.nodes import Call, Cast, Column, Expression, Literal, Node
from headrace.expressions.parser import parse
from headrace.expressions.syntax import quoted

__all__ = [
    "DATE_PARTS",
    "FUNCTIONS",
    "TRUNCATIONS",
    "Call",
    "Cast",
    "Column",
    "Expression",
    "Function",
    "Literal",
    "Node",
    "infer_type",
    "parse",
    "quoted",
]
