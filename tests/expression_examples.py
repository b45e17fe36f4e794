"""Expressions that every backend gives the same values for, and the columns they are asked of: nulls, NaN, ends of ranges, zones."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa

NAN, INF = math.nan, math.inf
MAX64, MIN64 = 2**63 - 1, -(2**63)


def _stamps(*texts: str | None) -> list[dt.datetime | None]:
    return [None if text is None else dt.datetime.fromisoformat(text) for text in texts]


# Eight rows: each column has its own nasty values, each has a null, and no two have it in all the same rows.
STAMPS = _stamps(
    "2013-01-01 00:00:00",
    "2013-03-10 02:30:00",
    None,
    "2013-11-03 01:30:00.123456",
    "1969-12-31 23:59:59.999999",
    "2012-02-29 12:00:00",
    "2013-12-31 23:59:59",
    "1900-01-01 00:00:01",
)
WORDS = ["", "abc", None, "ÀB ß", " 日本語 ", "a%b_c\\d", "a-b-c\nd", "ABC"]
TABLE = pa.table(
    {
        "i8": pa.array([0, 127, -128, None, 5, -7, 1, 2], pa.int8()),
        "i32": pa.array([1, -2, None, 2**31 - 1, 0, 7, -7, 100], pa.int32()),
        "i64": pa.array([MAX64, MIN64, 0, -1, None, 2**53 + 1, 7, -100], pa.int64()),
        "u8": pa.array([0, 255, 1, None, 2, 3, 4, 5], pa.uint8()),
        "u64": pa.array([0, 2**64 - 1, 1, None, 2, 3, 2**63, 5], pa.uint64()),
        "small": pa.array([3, -3, 2, None, -2, 5, 1, 4], pa.int32()),
        "zeros": pa.array([0, 1, -1, 0, None, 2, 0, 3], pa.int32()),
        "f": pa.array([0.0, -0.0, NAN, INF, -INF, None, 2.5, -3.75], pa.float64()),
        "g": pa.array([NAN, 0.0, NAN, 1.0, -INF, 2.0, None, -1e300], pa.float64()),
        "f32": pa.array([0.1, -0.0, NAN, INF, -1.5, None, 2.5, 1e30], pa.float32()),
        "unit": pa.array([0.5, -1.0, 1.0, 0.0, -0.25, None, 0.75, NAN], pa.float64()),
        "d": pa.array(
            [
                Decimal("1.25"),
                Decimal("-2.50"),
                None,
                Decimal("0.00"),
                Decimal("99999.99"),
                Decimal("2.55"),
                Decimal("-0.01"),
                Decimal("3.00"),
            ],
            pa.decimal128(9, 2),
        ),
        "b": pa.array([True, False, None, True, False, None, True, False]),
        "c": pa.array([True, True, True, False, False, None, None, None]),
        "s": pa.array(WORDS, pa.string()),
        "large": pa.array(WORDS, pa.large_string()),
        "coded": pa.array(WORDS, pa.string()).dictionary_encode(),
        "coded8": pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2, 0, 1, 2, 0], pa.int8()), pa.array(["x", "abc", "unused\n"])),
        "digits": pa.array(["1", " -22 ", None, "3.5", "1e3", "+7", "2.5", "0"]),
        "days": pa.array(
            ["2013-01-05", "2012-02-29", None, "1969-12-31", "2013-01-05 10:11:12.5", "2000-01-01T00:00", "9999-12-31", "0001-01-01"]
        ),
        "date": pa.array([None if v is None else v.date() for v in STAMPS], pa.date32()),
        "t": pa.array(STAMPS, pa.timestamp("us")),
        "t2": pa.array([*STAMPS[3:], *STAMPS[:3]], pa.timestamp("us")),
        "z": pa.array(STAMPS, pa.timestamp("us", tz="UTC")),
        "ny": pa.array(STAMPS, pa.timestamp("us", tz="America/New_York")),
        "ms": pa.array(STAMPS, pa.timestamp("us")).cast(pa.timestamp("ms"), safe=False),
        "items": pa.array([[1, 2, 3], [], None, [None], [5], [6, 7], [8, None, 9], [10]], pa.list_(pa.int64())),
    }
)
COLUMNS = {name: TABLE[name].combine_chunks() for name in TABLE.column_names}

SAME_AS_DUCKDB = r"""
i32 > 1 | i32 >= 1 | i32 < 1 | i32 <= 1 | i32 = 1 | i32 <> 1 | i32 == 1 | i32 != 1
f > g | f >= g | f < g | f <= g | f = g | f <> g | g > f | g = g | f = 0 | f = -0.0 | f > 0 | f >= 2.5 | f < 2.5 | f <= 0 | 0 < f | 0 >= f
f = 'nan'::DOUBLE | f > 'nan'::DOUBLE | f < 'nan'::DOUBLE | 'nan'::DOUBLE > f | f <= 'nan' | f >= 'nan'::DOUBLE
f32 > 0.1 | f32 = 0.1 | f32 = f | i64 = 9007199254740993 | i64 > f | i64 = i32 | u64 > i64 | u64 = i64 | i8 < u8 | i64 < 1e18 | u64 > 5 | u64 = 18446744073709551615
d > 1.25 | d = 1.250 | d < 2 | d >= f | d > i32 | d <> 2.555 | i32 = '1' | f = '2.5' | b = 1 | b = 'true' | b = c | b < c | b <> c
s = 'abc' | s > 'a' | s < large | large = s | coded = 'abc' | coded <> s | coded8 >= 'abc' | s IN ('abc', 'ABC', NULL) | coded IN ('abc', '') | s NOT IN ('abc')
i32 IN (1, 7) | i32 IN (1, NULL) | i32 NOT IN (1, NULL) | i32 IN (1, 2.5) | f IN (0, 'nan'::DOUBLE) | f IN (g, 2.5) | i32 IN (small, 1) | i8 IN (127, 1000)
i32 BETWEEN 0 AND 7 | i32 NOT BETWEEN 0 AND 7 | f BETWEEN g AND 3 | NOT b | NOT i32 | b AND c | b OR c | b AND NULL | b OR NULL | NOT NULL | b AND i32 | NOT b AND c OR i32 > 5
i32 IS NULL | i32 IS NOT NULL | f IS NULL | coded8 IS NULL | coded IS NOT NULL | NULL IS NULL | b IS TRUE | b IS NOT TRUE | b IS FALSE | i32 IS DISTINCT FROM small
f IS DISTINCT FROM g | f IS NOT DISTINCT FROM g | s IS DISTINCT FROM 'abc' | coded IS NOT DISTINCT FROM NULL | i32 ISNULL | i32 NOTNULL
i32 // 10 + small | small + 1 | small - 1 | small * 2 | small * f | f + 1 | f32 + 1 | f32 * 0.5 | f32 + f | f32 + small | small + i8 | -small | - -small | -f | -d | i8 // 2
i8 + u8 | u8 // 2 + 1 | u8 * 2::BIGINT | i64 // 2 | i64 % 10 | u8 % 3 | small % 2 | small % -3 | small // -2 | f % 2 | f32 % 2 | i32 // 100 * 60 + i32 % 100
small / 2 | f / 2 | f32 / 2 | f32 / small | d / 2 | i64 / 2 | small / 3 * 3 | d + d | d - 0.5 | d * 2 | d * d | d + 1 | d + small | d * f | d + 0.555 | d - f32
small // zeros | small % zeros | i64 // zeros | i8 % i8 | 5 // small | NULL + 1 | small + NULL | 1 + 1 | 7 // 2 | -7 % 3 | 2 ** 3 | 1e5 | 1.5 + f | small ^ 2 | - 3
abs(small) | abs(f) | abs(d) | abs(u8) | sign(small) | sign(f) | sign(d) | floor(f) | floor(small) | floor(d) | ceil(f) | ceiling(d) | ceil(u8) | floor(f32)
round(f) | round(f, 1) | round(small) | round(i32, -2) | round(d) | round(d, 1) | round(d, 5) | round(f32) | round(unit * 10) | round(f, -1) | round(unit, 2) | round(d, -1) | round(f, small)
trunc(f) | trunc(d) | trunc(small) | pow(f, 2) | power(small, 2) | pow(f, 0.5) | sqrt(abs(small)) | sqrt(f) | cbrt(f) | exp(unit) | exp(f) | ln(abs(unit) + 1) | ln(unit) | ln(f)
log(small + 10) | log10(small + 10) | log2(small + 10) | log(2, small + 10) | sin(unit) | cos(unit) | tan(unit) | asin(unit) | acos(unit) | atan(f) | atan2(f, 1) | sin(f)
radians(small) | degrees(unit) | pi() | isnan(f) | isnan(i32) | isinf(f) | isfinite(f) | isnan(f32) | degrees(pi())
CASE WHEN i32 > 1 THEN 'big' WHEN i32 < 0 THEN 'negative' ELSE 'small' END | CASE WHEN i32 > 1 THEN 1 END | CASE small WHEN 1 THEN 10 WHEN 2 THEN 20 ELSE i64 END
CASE WHEN b THEN i8 ELSE f END | CASE WHEN b THEN s ELSE coded END | CASE WHEN coded = 'abc' THEN 1 ELSE 0 END | CASE WHEN b THEN NULL ELSE i32 END | if(b, i32, small)
CASE WHEN NULL THEN 1 ELSE 2 END | CASE WHEN TRUE THEN i32 ELSE small END | CASE WHEN b THEN date ELSE t END | CASE WHEN b AND c THEN 'x' END
coalesce(i32, 0) | coalesce(i8, 1000) | coalesce(i32, f) | coalesce(s, 'none') | coalesce(coded, 'none') | coalesce(coded, s, 'x') | coalesce(t, '2013-01-01') | coalesce(b, FALSE)
coalesce(NULL, i32) | coalesce(date, t) | ifnull(f, 0) | coalesce(f, g, 0) | nullif(i32, 1) | nullif(f, g) | nullif(f, 'nan') | nullif(s, '') | nullif(coded, 'abc') | nullif(i32, 1.0)
greatest(i32, small) | least(i32, small) | greatest(f, g) | least(f, g) | greatest(s, 'b') | least(coded, 'b') | greatest(f, 0) | least(f, NULL, g) | greatest(i8, f) | greatest(t, t2)
lower(s) | upper(s) | lower(coded) | upper(large) | length(s) | length(coded) | len(s) | trim(s) | ltrim(s) | rtrim(s) | trim(s, 'a') | ltrim(coded, 'ab') | rtrim(s, 'dc')
substring(s, 2, 3) | substring(s, 0, 3) | substring(s, -3, 2) | substring(s, -3) | substring(s, 2) | substr(coded, 1, 1) | substring(s, 2, -1) | substring(s, -10, 7) | substring(s, 10) | substring(s, -2, -2)
left(s, 2) | left(s, -2) | right(s, 2) | right(s, -2) | right(s, 0) | left(s, 0) | left(s, -10) | right(coded, -10) | left(s, -9223372036854775808) | right(s, -9223372036854775808) | right(s, 9223372036854775807) | contains(s, 'b') | contains(coded, '%') | starts_with(s, 'a') | prefix(s, 'AB') | ends_with(s, 'c') | suffix(s, 'C')
replace(s, 'b', 'xy') | replace(s, '', 'x') | replace(coded, '日', '') | s LIKE 'a%' | s LIKE '%b%' | s LIKE 'abc' | s LIKE '%C' | s LIKE '_b_' | s NOT LIKE 'a%' | s ILIKE 'a%' | s ILIKE 'àb %'
s LIKE 'a\%%' | s LIKE 'a!%%' ESCAPE '!' | s LIKE '%\%' | s LIKE 'a%d' | coded LIKE '%語%' | s LIKE '' | coded NOT ILIKE 'ABC' | s LIKE '%!_c%' ESCAPE '!' | s LIKE '%.%'
regexp_matches(s, '^a.c') | regexp_matches(s, 'B', 'i') | regexp_matches(coded, '[0-9]') | regexp_matches(s, 'c.d', 's') | regexp_replace(s, '[ab]', 'X') | regexp_replace(s, '\b', 'X') | regexp_replace(s, 'a\B', '[\0]') | regexp_replace(s, '(a$)|(a)', '<\1>') | regexp_replace(coded, 'c$', '\\\\\0') | regexp_replace(s, '([ab])', '<\1>', 'g')
regexp_split_to_array(s, '[-_]') | regexp_split_to_array(s, '[-_ ]+') | regexp_split_to_array(s, '[^\p{L}\p{N}]+') | regexp_split_to_array(coded, 'B', 'i') | len(regexp_split_to_array(s, ' ')) | regexp_split_to_array(s, '-')[2]
regexp_split_to_array(s, '^a') | regexp_split_to_array(s, 'c$|-') | regexp_split_to_array(large, '\bb') | regexp_split_to_array(coded, '[$ ]')
split_part(s, '-', 1) | split_part(s, '-', 2) | split_part(coded, '-', -1) | split_part(s, '-', 9) | split_part(s, '-', 0) | split_part(s, '', 2) | split_part(s, '', -1)
s || 'x' | s || i32 | coded || '-' || small | concat(s, i32, b) | concat(coded, 'x') | concat(f) | s || large | concat(NULL, s) | 'a' || 'b' | s || s
CAST(f AS VARCHAR) | CAST(i64 AS VARCHAR) | CAST(b AS VARCHAR) | CAST(d AS VARCHAR) | CAST(t AS VARCHAR) | CAST(z AS VARCHAR) | CAST(date AS VARCHAR) | CAST(f32 AS VARCHAR)
CAST(CAST(zeros AS DECIMAL(18,8)) AS VARCHAR) | CAST(CAST(small * 1e-7 AS DECIMAL(18,8)) AS VARCHAR) | CAST(1e15 + small AS VARCHAR) | CAST(1e16 * small AS VARCHAR) | CAST(small / 1e5 AS VARCHAR) | CAST(small / 1e6 AS VARCHAR) | CAST(small / 3e7 AS VARCHAR) | CAST(1234567890125e-2 * small AS VARCHAR)
TRY_CAST(unit * 10 AS INT) | CAST(small * 0.5::DOUBLE AS INT) | CAST(small / 2 AS BIGINT) | TRY_CAST(f AS INT) | TRY_CAST(i64 AS INT) | TRY_CAST(i32 AS TINYINT) | TRY_CAST(u64 AS BIGINT) | CAST(i8 AS BIGINT) | i8::DOUBLE
CAST(d AS INT) | CAST(d AS DOUBLE) | CAST(d AS DECIMAL(9,1)) | TRY_CAST(d AS DECIMAL(4,2)) | CAST(small AS DECIMAL(9,2)) | TRY_CAST(i64 AS DECIMAL(9,2)) | CAST(unit * 2.5 AS BOOLEAN) | CAST(2.5 AS INT)
TRY_CAST(f AS DECIMAL(9,1)) | CAST(i64 AS BOOLEAN) | CAST(f AS BOOLEAN) | CAST(b AS INT) | CAST(b AS DOUBLE) | CAST(f AS FLOAT) | TRY_CAST(g AS FLOAT) | CAST(i64 AS FLOAT) | CAST(i64 AS DOUBLE)
CAST(digits AS DOUBLE) | CAST(digits AS INT) | TRY_CAST(digits AS TINYINT) | TRY_CAST(s AS INT) | TRY_CAST(s AS DOUBLE) | CAST(digits AS DECIMAL(9,1)) | TRY_CAST(s AS BOOLEAN) | TRY_CAST(digits AS BOOLEAN) | TRY_CAST(coded AS DOUBLE)
CAST(days AS DATE) | CAST(days AS TIMESTAMP) | CAST(days AS TIMESTAMPTZ) | TRY_CAST(digits AS DATE) | TRY_CAST(s AS TIMESTAMP) | TRY_CAST('2013-02-30' AS DATE) | CAST('2013-01-05 10:00:00+02' AS TIMESTAMPTZ) | CAST('2013-01-05T10:00:00Z' AS TIMESTAMP)
CAST(t AS DATE) | CAST(z AS DATE) | CAST(date AS TIMESTAMP) | CAST(t AS TIMESTAMPTZ) | CAST(z AS TIMESTAMP) | CAST(ny AS TIMESTAMP) | CAST(ms AS TIMESTAMP) | CAST(t AS TIMESTAMP_S) | CAST(t AS TIMESTAMP_MS) | CAST(t AS TIMESTAMP_NS) | CAST(t - INTERVAL 500 MILLISECOND AS TIMESTAMP_S) | CAST(t + INTERVAL 500 MILLISECOND AS TIMESTAMP_S) | CAST(days AS TIMESTAMP_S) | CAST(CAST(z AS TIMESTAMP_NS) + INTERVAL 600 MICROSECOND AS TIMESTAMP_MS) | TRY_CAST(days::TIMESTAMP AS TIMESTAMP_NS) | CAST(NULL AS INT) | CAST('nan' AS DOUBLE) | CAST('5' AS INT)
t = '2013-01-01' | t > '2013-01-01 00:00:00' | z > '2013-01-01' | z >= TIMESTAMP '2013-01-01' | z = TIMESTAMPTZ '2013-01-01 00:00:00+00' | ny = z | ny > t | date = t | date > '2013-01-01' | date = DATE '2013-01-01' | t IN ('2013-01-01', '2013-12-31 23:59:59') | ms < t2
extract(year FROM t) | extract(month FROM t) | extract(day FROM t) | extract(hour FROM t) | extract(minute FROM t) | extract(second FROM t) | extract(dow FROM t) | extract(isodow FROM t) | extract(doy FROM t)
extract(week FROM t) | extract(quarter FROM t) | extract(epoch FROM t) | extract(isoyear FROM t) | extract(millisecond FROM t) | extract(microsecond FROM t) | extract(hour FROM ny) | extract(day FROM z) | extract(year FROM date) | extract(hour FROM date)
date_part('hour', t) | datepart('year', date) | year(t) | month(date) | day(t) | hour(z) | minute(t) | second(ms) | dayofweek(t) | dayofyear(t) | week(t) | weekday(date) | quarter(t) | epoch(t) | epoch(date) | epoch(ms)
date_trunc('hour', t) | date_trunc('day', t) | date_trunc('week', t) | date_trunc('month', date) | date_trunc('quarter', t) | date_trunc('year', z) | date_trunc('minute', t) | date_trunc('second', t) | date_trunc('day', z) | date_trunc('week', date)
date_diff('day', t, t2) | date_diff('hour', t, t2) | date_diff('week', t, t2) | date_diff('month', t, t2) | date_diff('quarter', t, t2) | date_diff('year', t, t2) | date_diff('minute', z, ny) | date_diff('second', t, t2) | datediff('day', DATE '2013-01-01', date) | date_diff('millisecond', t, t2)
to_timestamp(small) | to_timestamp(nullif(unit, 'nan')) | to_timestamp(i32) | make_date(2013, abs(small), 5) | make_date(2012, 2, 29) | make_date(2000 + small, 1, 31)
z AT TIME ZONE 'America/New_York' | t AT TIME ZONE 'America/New_York' | ny AT TIME ZONE 'Europe/Paris' | extract(hour FROM z AT TIME ZONE 'America/New_York') | t AT TIME ZONE 'UTC'
t + INTERVAL 1 DAY | t - INTERVAL '90' MINUTE | t + INTERVAL 1 MONTH | t - INTERVAL '13 months 2 days' | date + INTERVAL 1 DAY | date - INTERVAL 1 MONTH | z + INTERVAL 2 HOUR | z - INTERVAL 1 YEAR | INTERVAL 1 WEEK + t
t + INTERVAL (small) HOUR | t + to_hours(small) | date + to_days(small) | date + small | date + 1 | date - 1 | date - date | date - DATE '2013-01-01' | epoch(t - t2) | epoch(z - t) | t - t2 > INTERVAL 1 DAY | t + INTERVAL 3 HOUR * 2
len(items) | length(items) | items[1] | items[-1] | items[2] | items[0] | items[9] | items[small] | array_length(items) | items[CAST(small AS BIGINT)] | items[i64] | list_extract(items, 1)
NOT i32 = 1 | NOT i32 > 1 AND b | i32 + small * 2 - 1 | (i32 // 10 + small) * 2 | small - 1 - 1 | 2 * small % 3 | small % 3 * 2 | -small ^ 2 | 'a' || s = 'aabc' | (i32 > 1) = b | small / 2 * 3 / 4 | 100 // 7 // 2 | 1 + small::BIGINT | -small::DOUBLE | NOT b IS NULL | small + 1 IS NULL
i32 IN (1, 2) = b | b OR b AND NOT c | i32 > 0 IS NOT NULL | small BETWEEN 1 AND 3 AND b | 1 - small // 2 | 2 ^ 3 ^ 2 | b AND i32 BETWEEN 0 AND 5 OR c | +small | - - small
TRUE | FALSE | NULL | 1 | 2147483648 | -9223372036854775808 | 'text' | b | coded | s | DATE '2013-01-01' | TIMESTAMPTZ '2013-01-01 00:00:00+00' | "small" + 1 | small /* a comment */ + 1
"""

# Ours on the left, what DuckDB must be asked for the same on the right: each line is a difference by intent.
BY_INTENT = [
    ("f / zeros", "f / nullif(zeros, 0)"),  # nulls, not infinities: a model cannot take those
    ("small / 0", "CAST(NULL AS DOUBLE)"),
    ("f % zeros", "f % nullif(zeros, 0)"),
    ("log1p(unit)", "ln(1 + unit)"),
    ("expm1(unit)", "exp(unit) - 1"),
    ("small * 1.5", "small * 1.5::DOUBLE"),  # decimals only beside decimals
    ("coalesce(i8, 1.5)", "coalesce(i8, 1.5::DOUBLE)"),
    ("2.50 + 1", "3.5::DOUBLE"),
    ("i64 % -1", "i64 % 1"),  # DuckDB raises for the least integer, whose rest is 0
    ("substring(s, -9223372036854775808, 9223372036854775807)", "left(s, -1)"),  # DuckDB has places of 32 bits
    ("epoch(z)", "epoch(z::TIMESTAMP)"),  # DuckDB loses a microsecond's last digits
    ("epoch(t - date)", "epoch(t - date::TIMESTAMP)"),
    ("epoch(ny - t)", "epoch(ny - t::TIMESTAMPTZ)"),
    ("ms AT TIME ZONE 'Asia/Kolkata'", "ms::TIMESTAMP AT TIME ZONE 'Asia/Kolkata'"),
    ("s || NULL", "CAST(NULL AS VARCHAR)"),
]
EXPRESSIONS = [part.strip() for line in SAME_AS_DUCKDB.strip().splitlines() for part in line.split(" | ")]

# What no value can be computed of, and what the error says.
NOT_COMPUTED = [
    ("i32 + 1", r"a \+ b leaves the range of int32 for 2147483647 and 1 in the expression 'i32 \+ 1'"),
    ("i64 - 1", rf"a - b leaves the range of int64 for {MIN64} and 1"),
    ("i64 * 2", r"a \* b leaves the range of int64"),
    ("-i64", rf"-a leaves the range of int64 for {MIN64}"),
    ("abs(i8)", r"abs\(x\) leaves the range of int8 for -128"),
    ("i64 // -1", rf"a // b leaves the range of int64 for {MIN64} and -1"),
    ("u8 - 10", r"a - b leaves the range of uint8 for 0 and 10"),
    ("CAST(i64 AS INT)", rf"cannot cast {MAX64} to int32"),
    ("CAST(f AS INT)", "cannot cast nan to int32"),
    ("CAST(f * 1e30 AS BIGINT)", "cannot cast nan to int64"),
    ("CAST(s AS DOUBLE)", "cannot cast '' to double"),
    ("CAST(coded AS DATE)", "cannot cast '' to date32"),
    ("CAST(d AS DECIMAL(4, 2))", "cannot cast 99999.99 to decimal128"),
    ("make_date(2013, 2, abs(small) + 27)", "there is no day 2013-2-30"),
    ("to_timestamp(i64)", "leaves the range of int64"),
    ("t + INTERVAL (i64) HOUR", "leaves the range of int64"),
]

# Types that a function does not take, and what the error says.
WRONG_TYPES = [
    ("s + 1", r"a \+ b does not take string and the constant 1"),
    ("b + 1", r"a \+ b does not take bool and the constant 1"),
    ("-s", "-a does not take string"),
    ("s > 1", "a > b does not take string and the constant 1"),
    ("s = i32", "a = b does not take string and int32"),
    ("i32 = 'x'", "cannot cast 'x' to int32"),
    ("coalesce(s, 1)", "does not take string and the constant 1"),
    ("CASE WHEN b THEN s ELSE 1 END", "does not take"),
    ("CASE WHEN s THEN 1 ELSE 2 END", "does not take"),
    ("b AND s", "a AND b does not take bool and string"),
    ("f // 2", "a // b does not take double"),
    ("d % 2", "a % b does not take decimal"),
    ("-u8", "-a does not take uint8"),
    ("lower(i32)", r"lower\(s\) does not take int32"),
    ("length(i32)", "does not take int32"),
    ("left(s, i32)", "argument 2 of left.* is a constant, not a column"),
    ("left(s, 'x')", "does not take the constant 'x'"),
    ("regexp_matches(s, '(')", "the regular expression '\\(' cannot be read"),
    ("regexp_matches(s, 'a', 'q')", "no option 'q'"),
    ("extract(hour FROM s)", "does not take string"),
    ("t + 1", "a \\+ b does not take timestamp"),
    ("t + s", "a \\+ b does not take timestamp"),
    ("t + INTERVAL (i32) MONTH", "an INTERVAL of months is a constant"),
    ("i32[1]", r"x\[i\] does not take int32"),
    ("CAST(i32 AS DATE)", "no cast from int32 to date32"),
    ("CAST('2013-02-30' AS DATE)", "cannot cast '2013-02-30' to date32"),
    ("t > 'yesterday'", "cannot cast 'yesterday' to timestamp"),
    ("99999999999999999999 + 1", "the constant 99999999999999999999 is beyond 64 bits"),
    ("tt > 1", "no column 'tt'"),
]
