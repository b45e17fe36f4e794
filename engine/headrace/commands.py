"""What every command of `headrace` shares: its options, its JSON, and how it fails."""

from __future__ import annotations

import _thread
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any

import typer

from headrace.errors import HeadraceError, JobError, JobErrors, MemoryBudgetError, OutputError
from headrace.new_folder import DISK_ERRORS
from headrace.startup import spare_pandas, warn_briefly
from headrace.waits import is_interruptible

JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON object and nothing else.")]
DebugOption = Annotated[bool, typer.Option("--debug", metavar="", help="Show the traceback of an error.")]


_LATER_S = 0.01


class Stopped(KeyboardInterrupt):
    """The process was asked to end by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def heed_signals() -> None:
    """Heed Ctrl-C and requests to end, unless they are ignored (`nohup`): what was begun is cleared away."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    sys.unraisablehook = _stop_again


def signal_behind(error: BaseException) -> int | None:
    """Return the signal that an error came of: Typer makes an exit of what stops it before a command has begun."""
    before: BaseException | None = error
    while before is not None:
        if isinstance(before, Stopped):
            return before.number
        before = before.__context__
    return None


def _stop(number: int, frame: FrameType | None) -> None:
    if is_interruptible(frame, _stop_again.__code__):  # raised there it would be lost too
        raise Stopped(number)
    _signal_later(number)


def _stop_again(told: sys.UnraisableHookArgs) -> None:
    """Ask again where a request to end was lost: in what C, the collector of garbage or the end of an object called."""
    if isinstance(told.exc_value, Stopped):
        _signal_later(told.exc_value.number)
    elif not issubclass(told.exc_type, KeyboardInterrupt):  # of a task, which is interrupted again
        sys.__unraisablehook__(told)


def _signal_later(number: int) -> None:
    def work() -> None:
        time.sleep(_LATER_S)
        signal.pthread_kill(main, number)

    main = threading.main_thread().ident or 0
    _thread.start_new_thread(work, ())


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(json.dumps(value, allow_nan=False))  # noqa: T201


def guarded(act: Callable[[], None], *, as_json: bool, debug: bool, with_arrow: bool = True) -> None:
    """Run a command; show an error in a few lines and exit with its code, with no traceback unless asked.

    Arrow is imported first, unless the command starts other processes: they would wait for it, or its memory would be counted as theirs.
    """
    warn_briefly()
    try:
        if with_arrow:
            spare_pandas()
        act()
        if sys.stdout is not None:
            sys.stdout.flush()
    except HeadraceError as error:
        _show_error(error, as_json=as_json, debug=debug)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt as interruption:
        stopped = HeadraceError("stopped; nothing of this run is kept")
        if as_json:
            print_json({"error": [_as_json(stopped, "Interrupted")]})
        print(stopped.message, file=sys.stderr)  # noqa: T201
        raise typer.Exit(128 + getattr(interruption, "number", signal.SIGINT)) from None
    except BrokenPipeError:
        reader_left()  # as in `headrace plan | head`
        raise typer.Exit(0) from None
    except typer.Exit:
        raise
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            _show_unexpected(error, as_json=as_json, debug=debug)
            raise typer.Exit(1) from None
        full = OutputError(f"what was to be written could not be: {os.strerror(error.errno)}", hint="make room, or write elsewhere")
        _show_error(full, as_json=False, debug=debug)  # standard output may be what is full
        raise typer.Exit(full.exit_code) from None
    except MemoryError as error:
        used_up = MemoryBudgetError(
            f"the system gives no more memory: {error}", hint="set run.memory, so that partitions are made to fit, or use fewer workers"
        )
        _show_error(used_up, as_json=as_json, debug=debug)
        raise typer.Exit(used_up.exit_code) from None
    except Exception as error:  # noqa: BLE001  (the last line of defence: no traceback reaches a user by default)
        _show_unexpected(error, as_json=as_json, debug=debug)
        raise typer.Exit(1) from None


def reader_left() -> None:
    """Write nothing more to a reader that went away: that is no error of ours, and Python must not complain at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_unexpected(error: Exception, *, as_json: bool, debug: bool) -> None:
    hint = "this is a fault of headrace: run again with --debug and report what it shows"
    _show_error(HeadraceError(f"{type(error).__name__}: {error}", hint=hint), as_json=as_json, debug=debug)


def _show_error(error: HeadraceError, *, as_json: bool, debug: bool) -> None:
    """Show an error on standard error, its traceback first if asked; with `--json` also as an object on standard output."""
    if debug:
        traceback.print_exc()
    found = error.errors if isinstance(error, JobErrors) else (error,)
    if as_json:
        print_json({"error": [_as_json(one, _kind(one)) for one in found]})
    from headrace.terminal import show_error

    for one in found:
        show_error(one)


def told_as_json(run: Callable[[], Any]) -> int:
    """Run the command line and return its exit code; what is wrong with the arguments becomes an object on standard output too."""
    try:
        return int(run() or 0)
    except Exception as error:
        # Typer's errors stand in one module of it or another, by its version; this is what they have in common.
        if not hasattr(error, "format_message"):
            raise
        print_json({"error": [_as_json(JobError(error.format_message()), "JobError")]})
        error.show()  # type: ignore[attr-defined]
        return JobError.exit_code


def _as_json(error: HeadraceError, kind: str) -> dict[str, str | int | None]:
    return {"kind": kind, "message": error.message, **error.fields()}


def _kind(error: HeadraceError) -> str:
    return "unexpected" if type(error) is HeadraceError else type(error).__name__
