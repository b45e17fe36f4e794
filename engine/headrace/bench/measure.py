"""Measure one command as a fresh process: wall, CPU and peak memory, its children included."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import HeadraceError

SAMPLING_S = 0.1
LIMIT_S = 3600.0
# ru_maxrss is in KiB on Linux and in bytes on macOS.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """What one process took.

    Parameters
    ----------
    wall_s : float
        From before it was started until it had ended.
    cpu_s : float
        User and system time of the process and of all children that it waited for.
    peak_rss_bytes : int
        The largest resident memory of the process and its children together, sampled ten times a second (of the process
        alone, exactly), with shared pages counted for each. At least that of the process that measures: Linux counts
        the memory at the time of the start.
    peak_process_bytes : int
        The largest resident memory of any one of them.
    stdout : str
        What it printed.
    """

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    peak_process_bytes: int
    stdout: str


class CommandFailedError(HeadraceError):
    """A side of a benchmark did not end well."""


def measure(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, limit_s: float = LIMIT_S) -> Usage:
    r"""Run a command to its end and return what it took.

    Parameters
    ----------
    command : list of str
        Program and arguments.
    folder : Path
        Where its two streams are kept, as `stdout.txt` and `stderr.txt`; it runs there too.
    environment : mapping, optional
        Variables beside those of this process.
    limit_s : float
        After so many seconds it is killed, with its children.

    Raises
    ------
    CommandFailedError
        If it ends with another status than 0, or not in time; with the end of what it said.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     measure([sys.executable, "-c", "print(6 * 7)"], Path(folder)).stdout
    '42\n'
    """
    # Sides find their modules as an installation has them: compiled, at the latest by the round that does not count.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with (folder / "stdout.txt").open("w") as out, (folder / "stderr.txt").open("w") as err:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**variables, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        sampler = _Sampler(process.pid)
        # The group goes as a whole: a killed parent would leave its workers behind, running beside the next side.
        killer = threading.Timer(limit_s, _kill_group, [process.pid])
        killer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            _kill_group(process.pid)
            raise
        finally:
            wall_s = time.perf_counter() - started
            killer.cancel()
            sampler.stop()
    process.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for here: Popen must not try again
    if process.returncode:
        raise _failure(command, process.returncode, wall_s >= limit_s, folder)
    own = used.ru_maxrss * MAXRSS_UNIT
    return Usage(
        wall_s, used.ru_utime + used.ru_stime, max(own, sampler.peak_sum), max(own, sampler.peak_one), (folder / "stdout.txt").read_text()
    )


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself
        os.killpg(pid, signal.SIGKILL)


def _failure(command: Sequence[str], code: int, is_late: bool, folder: Path) -> CommandFailedError:
    said = ((folder / "stderr.txt").read_text(errors="replace") or (folder / "stdout.txt").read_text(errors="replace")).strip()
    how = "took too long and was killed" if is_late else f"ended with status {code}"
    return CommandFailedError(f"{' '.join(command)}: {how}", hint="\n".join(said.splitlines()[-12:]) or None)


class _Sampler:
    """Watches the memory of a process that has children; of one that has none the kernel keeps the peak itself."""

    def __init__(self, pid: int) -> None:
        self.peak_sum = self.peak_one = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if PROC.is_dir():
            self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLING_S):
            family = list(_descendants(self._pid))
            if family:
                sizes = [_resident(pid) for pid in (self._pid, *family)]
                self.peak_sum = max(self.peak_sum, sum(now for now, _ in sizes))
                self.peak_one = max(self.peak_one, *(peak for _, peak in sizes))


def _descendants(pid: int) -> Iterator[int]:
    for task in PROC.glob(f"{pid}/task/*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in map(int, children):
            yield child
            yield from _descendants(child)


def _resident(pid: int) -> tuple[int, int]:
    """Return the resident bytes of a process, now and at their peak; 0 if it has ended."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS:", "VmHWM:")))
    now, peak = (int(fields.get(name, "0 kB").split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak
