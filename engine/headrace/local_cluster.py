"""The cluster `local`: tasks in threads of this process."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

from headrace.waits import is_interruptible, result_of

INTERRUPT_AGAIN_S = 0.5
_GIVEN_UP_S = 20.0


class LocalCluster:
    """Threads of this process: opens no port and imports no Dask. Kernels and Arrow release the GIL."""

    name = "local"
    one_process = True
    one_machine = True

    def __init__(self, n_workers: int | None = None) -> None:
        self.n_threads = os.cpu_count() or 1
        self.n_workers = n_workers or self.n_threads
        self._busy: set[int] = set()  # threads that are at a task
        self._interrupted: set[int] = set()  # those that were told to stop
        self._stopped = False
        self._lock = threading.Lock()  # a condition, which Python enters in two steps, could be left locked by an interruption

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.n_workers, thread_name_prefix="headrace")

    def share(self, value: Any) -> Any:
        return value

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        # A task waits for its arguments inside the pool. They were all submitted before it and the pool starts tasks in
        # order, so the oldest waiting task can always go on.
        return self._pool.submit(self._do, function, args)

    def _do(self, function: Callable[..., Any], args: Iterable[Any]) -> Any:
        thread = threading.get_ident()
        with self._lock:
            if self._stopped:
                raise CancelledError
            self._busy.add(thread)
        try:
            return function(*[arg.result() if isinstance(arg, Future) else arg for arg in args])
        finally:
            with self._lock:
                self._busy.discard(thread)
                interrupted = thread in self._interrupted
                self._interrupted.discard(thread)
            if interrupted:
                _meet_interruption(thread)

    def submit_about(self, subject: int, function: Callable[..., Any], *args: Any) -> Future[Any]:
        return self.submit(function, *args)

    def spread(self, n_subjects: int) -> list[int]:
        return [0] * n_subjects  # threads share their memory

    def neighbours(self, handles: Sequence[Future[Any]]) -> list[list[Future[Any]]]:
        return [[handle] for handle in handles]  # as many merges at once as there are threads

    def submit_beside(self, result: Future[Any], function: Callable[..., Any], *args: Any) -> Future[Any]:
        return self.submit(function, *args)

    def submit_at(self, place: int, function: Callable[..., Any], *args: Any) -> Future[Any]:
        return self.submit(function, *args)

    def together(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def wait(self, handles: Sequence[Future[Any]], done: Callable[[], None] | None = None) -> None:
        for handle in handles:
            try:
                result_of(handle)
            except BaseException as error:
                self._pool.shutdown(wait=False, cancel_futures=True)
                if isinstance(error, KeyboardInterrupt):
                    self._interrupt()
                raise
            if done:
                done()

    def wait_at(self, places: Sequence[int], handles: Sequence[Future[Any]]) -> None:
        self.wait(handles)

    def gather(self, handles: Sequence[Future[Any]]) -> list[Any]:
        self.wait(handles)
        return [handle.result() for handle in handles]

    def everywhere(self, function: Callable[..., Any], *args: Any) -> None:
        function(*args)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        if isinstance(sys.exc_info()[1], KeyboardInterrupt):
            self._interrupt()  # threads are not joined after it: one may wait for ever for a lock that another left (see `waits`)
        else:
            self._pool.shutdown(wait=True)

    def _interrupt(self) -> None:
        """Interrupt the threads that are at a task, after a round of training for one, again and again: what C calls back may lose it.

        One that waits for ever for a lock that another left is given up: it does nothing more.
        """
        self._stopped = True
        end = time.monotonic() + _GIVEN_UP_S
        while self._busy and time.monotonic() < end:
            again = time.monotonic() + INTERRUPT_AGAIN_S
            met: set[int] = set()
            while self._busy and time.monotonic() < again:
                with self._lock:
                    for thread in self._busy - met:
                        if is_interruptible(sys._current_frames().get(thread)):
                            met.add(thread)
                            self._interrupted.add(thread)
                            _raise_in(thread)
                time.sleep(0.01)


def _raise_in(thread: int) -> None:
    """Raise an interruption in a thread at its next step in Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))


def _meet_interruption(thread: int) -> None:
    """Let an interruption that came too late come here, to this thread.

    One in its place is certain to come. To take it back would leave Python's flag for it up, at which CPython 3.11 goes round in circles
    under a debugger or coverage.
    """
    try:
        _raise_in(thread)
        while True:
            time.sleep(0)
    except KeyboardInterrupt:
        pass
