"""The workers of a cluster while something needs them, and the device that they have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.backends import CPU, GPU, find_device, thread_count
from headrace.cluster import Cluster, open_cluster
from headrace.errors import JobError


@contextmanager
def using(cluster: str | Cluster, device: str = CPU) -> Iterator[Cluster]:
    """Open a cluster by name and close it at the end; one that is open already stays open."""
    if not isinstance(cluster, str):
        yield cluster
        return
    opened = open_cluster(cluster, thread_count(cluster, None, device))
    try:
        yield opened
    finally:
        opened.close()


def worker_device(cluster: Cluster, asked: str) -> str:
    """Return the device that ``auto``, ``cpu`` or ``gpu`` means where tasks run."""
    if asked not in ("auto", "cpu", "gpu"):
        raise JobError(f"no device {asked!r}", key="device", hint="devices: auto, cpu, gpu")
    if cluster.one_process:
        return find_device(asked)
    found: str = cluster.gather([cluster.submit(find_device, asked)])[0] if asked != CPU else CPU
    if found == GPU:
        cluster.everywhere(find_device, GPU)  # the others must have one too, and memory of their own
    return found
