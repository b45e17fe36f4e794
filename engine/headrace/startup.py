"""The start and the end of a process that lives for one command: what costs tenths of a second there and serves nobody is left out or put off."""

from __future__ import annotations

import atexit
import ctypes
import gc
import mmap
import os
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

# Importing makes 300,000 objects that stay to the end. Python's usual thresholds look through them 400 times, for 0.25 s in all;
# these do it about ten times in a whole job.
_COLLECT_AFTER = (50_000, 20, 20)
# glibc: arrays up to this size are not mapped and unmapped one by one, and freed memory up to this much (the most that it takes) stays:
# what a run gives back in between it has to touch anew, at up to a second for a gigabyte.
_MAPPED_BYTES, _KEPT_BYTES = 256 << 20, (1 << 31) - 1
# What threads of one arena freed serves no thread of another; arrays are large and asked for seldom, so that few wait for its lock.
_CORES_AN_ARENA = 8
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# The processor's ticks after which a thread of OpenBLAS that has no work sleeps, as an exponent of 2.
_BLAS_TIMEOUT, _BLAS_TICKS = "OPENBLAS_THREAD_TIMEOUT", "20"
_MADV_POPULATE_WRITE = 23
_TOUCHED_BYTES = 32 << 20  # at once: a hundredth of a second
_HUGE_PAGES = "NUMPY_MADVISE_HUGEPAGE"


def collect_seldom() -> None:
    """Let Python look for unreachable cycles about once in 50,000 new objects."""
    gc.set_threshold(*_COLLECT_AFTER)


def keep_freed_memory() -> None:
    """Let the C library, where it is glibc, use freed memory again for any thread's arrays: pages are dear at the first touch.

    Arenas that are there already stay, so the earlier the better. A process that ran a job of 5M rows again and again levelled off
    at 3.1 GB with seven arenas, at 1.7 GB with one.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_ARENA_MAX, _n_arenas())


def _n_arenas() -> int:
    return 1 + (os.cpu_count() or 1) // _CORES_AN_ARENA


def touch_memory(n_bytes: int, until: threading.Event) -> None:
    """Touch up to so many bytes that the process will need, until it needs its cores for other things.

    The system clears a page when it is first touched, up to half a second for a gigabyte in a virtual machine. That needs no interpreter, so
    it goes on beside imports. Nothing happens where the C library is not glibc, where Linux is older than 5.14, and where there are several
    arenas: who would use this thread's is not known, and as many cores touch memory.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or _n_arenas() > 1:
        return
    library.malloc.restype = ctypes.c_void_p
    pieces: list[int] = []
    n_bytes = min(n_bytes, 3 * _KEPT_BYTES // 4)  # of more than it keeps, with what else is free there, the library would give back all
    while not until.is_set() and (len(pieces) + 1) * _TOUCHED_BYTES <= n_bytes:
        piece = library.malloc(ctypes.c_size_t(_TOUCHED_BYTES))
        if piece is None:
            break
        pieces.append(piece)
        first = -(-piece // mmap.PAGESIZE) * mmap.PAGESIZE
        if library.madvise(ctypes.c_void_p(first), ctypes.c_size_t(_TOUCHED_BYTES - mmap.PAGESIZE), _MADV_POPULATE_WRITE):
            break
    for piece in reversed(pieces):  # the last one borders on what was never used
        library.free(ctypes.c_void_p(piece))


def sleep_soon() -> None:
    """Let the threads of OpenBLAS, which come with NumPy, sleep after half a millisecond without work, unless a variable says otherwise.

    They spin for 25 ms before: on two cores 0.05 s of CPU that each import of NumPy takes. It must be said before that.
    """
    os.environ.setdefault(_BLAS_TIMEOUT, _BLAS_TICKS)


def take_small_pages() -> None:
    """Let NumPy ask for no huge pages, unless its variable says otherwise.

    A virtual machine gives free memory back to its host by the large block, and that is where huge pages come from: to touch them was
    measured at 2 s for a gigabyte, small pages at 0.35. Where the host takes nothing back, the difference is 0.2 s the other way. And of
    a table that has room to grow, what is not used yet would be touched with the rest.
    """
    import numpy as np

    choose: Any = getattr(getattr(np, "_core", None), "multiarray", None)
    if _HUGE_PAGES not in os.environ and hasattr(choose, "_set_madvise_hugepage"):
        choose._set_madvise_hugepage(False)


def spare_pandas() -> None:
    """Keep pyarrow from importing pandas (0.15 to 0.2 s) until somebody else does.

    pyarrow imports pandas at the first conversion, of a Python number even, to know a pandas object if it meets one. There can be none
    before pandas is imported. When it is, by whomever, pyarrow looks again and behaves as ever.
    """
    import pyarrow as pa

    shim = getattr(pa.lib, "_pandas_api", None)
    if shim is None or "pandas" in sys.modules:
        return
    gate = _PandasGate(shim)
    sys.meta_path.insert(0, gate)
    pa.scalar(0)
    gate.closed = False


class _PandasGate:
    """A finder that finds no module. While closed, it denies that pandas is there; the first import after that makes pyarrow look anew."""

    def __init__(self, shim: Any) -> None:
        self.closed = True
        self._shim = shim

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name != "pandas":
            return
        if self.closed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            self._shim.__init__()  # forgets that it has looked


def warn_briefly() -> None:
    """Show warnings as one line each: where in our source they were raised says nothing to those who run a command."""

    def brief(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
        return f"warning: {message}\n"

    warnings.formatwarning = brief


def ahead(*calls: Callable[[], object]) -> threading.Thread:
    """Make calls in the background, one after another, and return the thread: imports of what will be needed after what is at work.

    Whoever needs a module before it is there waits for it, as at any import.
    """
    thread = threading.Thread(target=lambda: [call() for call in calls], name="ahead", daemon=True)
    thread.start()
    return thread


def leave(code: int) -> NoReturn:
    """End the process once what was registered for its end is done and all output is written.

    Python would then take apart what it holds, compiled kernels last: 0.4 s after a job of 5M rows, for memory that the system frees anyway.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # it was closed before Python began
                stream.flush()
        except OSError:
            code = code or 1
    os._exit(code)
