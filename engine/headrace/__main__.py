"""`headrace` and `python -m headrace`: the command line in a process that is there for nothing else."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from headrace.startup import leave


def command() -> NoReturn:
    """Run the command line, and end the process; without a traceback too where it is stopped before anything is imported."""
    code: object = None
    try:
        from headrace.cli import main

        main()
    except KeyboardInterrupt as interruption:
        code = 128 + getattr(interruption, "number", signal.SIGINT)
    except SystemExit as done:
        code = done.code
    if callable(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # who asks once more waits for nothing, and sees no traceback of the end
    if isinstance(code, str):
        print(code, file=sys.stderr)  # noqa: T201
    leave(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    command()
