"""The names of types in SQL, as DuckDB spells them."""

from __future__ import annotations

import re

import pyarrow as pa

from headrace.errors import JobError, nearest
from headrace.schema import Type

_NAMES: dict[str, pa.DataType] = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "UBIGINT": pa.uint64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP_S": pa.timestamp("s"),
    "TIMESTAMP_MS": pa.timestamp("ms"),
    "TIMESTAMP_NS": pa.timestamp("ns"),
    "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
}
_ALIASES = {
    "BOOL": "BOOLEAN",
    "INT1": "TINYINT",
    "INT2": "SMALLINT",
    "SHORT": "SMALLINT",
    "INT": "INTEGER",
    "INT4": "INTEGER",
    "INT8": "BIGINT",
    "LONG": "BIGINT",
    "REAL": "FLOAT",
    "FLOAT4": "FLOAT",
    "FLOAT8": "DOUBLE",
    "TEXT": "VARCHAR",
    "STRING": "VARCHAR",
    "CHAR": "VARCHAR",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
}


def sql_type(name: str) -> Type:
    """Return the type of an SQL name; raise JobError if a cast to it is not offered.

    >>> str(sql_type("int")), str(sql_type("DECIMAL(9, 2)")), str(sql_type("TIMESTAMPTZ"))
    ('int32', 'decimal128(9, 2)', 'timestamp[us, tz=UTC]')
    """
    word = " ".join(name.upper().split())
    decimal = re.fullmatch(r"(?:DECIMAL|NUMERIC)(?: ?\( ?(\d+) ?(?:, ?(\d+) ?)?\))?", word)
    if decimal:
        # DuckDB's default is DECIMAL(18, 3), and DECIMAL(9) is DECIMAL(9, 0).
        precision, scale = (int(decimal[1]), int(decimal[2] or 0)) if decimal[1] else (18, 3)
        if not (1 <= precision <= 38 and scale <= precision):
            raise JobError(f"no type {name!r}", hint="DECIMAL(p, s) has 1 to 38 digits, s of them behind the point")
        return Type(pa.decimal128(precision, scale))
    known = _ALIASES.get(word, word)
    if known not in _NAMES:
        near = nearest(word, [*_NAMES, *_ALIASES])
        listed = f"Types: {', '.join(_NAMES)}, DECIMAL(p, s)"
        raise JobError(f"no type {name!r} to cast to", hint=f"nearest: {near}. {listed}" if near else listed)
    return Type(_NAMES[known])
