"""The generated sets have the stated shape, and a row depends on the seed and its place alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from headrace.errors import JobError
from headrace.sample_data.criteo import CATEGORIES, DENSE, write_criteo
from headrace.sample_data.files import ROWS_PER_GROUP, WrittenFile
from headrace.sample_data.taxi import write_taxi

Writer = Callable[..., list[WrittenFile]]


@pytest.fixture(scope="module")
def criteo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_criteo(tmp_path_factory.mktemp("criteo"), rows=2 * ROWS_PER_GROUP)[0].path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_criteo(tmp_path_factory.mktemp("plain"), rows=ROWS_PER_GROUP, shape="plain")[0].path


@pytest.fixture(scope="module")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    trips = pq.read_table(write_taxi(tmp_path_factory.mktemp("taxi"), rows=2 * ROWS_PER_GROUP)[0].path).to_pandas()
    return trips.assign(minutes=(trips["dropoff_datetime"] - trips["pickup_datetime"]).dt.total_seconds() / 60)


def test_criteo_columns_have_their_names_and_types(criteo: Path) -> None:
    schema = pq.read_schema(criteo)
    assert schema.names == ["label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
    assert schema.field("label").type == pa.int8()
    assert {dense.name: str(schema.field(dense.name).type) for dense in DENSE if dense.dtype == "float32"} == dict.fromkeys(
        ["I10", "I12", "I13"], "float"
    )
    assert schema.field("I1").type == pa.int32()
    assert {schema.field(category.name).type for category in CATEGORIES} == {pa.string()}


@pytest.mark.parametrize("write", [write_criteo, write_taxi])
def test_no_file_tells_readers_to_make_dictionaries_of_strings(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path, rows=1_000)[0].path
    assert b"ARROW:schema" not in (pq.read_metadata(path).metadata or {})
    assert not any(pa.types.is_dictionary(field.type) for field in pq.read_schema(path))


def test_criteo_columns_have_their_share_of_nulls(criteo: Path) -> None:
    table = pq.read_table(criteo)
    for column in (*DENSE, *CATEGORIES):
        assert table[column.name].null_count / table.num_rows == pytest.approx(column.null_share, abs=0.01), column.name
    assert table["label"].null_count == 0


def test_criteo_categories_are_eight_digits_within_their_cardinality(criteo: Path) -> None:
    table = pq.read_table(criteo)
    for category in CATEGORIES:
        distinct = pc.unique(table[category.name].combine_chunks()).drop_null()
        assert len(distinct) <= category.cardinality
        if category.cardinality <= 700 and category.null_share < 0.7:
            assert len(distinct) == category.cardinality, category.name
        assert pc.all(pc.match_substring_regex(distinct, "^[0-9a-f]{8}$")).as_py()


def test_no_dictionary_overflows_into_plain_pages(criteo: Path) -> None:
    group = pq.read_metadata(criteo).row_group(0)
    for index in range(14, 40):
        encodings = group.column(index).encodings
        sizes = group.column(index)
        assert "RLE_DICTIONARY" in encodings
        assert sizes.has_dictionary_page
        # Plain strings would take 12 bytes a row; indices of 17 bits and the dictionary take less.
        assert sizes.total_uncompressed_size < 8 * group.num_rows, sizes.path_in_schema


def test_criteo_label_depends_on_numbers_and_categories(criteo: Path) -> None:
    frame = pq.read_table(criteo, columns=["label", "I1", "I8", "C17"]).to_pandas()
    assert 0.03 < frame["label"].mean() < 0.25
    by_i1 = frame.groupby(pd.qcut(frame["I1"], 4, duplicates="drop"), observed=True)["label"].mean()
    assert by_i1.iloc[-1] > 1.5 * by_i1.iloc[0]
    by_c17 = frame.groupby("C17", observed=True)["label"].mean()
    assert by_c17.max() > 1.5 * by_c17.min()
    by_i8 = frame.groupby(pd.qcut(frame["I8"], 4, duplicates="drop"), observed=True)["label"].mean()
    assert by_i8.max() < 1.1 * by_i8.min()


def test_plain_shape_has_no_dictionary_pages_and_near_unique_long_strings(plain: Path) -> None:
    group = pq.read_metadata(plain).row_group(0)
    assert not any(group.column(index).has_dictionary_page for index in range(group.num_columns))
    strings = pq.read_table(plain, columns=["C3", "C1"])
    assert set(pc.unique(pc.utf8_length(strings["C3"])).to_pylist()) == {32, None}
    # 2 in 100 repeat one of 500 strings: the others are unique.
    assert 0.95 < len(pc.unique(strings["C3"])) / len(strings) < 0.99
    frequent = pc.value_counts(strings["C3"].drop_null()).field("counts")
    assert pc.sum(pc.greater(frequent, 1)).as_py() == pytest.approx(490, abs=10)
    assert set(pc.unique(pc.utf8_length(strings["C1"])).to_pylist()) == {8}


@pytest.mark.parametrize("write", [write_criteo, write_taxi])
def test_a_row_does_not_depend_on_how_many_are_asked_for(write: Writer, tmp_path: Path) -> None:
    few = pq.read_table(write(tmp_path / "few", rows=1_000)[0].path)
    many = pq.read_table(write(tmp_path / "many", rows=1_500)[0].path)
    assert few.to_pylist() == many.slice(0, 1_000).to_pylist()


@pytest.mark.parametrize("write", [write_criteo, write_taxi])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(write: Writer, tmp_path: Path) -> None:
    first, again, other = (write(tmp_path / str(place), rows=1_000, seed=seed)[0].path.read_bytes() for place, seed in enumerate((7, 7, 8)))
    assert first == again
    assert first != other


def test_another_seed_replaces_what_is_there(tmp_path: Path) -> None:
    before = write_taxi(tmp_path, rows=1_000, seed=1)[0].path.read_bytes()
    after = write_taxi(tmp_path, rows=1_000, seed=2)[0].path.read_bytes()
    assert before != after


def test_a_misspelt_shape_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="nearest: 'plain'"):
        write_criteo(tmp_path, rows=10, shape="plian")


@pytest.mark.parametrize("write", [write_criteo, write_taxi])
def test_a_negative_seed_is_refused(write: Writer, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="the seed is -1"):
        write(tmp_path, rows=10, seed=-1)


def test_taxi_keeps_the_mess_of_field_data(taxi: pd.DataFrame) -> None:
    assert (taxi["fare_amount"] < 0).mean() == pytest.approx(0.004, abs=0.001)
    assert ((taxi["fare_amount"] < 0) == (taxi["total_amount"] < 0)).all()
    assert (taxi["minutes"] < 0).mean() == pytest.approx(0.001, abs=0.0005)
    assert (taxi["trip_distance"] == 0).mean() == pytest.approx(0.007, abs=0.002)
    assert (taxi["pickup_longitude"] == 0).mean() == pytest.approx(0.012, abs=0.002)
    assert 0 < (~taxi["pickup_datetime"].between("2019-01-01", "2019-01-05")).sum() < 40


def test_taxi_nulls_come_together(taxi: pd.DataFrame) -> None:
    together = ["passenger_count", "rate_code_id", "store_and_fwd_flag", "congestion_surcharge"]
    is_null = taxi.isna()
    assert sorted(is_null.columns[is_null.any()]) == sorted(together)
    assert is_null[together].all(axis=1).equals(is_null[together].any(axis=1))
    assert is_null["rate_code_id"].mean() == pytest.approx(0.03, abs=0.003)


def test_taxi_amounts_add_up(taxi: pd.DataFrame) -> None:
    parts = taxi[["fare_amount", "extra", "tip_amount", "tolls_amount", "congestion_surcharge"]].fillna(0).sum(axis=1)
    fees = (taxi["total_amount"] - parts).abs()
    assert fees.between(0.79, 0.81).all()


def test_taxi_fare_and_duration_depend_on_distance_hour_and_zone(taxi: pd.DataFrame) -> None:
    whole = taxi[(taxi["minutes"] > 0) & (taxi["fare_amount"] > 0) & (taxi["trip_distance"] > 0)]
    assert whole["fare_amount"].corr(whole["trip_distance"]) > 0.9
    pace = whole["minutes"] / whole["trip_distance"]
    by_hour = pace.groupby(whole["pickup_datetime"].dt.hour).median()
    assert by_hour[17] > 1.3 * by_hour[3]
    same_trips = whole[whole["trip_distance"].between(8, 12)]
    by_zone = (same_trips["minutes"] / same_trips["trip_distance"]).groupby(same_trips["pu_location_id"]).median()
    assert by_zone.quantile(0.9) > 1.15 * by_zone.quantile(0.1)


def test_taxi_zones_are_one_to_265_and_skewed(taxi: pd.DataFrame) -> None:
    counts = taxi["pu_location_id"].value_counts()
    assert (counts.index.min(), counts.index.max(), len(counts)) == (1, 265, 265)
    assert counts.iloc[:10].sum() > 0.2 * len(taxi)
