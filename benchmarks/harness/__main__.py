"""Run a suite: python -m benchmarks.harness criteo --rows 5000000 --peers polars --out out/bench"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from benchmarks.harness.suites import SUITES, make_request, run_suite


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harness", description="Headrace against what else one could use, in turn.")
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--peers", help="comma-separated; default: all of the suite")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--shape", default="dictionary")
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--data", type=Path, default=Path("data/bench"))
    asked = parser.parse_args()
    request = make_request(
        asked.suite, asked.out, asked.data, rows=asked.rows, peers=asked.peers, runs=asked.runs, shape=asked.shape, cases=None
    )
    found = run_suite(request, print)
    asked.out.mkdir(parents=True, exist_ok=True)
    result = asked.out / f"{asked.suite}.json"
    result.write_text(json.dumps(dataclasses.asdict(found), indent=1, default=str))
    print(f"results: {result}")


if __name__ == "__main__":
    main()
