"""Run a suite: python -m benchmarks.harness criteo --rows 5000000 --peers polars --out out/bench"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from benchmarks.harness.shown import show, tell
from benchmarks.harness.suites import SUITES, make_request, run_suite

from headrace.errors import HeadraceError


def main() -> None:
    """Run what the command line asks for; write NAME.json and NAME.svg; show the tables, or with --json the results."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the side that runs is ended with its children
    try:
        request = make_request(
            asked.suite, asked.out, asked.data, rows=asked.rows, peers=asked.peers, runs=asked.runs, shape=asked.shape, cases=asked.cases
        )
        found = run_suite(request, tell)
    except HeadraceError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit("stopped; no result is written")
    results = found.write(asked.out)
    # Only now: Matplotlib in the driver would count as memory of what it starts.
    from benchmarks.harness.chart import draw

    chart = results.with_suffix(".svg")
    chart.write_text(draw(found))
    if asked.json:
        print(json.dumps(found.describe()))
    else:
        show(found, (results, chart))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harness", description="Headrace against what else one could use, in turn.")
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("--rows", type=int, help="default: the suite's usual number")
    parser.add_argument("--peers", help="comma-separated; default: all of the suite")
    parser.add_argument("--runs", type=int, default=5, help="of each side, in turn, after a round that warms up")
    parser.add_argument("--shape", default="dictionary", help="criteo: dictionary, plain, wide or many-files")
    parser.add_argument("--cases", help="comma-separated; default: all of the suite")
    parser.add_argument("--out", type=Path, default=Path("out/bench"), help="for results and charts")
    parser.add_argument("--data", type=Path, default=Path("data/bench"), help="for the generated data, which is kept")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of tables")
    return parser.parse_args()


if __name__ == "__main__":
    main()
