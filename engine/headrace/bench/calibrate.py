"""Measure what this machine does a second: the rates by which `headrace plan` estimates.

The rates of the CPU are those of the engine's own reader, steps and writer on generated rows of the Criteo shape, from the files that the
system holds in memory; each is the fastest of several runs, since what else the machine does only slows one down. Those of a GPU are of the kernels that run there; reading and writing
are the CPU's, and what goes to the device and back is measured as `transfer`.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from headrace.bench.files import make_files
from headrace.bench.measure import measure
from headrace.bench.request import config, headrace
from headrace.bench.suites import machine
from headrace.gpus import find_gpus
from headrace.rates import CPU, GPU, VALUE_BYTES, MachineRates, Rates

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.jobs.job import OpenJob

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
    with TemporaryDirectory(prefix="headrace-calibrate-") as name:
        folder = Path(name)
        cpu = _cpu_rates(folder, rows, runs)
    tell(f"{CPU}: {_told(cpu)}")
    devices, described = {CPU: cpu}, machine()
    gpus = find_gpus()
    if gpus:
        described["gpu"] = gpus[0].name
        devices[GPU] = gpu_rates(cpu, rows, runs)
        tell(f"{GPU}: {_told(devices[GPU])}")
    else:
        tell(f"{GPU}: none that this process may use; only the CPU was measured")
    return MachineRates(dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), described, devices)


def _told(rates: Rates) -> str:
    moved = f", moved {rates.transfer / 1e6:,.0f}" if rates.transfer else ""
    shown = f"read {rates.read / 1e6:,.0f}, transformed {rates.transform / 1e6:,.0f}, written {rates.write / 1e6:,.0f}{moved} MB/s"
    return f"{shown} by one worker; {rates.workers} are as {rates.speedup:.2f}; {rates.start_s:.1f} s to start"


def _cpu_rates(folder: Path, rows: int, runs: int) -> Rates:
    job = _open(make_files("dictionary", folder, rows), folder / "out")
    plan = job.plan(1)
    passes = [one.nbytes for one in plan.passes]
    tables = _read(job, plan.partitions, plan.passes[-1].columns, 1)
    whole = _joined(tables)
    workers = machine()["cores"]
    read = _seconds(lambda: _read(job, plan.partitions, plan.passes[-1].columns, 1), runs)
    transformed = _seconds(partial(_transform, job, whole, 1), runs)
    together = _seconds(partial(_transform, job, whole, workers), runs)
    made = _transform(job, whole, 1)
    written = _seconds(partial(_write, folder / "written.parquet", made), runs)
    tiny = make_files("dictionary", folder, _TINY_ROWS)
    start_s = min(_start_seconds(tiny, folder / "start") for _ in range(runs))
    n_values = made.num_rows * made.num_columns
    speedup = max(transformed / together, 1.0)
    return Rates(passes[-1] / read, sum(passes) / transformed, VALUE_BYTES * n_values / written, start_s, speedup, workers)


def _open(files: Path, out: Path) -> OpenJob:
    from headrace.jobs.job import Job

    return Job.load(config("criteo.yaml"), _overrides(files, out)).open()


def _overrides(files: Path, out: Path) -> list[str]:
    return [f"source.path={json.dumps(str(files / '*.parquet'))}", f"output.path={json.dumps(str(out))}"]


def _read(job: OpenJob, partitions: Sequence[Any], columns: Sequence[str], threads: int) -> list[pa.Table]:
    """Read partitions as the engine does, strings as dictionaries."""
    from headrace.backends.arrow.backend import ArrowBackend
    from headrace.ledger import Ledger
    from headrace.partitions import read_partition

    def one(partition: Any) -> list[pa.Table]:
        return [table.to_arrow() for table in read_partition(job.source, partition, columns, ArrowBackend(), Ledger())]

    with ThreadPoolExecutor(threads) as pool:
        return [table for tables in pool.map(one, partitions) for table in tables]


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables as one; a dictionary of all may need wider indices than those of the parts."""
    import pyarrow as pa

    fields = [
        (f.name, pa.dictionary(pa.int32(), f.type.value_type) if pa.types.is_dictionary(f.type) else f.type) for f in tables[0].schema
    ]
    return pa.concat_tables([table.cast(pa.schema(fields)) for table in tables]).unify_dictionaries()


def _transform(job: OpenJob, table: pa.Table, workers: int) -> pa.Table:
    from headrace.cluster import LocalCluster

    cluster = LocalCluster(workers)
    try:
        found: pa.Table = job.job.pipeline.fit_transform(table, cluster=cluster).table
    finally:
        cluster.close()
    return found


def _write(path: Path, table: pa.Table) -> None:
    from headrace.backends.arrow.write import write_batches

    write_batches(path, [table], table.schema)


def _start_seconds(files: Path, folder: Path) -> float:
    """Return the wall time of a fresh process that runs a job on next to no rows."""
    folder.mkdir(exist_ok=True)
    settings = [argument for setting in _overrides(files, folder / "out") for argument in ("--set", setting)]
    return measure(headrace("run", config("criteo.yaml"), *settings, "--json"), folder).wall_s


def gpu_rates(cpu: Rates, rows: int, runs: int) -> Rates:
    """Return the rates of a GPU: of fill-clip-log-standardise and of codes looked up, and of copies to the device and back."""
    import numpy as np

    started = time.perf_counter()
    from headrace_kernels import DenseSteps
    from headrace_kernels.cuda import device_array_of
    from headrace_kernels.cuda_codes import encode_indices
    from headrace_kernels.cuda_dense import dense_transform

    random = np.random.default_rng(7)
    host, codes = random.uniform(0.0, 80.0, rows), random.integers(0, _CODES, rows).astype(np.int32)
    steps = DenseSteps(0.0, 0.0, transform="log1p", mean=1.0, std=2.0)
    values, indices = device_array_of(host), device_array_of(codes)
    ids, unseen = device_array_of(np.arange(_CODES + 1, dtype=np.int32)), device_array_of(np.zeros(_CODES + 1, np.bool_))

    def compute() -> None:
        for _ in range(calls):
            dense_transform(values, steps)
            encode_indices(indices, ids, unseen)  # it waits for the count of unseen codes, and so for all before it

    calls = 1
    compute()
    start_s = cpu.start_s + time.perf_counter() - started
    calls = 10
    transform = calls * (host.nbytes + codes.nbytes) / _seconds(compute, runs)
    transfer = 2 * host.nbytes / _seconds(lambda: device_array_of(host).copy_to_host(), runs)
    return Rates(cpu.read * cpu.speedup, transform, cpu.write * cpu.speedup, start_s, transfer=transfer, workers=1)


def _seconds(call: Callable[[], Any], runs: int) -> float:
    """Return the shortest time of a call that has been made once before."""
    call()
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return min(taken)
