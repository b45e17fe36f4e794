"""Type and Schema: one vocabulary for every device and layout."""

from __future__ import annotations

import pyarrow as pa
import pytest

from headrace.errors import JobError
from headrace.schema import FLOAT64, INT64, STRING, Schema, Type

SCHEMA = Schema({"km": FLOAT64, "carrier": STRING, "n": INT64})


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        (pa.dictionary(pa.int8(), pa.string()), "string"),
        (pa.dictionary(pa.int8(), pa.large_string()), "string"),
        (pa.large_string(), "string"),
        (pa.string_view(), "string"),
        (pa.run_end_encoded(pa.int32(), pa.int64()), "int64"),
        (pa.large_binary(), "binary"),
        (pa.large_list(pa.large_string()), "list<item: string>"),
        (pa.list_(pa.int32(), 3), "list<item: int32>"),
        (pa.timestamp("ns", "UTC"), "timestamp[ns, tz=UTC]"),
        (pa.decimal128(9, 2), "decimal128(9, 2)"),
        (pa.decimal32(9, 2), "decimal128(9, 2)"),
        (pa.decimal64(18, 2), "decimal128(18, 2)"),
        (pa.float16(), "float"),
    ],
)
def test_how_a_column_is_laid_out_is_no_part_of_its_type(layout: pa.DataType, name: str) -> None:
    assert str(Type.from_arrow(layout)) == name


@pytest.mark.parametrize(
    "name",
    [
        "bool",
        "int8",
        "uint64",
        "float",
        "double",
        "string",
        "date32[day]",
        "timestamp[us]",
        "timestamp[us, tz=UTC]",
        "decimal128(9, 2)",
        "list<item: string>",
    ],
)
def test_a_type_is_found_by_the_name_it_prints(name: str) -> None:
    assert str(Type.of(name)) == name


@pytest.mark.parametrize(
    "name", ["int46", "", "timestamp[years]", "decimal128(99, 2)", "decimal128(x, 2)", "list<int46>", "dictionary<string>"]
)
def test_an_unknown_type_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(JobError, match="no type"):
        Type.of(name)


def test_the_nearest_type_is_offered() -> None:
    with pytest.raises(JobError, match="no type 'int46'\n  nearest: 'int64'"):
        Type.of("int46")


def test_what_a_type_is_fit_for() -> None:
    assert [name for name in ("bool", "int8", "float32", "decimal128(5, 1)", "string", "timestamp[us]") if Type.of(name).is_feature] == [
        "bool",
        "int8",
        "float32",
        "decimal128(5, 1)",
    ]
    assert Type.of("timestamp[us, tz=Asia/Kathmandu]").zone == "Asia/Kathmandu"
    assert Type.of("timestamp[us]").zone is None
    assert Type.of("date32").is_temporal
    assert not Type.of("date32").is_timestamp


def test_a_schema_goes_to_arrow_and_back() -> None:
    arrow = pa.schema([("a", pa.int8()), ("b", pa.timestamp("us", "UTC")), ("c", pa.string())])
    assert Schema.from_arrow(arrow).to_arrow() == arrow


def test_columns_are_selected_left_out_replaced_and_added() -> None:
    assert SCHEMA.select(["n", "km"]).names == ("n", "km")
    assert SCHEMA.without(["n", "other"]).names == ("km", "carrier")
    assert SCHEMA.with_columns({"km": INT64, "new": STRING}) == Schema({"km": INT64, "carrier": STRING, "n": INT64, "new": STRING})
    assert "km" in SCHEMA
    assert "KM" not in SCHEMA
    assert list(SCHEMA) == ["km", "carrier", "n"]
    assert len(SCHEMA) == 3


def test_a_column_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(JobError, match=r"no column 'carier'\n  nearest: 'carrier'\. Columns: carrier, km, n"):
        SCHEMA["carier"]
    with pytest.raises(JobError, match="no column 'zzz'\n  Columns: carrier, km, n"):
        SCHEMA.require(["km", "zzz"])
