"""Which GPUs this process may use, as the driver's own tool tells it: no GPU package is needed to find out.

>>> all(gpu.memory > 0 for gpu in find_gpus())
True
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

_QUERY = "index,uuid,name,memory.total,compute_cap,driver_version"
_MIB = 1 << 20
_TIMEOUT_S = 20  # a driver that has to wake its devices first takes seconds


@dataclass(frozen=True)
class Gpu:
    """One device.

    Parameters
    ----------
    index : int
        Its number on this machine.
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
    return visible(all_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))


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
        named = [gpu for gpu in gpus if str(gpu.index) == word.strip() or (word.strip() and gpu.uuid.startswith(word.strip()))]
        if len(named) != 1:
            break
        chosen += named
    return tuple(chosen)


def _gpu(line: str) -> Gpu | None:
    """Return the device of a line, None where the driver gives no numbers for it (``[N/A]``: lost, or sharing the host's memory)."""
    index, uuid, name, memory, capability, driver = (cell.strip() for cell in line.split(","))
    major, _, minor = capability.partition(".")
    if not (index.isdigit() and memory.isdigit() and major.isdigit() and minor.isdigit()):
        return None
    return Gpu(int(index), uuid, name, int(memory) * _MIB, (int(major), int(minor)), driver)
