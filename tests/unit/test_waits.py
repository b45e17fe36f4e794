"""Waiting for threads: what they return and raise, and an interruption, which is told to them and not waited for."""

from __future__ import annotations

import signal
import threading
from typing import NoReturn

import pytest

from headrace.waits import in_own_thread


def test_an_error_of_the_own_thread_is_raised_where_it_is_waited_for() -> None:
    def refuse() -> NoReturn:
        raise ValueError("7 is wrong")

    with pytest.raises(ValueError, match="7 is wrong"):
        in_own_thread(refuse, stop=lambda: None)


def test_an_interruption_asks_the_own_thread_to_stop_and_waits_no_longer() -> None:
    met: list[str] = []
    asked, ended = threading.Event(), threading.Event()

    def work() -> None:
        met.append("here" if threading.current_thread() is threading.main_thread() else "elsewhere")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        asked.wait(10)
        met.append("asked" if asked.is_set() else "left alone")
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        in_own_thread(work, asked.set)
    assert ended.wait(10)
    assert met == ["elsewhere", "asked"]
