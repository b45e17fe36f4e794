"""Fit a column of very many distinct strings within `run.memory`, and print what it took.

    python benchmarks/cardinality.py --distinct 50_000_000 --memory 4GiB     (or: make cardinality)

Every string is 32 bytes, made by its number and the seed. All stand in one row but for one in a hundred, which stand in three, so that a
vocabulary of `min_frequency: 3` has a known size: the script fails where it is another, or where the peak is above the memory given.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace import load
from headrace.plan import human_bytes, parse_bytes
from headrace_kernels.hashing import hash64_ints

ROWS_A_FILE = 5_000_000
ROW_GROUP = 500_000
OFTEN = 100  # one string in so many stands in three rows


def write_files(folder: Path, n_distinct: int, seed: int) -> None:
    """Write the numbers 0 to n - 1, and twice more those that are a multiple of OFTEN, shuffled by a hash, as 32 hexadecimal digits."""
    numbers = np.concatenate([np.arange(n_distinct), *[np.arange(0, n_distinct, OFTEN)] * 2])
    np.random.default_rng(seed).shuffle(numbers)
    for start in range(0, len(numbers), ROWS_A_FILE):
        some = numbers[start : start + ROWS_A_FILE]
        digits = np.stack([hash64_ints(some, seed), hash64_ints(some, seed + 1)], axis=1)
        nibbles = digits.view(np.uint8)
        text = np.empty((len(some), 32), np.uint8)
        text[:, 0::2], text[:, 1::2] = nibbles >> 4, nibbles & 15
        text += np.where(text < 10, ord("0"), ord("a") - 10).astype(np.uint8)
        offsets = np.arange(len(some) + 1, dtype=np.int32) * np.int32(32)
        keys = pa.StringArray.from_buffers(len(some), pa.py_buffer(offsets), pa.py_buffer(text))
        path = folder / f"part-{start // ROWS_A_FILE:03}.parquet"
        pq.write_table(pa.table({"key": keys}), path, row_group_size=ROW_GROUP, use_dictionary=False, compression="none")


FIT = """
import re, resource, sys, time
from headrace import Job

started = time.perf_counter()
job = Job.load(sys.argv[1])
plan = job.plan()
run = job.run()
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) << 10
used = resource.getrusage(resource.RUSAGE_SELF)
print(peak, plan.vocabulary_bytes, len(plan.partitions), time.perf_counter() - started, used.ru_utime + used.ru_stime, run.directory / "bundle", sep="\\n")
"""


def fit(folder: Path, n_distinct: int, memory: str) -> int:
    """Run the job in a process of its own, say what it took, and return what it says of itself: 0 if it kept to the memory and is right."""
    job = {
        "job": "cardinality",
        "source": {"path": f"{folder}/data/*.parquet"},
        "pipeline": [{"categorify": {"columns": ["key"], "min_frequency": 3}}],
        "output": {"path": f"{folder}/out"},
        "run": {"memory": memory},
    }
    (folder / "job.json").write_text(json.dumps(job))  # JSON is YAML
    done = subprocess.run([sys.executable, "-c", FIT, str(folder / "job.json")], stdout=subprocess.PIPE, text=True, check=True)
    peak, share, partitions, seconds, cpu_s, bundle = done.stdout.splitlines()
    vocabulary = load(bundle).fitted.states[0]["key"]
    found, expected = (len(vocabulary), vocabulary.n_rare), (-(-n_distinct // OFTEN), n_distinct - -(-n_distinct // OFTEN))
    print(
        f"{n_distinct:,} distinct strings of 32 bytes in {partitions} partitions, run.memory {memory} ({human_bytes(int(share))} for vocabularies)"
    )
    print(
        f"peak {human_bytes(int(peak))}, {float(seconds):.0f} s, {float(cpu_s):.0f} CPU s, {found[0]:,} categories kept, {found[1]:,} rare"
    )
    right, within = found == expected, int(peak) <= parse_bytes(memory)
    print("right" if right else f"WRONG: {expected} were expected", "and within" if within else "and ABOVE", "the memory given")
    return 0 if right and within else 1


def main() -> int:
    """Make the data and fit them."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--distinct", type=int, default=50_000_000)
    parser.add_argument("--memory", default="4GiB")
    parser.add_argument("--seed", type=int, default=7)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headrace-cardinality-") as name:
        (Path(name) / "data").mkdir()
        write_files(Path(name) / "data", settings.distinct, settings.seed)
        return fit(Path(name), settings.distinct, settings.memory)


if __name__ == "__main__":
    sys.exit(main())
