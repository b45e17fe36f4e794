"""A small courier's data, a job on it that runs in about a second, and the command as a test calls it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from headrace.cli import app

ROWS, FILES, GROUP_ROWS = 4_000, 4, 250
CITIES = {"Oslo": (59.91, 10.75), "Rome": (41.90, 12.50), "Łódź": (51.76, 19.46), "São Paulo": (-23.55, -46.63), "Lima": (-12.05, -77.04)}

JOB = """\
job: parcels
source:
  path: {data}/parcels/*.parquet
  key: [id]
tables:
  cities: {data}/cities.parquet
pipeline:
  - filter: "days IS NOT NULL"
  - derive: {{late: "CAST(days > 3 AS TINYINT)"}}
  - date_parts: {{columns: sent, parts: [day_of_week], zone: America/New_York}}
  - join_external: {{table: cities, on: [city], columns: [lat, lon]}}
  - kernel: {{name: haversine_km, inputs: [depot_lat, depot_lon, lat, lon], output: km}}
  - target_encoding: {{columns: [courier], target: late, folds: 3, smoothing: 5}}
  - fill_missing: {{columns: [weight, km], value: median}}
  - normalize: [weight, km]
  - categorify: {{columns: [city, courier], min_frequency: 2}}
  - drop: [lat, lon]
split: {{by: sent, test_from: 2024-03-01, zone: America/New_York}}
model: {{kind: xgboost, target: late, params: {{max_depth: 3}}, rounds: 8}}
evaluate: [auc, log_loss]
output: {{path: {out}}}
run: {{seed: 7, partition: 24kB, workers: 2}}
"""


def make_parcels() -> pa.Table:
    """Parcels of a quarter: strings with nulls, an instant with a zone, a number with nulls and NaN; lost ones have no days."""
    draw = np.random.default_rng(20240101)
    seconds = np.sort(draw.integers(0, 91 * 86_400, ROWS))
    names = [*CITIES, "Nowhere", None]
    courier = draw.integers(0, 12, ROWS)
    weight = draw.lognormal(1.0, 0.7, ROWS)
    days = draw.poisson(1.5 + courier / 4, ROWS)
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    return pa.table(
        {
            "id": pa.array(draw.permutation(ROWS).astype(np.int64)),
            "sent": pa.array([start + dt.timedelta(seconds=int(second)) for second in seconds], pa.timestamp("us", "UTC")),
            "courier": pa.array([f"courier-{index:02d}" for index in courier]),
            "city": pa.array([names[index] for index in draw.integers(0, len(names), ROWS)]),
            "weight": pa.array(np.where(draw.random(ROWS) < 0.02, np.nan, weight), mask=draw.random(ROWS) < 0.1),
            "depot_lat": pa.array(np.full(ROWS, 52.52, np.float32)),
            "depot_lon": pa.array(np.full(ROWS, 13.40, np.float32)),
            "days": pa.array(days.astype(np.int16), mask=draw.random(ROWS) < 0.05),
        }
    )


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with `parcels/*.parquet` (4 files of 4 row groups) and `cities.parquet`."""
    folder = tmp_path_factory.mktemp("courier")
    (folder / "parcels").mkdir()
    parcels = make_parcels()
    for index in range(FILES):
        part = parcels.slice(index * ROWS // FILES, ROWS // FILES)
        pq.write_table(part, folder / "parcels" / f"parcels-{index}.parquet", row_group_size=GROUP_ROWS)
    lat, lon = zip(*CITIES.values(), strict=True)
    cities = pa.table({"city": list(CITIES), "lat": pa.array(lat, pa.float32()), "lon": pa.array(lon, pa.float32())})
    pq.write_table(cities, folder / "cities.parquet")
    return folder


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code and both streams."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Desk:
    """A job file of a test's own, and the command to try it with."""

    data: Path
    folder: Path

    @property
    def job(self) -> Path:
        return self.folder / "job.yaml"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def write(self) -> Path:
        """Write the job file as it should be."""
        self.job.write_text(JOB.format(data=self.data, out=self.out), encoding="utf-8")
        return self.job

    def swap(self, old: str, new: str) -> Path:
        """Replace one text of the job file."""
        text = self.job.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the job"
        self.job.write_text(text.replace(old, new), encoding="utf-8")
        return self.job

    def line_of(self, text: str) -> int:
        """The 1-based line of the job file that holds a text."""
        lines = self.job.read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)

    def __call__(self, *arguments: str | Path) -> Outcome:
        """Run `headrace ARGUMENTS` in this process."""
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return Outcome(done.exit_code, done.stdout, done.stderr)

    def start(self, *arguments: str | Path, **settings: Any) -> subprocess.Popen[str]:
        """Start `headrace ARGUMENTS` as a process of its own."""
        command = [sys.executable, "-c", "from headrace.__main__ import command; command()", *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)

    def in_process(self, *arguments: str | Path, **settings: Any) -> Outcome:
        """Run `headrace ARGUMENTS` as a process of its own."""
        process = self.start(*arguments, **settings)
        stdout, stderr = process.communicate(timeout=100)
        return Outcome(process.returncode, stdout, stderr)


def digests(folder: Path) -> dict[str, str]:
    """Return every path below a folder with the SHA-256 of its bytes (of a link: where it points)."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


@pytest.fixture
def desk(data: Path, tmp_path: Path) -> Desk:
    """A fresh job file, and nothing run."""
    made = Desk(data, tmp_path)
    made.write()
    return made


@pytest.fixture(scope="session")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A job that ran once: for tests that only look at what it left."""
    made = Desk(data, tmp_path_factory.mktemp("finished"))
    outcome = made("run", made.write(), "--debug")
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    return made


@pytest.fixture(scope="session")
def digests_of() -> Any:
    """The function `digests`: test modules import nothing from each other."""
    return digests
