"""Profiling a source: every column's summary, and whether its row groups suit an engine that reads them in parallel."""

from __future__ import annotations

from typing import Any

from headrace.backends import CPU, open_backend
from headrace.cluster import open_cluster
from headrace.dataset import Dataset
from headrace.execution import Progress
from headrace.ledger import Ledger
from headrace.partitions import Partition, cut, read_partition
from headrace.plan import human_bytes
from headrace.profile import ColumnProfile, merge_profiles, profile_table

# Row groups below this cost more to open than to read; above the other they do not fit beside their neighbours.
SMALL_BYTES, LARGE_BYTES = 1 << 20, 1 << 30


def profile_source(path: str, progress: Progress) -> dict[str, Any]:
    """Return source, columns (as in a run's record) and advice of Parquet files.

    Raises
    ------
    JobError, DataError
        If there are no files, or one cannot be read.
    """
    dataset = Dataset.open(path)
    names = dataset.schema.names
    partitions = cut(dataset, names)
    cluster = open_cluster("local")
    try:
        shared = cluster.share(dataset)
        progress.start("profile", len(partitions))
        handles = [cluster.submit(profile_partition, shared, partition) for partition in partitions]
        cluster.wait(handles, progress.advance)
        found = cluster.gather(handles)
    finally:
        cluster.close()
    merged = merge_profiles(found)
    return {
        "source": dataset.describe(),
        "columns": [merged[name].describe(name) for name in names if name in merged],
        "advice": advice(dataset),
    }


def profile_partition(dataset: Dataset, partition: Partition) -> dict[str, ColumnProfile]:
    """Return the profile of one partition's rows."""
    tables = read_partition(dataset, partition, dataset.schema.names, open_backend(CPU), Ledger())
    return merge_profiles([profile_table(table) for table in tables])


def advice(dataset: Dataset) -> list[str]:
    """Return what would make a source quicker to read, with the figures that say so."""
    sizes = [sum(group.nbytes.values()) for group in dataset.row_groups]
    if not sizes:
        return []
    found = []
    mean = sum(sizes) / len(sizes)
    if len(sizes) > 1 and mean < SMALL_BYTES:
        found.append(f"{len(sizes)} row groups hold {human_bytes(mean)} each on average: write fewer, larger ones (64 to 256 MiB)")
    if max(sizes) > LARGE_BYTES:
        found.append(f"the largest row group holds {human_bytes(max(sizes))}, and a row group is never cut: write groups of 64 to 256 MiB")
    if len(sizes) == 1 and sizes[0] > LARGE_BYTES // 4:
        found.append("there is one row group: no two workers can share it")
    return found
