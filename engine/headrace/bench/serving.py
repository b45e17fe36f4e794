"""Time single calls of several processes in turn: each side serves, prepares a call when asked, and makes it when asked.

The protocol is a line of JSON each way, see `peers/serving.py`. While one side works, the others wait.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from headrace.bench.cases import CaseResult, SideResult
from headrace.bench.measure import CommandFailedError
from headrace.errors import DataError

Tell = Callable[[str], None]
# A call of less than this is made again and again until so much time has passed, and counted by the mean.
SHORTEST_S = 0.02


class Server:
    """A side that serves.

    Parameters
    ----------
    name : str
        Of the side.
    path : Path
        Its script.
    arguments : str
        For the script.
    """

    def __init__(self, name: str, path: Path, *arguments: str) -> None:
        self.name = name
        self._process = subprocess.Popen([sys.executable, str(path), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._to: Any = self._process.stdin
        self._from: Any = self._process.stdout
        self.calls: Mapping[str, Mapping[str, Any]] = self.ask({"list": True})["calls"]

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Send a line and return the answer; raise CommandFailedError if the side has ended, as it does after an error."""
        try:
            self._to.write(json.dumps(question) + "\n")
            self._to.flush()
            answer = self._from.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise CommandFailedError(
                f"{self.name} ended with status {self._process.wait()} when asked {question}", hint="what it said stands above"
            )
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        self._to.close()
        self._process.wait()
        self._from.close()


@contextmanager
def serving(scripts: Mapping[str, Path], arguments: Mapping[str, Sequence[str]] | None = None) -> Iterator[list[Server]]:
    """Start the sides, some with arguments, and end them."""
    with ExitStack() as stack:
        servers = []
        for name, path in scripts.items():
            server = Server(name, path, *(arguments or {}).get(name, ()))
            stack.callback(server.close)
            servers.append(server)
        yield servers


def run_calls(servers: Sequence[Server], names: Sequence[str], rows: int, runs: int, work: Path, tell: Tell) -> list[CaseResult]:
    """Time the calls named, of the first side and of all that have them too; each is prepared and warmed up first.

    Raises
    ------
    DataError
        If two sides return different values.
    """
    return [_run_call(servers, name, rows, runs, work, tell) for name in names]


def _run_call(servers: Sequence[Server], name: str, rows: int, runs: int, work: Path, tell: Tell) -> CaseResult:
    able = [server for server in servers if name in server.calls]
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    ready = {s.name: s.ask({"prepare": name, "rows": rows, "result": str(folder / f"{s.name}.npz")}) for s in able}
    agreement = _compare(name, folder, [server.name for server in able], able[0].calls[name]["tolerance"])
    repeats = {server.name: max(int(SHORTEST_S / max(ready[server.name]["seconds"], 1e-9)), 1) for server in able}
    seconds: dict[str, list[float]] = {server.name: [] for server in able}
    for _ in range(runs):
        for server in able:
            seconds[server.name].append(server.ask({"call": repeats[server.name]})["seconds"])
    sides = tuple(SideResult(s.name, tuple(seconds[s.name]), note=s.calls[name].get("note", "")) for s in able)
    tell(f"{name}: " + ", ".join(f"{side.name} {side.median * 1e9 / rows:.2f} ns a row" for side in sides))
    shutil.rmtree(folder, ignore_errors=True)
    return CaseResult(name, able[0].calls[name]["title"], rows, sides, agreement)


def _compare(name: str, folder: Path, sides: Sequence[str], tolerance: float | None) -> dict[str, Any]:
    """Compare what the sides returned with the first side's; a tolerance of None says that they are not meant to be equal."""
    if tolerance is None or len(sides) < 2:
        return {}
    import numpy as np

    ours = np.load(folder / f"{sides[0]}.npz")
    found: dict[str, Any] = {}
    for peer in sides[1:]:
        theirs = np.load(folder / f"{peer}.npz")
        wrong = {key: _mismatches(ours[key], theirs[key], tolerance) for key in ours.files if key in theirs.files}
        found[peer] = {"values": sorted(wrong), "mismatches": {key: count for key, count in wrong.items() if count}}
        missing = sorted(set(ours.files) ^ set(theirs.files))
        if missing or found[peer]["mismatches"]:
            shown = f"{', '.join(missing)} missing" if missing else f"values beyond {tolerance:g}: {found[peer]['mismatches']}"
            raise DataError(f"{name}: {sides[0]} and {peer} did not return the same: {shown}")
    return found


def _mismatches(ours: Any, theirs: Any, tolerance: float) -> int:
    import numpy as np

    if ours.shape != theirs.shape:
        return max(ours.size, theirs.size)
    if ours.dtype.kind not in "fiub" or theirs.dtype.kind not in "fiub":
        return int((ours != theirs).sum())
    left, right = ours.astype(np.float64), theirs.astype(np.float64)
    return int((~np.isclose(left, right, rtol=tolerance, atol=tolerance, equal_nan=True)).sum())
