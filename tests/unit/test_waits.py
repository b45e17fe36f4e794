"""Waiting for threads: what they return and raise, and an interruption, which is told to them and not waited for."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from headrace import commands
from headrace.commands import Stopped, signal_behind
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


# What C calls at the end of an object loses an exception; a kernel's compiler, and the import system, leave a lock behind.
STOPPED = """
import os, signal, sys, threading, time
from headrace import commands
from headrace.commands import heed_signals

class Loses:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

def compiles():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)
    print("compiled", flush=True)

heed_signals()
try:
    {what}
    time.sleep(10)
except KeyboardInterrupt as stop:
    print("stopped by", stop.number)
"""


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("Loses()", "stopped by 15\n"),
        ("exec(compile('compiles()', '/lib/numba/core/dispatcher.py', 'exec'))", "compiled\nstopped by 15\n"),
        ("exec(compile(open('f.py').read(), '<frozen importlib._bootstrap>', 'exec'))", "compiled\nstopped by 15\n"),
    ],
    ids=["lost", "compiling", "importing"],
)
def test_a_request_to_end_is_met_where_it_does_no_harm(what: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("os.kill(os.getpid(), signal.SIGTERM)\nfor _ in range(100_000): pass\nprint('compiled', flush=True)\n")
    script = STOPPED.format(what=what)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert (ran.stdout, ran.stderr) == (told, "")


def test_no_request_to_end_is_raised_where_a_lost_one_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    later: list[int] = []
    monkeypatch.setattr("headrace.commands._signal_later", later.append)
    monkeypatch.setattr("headrace.commands.sys.__unraisablehook__", lambda _: commands._stop(signal.SIGTERM, inspect.currentframe()))
    told: Any = SimpleNamespace(exc_type=ValueError, exc_value=None)
    commands._stop_again(told)
    assert later == [signal.SIGTERM]


def test_an_exit_that_comes_of_a_signal_is_known_by_it() -> None:
    exit_of_typer = SystemExit(130)
    exit_of_typer.__context__ = Stopped(signal.SIGTERM)
    assert signal_behind(exit_of_typer) == signal.SIGTERM
    assert signal_behind(SystemExit(1)) is None
