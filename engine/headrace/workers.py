"""The workers of a cluster while something needs them, and the device that they have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.backends import CPU, GPU, find_device, thread_count
from headrace.cluster import Cluster, open_cluster
from headrace.errors import ClusterError, JobError


@contextmanager
def using(cluster: str | Cluster, device: str = CPU) -> Iterator[Cluster]:
    """Open a cluster by name and close it at the end; one that is open already stays open."""
    if not isinstance(cluster, str):
        if not hasattr(cluster, "one_process"):
            hint = 'give its name, as "local" or "processes", a scheduler\'s address, or what hr.open_cluster returns'
            near = getattr(getattr(cluster, "scheduler", None), "address", None)  # of a client of Dask's
            hint = f"give its scheduler's address, {near!r}" if isinstance(near, str) else hint
            raise JobError(f"a {type(cluster).__module__}.{type(cluster).__qualname__} is no cluster", hint=hint)
        yield cluster
        return
    opened = open_cluster(cluster, thread_count(cluster, None, device))
    try:
        with told_if_lost():
            yield opened
    finally:
        opened.close()


@contextmanager
def told_if_lost() -> Iterator[None]:
    """Raise ClusterError where the scheduler is found to be gone inside."""
    try:
        yield
    except OSError as error:
        if type(error).__name__ != "CommClosedError":
            raise
        message = f"the scheduler has gone away: {error}"
        raise ClusterError(message, hint="look at its log; start it and its workers again, and run again") from error


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
