"""The allow-list: every operator and function of an expression, once for all backends.

A backend offers an implementation under each of these names. Operators are listed too: to a backend they are
functions like the others. Meaning, null handling and result types are DuckDB's unless the line says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Function:
    """One line of the allow-list.

    Parameters
    ----------
    signature : str
        How it is written in SQL.
    doc : str
        What it gives, in one line.
    min_args, max_args : int
        How many arguments it takes; `max_args` None means any number.
    """

    signature: str
    doc: str
    min_args: int
    max_args: int | None


def _listed(*rows: tuple[str, str, str, int, int | None]) -> dict[str, Function]:
    return {name: Function(signature, doc, low, high) for name, signature, doc, low, high in rows}


_LOGIC = _listed(
    ("and", "a AND b", "three-valued: false wins over null", 2, 2),
    ("or", "a OR b", "three-valued: true wins over null", 2, 2),
    ("not", "NOT a", "null stays null", 1, 1),
    ("is_null", "a IS NULL", "also IS NOT NULL; NaN is not null", 1, 1),
    ("equal", "a = b", "NaN equals NaN", 2, 2),
    ("not_equal", "a <> b", "also written a != b", 2, 2),
    ("less", "a < b", "NaN is greater than every other number", 2, 2),
    ("less_equal", "a <= b", "also behind a BETWEEN b AND c", 2, 2),
    ("greater", "a > b", "", 2, 2),
    ("greater_equal", "a >= b", "", 2, 2),
    ("is_distinct", "a IS DISTINCT FROM b", "an inequality that is never null; also IS NOT DISTINCT FROM, IS TRUE, IS FALSE", 2, 2),
    ("in", "a IN (b, c)", "also NOT IN; null if nothing matches and a null is listed", 2, None),
    ("case", "CASE WHEN a THEN b ELSE c END", "also CASE x WHEN 1 THEN ...; if(a, b, c)", 3, None),
    ("coalesce", "coalesce(a, b)", "the first that is not null; also ifnull(a, b)", 1, None),
    ("nullif", "nullif(a, b)", "null where a equals b, else a", 2, 2),
    ("greatest", "greatest(a, b)", "nulls are passed over; NaN is the greatest", 1, None),
    ("least", "least(a, b)", "nulls are passed over", 1, None),
)

_NUMBERS = _listed(
    ("add", "a + b", "integers raise on overflow; also a date, or a timestamp, and an INTERVAL; a date and days", 2, 2),
    ("subtract", "a - b", "also between two dates (days) or two timestamps (a duration)", 2, 2),
    ("multiply", "a * b", "", 2, 2),
    ("divide", "a / b", "a float, also of integers; null where b is 0", 2, 2),
    ("integer_divide", "a // b", "of integers, towards zero; null where b is 0", 2, 2),
    ("modulo", "a % b", "has the sign of a; null where b is 0; also mod(a, b)", 2, 2),
    ("negate", "-a", "", 1, 1),
    ("abs", "abs(x)", "", 1, 1),
    ("sign", "sign(x)", "-1, 0 or 1; 0 for NaN", 1, 1),
    ("floor", "floor(x)", "", 1, 1),
    ("ceil", "ceil(x)", "also ceiling(x)", 1, 1),
    ("round", "round(x, digits)", "halves away from zero; digits may be left out and may be negative", 1, 2),
    ("trunc", "trunc(x)", "towards zero", 1, 1),
    ("power", "pow(x, y)", "also power(x, y), x ^ y, x ** y", 2, 2),
    ("sqrt", "sqrt(x)", "NaN below 0", 1, 1),
    ("cbrt", "cbrt(x)", "", 1, 1),
    ("exp", "exp(x)", "", 1, 1),
    ("expm1", "expm1(x)", "exp(x) - 1, exact near 0 (not in DuckDB)", 1, 1),
    ("ln", "ln(x)", "-inf for 0, NaN below 0", 1, 1),
    ("log1p", "log1p(x)", "ln(1 + x), exact near 0 (not in DuckDB)", 1, 1),
    ("log10", "log10(x)", "also log(x)", 1, 1),
    ("log2", "log2(x)", "", 1, 1),
    ("log", "log(base, x)", "", 2, 2),
    ("sin", "sin(x)", "of radians", 1, 1),
    ("cos", "cos(x)", "", 1, 1),
    ("tan", "tan(x)", "", 1, 1),
    ("asin", "asin(x)", "NaN outside -1 to 1", 1, 1),
    ("acos", "acos(x)", "NaN outside -1 to 1", 1, 1),
    ("atan", "atan(x)", "", 1, 1),
    ("atan2", "atan2(y, x)", "", 2, 2),
    ("radians", "radians(degrees)", "", 1, 1),
    ("degrees", "degrees(radians)", "", 1, 1),
    ("isnan", "isnan(x)", "null for null", 1, 1),
    ("isinf", "isinf(x)", "null for null", 1, 1),
    ("isfinite", "isfinite(x)", "null for null", 1, 1),
)

_STRINGS = _listed(
    ("concat_operator", "a || b", "null if one is null; numbers are written as text", 2, 2),
    ("concat", "concat(a, b)", "nulls are left out", 1, None),
    ("like", "a LIKE 'x%'", "% any text, _ one character, ESCAPE '!'; the pattern is a constant", 2, 2),
    ("ilike", "a ILIKE 'x%'", "as LIKE, in any case", 2, 2),
    ("lower", "lower(s)", "also lcase(s)", 1, 1),
    ("upper", "upper(s)", "also ucase(s)", 1, 1),
    ("trim", "trim(s, characters)", "spaces if no characters are given, on both ends", 1, 2),
    ("ltrim", "ltrim(s, characters)", "", 1, 2),
    ("rtrim", "rtrim(s, characters)", "", 1, 2),
    ("length", "length(s)", "code points of a text, elements of a list; also len(s)", 1, 1),
    ("substring", "substring(s, start, count)", "from 1; a negative start counts from the end; also substr; constants", 2, 3),
    ("left", "left(s, count)", "a negative count leaves that many out", 2, 2),
    ("right", "right(s, count)", "a negative count leaves that many out", 2, 2),
    ("contains", "contains(s, part)", "the part is a constant", 2, 2),
    ("starts_with", "starts_with(s, part)", "also prefix(s, part)", 2, 2),
    ("ends_with", "ends_with(s, part)", "also suffix(s, part)", 2, 2),
    ("replace", "replace(s, old, new)", "", 3, 3),
    (
        "regexp_matches",
        "regexp_matches(s, pattern, options)",
        "found anywhere; RE2 syntax; options 'i' any case, 's' newlines too",
        2,
        3,
    ),
    ("regexp_replace", "regexp_replace(s, pattern, new, options)", "the first match, all with option 'g'; groups as \\1", 3, 4),
    ("regexp_split_to_array", "regexp_split_to_array(s, pattern, options)", "a list of what stands between the matches", 2, 3),
    ("split_part", "split_part(s, separator, index)", "from 1, negative from the end; '' where there is none", 3, 3),
)

_TIMES = _listed(
    ("date_part", "extract(part FROM t)", "also date_part('part', t), year(t), month(t) ...; of UTC for timestamps with a zone", 2, 2),
    ("date_trunc", "date_trunc('part', t)", "the start of the hour, day, week (Monday), month ...", 2, 2),
    ("date_diff", "date_diff('part', start, end)", "how many borders of that part lie between; also datediff", 3, 3),
    ("to_timestamp", "to_timestamp(seconds)", "a timestamp with zone UTC from seconds since 1970", 1, 1),
    ("make_date", "make_date(year, month, day)", "raises if there is no such day", 3, 3),
    ("at_time_zone", "t AT TIME ZONE 'America/New_York'", "local time of an instant, or the instant of a local time", 2, 2),
    ("interval", "INTERVAL 90 MINUTE", "also INTERVAL (x) HOUR, to_hours(x), to_days(x) ... of a column", 2, 2),
)

_LISTS = _listed(
    ("element", "x[i]", "from 1, negative from the end; null where there is none", 2, 2),
)

FUNCTIONS: dict[str, Function] = {**_LOGIC, **_NUMBERS, **_STRINGS, **_TIMES, **_LISTS}

# What may be written as a call, and which function it is. Operators have a name in the table too, but no call.
CALLABLE: dict[str, str] = {
    **{name: name for name, row in FUNCTIONS.items() if row.signature.startswith(f"{name}(")},
    "array_length": "length",
    "ceiling": "ceil",
    "date_part": "date_part",
    "datediff": "date_diff",
    "datepart": "date_part",
    "datetrunc": "date_trunc",
    "ifnull": "coalesce",
    "lcase": "lower",
    "len": "length",
    "list_extract": "element",
    "mod": "modulo",
    "pow": "power",
    "power": "power",
    "prefix": "starts_with",
    "substr": "substring",
    "suffix": "ends_with",
    "ucase": "upper",
}

# Parts of a date or time, each with its other spellings; all give BIGINT but epoch, which is DOUBLE seconds.
DATE_PARTS: dict[str, tuple[str, ...]] = {
    "year": ("years", "y"),
    "quarter": ("quarters",),
    "month": ("months", "mon"),
    "week": ("weeks", "w", "weekofyear"),
    "day": ("days", "d", "dayofmonth"),
    "hour": ("hours", "h"),
    "minute": ("minutes", "m"),
    "second": ("seconds", "s"),
    "millisecond": ("milliseconds", "ms"),
    "microsecond": ("microseconds", "us"),
    "dow": ("dayofweek", "weekday"),
    "isodow": (),
    "doy": ("dayofyear",),
    "isoyear": (),
    "epoch": (),
}

# Parts that date_trunc and date_diff take.
TRUNCATIONS: tuple[str, ...] = ("year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond")

# Microseconds of the parts of fixed length, and months of the others: what an INTERVAL may be made of.
FIXED_PARTS: dict[str, int] = {
    "week": 7 * 86_400_000_000,
    "day": 86_400_000_000,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}
MONTH_PARTS: dict[str, int] = {"year": 12, "quarter": 3, "month": 1}


def date_part_name(text: str) -> str | None:
    """Return the listed name of a part however it is spelt, or None.

    >>> date_part_name("Hours"), date_part_name("fortnight")
    ('hour', None)
    """
    wanted = text.lower()
    return next((name for name, others in DATE_PARTS.items() if wanted == name or wanted in others), None)
