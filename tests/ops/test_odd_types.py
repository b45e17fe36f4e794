"""Types that few files hold: narrow decimals and floats, bytes of one width, times of day, durations, UUIDs, JSON, structs, maps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr
from headrace.errors import DataError, JobErrors
from headrace.ops.base import Op

NESTED = {
    "struct": pa.array([{"x": 1}, None], pa.struct([("x", pa.int64())])),
    "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    "list": pa.array([[1], None], pa.list_(pa.int64())),
}
AS_KEY: dict[str, Callable[[str], Op]] = {
    "categorify": lambda column: hr.Categorify([column]),
    "categorify of two": lambda column: hr.Categorify([[column, "n"]]),
    "count_encoding": lambda column: hr.CountEncoding([column]),
    "data_stats": lambda column: hr.DataStats([column]),
    "dedupe": lambda column: hr.Dedupe([column]),
    "fill_missing by": lambda column: hr.FillMissing(["n"], value="mean", by=[column]),
    "groupby": lambda column: hr.Groupby([column], stats={"n": ["sum"]}),
    "hash_bucket": lambda column: hr.HashBucket([column], buckets=9),
    "hashed_cross": lambda column: hr.HashedCross([column, "n"], buckets=9),
    "join_groupby": lambda column: hr.JoinGroupby([column], stats={"n": ["sum"]}),
    "one_hot": lambda column: hr.OneHot([column], max_categories=2),
    "rolling by": lambda column: hr.Rolling(["n"], window=1, order="n", by=[column]),
    "sample": lambda column: hr.Sample(0.5, key=[column]),
    "target_encoding": lambda column: hr.TargetEncoding([column], target="n"),
}


@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("name", AS_KEY)
def test_a_nested_column_is_no_key_and_refused_before_reading(name: str, kind: str) -> None:
    rows = pa.table({"odd": NESTED[kind], "n": [1, 2]})
    with pytest.raises(JobErrors, match=r"'odd' is .*is needed"):
        hr.Pipeline([AS_KEY[name]("odd")]).fit(rows)


def test_intervals_are_no_key_either() -> None:
    rows = pa.table({"odd": pa.array([(1, 2, 3), None], pa.month_day_nano_interval())})
    with pytest.raises(JobErrors, match="'odd' is month_day_nano_interval"):
        hr.Pipeline([hr.Categorify(["odd"])]).fit(rows)


@pytest.mark.parametrize(
    ("values", "odd", "plain"),
    [
        ([["a"], None, ["b", None]], pa.large_list(pa.string_view()), pa.list_(pa.string())),
        ([{"s": ["a"]}, None, {"s": []}], pa.struct([("s", pa.list_(pa.string_view()))]), pa.struct([("s", pa.list_(pa.string()))])),
        ([[("a", b"b")], None, []], pa.map_(pa.string_view(), pa.binary_view()), pa.map_(pa.string(), pa.binary())),
    ],
    ids=str,
)
def test_nested_columns_may_hold_views_as_those_of_polars_do(values: list[object], odd: pa.DataType, plain: pa.DataType) -> None:
    rows = pa.table({"n": [1, 2, 3], "odd": pa.array(values, odd)})
    made = hr.Pipeline([hr.Filter("n <> 2")]).fit_transform(rows).table
    assert made["odd"].combine_chunks().equals(pa.array([values[0], values[2]], plain))


def test_hashes_of_list_elements_that_are_structs_are_refused() -> None:
    rows = pa.table({"odd": pa.array([[{"x": 1}]], pa.list_(pa.struct([("x", pa.int64())])))})
    with pytest.raises(JobErrors, match="'odd' is list"):
        hr.Pipeline([hr.ListHash(["odd"], buckets=3)]).fit(rows)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (pa.array(np.array([1.5, 2.0, np.nan, np.inf, -0.0, 2.0], np.float16)), pa.float32()),
        (
            pa.array([Decimal("1.50"), None, Decimal("-3.25"), Decimal("1.50"), Decimal("0.00"), None], pa.decimal32(5, 2)),
            pa.decimal128(5, 2),
        ),
        (
            pa.array([Decimal("1.50"), None, Decimal("-3.25"), Decimal("1.50"), Decimal("0.00"), None], pa.decimal64(15, 2)),
            pa.decimal128(15, 2),
        ),
    ],
    ids=str,
)
def test_narrow_numbers_are_taken_as_wider_ones(narrow: pa.Array, wide: pa.DataType) -> None:
    pipeline = hr.Pipeline(
        [
            hr.CountEncoding(["x"]),
            hr.HashBucket(["y"], buckets=1000),
            hr.JoinGroupby(["k"], stats={"x": ["count", "sum", "min"]}),
            hr.DataStats(["x"]),
            hr.Clip(["z"], min=0),
            hr.Normalize(["x"]),
        ]
    )

    def made(values: pa.Array) -> pa.Table:
        return pipeline.fit_transform(pa.table({"x": values, "y": values, "z": values, "as_is": values, "k": [0, 0, 0, 1, 1, 1]})).table

    found, expected = made(narrow), made(narrow.cast(wide))
    assert found.schema == expected.schema
    assert repr(found.to_pydict()) == repr(expected.to_pydict())  # by text, in which NaN equals NaN
    assert found["as_is"].type == wide


@pytest.mark.parametrize("in_a_file", [True, False])
@pytest.mark.parametrize("name", [name for name in AS_KEY if name != "rolling by"])
def test_uuids_and_json_are_taken_as_their_bytes_and_text(tmp_path: Path, name: str, in_a_file: bool) -> None:
    raw = {"u": pa.array([b"0123456789abcdef", None, b"\xff" * 16], pa.binary(16)), "j": pa.array(['{"a":1}', None, "[]"])}
    plain = pa.table({**raw, "n": [1, 2, 3]})
    typed = pa.table({"u": pa.ExtensionArray.from_storage(pa.uuid(), raw["u"]), "j": raw["j"].cast(pa.json_()), "n": [1, 2, 3]})
    source: pa.Table | Path = typed
    if in_a_file:
        source = tmp_path / "typed.parquet"
        pq.write_table(typed, source)
        assert pq.read_schema(source).equals(typed.schema)
    for column in raw:
        pipeline = hr.Pipeline([AS_KEY[name](column)])
        found, expected = pipeline.fit_transform(source), pipeline.fit_transform(plain)
        assert (found.table, found.fitted.learnt()) == (expected.table, expected.fitted.learnt())


@pytest.mark.parametrize(
    ("values", "one", "other"),
    [
        ([dt.time(1), None, dt.time(2, 3)], pa.time64("us"), pa.time64("ns")),
        ([dt.timedelta(1), None, dt.timedelta(2)], pa.duration("s"), pa.duration("us")),
        ([dt.date(1969, 1, 1), None, dt.date(2024, 2, 29)], pa.date32(), pa.date64()),
    ],
)
def test_times_of_day_durations_and_dates_of_another_unit_are_those_of_fitting(values: Any, one: pa.DataType, other: pa.DataType) -> None:
    tables = [pa.table({"x": pa.array(values, type_)}) for type_ in (one, other)]
    for fitted, asked in (tables, reversed(tables)):
        assert hr.Pipeline([hr.Categorify(["x"])]).fit(fitted).transform(asked)["x"].to_pylist() == [2, 0, 3]


def test_a_value_that_the_unit_of_fitting_does_not_hold_is_named() -> None:
    fitted = hr.Pipeline([hr.Categorify(["x"])]).fit(pa.table({"x": pa.array([1], pa.time64("us"))}))
    with pytest.raises(DataError, match=r"'x': cannot be cast .*: 1\n  the pipeline was fitted on time64\[us\]"):
        fitted.transform(pa.table({"x": pa.array([1], pa.time64("ns"))}))


def test_a_uuid_is_a_key_to_look_things_up_by() -> None:
    typed = pa.table({"u": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0123456789abcdef"], pa.binary(16))), "n": [1]})
    join = hr.Pipeline([hr.JoinExternal("other", on=["u"], columns={"found": "n"})])
    assert join.fit_transform(typed, tables={"other": typed}).table["found"].to_pylist() == [1]


def test_bytes_of_one_width_hash_as_bytes() -> None:
    values = [b"\xff\x00\x01\x02", None, b"abcd"]
    of_one_width, of_any = pa.table({"x": pa.array(values, pa.binary(4))}), pa.table({"x": pa.array(values, pa.binary())})
    fitted = hr.Pipeline([hr.HashBucket(["x"], buckets=1000), hr.Select(["x"])])
    assert fitted.fit_transform(of_one_width).table == fitted.fit_transform(of_any).table


def test_times_of_day_hash_alike_in_every_unit() -> None:
    of_seconds = pa.array([0, None, 86_399], pa.int32()).cast(pa.time32("s"))
    units = [of_seconds, *(of_seconds.cast(type_) for type_ in (pa.time32("ms"), pa.time64("us"), pa.time64("ns")))]
    made = [
        hr.Pipeline([hr.HashBucket(["x"], buckets=10**6)]).fit_transform(pa.table({"x": unit})).table["x"].to_pylist() for unit in units
    ]
    assert made == [made[0]] * 4
    assert made[0][0] != made[0][2]
    assert made[0][1] == 0


@pytest.mark.parametrize(
    "type_",
    [
        pa.binary(4),
        pa.decimal256(76, 3),
        pa.decimal64(12, 2),
        pa.time32("s"),
        pa.time64("ns"),
        pa.duration("s"),
        pa.duration("ns"),
        pa.null(),
    ],
    ids=str,
)
def test_odd_types_are_described(type_: pa.DataType) -> None:
    values = {pa.binary(4): [b"\xff\xfe\x00a"] * 2}.get(type_, [2**62, -(2**62)])
    if pa.types.is_decimal(type_):
        values = [Decimal("2.25"), None]
    elif pa.types.is_null(type_):
        values = [None, None]
    elif pa.types.is_time(type_):
        values = [1, 2]
    integers = pa.types.is_duration(type_) or pa.types.is_time(type_)
    array = pa.array(values, pa.int32() if type_ == pa.time32("s") else pa.int64()).cast(type_) if integers else pa.array(values, type_)
    fitted = hr.Pipeline([hr.DataStats(["x"]), hr.OneHot(["x"], max_categories=2)]).fit(pa.table({"x": array}))
    assert fitted.learnt()[0].startswith("x: 2 rows")
    assert fitted.transform(pa.table({"x": array})).column_names == ["x", "x_0", "x_1"]


HALVES = pa.array(np.array([1.0, 2.0, 3.0], np.float16))
PRICES = pa.array([Decimal("1.50"), Decimal("-3.25"), Decimal("0.00")])


@pytest.mark.parametrize(
    "values",
    [
        HALVES,
        pa.array([1.0, -0.0, 3.0]),
        pa.array([True, False, True]),
        PRICES,
        PRICES.cast(pa.decimal32(5, 2)),
        PRICES.cast(pa.decimal64(9, 2)),
        PRICES.cast(pa.decimal256(50, 2)),
        pa.array([0, 1, -1], pa.timestamp("ns", "UTC")),
        pa.array([0, 1, -1], pa.duration("s")),
        pa.array(["a", "é", ""], pa.string()),
        pa.array(["a", "é", ""], pa.large_string()),
        pa.array(["a", "é", ""], pa.string_view()),
        pa.array([b"a", b"\xff", b""], pa.binary_view()),
        pa.array([b"a", b"\xff", b""], pa.binary()),
    ],
    ids=lambda values: str(values.type),
)
@pytest.mark.parametrize("holds_null", [False, True])
def test_dictionaries_of_all_types_in_pieces_are_taken_as_their_values(values: pa.Array, holds_null: bool) -> None:
    second = pa.concat_arrays([values[1:], pa.nulls(1, values.type)]) if holds_null else values[1:]
    indices = [pa.array([0, None, 2, 1], pa.int8()), pa.array([len(second) - 1, 0, None], pa.int8())]
    pieces = [pa.DictionaryArray.from_arrays(index, of) for index, of in zip(indices, (values, second), strict=True)]
    plain = [values[0], None, values[2], values[1], second[-1], second[0], None]
    pipeline = hr.Pipeline([hr.DataStats(["x"])])

    def made(column: pa.Array | pa.ChunkedArray) -> list[object]:
        source = pa.table({"x": column})
        return pipeline.fit(source).transform(source)["x"].to_pylist()

    expected = made(pa.array([None if value is None else value.as_py() for value in plain], values.type))
    assert made(pa.chunked_array(pieces)) == expected
    assert made(pieces[0]) == expected[:4]


@pytest.mark.parametrize("type_", [pa.string_view(), pa.binary_view(), pa.float16()], ids=str)
def test_a_side_table_may_hold_dictionaries_of_any_type(type_: pa.DataType) -> None:
    values = pa.array([1.0, 2.0], type_) if type_ == pa.float16() else pa.array(["a", "b"], type_)
    coded = pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array([0, 1]), values)] * 2)
    join = hr.Pipeline([hr.JoinExternal("other", on=["n"], columns=["x"])])
    made = join.fit_transform(pa.table({"n": [3, 0]}), tables={"other": pa.table({"n": [0, 1, 2, 3], "x": coded})}).table
    assert made["x"].to_pylist() == [values[1].as_py(), values[0].as_py()]
