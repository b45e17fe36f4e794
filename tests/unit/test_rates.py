"""Rates: plans are timed by them as the formula says, and what is no file of rates is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from headrace.bench.calibrate import calibrate
from headrace.cli import app
from headrace.errors import DataError, JobError
from headrace.jobs.job import Job
from headrace.plan import Pass, Plan
from headrace.rates import Estimate, MachineRates, Rates, estimate, rates_file

CPU = Rates(read=100.0, transform=50.0, write=25.0, start_s=1.0, speedup=1.5, workers=2)
GPU = Rates(read=400.0, transform=10_000.0, write=400.0, start_s=3.0, speedup=1.0, workers=1)


def rates(**devices: Rates) -> MachineRates:
    return MachineRates("2026-01-02T03:04:05+00:00", {"processor": "x"}, devices)


def plan(*nbytes: int, cache_bytes: int = 0, partitions: int = 4) -> Plan:
    passes = tuple(Pass(str(index), ("x",), size, (), ()) for index, size in enumerate(nbytes))
    return Plan({"rows": 10}, (None,) * partitions, passes, "cpu", 0, 0, cache_bytes=cache_bytes)  # type: ignore[arg-type]


def test_seconds_are_bytes_by_rates() -> None:
    # 1 to start, 600 / 100 to read, 600 / 50 to transform, 4 * 50 / 25 to write
    assert estimate(plan(200, 400), 50, 1, rates(cpu=CPU)).seconds == {"cpu": 27.0}


def test_rows_kept_between_passes_are_read_once() -> None:
    assert estimate(plan(200, 400, cache_bytes=400), 50, 1, rates(cpu=CPU)).seconds == {"cpu": 25.0}
    assert estimate(plan(200, 400, cache_bytes=399), 50, 1, rates(cpu=CPU)).seconds == {"cpu": 27.0}


def test_further_workers_add_what_they_were_measured_to_add() -> None:
    # 26 s of work by workers that are as 1, 1.5 and 2
    found = [estimate(plan(200, 400), 50, n, rates(cpu=CPU)).seconds["cpu"] for n in (1, 2, 3)]
    assert found == [27.0, round(1 + 26 / 1.5, 2), 14.0]


def test_workers_without_a_partition_are_of_no_use() -> None:
    assert estimate(plan(200, 400, partitions=1), 50, 8, rates(cpu=CPU)).seconds == {"cpu": 27.0}


def test_the_faster_device_is_taken_and_the_other_named() -> None:
    found = estimate(plan(2_000, 4_000), 500, 1, rates(cpu=CPU, gpu=GPU))
    # 3 to start, 15 to read, 0.6 to transform, 5 to write
    assert found.seconds == {"cpu": 261.0, "gpu": 23.6}
    assert found.device == "gpu"
    assert found.why == "5.9 KiB to read, 5.9 KiB to go through, 2.0 KiB to write; 23.6 s against 261.0 s on the CPU"


def test_a_gpu_that_is_late_rather_than_slow_is_advised_for_larger_data() -> None:
    found = estimate(plan(20), 1, 1, rates(cpu=CPU, gpu=GPU))
    assert found.device == "cpu"
    assert found.why.endswith("on the GPU, which is the faster of the two once it has started (2.0 s later), for larger data")


def test_without_a_gpu_the_cpu_is_taken() -> None:
    found = estimate(plan(200), 0, 1, rates(cpu=CPU))
    assert (found.device, found.why) == ("cpu", "200 B to read, 200 B to go through, 0 B to write; no rates of a GPU were measured")


def test_without_rates_the_command_is_named() -> None:
    assert estimate(plan(200), 0, 1, None) == Estimate({}, None, "no measured rates; run `headrace bench calibrate`")


def test_rates_come_back_from_their_file(tmp_path: Path) -> None:
    stored = rates(cpu=CPU, gpu=GPU)
    stored.write(tmp_path / "a" / "rates.json")
    assert MachineRates.read(tmp_path / "a" / "rates.json") == stored
    assert MachineRates.read(tmp_path / "none.json") is None
    with pytest.raises(JobError, match="no such file of rates"):
        MachineRates.read(tmp_path / "none.json", must_exist=True)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"devices": {}},
        {"devices": {"cpu": {"read": 1.0}}},
        {"devices": {"cpu": {**CPU.__dict__, "read": 0.0}}},
        {"devices": {"cpu": {**CPU.__dict__, "write": float("nan")}}},
        {"devices": {"cpu": {**CPU.__dict__, "write": "fast"}}},
        {"devices": []},
    ],
)
def test_what_is_no_file_of_rates_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "rates.json"
    path.write_text(json.dumps({**rates(cpu=CPU).describe(), **change}))
    with pytest.raises(DataError, match="no file of rates"):
        MachineRates.read(path)


def test_rates_lie_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert rates_file() == tmp_path / "cache" / "headrace" / "rates.json"
    for elsewhere in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", elsewhere)
        assert rates_file() == tmp_path / ".cache" / "headrace" / "rates.json"


# the commands


@pytest.fixture
def job(parquet: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = parquet(pa.table({"x": [1.0, 2.0, 3.0, 4.0]}))
    path = tmp_path / "job.yaml"
    path.write_text(f"job: small\nsource: {{path: {source}}}\npipeline:\n  - normalize: [x]\noutput: {{path: {tmp_path / 'out'}}}\n")
    return path


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_a_plan_without_rates_says_so_in_one_line(job: Path) -> None:
    assert "\n  time: no measured rates; run `headrace bench calibrate`\n" in invoke("plan", job).stdout
    assert json.loads(invoke("plan", job, "--json").stdout)["estimate"]["device"] is None


def test_a_plan_is_timed_by_the_stored_rates(job: Path) -> None:
    rates(cpu=CPU, gpu=GPU).write(rates_file())
    shown, described = invoke("plan", job).stdout, json.loads(invoke("plan", job, "--json").stdout)
    opened = Job.load(job).open()
    expected = estimate(opened.plan(), 4, os.cpu_count() or 1, rates(cpu=CPU, gpu=GPU))
    assert described["estimate"] == expected.describe()
    assert f"takes the {str(expected.device).upper()}: {expected.why}" in shown


def test_a_plan_takes_the_rates_that_are_named(job: Path, tmp_path: Path) -> None:
    rates(cpu=CPU).write(tmp_path / "other.json")
    assert json.loads(invoke("plan", job, "--rates", tmp_path / "other.json", "--json").stdout)["estimate"]["device"] == "cpu"
    missing = invoke("plan", job, "--rates", tmp_path / "none.json")
    assert (missing.exit_code, "no such file of rates" in missing.stderr) == (2, True)


def test_calibrating_measures_the_machine_and_a_plan_uses_it(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.bench.calibrate.find_device", lambda asked: "cpu")
    told: list[str] = []
    found = calibrate(told.append, rows=2_000, runs=1)
    cpu = found.devices["cpu"]
    assert list(found.devices) == ["cpu"]
    assert min(cpu.read, cpu.transform, cpu.write) > 1e5  # not even a slow machine is slower
    assert 0.1 < cpu.start_s < 60
    assert 1.0 <= cpu.speedup <= 2 * cpu.workers
    assert told == [told[0], "gpu: none that can be used; `headrace doctor` says what is missing"]
    found.write(rates_file())
    assert "s on the CPU; takes the CPU" in invoke("plan", job).stdout
