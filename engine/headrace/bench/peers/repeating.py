"""What every peer's script shares: its arguments, and one line of JSON with the seconds of each repetition."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path


def repeat(job: Callable[[Path, Path], None], description: str | None) -> None:
    """Run ``job(source, out)`` as often as the command line asks, and say how long each time took, imports left out."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of the Parquet files")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--repeat", type=int, default=1, help="how often, in this one process")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    seconds = []
    for _ in range(arguments.repeat):
        started = time.perf_counter()
        job(arguments.source, arguments.out)
        seconds.append(time.perf_counter() - started)
    json.dump({"seconds": seconds}, sys.stdout)
    print()
