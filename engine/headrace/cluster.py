"""Cluster: where tasks run. Threads of this process, processes of this machine, or a Dask scheduler's workers.

Every kind offers the same few verbs: share a value with all workers, submit a function, wait for results in order. The kinds are
`local_cluster`, which does without Dask, and `dask_cluster`; here is what is asked of both, and how one is opened by its name in a job.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any, Protocol
from urllib.parse import urlparse

from headrace.dask_cluster import DaskCluster
from headrace.errors import ClusterError, JobError, MissingLibraryError, nearest
from headrace.forks import METHOD, prepare_forks
from headrace.gpus import find_gpus
from headrace.local_cluster import LocalCluster
from headrace.waits import result_of

# How many parts one merge task takes: a task costs milliseconds, so a tree of pairs would be mostly overhead. Data is usually cut into
# about a sixteenth each: one task then merges what threads of one process have found.
FAN_IN = 32
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


class Cluster(Protocol):
    """What execution asks of a cluster. Handles may be passed as arguments to later tasks."""

    name: str
    n_workers: int
    one_process: bool  # tasks see each other's memory
    one_machine: bool  # tasks see each other's files
    n_threads: int  # that one task a worker may use

    def share(self, value: Any) -> Any:
        """Make a value available to every worker; return a handle to pass to tasks."""

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """Start a task; return its handle."""

    def submit_about(self, subject: int, function: Callable[..., Any], *args: Any) -> Any:
        """Start a task about one partition: where its worker is free, that is the one of the last such task, which may have kept its rows."""

    def spread(self, n_subjects: int) -> list[int]:
        """Give each subject a worker at home, where later tasks about it go if they may choose; return these workers by their places.

        Neighbours share a home, as far as its load allows. Which subjects do depends on the numbers of both alone.
        """

    def neighbours(self, handles: Sequence[Any]) -> list[list[Any]]:
        """Cut results of tasks into runs that are best merged first: of Dask's workers, what lies on one of them, or is to be made there."""

    def submit_beside(self, result: Any, function: Callable[..., Any], *args: Any) -> Any:
        """Start a task where the result of a task that is done lies, if that worker is still there."""

    def submit_at(self, place: int, function: Callable[..., Any], *args: Any) -> Any:
        """Start a task on the worker of a place that `spread` returned, and on no other."""

    def together(self) -> AbstractContextManager[Any]:
        """Keep out others while tasks run that wait for each other, each on a worker of its own."""

    def wait(self, handles: Sequence[Any], done: Callable[[], None] | None = None) -> None:
        """Wait for tasks, calling `done` for each; raise the first error."""

    def wait_at(self, places: Sequence[int], handles: Sequence[Any]) -> None:
        """Wait for tasks that `submit_at` started; raise ClusterError if the worker of one of the places is gone, which no other stands in for."""

    def gather(self, handles: Sequence[Any]) -> list[Any]:
        """Return the results of tasks, in the order of the handles."""

    def everywhere(self, function: Callable[..., Any], *args: Any) -> None:
        """Run a function once in every process that runs tasks."""

    def close(self) -> None:
        """End what was started."""


def start_merges(cluster: Cluster, merge: Callable[..., Any], shared: Any, handles: Sequence[Any]) -> list[Any]:
    """Start merging results of tasks, at work or done, in canonical order: those of neighbours of one worker, where they lie. Return handles."""
    return [run[0] if len(run) == 1 else cluster.submit_beside(run[0], merge, shared, *run) for run in cluster.neighbours(handles)]


def merge_neighbours(cluster: Cluster, merge: Callable[..., Any], shared: Any, handles: Sequence[Any]) -> list[Any]:
    """Merge results of tasks that are done in the same way; return handles that are done."""
    runs = start_merges(cluster, merge, shared, handles)
    cluster.wait(runs)
    return runs


def reduce_tree(
    cluster: Cluster, merge: Callable[..., Any], shared: Any, handles: Sequence[Any], last: Callable[..., Any], beside: Any
) -> Any:
    """Merge results in canonical order, a few at a time, the last ones by `last` where `beside` lies, which is done.

    Returns the handle of the total.
    """
    level = list(handles)
    while len(level) > FAN_IN:
        level = [cluster.submit(merge, shared, *level[start : start + FAN_IN]) for start in range(0, len(level), FAN_IN)]
    return cluster.submit_beside(beside, last, shared, *level)


def open_cluster(name: str, workers: int | None = None) -> Cluster:
    """Open a cluster by its name in a job: ``local``, ``processes``, ``cuda``, or a scheduler's address.

    Parameters
    ----------
    name : str
        ``local`` (threads of this process), ``processes`` (Dask workers on this machine), ``cuda`` (one Dask worker a GPU
        of this machine), ``tcp://127.0.0.1:8786`` or ``tls://host:8786`` (a scheduler that is running).
    workers : int, optional
        Threads or processes, default one a core; or GPUs, default all. A scheduler has the workers it has.

    Raises
    ------
    JobError
        If there is no such kind, fewer GPUs than workers, or an address beyond this machine is not TLS.
    MissingLibraryError
        If dask-cuda is not installed.
    ClusterError
        If the scheduler does not answer.
    """
    if name == "local":
        return LocalCluster(workers)
    if name == "processes":
        return _processes(workers)
    if name == "cuda":
        return _cuda(workers)
    if "://" in name:
        return _connect(name)
    raise _unknown(name)


def planned_workers(name: str, workers: int | None = None) -> int:
    """Return how many workers a plan counts with: nothing is started and no scheduler is asked; a name that is none is refused."""
    if name not in _KINDS and "://" not in name:
        raise _unknown(name)
    return workers or (max(len(find_gpus()), 1) if name == "cuda" else os.cpu_count() or 1)


def is_remote(name: str) -> bool:
    """Return whether a cluster's name is the address of a scheduler that other machines reach.

    >>> is_remote("tls://10.0.0.1:8786"), is_remote("tcp://127.0.0.1:8786"), is_remote("processes")
    (True, False, False)
    """
    return "://" in name and urlparse(name).hostname not in LOOPBACK


_KINDS = ("local", "processes", "cuda")


def _unknown(name: str) -> JobError:
    near = nearest(name, _KINDS)
    known = f"Clusters: {', '.join(_KINDS)}, or a scheduler's address such as tcp://127.0.0.1:8786"
    return JobError(f"no cluster {name!r}", key="run.cluster", hint=f"nearest: {near!r}. {known}" if near else known)


def prepare_cluster(name: str | None) -> None:
    """Begin beside other work what opening a cluster of this name will wait for; no name, and one that is none, are let be."""
    if name == "processes":
        prepare_forks()


# What Dask does a hundred times a second in each process, for a dashboard that nobody sees: 2 % of a core each.
_QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.scheduler.work-stealing-interval": "1s",
}


def _processes(workers: int | None) -> DaskCluster:
    prepare_forks()
    import dask
    import distributed

    distributed.utils._forkserver_preload_set = True  # Dask would import here all that it can work with, pandas too
    # A worker that has died is started anew.
    with dask.config.set({"distributed.worker.multiprocessing-method": METHOD, **_QUIET}):
        return _started(
            "processes",
            distributed.LocalCluster,
            n_workers=workers or os.cpu_count() or 1,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port: the usual one may be taken
            memory_limit=0,
            preload="headrace.worker_setup",
            env=dict(os.environ),  # forks have that of an earlier time
            silence_logs=logging.CRITICAL,  # a task's error is raised here, and need not stand on the terminal twice
        )


# After an interruption; it takes a second or two where nothing is wrong.
_STARTED_WITHIN_S = 20.0
# What this process opens beside its job, 20 and 11 a worker where it was counted, and half as much again for what the job opens.
_FILES, _FILES_A_WORKER = 64, 16


def _take_files(name: str, n_workers: int) -> None:
    """Let this process open as many files, sockets and pipes as workers take; one that may not would wait for them for ever, and say nothing."""
    try:
        import resource
    except ImportError:  # Windows knows no such limit
        return
    needed = _FILES + _FILES_A_WORKER * n_workers
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if most != resource.RLIM_INFINITY and most < needed:
        raise ClusterError(
            f"{n_workers} workers of the cluster `{name}` take {needed} open files, and this process may have {most}",
            hint="raise the limit (`ulimit -Hn`, LimitNOFILE, --ulimit nofile), set run.workers to fewer, or use the cluster `local`",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))


def _started(name: str, kind: Callable[..., Any], n_workers: int, **settings: Any) -> DaskCluster:
    """Start workers of our own, and connect to them."""
    import distributed

    _take_files(name, n_workers)
    # A starting child runs the script's top level; workers of its own would have children that do the same. `multiprocessing` itself
    # asks the same attribute (spawn._check_not_importing_main), and Dask loses its answer and waits for ever.
    process = multiprocessing.current_process()
    if process.daemon:
        raise ClusterError(
            f"the cluster `{name}` starts processes, and this one may not: it is a daemon, as those of multiprocessing.Pool are",
            hint="use the cluster `local` here, or the address of a scheduler; or call it from a process that is no daemon",
        )
    if getattr(process, "_inheriting", False):
        raise ClusterError(
            f"a worker of the cluster `{name}` ran the script that opens it again",
            hint='put what the script does below `if __name__ == "__main__":`: every worker imports the script when it starts',
        )
    try:
        starter = ThreadPoolExecutor(1)
        starting = starter.submit(kind, n_workers=n_workers, **settings)
        try:
            owned = result_of(starting)
        except KeyboardInterrupt:
            # Of one that has begun to start nothing else knows what to end; but a start that hangs is not waited for.
            if starting in wait([starting], _STARTED_WITHIN_S).done:
                starting.result().close()
            raise
        finally:
            starter.shutdown(wait=False)
        client = distributed.Client(owned)
        client.amm.stop()  # it would leave one copy of what all workers share, and a worker that dies would take that along
        return DaskCluster(name, client, owned)
    except (TimeoutError, OSError, RuntimeError) as error:
        raise ClusterError(
            f"the workers of the cluster `{name}` did not start: {error}",
            hint='a script that opens it needs `if __name__ == "__main__":` around what it does, because every worker imports the script, and '
            "must be a file, not standard input; a machine that is busy may take too long: try again, or use fewer workers, or the cluster "
            "`local`",
        ) from error


# Of a device's memory: Dask moves results of tasks to the host beyond the first share, an allocation fails beyond the second, when
# cuDF has moved what it can. What is left is for CUDA's own context and for libraries that do not ask RMM.
_MOST_RESULTS = 0.8
_MOST_MEMORY = 0.9


def _cuda(workers: int | None) -> DaskCluster:
    gpus = find_gpus()
    if len(gpus) < (workers or 1):
        found = f"{len(gpus)} can" if gpus else "none can"
        wanted = f"{workers} workers of the cluster `cuda` need a GPU each" if workers else "the cluster `cuda` needs a GPU"
        raise JobError(f"{wanted}, and {found} be used here", key="run.cluster", hint="`headrace doctor` says what is missing")
    try:
        import dask_cuda
    except ImportError as error:
        message = f"the cluster `cuda` needs dask-cuda: {error}"
        raise MissingLibraryError(message, key="run.cluster", hint="pip install 'headrace[gpu]'") from error
    n_workers = workers or len(gpus)
    return _started(
        "cuda",
        dask_cuda.LocalCUDACluster,
        n_workers=n_workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        # shared memory between workers in place of sockets; one worker has nobody to send to
        protocol="ucx" if n_workers > 1 and find_spec("distributed_ucxx") else None,
        device_memory_limit=_MOST_RESULTS,
        enable_cudf_spill=True,
        rmm_async=True,  # the driver's own pool; with it dask-cuda wants no size of a first one
        rmm_maximum_pool_size=_MOST_MEMORY,
        rmm_allocator_external_lib_list=["cupy"],
        silence_logs=logging.CRITICAL,
    )


def _connect(address: str) -> DaskCluster:
    place = urlparse(address)
    if place.scheme not in ("tcp", "tls"):
        raise JobError(f"no scheduler address {address!r}", key="run.cluster", hint="write tcp://127.0.0.1:8786 or tls://host:8786")
    if place.scheme == "tcp" and is_remote(address):
        raise JobError(
            f"{address!r} is another machine, and tcp:// is open to anybody on the way",
            key="run.cluster",
            hint="start scheduler and workers with TLS and use tls://; see docs/clusters.md",
        )
    import distributed

    try:
        client = distributed.Client(address, timeout="10s")
        if not client.nthreads():  # some schedulers start workers when there is work
            logging.getLogger("headrace").warning(
                "no worker has joined the scheduler yet, and the job waits for one: dask worker %s", address
            )
        return DaskCluster(address, client)
    except OSError as error:
        raise ClusterError(
            f"no Dask scheduler answers at {address}: {error}", hint="start one: dask scheduler; dask worker ADDRESS"
        ) from error
