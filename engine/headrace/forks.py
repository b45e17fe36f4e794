"""Where worker processes of our own come from: on Linux they are forks of one that has imported what they need.

Started anew, each would take 1.2 s of CPU for imports and the first kernel, and hold 0.1 GB more.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing import forkserver, resource_tracker, set_forkserver_preload, util
from typing import Any

# As multiprocessing names it. Elsewhere libraries start threads when they are imported, which no fork has.
METHOD = "forkserver" if sys.platform == "linux" else "spawn"
# A worker has one thread. Libraries ask when they are imported; where workers start anew, Dask sees to it.
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Of what multiprocessing does at the end: after it has waited for processes (0), before it removes the folder of the socket (-100).
_AT_THE_END = -50


def prepare_forks() -> None:
    """Start the process that workers will be forks of, if it is not there yet: it imports beside whatever comes before they are opened."""
    if METHOD != "forkserver":
        return
    util.Finalize(None, _end, exitpriority=_AT_THE_END)
    set_forkserver_preload(["headrace.worker_imports"])
    unset = [name for name in _ONE_THREAD if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    # Ctrl-C goes to all processes of a terminal. Workers end when this one ends them, and say nothing.
    resource_tracker.ensure_running()  # it is started on the way else, and lets the signal through again
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        for name in unset:
            del os.environ[name]


def _end() -> None:
    """End that process and wait for it, so that what workers took counts as this one's; by itself it would end later, and take itself apart."""
    server: Any = forkserver._forkserver
    if server._forkserver_pid is not None:
        os.kill(server._forkserver_pid, signal.SIGTERM)
        server._stop()
