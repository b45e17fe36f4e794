"""A job of Headrace, several times in one process, as a service or a notebook would: what the second time takes."""

from __future__ import annotations

import argparse
import json
import sys
import time

from headrace import Job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--repeat", type=int, default=2)
    arguments = parser.parse_args()
    seconds = []
    for _ in range(arguments.repeat):
        started = time.perf_counter()
        Job.load(arguments.job, arguments.settings).run()
        seconds.append(time.perf_counter() - started)
    json.dump({"seconds": seconds}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
