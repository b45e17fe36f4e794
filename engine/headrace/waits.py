"""Interruptions: waiting so that they are met, are not lost, and leave no lock behind that others wait for; and when none may come.

Three things of Python are gone round here. A signal that comes while a thread is about to sleep in a lock without a time limit wakes it
only when the lock is free. An interruption in the middle of a condition's `wait` can be replaced by the RuntimeError of a lock that is
released twice. And one in the middle of its `__enter__`, which is written in Python, leaves it locked. Futures, events, semaphores and
the start of a `Thread` are made of conditions; a plain lock is entered in one step.

Python's import system and Numba's compiler have such locks too, one for all of the process, which their own code in Python takes: who
waits for one when an interruption comes leaves it locked for certain.
"""

from __future__ import annotations

import _thread
import os
from collections.abc import Callable
from concurrent.futures import Future
from types import CodeType, FrameType
from typing import TypeVar

T = TypeVar("T")
_WAIT_S = 0.1
_COMPILER = f"{os.sep}numba{os.sep}core{os.sep}"


def result_of(future: Future[T]) -> T:
    """Return a future's result, or raise its error; an interruption is met within a tenth of a second.

    >>> done: Future[int] = Future()
    >>> done.set_result(1)
    >>> result_of(done)
    1
    """
    busy = _locked()
    future.add_done_callback(lambda _: busy.release())
    _wait(busy)
    return future.result()


def in_own_thread(call: Callable[[], T], stop: Callable[[], None]) -> T:
    """Return what a call returns, or raise what it raises, made by a thread to which no interruption comes.

    One that comes to the thread that waits has `stop` asked to end the call, which is not waited for.

    >>> in_own_thread(lambda: 1, stop=lambda: None)
    1
    """
    made: Future[T] = Future()
    busy = _locked()

    def work() -> None:
        try:
            made.set_result(call())
        except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
            made.set_exception(error)
        finally:
            busy.release()

    try:
        _thread.start_new_thread(work, ())
        _wait(busy)
    except BaseException:
        stop()
        raise
    return made.result()


def is_interruptible(frame: FrameType | None, *never: CodeType) -> bool:
    """Return whether an interruption may be raised at a frame: not in the import system itself, while a kernel is compiled, or in `never`.

    >>> import sys
    >>> is_interruptible(sys._getframe())
    True
    """
    if frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        return False  # modules that it runs are no matter
    while frame is not None:
        if frame.f_code in never or _COMPILER in frame.f_code.co_filename:
            return False
        frame = frame.f_back
    return True


def _locked() -> _thread.LockType:
    lock = _thread.allocate_lock()
    lock.acquire()
    return lock


def _wait(busy: _thread.LockType) -> None:
    while not busy.acquire(timeout=_WAIT_S):
        pass
