"""From SQL text to the tree of `nodes`: sqlglot reads it, the allow-list decides what may stand in it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from headrace.errors import JobError, nearest
from headrace.expressions.functions import CALLABLE, DATE_PARTS, FIXED_PARTS, FUNCTIONS, MONTH_PARTS, TRUNCATIONS, date_part_name
from headrace.expressions.nodes import Call, Cast, Column, Expression, Literal, Node, children
from headrace.expressions.sql_types import sql_type
from headrace.expressions.syntax import syntax_tree, underlined

_BINARY = {
    "And": "and",
    "Or": "or",
    "EQ": "equal",
    "NEQ": "not_equal",
    "LT": "less",
    "LTE": "less_equal",
    "GT": "greater",
    "GTE": "greater_equal",
    "NullSafeNEQ": "is_distinct",
    "Add": "add",
    "Sub": "subtract",
    "Mul": "multiply",
    "Div": "divide",
    "IntDiv": "integer_divide",
    "Mod": "modulo",
    "Pow": "power",
    "DPipe": "concat_operator",
}

# Evaluating goes four calls of Python deeper for each node below another, of 1,000 that it may.
DEEPEST = 150

_COMPARISONS = ("EQ", "NEQ", "LT", "LTE", "GT", "GTE")

# What a user may well try, and what to do instead.
_REFUSED = {
    "Subquery": "a subquery",
    "Select": "a subquery",
    "Exists": "a subquery",
    "Window": "a window function",
    "Star": "'*'",
    "Alias": "an alias",
    "Lambda": "a lambda",
    "Slice": "a slice",
    "Placeholder": "a parameter",
    "Distinct": "DISTINCT",
    "ByteString": "an E'...' string",
}
_AGGREGATES = frozenset(
    [
        "any_value",
        "avg",
        "bool_and",
        "bool_or",
        "count",
        "first",
        "last",
        "max",
        "mean",
        "median",
        "min",
        "mode",
        "quantile",
        "stddev",
        "sum",
        "variance",
    ]
)


@lru_cache(maxsize=1024)
def parse(sql: str) -> Expression:
    """Read an SQL expression in DuckDB's dialect.

    Parameters
    ----------
    sql : str
        One expression over the columns of a row. Column names are taken as they are written, case and all;
        names that are no plain words go in double quotes.

    Raises
    ------
    JobError
        If it is no SQL (the hint underlines the place), or uses what `FUNCTIONS` does not list.

    Examples
    --------
    >>> parse("a > 15 AND b IS NOT NULL").columns
    ('a', 'b')
    >>> parse("a > > 15")
    Traceback (most recent call last):
    headrace.errors.JobError: a >> b is not allowed in an expression: a > > 15
      allowed: the operators and functions that docs/expressions.md lists
    """
    text = sql.strip()
    if not text:
        raise JobError("an expression is empty")
    try:
        root = _Reader(text).node(syntax_tree(text))
    except RecursionError:
        raise _too_deep() from None
    if _depth(root) > DEEPEST:
        raise _too_deep()
    return Expression(text, root)


class _Reader:
    """Turns sqlglot's nodes into ours; anything without a rule here is refused."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._rules: dict[str, Callable[[Any], Node]] = {
            "Column": self._column,
            "Literal": self._literal,
            "Boolean": lambda e: Literal(bool(e.this), "boolean"),
            "Null": lambda e: Literal(None, "null"),
            "Paren": lambda e: self.node(e.this),
            "Neg": self._negated,
            "Not": lambda e: Call("not", (self.node(e.this),)),
            "Is": self._is,
            "NullSafeEQ": lambda e: Call("not", (self._pair("is_distinct", e),)),
            "Between": self._between,
            "In": self._in,
            "Like": lambda e: self._like("like", e),
            "ILike": lambda e: self._like("ilike", e),
            "Escape": self._escape,
            "Case": self._case,
            "Cast": lambda e: self._cast(e, strict=True),
            "TryCast": lambda e: self._cast(e, strict=False),
            "Extract": lambda e: Call("date_part", (self._part(e.this.name), self.node(e.expression))),
            "AtTimeZone": self._at_time_zone,
            "Interval": self._interval,
            "Bracket": self._element,
            "Anonymous": self._call,
        }

    def node(self, e: Any) -> Node:
        kind = type(e).__name__
        if kind in _COMPARISONS and any(type(side).__name__ in _COMPARISONS for side in (e.this, e.expression)):
            raise self._error("comparisons cannot be chained", "combine them by AND: 1 < a AND a < 5; or put parentheses around one")
        if kind in _BINARY:
            return self._pair(_BINARY[kind], e)
        if kind not in self._rules:
            raise self._refused(e, kind)
        return self._rules[kind](e)

    def _refused(self, e: Any, kind: str) -> JobError:
        what = _REFUSED.get(kind)
        if what is None:
            operator = {"BitwiseRightShift": "a >> b", "BitwiseLeftShift": "a << b", "BitwiseAnd": "a & b", "BitwiseOr": "a | b"}
            what = operator.get(kind) or f"{e.sql(dialect='duckdb')!r} ({kind})"
        hint = "aggregates over rows are steps of the pipeline (groupby, join_groupby)" if kind == "Window" else None
        return self._error(f"{what} is not allowed in an expression", hint)

    def _error(self, message: str, hint: str | None = None, word: str | None = None) -> JobError:
        found = re.search(rf"\b{re.escape(word)}\b", self._text, re.IGNORECASE) if word else None
        shown = [underlined(self._text, found.start(), len(found.group()))] if found else []
        remedy = hint or "allowed: the operators and functions that docs/expressions.md lists"
        return JobError(message if shown else f"{message}: {self._text}", hint="\n".join([*shown, remedy]))

    def _pair(self, function: str, e: Any) -> Call:
        return Call(function, (self.node(e.this), self.node(e.expression)))

    def _column(self, e: Any) -> Node:
        if type(e.this).__name__ != "Identifier":
            return self.node(e.this)
        if e.args.get("table"):
            full = e.sql(dialect="duckdb")
            raise self._error(f"{full!r} names a table, an expression reads columns only", f'a column with a dot is written "{full}"')
        return Column(e.this.name)

    def _literal(self, e: Any) -> Literal:
        if e.is_string:
            return Literal(str(e.this), "string")
        text = str(e.this)
        if re.fullmatch(r"\d+", text):
            return Literal(int(text), "integer")
        if re.fullmatch(r"\d+\.\d*|\.\d+", text):
            return Literal(text, "decimal")
        if re.fullmatch(r"(\d+\.?\d*|\.\d+)[eE][+-]?\d+", text):
            return Literal(float(text), "double")
        raise self._error(f"{text!r} is no number")

    def _negated(self, e: Any) -> Node:
        arg = self.node(e.this)
        if isinstance(arg, Literal) and arg.kind in ("integer", "double") and isinstance(arg.value, (int, float)) and arg.value:
            return Literal(-arg.value, arg.kind)
        if isinstance(arg, Literal) and arg.kind == "decimal":
            return Literal(str(arg.value).removeprefix("-") if str(arg.value).startswith("-") else f"-{arg.value}", "decimal")
        return Call("negate", (arg,))

    def _is(self, e: Any) -> Node:
        arg, other = self.node(e.this), self.node(e.expression)
        if isinstance(other, Literal) and other.is_null:
            return Call("is_null", (arg,))
        return Call("not", (Call("is_distinct", (Cast(arg, sql_type("BOOLEAN"), True), other)),))

    def _between(self, e: Any) -> Node:
        arg = self.node(e.this)
        if e.args.get("symmetric"):
            raise self._error("BETWEEN SYMMETRIC is not allowed in an expression")
        low, high = self.node(e.args["low"]), self.node(e.args["high"])
        return Call("and", (Call("greater_equal", (arg, low)), Call("less_equal", (arg, high))))

    def _in(self, e: Any) -> Node:
        if not e.expressions:
            query = e.args.get("query")
            raise self._refused(query, "Subquery") if query else self._error("IN takes a list in parentheses", "a IN ('x', 'y')")
        return Call("in", (self.node(e.this), *(self.node(item) for item in e.expressions)))

    def _like(self, function: str, e: Any, escape: str = "") -> Node:
        pattern = self.node(e.expression)
        if not (isinstance(pattern, Literal) and pattern.kind == "string"):
            raise self._error("the pattern of LIKE is a constant text", word=function)
        call = Call(function, (self.node(e.this), Literal(_arrow_like(str(pattern.value), escape), "string")))
        # Newer sqlglots write a NOT before LIKE as a mark on the node.
        return Call("not", (call,)) if e.args.get("negate") else call

    def _escape(self, e: Any) -> Node:
        kind, mark = type(e.this).__name__, self.node(e.expression)
        if kind not in ("Like", "ILike") or not (isinstance(mark, Literal) and len(str(mark.value)) == 1):
            raise self._error("ESCAPE takes one character, after LIKE or ILIKE", word="ESCAPE")
        return self._like(kind.lower(), e.this, str(mark.value))

    def _case(self, e: Any) -> Node:
        subject = self.node(e.this) if e.this is not None else None
        args: list[Node] = []
        for branch in e.args["ifs"]:
            when = self.node(branch.this)
            args += [when if subject is None else Call("equal", (subject, when)), self.node(branch.args["true"])]
        default = e.args.get("default")
        return Call("case", (*args, self.node(default) if default is not None else Literal(None, "null")))

    def _cast(self, e: Any, *, strict: bool) -> Node:
        arg = self.node(e.this)
        try:
            target = sql_type(e.args["to"].sql(dialect="duckdb"))
        except JobError as error:
            raise self._error(error.message, error.hint) from None
        return Cast(arg, target, strict)

    def _part(self, text: str) -> Literal:
        name = date_part_name(text)
        if name is None:
            near = nearest(text, DATE_PARTS)
            raise self._error(
                f"no part of a date {text!r}", f"{f'nearest: {near!r}. ' if near else ''}Parts: {', '.join(DATE_PARTS)}", text
            )
        return Literal(name, "string")

    def _at_time_zone(self, e: Any) -> Node:
        zone = self.node(e.args["zone"])
        if not (isinstance(zone, Literal) and zone.kind == "string"):
            raise self._error("the zone of AT TIME ZONE is a constant text", "t AT TIME ZONE 'America/New_York'", "ZONE")
        try:
            ZoneInfo(str(zone.value))
        except (KeyError, ValueError, OSError):
            known = available_timezones()
            near = nearest(str(zone.value), known)
            if known:  # none at all: this machine has no list of zones for Python, and Arrow's is asked later
                hint = f"nearest: {near!r}" if near else "zones are written as 'Europe/Paris'"
                raise self._error(f"no time zone {zone.value!r}", hint, str(zone.value)) from None
        return Call("at_time_zone", (self.node(e.this), zone))

    def _interval(self, e: Any) -> Node:
        unit = e.args.get("unit")
        amount = self.node(e.this)
        if unit is None:
            if not (isinstance(amount, Literal) and amount.kind == "string"):
                raise self._error("an INTERVAL needs a unit", "INTERVAL 90 MINUTE, INTERVAL (x) HOUR", "INTERVAL")
            return self._interval_text(str(amount.value))
        part = self._unit(str(unit.name))
        if isinstance(amount, Literal) and re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", str(amount.value)):
            return Literal(_interval(part, float(str(amount.value))), "interval")
        return Call("interval", (Literal(part, "string"), amount))

    def _unit(self, text: str) -> str:
        name = date_part_name(text)
        if name not in (*FIXED_PARTS, *MONTH_PARTS):
            raise self._error(f"an INTERVAL has no unit {text!r}", f"units: {', '.join([*MONTH_PARTS, *FIXED_PARTS])}", text)
        return str(name)

    def _interval_text(self, text: str) -> Literal:
        pairs = re.findall(r"(-?\d+(?:\.\d+)?)\s*([A-Za-z]+)", text)
        if not pairs or re.sub(r"(-?\d+(?:\.\d+)?)\s*([A-Za-z]+)", "", text).strip():
            raise self._error(f"cannot read the INTERVAL {text!r}", "INTERVAL '1 month 2 days', INTERVAL 90 MINUTE")
        months, micros = zip(*(_interval(self._unit(unit), float(amount)) for amount, unit in pairs), strict=True)
        return Literal((sum(months), sum(micros)), "interval")

    def _element(self, e: Any) -> Node:
        index = e.expressions[0]
        if len(e.expressions) != 1 or type(index).__name__ == "Slice":
            raise self._refused(e, "Slice")
        return Call("element", (self.node(e.this), self.node(index)))

    def _call(self, e: Any) -> Node:
        written = str(e.this)
        name = written.lower()
        args = tuple(self.node(arg) for arg in e.expressions if type(arg).__name__ != "Star" or name not in _AGGREGATES)
        special = self._special(name, args)
        if special is not None:
            return special
        function = CALLABLE.get(name)
        if function is None:
            raise self._unknown(written)
        return self._checked(function, written, args)

    def _special(self, name: str, args: tuple[Node, ...]) -> Node | None:
        """Return the node of a call that is another function in disguise, or None."""
        if name == "pi" and not args:
            return Literal(math.pi, "double")
        if name == "if" and len(args) == 3:
            return Call("case", args)
        if name == "log" and len(args) == 1:
            return Call("log10", args)
        if len(args) == 1 and name.startswith("to_") and date_part_name(name.removeprefix("to_")) in (*FIXED_PARTS, *MONTH_PARTS):
            return Call("interval", (Literal(self._unit(name.removeprefix("to_")), "string"), *args))
        if len(args) == 1 and len(name) > 2 and (part := date_part_name(name)) is not None:
            return Call("date_part", (Literal(part, "string"), *args))
        return None

    def _checked(self, function: str, written: str, args: tuple[Node, ...]) -> Node:
        row = FUNCTIONS[function]
        if len(args) < row.min_args or (row.max_args is not None and len(args) > row.max_args):
            raise self._error(f"{written} has {len(args)} arguments", f"it is written {row.signature}", written)
        if function in ("date_part", "date_trunc", "date_diff"):
            if not (isinstance(args[0], Literal) and args[0].kind == "string"):
                raise self._error(f"the first argument of {written} is a constant text", f"it is written {row.signature}", written)
            part = self._part(str(args[0].value))
            if function != "date_part" and part.value not in TRUNCATIONS:
                raise self._error(f"{written} has no part {part.value!r}", f"Parts: {', '.join(TRUNCATIONS)}", written)
            args = (part, *args[1:])
        return Call(function, args)

    def _unknown(self, written: str) -> JobError:
        if written.lower() in _AGGREGATES:
            hint = "an expression sees one row; aggregates are steps of the pipeline (groupby, join_groupby)"
            return self._error(f"the aggregate {written} is not allowed in an expression", hint, written)
        near = nearest(written, CALLABLE)
        hint = f"nearest: {near!r}" if near else "docs/expressions.md lists the functions"
        return self._error(f"no function {written!r}", hint, written)


def _depth(root: Node) -> int:
    """Return how many nodes stand below each other."""
    depth, level = 0, [root]
    while level:
        depth, level = depth + 1, [child for node in level for child in children(node)]
    return depth


def _too_deep() -> JobError:
    hint = "derive parts of it in steps before, or compare one column with many values by IN (...)"
    return JobError("an expression is too long, or nested too deeply", hint=hint)


def _interval(part: str, amount: float) -> tuple[int, int]:
    """Return the months and the microseconds of an amount of one part."""
    months = MONTH_PARTS.get(part)
    return (0, round(amount * FIXED_PARTS[part])) if months is None else (round(amount * months), 0)


def _arrow_like(pattern: str, escape: str) -> str:
    """Return a LIKE pattern whose escape character is the backslash, whatever it was before."""
    out, literal = [], False
    for character in pattern:
        if escape and character == escape and not literal:
            literal = True
            continue
        out.append(f"\\{character}" if character == "\\" or (literal and character in "%_") else character)
        literal = False
    return "".join(out)
