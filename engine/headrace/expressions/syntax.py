"""sqlglot's tree of one SQL expression, and where it is wrong if it is none.

sqlglot's own function table is switched off, so that every call arrives under the name the user wrote: what is
allowed, and what it means, does not change with sqlglot's version.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from headrace.errors import JobError, MissingLibraryError

if TYPE_CHECKING:
    from sqlglot import exp

# A statement word before the expression keeps columns called "comment" or "load" from being read as statements.
_PREFIX = "SELECT "


def syntax_tree(text: str) -> exp.Expression:
    """Return sqlglot's tree of exactly one expression; raise JobError if `text` is something else."""
    from sqlglot.errors import ParseError, TokenError

    _require_duckdb_precedence()
    try:
        statements = _sqlglot_parse(_PREFIX + text)
    except ParseError as error:
        raise _syntax_error(text, error) from None
    except TokenError as error:
        quote = next((mark for mark in "'\"" if text.count(mark) % 2), "")
        problem = f"the quote {quote} is not closed" if quote else str(error).splitlines()[0]
        raise JobError(f"cannot read the expression: {problem}", hint=underlined(text, text.find(quote) if quote else 0, 1)) from None
    extra = [name for name, value in statements[0].args.items() if value and name != "expressions"] if statements else []
    if len(statements) != 1 or extra or len(statements[0].expressions) != 1:
        raise JobError(f"one expression is expected, without clauses or commas around it: {text}", hint="give each its own name or step")
    found: exp.Expression = statements[0].expressions[0]
    return found


@lru_cache(maxsize=1)
def _require_duckdb_precedence() -> None:
    """Raise MissingLibraryError where sqlglot binds operators in another order than DuckDB.

    Before 30.20 it reads a + b % c as (a + b) % c, before 30.25 a > b IS NULL as a > (b IS NULL): the wrong answer,
    without a word.
    """
    from importlib.metadata import version

    read = [type(_sqlglot_parse(f"{_PREFIX}{text}")[0].expressions[0]).__name__ for text in ("a + b % c", "a > b IS NULL")]
    if read != ["Add", "Is"]:
        message = f"sqlglot {version('sqlglot')} does not bind operators as DuckDB does"
        raise MissingLibraryError(message, hint="pip install 'sqlglot>=30.25'")


@lru_cache(maxsize=1)
def _parser_class() -> type[Any]:
    from sqlglot.dialects.duckdb import DuckDB

    base: type[Any] = DuckDB.Parser
    kept = ("CAST", "TRY_CAST", "EXTRACT")
    fields = {
        "FUNCTIONS": {},
        "NO_PAREN_FUNCTIONS": {},
        "FUNCTION_PARSERS": {name: base.FUNCTION_PARSERS[name] for name in kept},
        "NO_PAREN_FUNCTION_PARSERS": {"CASE": base.NO_PAREN_FUNCTION_PARSERS["CASE"]},
    }
    return type("ExpressionParser", (base,), fields)


def _sqlglot_parse(sql: str) -> Sequence[Any]:
    from sqlglot import Dialect, ErrorLevel

    dialect = Dialect.get_or_raise("duckdb")
    dialect.INDEX_OFFSET = 0  # keeps x[1] as it is written; sqlglot would count from 0
    # The longest context, so that an error's place can be told from the length of the text before it.
    parser = _parser_class()(dialect=dialect, error_level=ErrorLevel.IMMEDIATE, error_message_context=len(sql))
    statements: Sequence[Any] = parser.parse(dialect.tokenize(sql), sql)
    return statements


def _syntax_error(text: str, error: Any) -> JobError:
    place = error.errors[0] if error.errors else {}
    start = len(place.get("start_context", "")) - len(_PREFIX)
    word = place.get("highlight") or ""
    what = (place.get("description") or "").split(" for <class")[0].split(". Line")[0].rstrip(".")
    what = "something is missing" if what.startswith("Required keyword") else what
    return JobError(f"cannot read the expression: {what} at {word!r}", hint=underlined(text, max(start, 0), max(len(word), 1)))


def quoted(name: str) -> str:
    """Return a column's name as an expression writes it, whatever characters are in it.

    >>> quoted("km/h")
    '"km/h"'
    """
    return '"' + name.replace('"', '""') + '"'


def underlined(text: str, start: int, length: int) -> str:
    """Return the line of `text` that holds `start`, with carets under the place."""
    begin = text.rfind("\n", 0, start) + 1
    end = text.find("\n", start)
    line = text[begin : end if end >= 0 else len(text)]
    width = max(1, min(length, len(line) - (start - begin)))
    return f"{line}\n{' ' * (start - begin)}{'^' * width}"
