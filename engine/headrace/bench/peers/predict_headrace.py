"""Predictions of a bundle of Headrace, several times in one process: BUNDLE IN OUT TIMES DEVICE."""

from __future__ import annotations

import json
import sys
import time

import headrace


def main() -> None:
    path, source, out, repeat, device = sys.argv[1:]
    bundle = headrace.load(path)
    seconds = []
    for _ in range(int(repeat)):
        started = time.perf_counter()
        bundle.predict(source, out, device=device, overwrite=True)
        seconds.append(time.perf_counter() - started)
    json.dump({"seconds": seconds}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
