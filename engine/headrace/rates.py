"""Rates: what a machine does a second, as `headrace bench calibrate` measured it, and the seconds a plan would take by them.

>>> cpu = Rates(read=400e6, transform=300e6, write=200e6, start_s=1.5, speedup=1.8)
>>> cpu.seconds(read=4e9, transformed=6e9, written=2e9, n_workers=1)
41.5
>>> cpu.seconds(read=4e9, transformed=6e9, written=2e9, n_workers=2) < 25
True
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headrace.backends import CPU, GPU
from headrace.errors import DataError, JobError
from headrace.plan import Plan, human_bytes

CALIBRATE = "headrace bench calibrate"
VALUE_BYTES = 4  # of a feature, as the matrix and most columns of feature files hold it
_FORMAT = 1


@dataclass(frozen=True)
class Rates:
    """What one worker on one device does.

    Parameters
    ----------
    read, transform, write : float
        Bytes a second: decoded bytes of Parquet read, decoded bytes of the columns that fitting and applying steps go through, and
        values written (at 4 bytes each).
    start_s : float
        Seconds before the first row: imports, the device's start, the first kernel.
    speedup : float
        What all workers of the machine do together in units of one.
    workers : int
        How many workers that is.
    """

    read: float
    transform: float
    write: float
    start_s: float
    speedup: float = 1.0
    workers: int = 2

    def seconds(self, read: float, transformed: float, written: float, n_workers: int) -> float:
        """Return the time that so many bytes take; each further worker adds what it added when the rates were measured."""
        each = (self.speedup - 1.0) / (self.workers - 1) if self.workers > 1 else 1.0
        together = 1.0 + (n_workers - 1) * min(max(each, 0.0), 1.0)
        return self.start_s + (read / self.read + transformed / self.transform + written / self.write) / together


@dataclass(frozen=True)
class MachineRates:
    """What `headrace bench calibrate` stores: the rates by device, where and when they were measured.

    Parameters
    ----------
    measured : str
        The time, ISO 8601.
    machine : mapping
        Processor, cores, GPU.
    devices : mapping of str to Rates
        ``cpu``, and ``gpu`` where there was one.
    """

    measured: str
    machine: Mapping[str, Any]
    devices: Mapping[str, Rates]

    def describe(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        devices = {name: asdict(rates) for name, rates in self.devices.items()}
        return {"format": _FORMAT, "measured": self.measured, "machine": dict(self.machine), "devices": devices}

    def write(self, path: Path) -> None:
        """Write it as JSON; the folder is made. Raise JobError if that cannot be."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.describe(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise JobError(f"rates cannot be written to {path}: {error.strerror}", hint="name another file with --out") from error

    @classmethod
    def read(cls, path: Path, *, must_exist: bool = False) -> MachineRates | None:
        """Read what `write` wrote; None if there is no such file.

        Raises
        ------
        DataError
            If it is no file of rates.
        JobError
            If it must exist and does not.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != _FORMAT:
                raise ValueError(f"format {values['format']}, and {_FORMAT} is read")
            devices = {name: Rates(**rates) for name, rates in values["devices"].items()}
            if not all(_usable(rates) for rates in devices.values()) or CPU not in devices:
                raise ValueError("a rate is not above 0, or those of the CPU are missing")
            return cls(values["measured"], values["machine"], devices)
        except FileNotFoundError:
            if must_exist:
                raise JobError("no such file of rates", file=str(path), hint=f"measure them: {CALIBRATE} --out {path}") from None
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"no file of rates: {error}", file=str(path), hint=f"measure them anew: {CALIBRATE}") from error


def _usable(rates: Rates) -> bool:
    numbers = [rates.read, rates.transform, rates.write, rates.speedup, rates.workers]
    return all(math.isfinite(number) and number > 0 for number in numbers) and 0 <= rates.start_s < math.inf


def rates_file() -> Path:
    """Return where this user's rates are kept: `headrace/rates.json` in `XDG_CACHE_HOME`, else in `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored: https://specifications.freedesktop.org/basedir-spec/latest/
    folder = Path(home) if Path(home).is_absolute() else Path.home() / ".cache"
    return folder / "headrace" / "rates.json"


@dataclass(frozen=True)
class Estimate:
    """The seconds that a plan would take by device, which device that speaks for, and why; without rates only why."""

    seconds: Mapping[str, float]
    device: str | None
    why: str

    def describe(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"seconds": dict(self.seconds), "device": self.device, "why": self.why}


def estimate(plan: Plan, n_values: int, n_workers: int, rates: MachineRates | None) -> Estimate:
    """Estimate the passes of a plan, training left out.

    Formula: start + (read / read rate + transformed / transform rate + written / write rate) / workers' speedup.
    Rows that the CPU keeps between passes are read once, the bytes transformed are those of every pass.

    Parameters
    ----------
    plan : Plan
        What will run.
    n_values : int
        Values written: rows by columns.
    n_workers : int
        Workers on the CPU; a GPU has as many as it was measured with. More than the partitions are of no use.
    rates : MachineRates, optional
        What was measured; None: nothing.
    """
    if rates is None:
        return Estimate({}, None, f"no measured rates; run `{CALIBRATE}`")
    passes = [one.nbytes for one in plan.passes]
    transformed, written = float(sum(passes)), float(VALUE_BYTES * n_values)
    once = float(max(passes)) if plan.cache_bytes >= max(passes) else transformed
    found = {}
    for name, one in rates.devices.items():
        workers = min(n_workers if name == CPU else one.workers, max(len(plan.partitions), 1))
        found[name] = one.seconds(once if name == CPU else transformed, transformed, written, workers)
    best = min(found, key=lambda name: (found[name], name))
    return Estimate({name: round(value, 2) for name, value in found.items()}, best, _why(found, best, once, transformed, written, rates))


def _why(found: Mapping[str, float], best: str, read: float, transformed: float, written: float, rates: MachineRates) -> str:
    amounts = f"{human_bytes(read)} to read, {human_bytes(transformed)} to go through, {human_bytes(written)} to write"
    if GPU not in found:
        return f"{amounts}; no rates of a GPU were measured"
    other = CPU if best == GPU else GPU
    times = f"{amounts}; {found[best]:.1f} s against {found[other]:.1f} s on the {other.upper()}"
    late = rates.devices[GPU].start_s - rates.devices[CPU].start_s
    if best == CPU and found[GPU] - max(late, 0.0) < found[CPU]:
        return f"{times}, which is the faster of the two once it has started ({late:.1f} s later), for larger data"
    return times
