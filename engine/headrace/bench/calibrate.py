"""Measure what this machine does a second: the rates by which `headrace plan` estimates.

They are those of the engine's own reader, steps and writer on generated rows of the Criteo shape, from files that the system holds in
memory; each is the fastest of several runs, since what else the machine does only slows one down. A GPU is measured the same way, if the
engine can use one: what steps take there includes the way to the device and back.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from headrace.backends import CPU, GPU, find_device, open_backend, thread_count
from headrace.bench.files import make_files
from headrace.bench.measure import measure
from headrace.bench.request import config, headrace
from headrace.bench.suites import machine
from headrace.gpus import find_gpus
from headrace.rates import VALUE_BYTES, MachineRates, Rates

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.jobs.job import OpenJob
    from headrace.table import Table

ROWS, RUNS = 400_000, 3
_TINY_ROWS = 1_000
_CODES = 1000
Tell = Callable[[str], None]


def calibrate(tell: Tell, rows: int = ROWS, runs: int = RUNS) -> MachineRates:
    """Measure this machine and return its rates; nothing is stored.

    Parameters
    ----------
    tell : callable
        Gets a line for each device.
    rows : int
        Of the generated data.
    runs : int
        How often each is measured.
    """
    described = machine()
    with TemporaryDirectory(prefix="headrace-calibrate-") as name:
        folder = Path(name)
        found = {CPU: _rates(CPU, folder, rows, runs)}
        tell(f"{CPU}: {_told(found[CPU])}")
        if find_device("auto") == GPU:
            described["gpu"] = find_gpus()[0].name
            found[GPU] = _rates(GPU, folder, rows, runs)
            tell(f"{GPU}: {_told(found[GPU])}")
        else:
            tell(f"{GPU}: none that can be used; `headrace doctor` says what is missing")
    return MachineRates(dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), described, found)


def _told(rates: Rates) -> str:
    shown = f"read {rates.read / 1e6:,.0f}, transformed {rates.transform / 1e6:,.0f}, written {rates.write / 1e6:,.0f} MB/s"
    return f"{shown} by one worker; {rates.workers} are as {rates.speedup:.2f}; {rates.start_s:.1f} s to start"


def _rates(device: str, folder: Path, rows: int, runs: int) -> Rates:
    job = _open(make_files("dictionary", folder, rows), folder / "out", device)
    plan = job.plan(1, device)
    passes, columns = [one.nbytes for one in plan.passes], plan.passes[-1].columns
    read = _seconds(lambda: _finish(_read(job, plan.partitions, columns, device)), runs)
    whole = _joined([table.to_arrow() for table in _read(job, plan.partitions, columns, CPU)])
    workers = thread_count("local", None, device) or machine()["cores"]
    transformed, together = (_seconds(partial(_transform, job, whole, n, device), runs) for n in (1, workers))
    made = _transform(job, whole, 1, device)
    written = _seconds(partial(_write, folder / "written.parquet", made), runs)
    tiny = make_files("dictionary", folder, _TINY_ROWS)
    start_s = min(_start_seconds(tiny, folder / f"start-{device}", device) for _ in range(runs))
    n_values = made.num_rows * made.num_columns
    speedup = max(transformed / together, 1.0)
    return Rates(passes[-1] / read, sum(passes) / transformed, VALUE_BYTES * n_values / written, start_s, speedup, workers)


def _open(files: Path, out: Path, device: str) -> OpenJob:
    from headrace.jobs.job import Job

    return Job.load(config("criteo.yaml"), _overrides(files, out, device)).open()


def _overrides(files: Path, out: Path, device: str) -> list[str]:
    return [
        f"source.path={json.dumps(str(files / '*.parquet'))}",
        f"output.path={json.dumps(str(out))}",
        f"run.device={device}",
    ]


def _read(job: OpenJob, partitions: Sequence[Any], columns: Sequence[str], device: str) -> list[Table]:
    """Read partitions as the engine does, strings as dictionaries, and leave them on the device."""
    from headrace.ledger import Ledger
    from headrace.partitions import read_partition

    backend = open_backend(device)
    return [table for partition in partitions for table in read_partition(job.source, partition, columns, backend, Ledger())]


def _finish(tables: Sequence[Table]) -> None:
    """Wait for what a device has begun, as a copy to the host does: calls return before it is done."""
    backend = tables[-1].backend
    backend.to_numpy(backend.row_numbers(1))


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables as one; a dictionary of all may need wider indices than those of the parts."""
    import pyarrow as pa

    fields = [
        (f.name, pa.dictionary(pa.int32(), f.type.value_type) if pa.types.is_dictionary(f.type) else f.type) for f in tables[0].schema
    ]
    return pa.concat_tables([table.cast(pa.schema(fields)) for table in tables]).unify_dictionaries()


def _transform(job: OpenJob, table: pa.Table, workers: int, device: str) -> pa.Table:
    from headrace.local_cluster import LocalCluster

    cluster = LocalCluster(workers)
    try:
        found: pa.Table = job.job.pipeline.fit_transform(table, cluster=cluster, device=device).table
    finally:
        cluster.close()
    return found


def _write(path: Path, table: pa.Table) -> None:
    from headrace.backends.arrow.write import write_batches

    write_batches(path, [table], table.schema)


def _start_seconds(files: Path, folder: Path, device: str) -> float:
    """Return the wall time of a fresh process that runs a job on next to no rows."""
    folder.mkdir(exist_ok=True)
    settings = [argument for setting in _overrides(files, folder / "out", device) for argument in ("--set", setting)]
    return measure(headrace("run", config("criteo.yaml"), *settings, "--json"), folder).wall_s


def _seconds(call: Callable[[], Any], runs: int) -> float:
    """Return the shortest time of a call that has been made once before."""
    call()
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return min(taken)
