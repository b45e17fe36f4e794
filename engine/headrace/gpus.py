"""Which GPUs this process may use, as the driver's own tool tells it: no GPU package is needed to find out.

>>> all(gpu.memory > 0 for gpu in find_gpus())
True
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace

_QUERY = "index,uuid,name,memory.total,compute_cap,driver_version"
# A line of `nvidia-smi -L` on a slice of the GPU above it: "  MIG 1g.10gb     Device  0: (UUID: MIG-c7384736-...)".
_SLICE = re.compile(r"\s+(MIG \S*?(\d+)gb\S*) .*\(UUID: (MIG-[^)]+)\)")
_MIB = 1 << 20
_TIMEOUT_S = 20  # a driver that has to wake its devices first takes seconds


@dataclass(frozen=True)
class Gpu:
    """One device, or a slice of one (MIG).

    Parameters
    ----------
    index : int
        Its number on this machine; of a slice that of the device.
    uuid, name : str
        What the driver calls it.
    memory : int
        Bytes.
    capability : tuple of int
        Compute capability, as in (8, 0).
    driver : str
        Version of the driver.
    """

    index: int
    uuid: str
    name: str
    memory: int
    capability: tuple[int, int]
    driver: str


def find_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that ``CUDA_VISIBLE_DEVICES`` leaves to this process, in its order; none where there is no driver."""
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = all_gpus()
    return visible((*gpus, *_slices(gpus)) if "MIG-" in (setting or "") else gpus, setting)


def all_gpus() -> tuple[Gpu, ...]:
    """Return every GPU of this machine that the driver answers for."""
    answer = ask_driver(f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits")
    return tuple(gpu for line in (answer or "").splitlines() if (gpu := _gpu(line)) is not None)


def ask_driver(*arguments: str) -> str | None:
    """Return what nvidia-smi prints, or None if it is not there or reaches no driver."""
    try:
        done = subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def visible(gpus: tuple[Gpu, ...], setting: str | None) -> tuple[Gpu, ...]:
    """Return those that a ``CUDA_VISIBLE_DEVICES`` of numbers or UUIDs names; as CUDA does, stop at the first that is none.

    Numbers are those of whole devices; a slice has a UUID alone.

    >>> one = Gpu(0, "GPU-1a2b", "H100", 1 << 36, (9, 0), "570.86")
    >>> visible((one,), None) == visible((one,), "GPU-1a") == (one,)
    True
    >>> visible((one,), ""), visible((one,), "-1,0")
    ((), ())
    """
    if setting is None:
        return gpus
    chosen: list[Gpu] = []
    for word in setting.split(","):
        word = word.strip()
        if word.isdigit():
            named = [gpu for gpu in gpus if gpu.index == int(word) and not gpu.uuid.startswith("MIG-")]
        else:
            named = [gpu for gpu in gpus if word and gpu.uuid.startswith(word)]
        if len(named) != 1:
            break
        chosen += named
    return tuple(chosen)


def _slices(gpus: tuple[Gpu, ...]) -> Iterator[Gpu]:
    """Yield the slices that devices are cut into, with the memory that their profile's name says."""
    whole = None
    for line in (ask_driver("-L") or "").splitlines():
        if found := _SLICE.match(line):
            if whole is not None:
                yield replace(whole, uuid=found[3], name=f"{whole.name} {found[1]}", memory=int(found[2]) << 30)
        else:
            whole = next((gpu for gpu in gpus if gpu.uuid in line), None)


def _gpu(line: str) -> Gpu | None:
    """Return the device of a line, None where the driver gives no numbers for it (``[N/A]``: lost, or sharing the host's memory)."""
    index, uuid, name, memory, capability, driver = (cell.strip() for cell in line.split(","))
    major, _, minor = capability.partition(".")
    if not (index.isdigit() and memory.isdigit() and major.isdigit() and minor.isdigit()):
        return None
    return Gpu(int(index), uuid, name, int(memory) * _MIB, (int(major), int(minor)), driver)
