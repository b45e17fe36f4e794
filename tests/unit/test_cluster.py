"""Cluster: the same few verbs in threads and in processes; errors come back as they were raised."""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import headrace as hr
from headrace.cluster import FAN_IN, Cluster, merge_neighbours, open_cluster, reduce_tree, start_merges
from headrace.errors import ClusterError, DataError, JobError
from headrace.local_cluster import LocalCluster
from headrace.workers import told_if_lost


@pytest.fixture(scope="module")
def processes() -> Iterator[Cluster]:
    opened = open_cluster("processes", 2)
    yield opened
    opened.close()


@pytest.fixture(params=["local", "processes"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if request.param == "processes":
        yield request.getfixturevalue("processes")
        return
    opened = LocalCluster(2)
    yield opened
    opened.close()


def double(value: int) -> int:
    return value * 2


def joined(shared: str, *texts: str) -> str:
    return f"({shared.join(texts)})"


def refuse(value: int) -> int:
    raise DataError(f"{value} is wrong", file="a.parquet", row_group=3, column="x", hint="mend it")


def test_results_come_in_the_order_of_the_tasks(cluster: Cluster) -> None:
    assert cluster.gather([cluster.submit(double, value) for value in range(20)]) == [value * 2 for value in range(20)]


def test_a_handle_may_be_an_argument(cluster: Cluster) -> None:
    first = cluster.submit(double, 2)
    assert cluster.gather([cluster.submit(double, cluster.submit(double, first))]) == [16]


@pytest.mark.parametrize("n", [1, 2, FAN_IN, FAN_IN + 1, FAN_IN**2 + 3])
def test_parts_are_merged_in_their_order(cluster: Cluster, n: int) -> None:
    shared = cluster.share("+")
    handles = [cluster.submit(joined, shared, str(value)) for value in range(n)]
    cluster.wait(handles)
    total = cluster.gather([reduce_tree(cluster, joined, shared, handles, joined, handles[-1])])[0]
    assert total.replace("(", "").replace(")", "") == "+".join(str(value) for value in range(n))


def test_every_task_that_is_done_is_told(cluster: Cluster) -> None:
    told: list[None] = []
    cluster.wait([cluster.submit(double, value) for value in range(5)], lambda: told.append(None))
    assert len(told) == 5


def test_a_shared_value_reaches_every_task(cluster: Cluster) -> None:
    shared = cluster.share("-")
    assert cluster.gather([cluster.submit(joined, shared, "a", "b") for _ in range(3)]) == ["(a-b)"] * 3


class OfAModuleThatWorkersLack:
    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, ("a_module_of_mine",)


def test_what_workers_cannot_import_is_told(processes: Cluster) -> None:
    with pytest.raises(ClusterError, match=r"No module named 'a_module_of_mine'.*\n.*install them there"):
        processes.share(OfAModuleThatWorkersLack())
    assert processes.gather([processes.submit(abs, -1)]) == [1]


@pytest.mark.parametrize("name", ["local", "processes"])
def test_an_error_keeps_its_place_over_the_border_of_a_process(name: str) -> None:
    opened = open_cluster(name, 1)
    try:
        with pytest.raises(DataError) as caught:
            opened.gather([opened.submit(double, 1), opened.submit(refuse, 7)])
    finally:
        opened.close()
    assert str(caught.value) == "a.parquet, row group 3, column 'x': 7 is wrong\n  mend it"
    assert (caught.value.file, caught.value.row_group, caught.value.column) == ("a.parquet", 3, "x")


def test_after_an_error_no_further_task_starts() -> None:
    opened = LocalCluster(1)
    started: list[None] = []
    hold = threading.Event()

    def work() -> None:
        started.append(None)
        hold.wait(10)

    with pytest.raises(DataError, match="7 is wrong"):
        opened.wait([opened.submit(refuse, 7), *(opened.submit(work) for _ in range(100))])
    hold.set()
    opened.close()
    assert len(started) <= 1


INTERRUPTED = """
import os, signal, sys, threading, time
from headrace.local_cluster import LocalCluster

threading.settrace(lambda *_: None)  # as coverage and debuggers do
opened = LocalCluster(2)
assert opened.gather([opened.submit(int, "7") for _ in range(20)]) == [7] * 20

def lose_one():
    try:
        while True:
            time.sleep(0)
    except KeyboardInterrupt:
        pass
    while True:
        time.sleep(0)

def end_well():
    time.sleep(1)

threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    try:
        opened.wait([opened.submit(lose_one), opened.submit(end_well)])
    finally:
        opened.close()
except KeyboardInterrupt:
    print("stopped")
"""


def test_an_interruption_ends_all_tasks_though_one_loses_it() -> None:
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == ("stopped\n", "")


# A signal that another thread receives, and one that meets a future's condition in the middle of its `__enter__`.
HARD_TO_MEET = """
import os, signal, sys, threading, time
from headrace import local_cluster
from headrace.local_cluster import LocalCluster

def end_with_a_signal():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    {then}

opened = LocalCluster(1)
handle = opened.submit(end_with_a_signal)
{first}
try:
    try:
        opened.wait([handle])
    finally:
        opened.close()
except KeyboardInterrupt:
    print("stopped", flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("", "while True: time.sleep(0)"),
        ("handle._condition.acquire()", "time.sleep(0.5)"),
        ("local_cluster._GIVEN_UP_S = 0.5", "lock = threading.Lock(); lock.acquire(); lock.acquire()"),
    ],
    ids=["another thread's", "a lock is left", "a task waits for ever"],
)
def test_an_interruption_is_met_while_threads_are_waited_for(first: str, then: str) -> None:
    script = HARD_TO_MEET.format(first=first, then=then)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == ("stopped\n", "")


INTERRUPTED_START = """
import os, signal, threading
from headrace import cluster

cluster._STARTED_WITHIN_S = 0.1
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    cluster._started("processes", lambda n_workers: threading.Event().wait(), 1)
except KeyboardInterrupt:
    print("stopped", flush=True)
    os._exit(0)
"""


def test_an_interruption_does_not_wait_for_workers_whose_start_hangs() -> None:
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED_START], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == ("stopped\n", "")


def test_threads_work_side_by_side() -> None:
    opened = LocalCluster(2)
    barrier = threading.Barrier(2, timeout=10)
    assert len(opened.gather([opened.submit(barrier.wait) for _ in range(2)])) == 2
    opened.close()


def test_a_script_without_a_main_guard_is_told_so_and_does_not_hang(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("from headrace.cluster import open_cluster\nopen_cluster('processes', 1)\nprint('opened')\n")
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 1
    assert "opened" not in ran.stdout
    assert 'needs `if __name__ == "__main__":` around' in ran.stderr


def test_processes_are_others_than_this_one(processes: Cluster) -> None:
    assert processes.n_workers == 2
    assert os.getpid() not in processes.gather([processes.submit(os.getpid) for _ in range(4)])


def test_tasks_about_a_partition_go_where_the_last_one_went(processes: Cluster) -> None:
    def ask() -> list[int]:
        handles = [processes.submit_about(subject, os.getpid) for subject in range(12)]
        processes.wait(handles)
        return processes.gather(handles)

    first = ask()
    assert len(set(first)) == 2
    assert ask() == first


def test_tasks_that_wait_for_others_do_not_stop_one_thread() -> None:
    opened = LocalCluster(1)
    handle = opened.submit(double, 1)
    for _ in range(50):
        handle = opened.submit(double, handle)
    started = time.monotonic()
    assert opened.gather([handle]) == [2**51]
    assert time.monotonic() - started < 10
    opened.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("locl", "no cluster 'locl'\n  nearest: 'local'"),
        ("http://127.0.0.1:8786", "no scheduler address 'http://127.0.0.1:8786'"),
        ("tcp://10.0.0.1:8786", "'tcp://10.0.0.1:8786' is another machine, and tcp:// is open to anybody"),
        ("tcp://example.org:8786", "is another machine"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(name: str, message: str) -> None:
    with pytest.raises(JobError) as caught:
        open_cluster(name)
    assert message in str(caught.value)
    assert caught.value.key == "run.cluster"


def test_a_scheduler_that_does_not_answer_is_a_cluster_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    client = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda address, timeout: client(address, timeout="1s"))
    with pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        open_cluster("tcp://127.0.0.1:9")


def test_workers_that_do_not_start_are_a_cluster_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    def slow(**settings: object) -> None:
        raise TimeoutError("nanny did not start within 60 s")

    monkeypatch.setattr(distributed, "LocalCluster", slow)
    with pytest.raises(ClusterError, match="workers of the cluster `processes` did not start: nanny"):
        open_cluster("processes", 2)


FEW_FILES = """
import resource, sys
import distributed
from headrace.cluster import open_cluster
from headrace.errors import ClusterError
def start(**settings):
    raise TimeoutError(f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]} files")
distributed.LocalCluster = start
resource.setrlimit(resource.RLIMIT_NOFILE, (40, int(sys.argv[1])))
try:
    open_cluster("processes", 2)
except ClusterError as error:
    print(error.message)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not limit open files")
@pytest.mark.parametrize(("most", "told"), [(200, "did not start: 96 files"), (90, "take 96 open files, and this process may have 90")])
def test_a_start_takes_the_files_that_it_needs_or_is_refused(most: int, told: str) -> None:
    ran = subprocess.run([sys.executable, "-c", FEW_FILES, str(most)], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.strip().endswith(told), ran.stderr


def with_pid(shared: str) -> tuple[str, int]:
    return shared, os.getpid()


def test_what_a_killed_worker_held_is_made_again_although_nobody_else_holds_what_was_shared() -> None:
    cluster: Any = open_cluster("processes", 2)
    try:
        shared = cluster.share("all")
        handle = cluster.submit(with_pid, shared)
        (_, pid) = cluster.gather([handle])[0]
        del shared
        assert not cluster._client.amm.running()
        os.kill(pid, signal.SIGKILL)
        while cluster.gather([cluster.submit(tuple, handle)])[0][1] == pid:
            pass  # its result had been fetched before
        assert cluster.gather([handle])[0][0] == "all"
    finally:
        cluster.close()


def test_subjects_are_spread_over_places_where_tasks_can_be_put(cluster: Cluster) -> None:
    homes = cluster.spread(5)
    assert homes == ([0] * 5 if cluster.one_process else [0, 0, 1, 1, 1])
    found = [set(cluster.gather([cluster.submit_at(place, os.getpid) for _ in range(3)])) for place in sorted(set(homes))]
    assert all(len(pids) == 1 for pids in found)
    assert len(set.union(*found)) == len(found)


def merged_pids(shared: str, *pids: tuple[int, ...]) -> tuple[int, ...]:
    """Return the processes that made some results, and the one that merges them."""
    return (*(pid for made in pids for pid in made), os.getpid())


def own_pid() -> tuple[int, ...]:
    return (os.getpid(),)


def test_neighbours_of_one_worker_are_merged_there_before_anything_crosses(processes: Cluster) -> None:
    processes.spread(1)
    places = [0, 0, 1, 1, 0]
    handles = [processes.submit_at(place, own_pid) for place in places]
    processes.wait(handles)
    assert [len(run) for run in processes.neighbours(handles)] == [2, 2, 1]
    a, _, b, _, _ = (pid for (pid,) in processes.gather(handles))
    shared = processes.share("")
    runs = merge_neighbours(processes, merged_pids, shared, handles)
    assert processes.gather(runs) == [(a, a, a), (b, b, b), (a,)]
    total = processes.gather([reduce_tree(processes, merged_pids, shared, runs, merged_pids, runs[1])])[0]
    assert total == (a, a, a, b, b, b, a, b)


def pid_once(path: Path) -> tuple[int, ...]:
    """Return this process once there is such a file."""
    while not path.exists():
        time.sleep(0.01)
    return own_pid()


def test_a_worker_merges_what_it_has_made_while_another_is_at_work(tmp_path: Path) -> None:
    cluster, late = open_cluster("processes", 2), tmp_path / "late"
    try:
        assert cluster.spread(4) == [0, 0, 1, 1]
        shared = cluster.share("")
        handles = [cluster.submit_about(subject, *((pid_once, late) if subject == 3 else (own_pid,))) for subject in range(4)]
        first, second = start_merges(cluster, merged_pids, shared, handles)
        cluster.wait([first])
        late.touch()
        cluster.wait(handles)
        a, b = cluster.gather([first, second])
        assert (len(set(a)), len(set(b)), set(a) & set(b)) == (1, 1, set())
    finally:
        late.touch()
        cluster.close()


def has_pandas() -> bool:
    return pa.scalar(1).as_py() == 1 and "pandas" in sys.modules


def test_a_worker_does_without_pandas_until_somebody_imports_it(processes: Cluster) -> None:
    assert processes.gather([processes.submit(has_pandas)]) == [False]


def test_workers_are_not_watched_for_a_dashboard(processes: Cluster) -> None:
    assert processes.gather([processes.submit(is_profiled)]) == [False]


def is_profiled() -> bool:
    import distributed

    return "profile" in distributed.get_worker().periodic_callbacks


def test_workers_are_forks_of_one_process_that_has_imported_what_they_need(processes: Cluster) -> None:
    processes.spread(2)
    parents = processes.gather([processes.submit_at(place, os.getppid) for place in (0, 1)])
    assert (parents[0] == parents[1] != os.getpid()) == (sys.platform == "linux")


def test_a_worker_has_the_environment_of_the_time_when_it_is_opened(processes: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SINCE_THE_FIRST_WORKER", "set")
    opened = open_cluster("processes", 1)
    try:
        names = ("SINCE_THE_FIRST_WORKER", "OMP_NUM_THREADS")
        assert opened.gather([opened.submit(os.getenv, name) for name in names]) == ["set", os.environ.get("OMP_NUM_THREADS", "1")]
    finally:
        opened.close()


def test_nothing_is_left_of_a_command_that_opened_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nfrom headrace.cluster import open_cluster\n"
        "if __name__ == '__main__':\n"
        "    opened = open_cluster('processes', 1)\n    print(*opened.gather([opened.submit(f) for f in (os.getpid, os.getppid)]))\n"
    )
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True)
    assert not ran.stderr
    pids = [int(pid) for pid in ran.stdout.split()]
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def leave_a_note(path: Path) -> None:
    atexit.register(path.write_text, "was here")


def test_what_tasks_registered_for_the_end_of_a_worker_is_done(tmp_path: Path) -> None:
    opened = open_cluster("processes", 1)
    opened.gather([opened.submit(leave_a_note, tmp_path / "note")])
    opened.close()
    assert (tmp_path / "note").read_text() == "was here"


def test_only_one_run_at_a_time_has_tasks_that_wait_for_each_other(cluster: Cluster) -> None:
    with cluster.together():
        assert cluster.gather([cluster.submit(double, 2)]) == [4]
    with cluster.together():
        assert cluster.n_threads >= 1


def test_a_daemon_is_told_that_it_may_start_no_processes() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool, pytest.raises(ClusterError, match="starts processes, and this one may not"):
        pool.apply(open_cluster, ("processes", 1))


@pytest.mark.parametrize("cluster", [None, 4])
def test_what_is_no_cluster_is_refused(cluster: Any) -> None:
    with pytest.raises(JobError, match=r"is no cluster\n  give its name"):
        hr.Pipeline([hr.Normalize(["x"])]).fit(pa.table({"x": [1.0, 2.0]}), cluster=cluster)


def test_a_client_of_dask_s_is_told_to_give_its_address() -> None:
    import distributed

    with (
        distributed.Client(processes=False, n_workers=1, dashboard_address=None) as client,
        pytest.raises(JobError, match=r"Client is no cluster\n  give its scheduler's address, 'inproc:"),
    ):
        hr.Pipeline([hr.Normalize(["x"])]).fit(pa.table({"x": [1.0, 2.0]}), cluster=client)  # type: ignore[arg-type]


def test_a_scheduler_without_workers_is_told_while_the_job_waits(caplog: pytest.LogCaptureFixture) -> None:
    import distributed

    with distributed.LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=None) as empty:
        open_cluster(empty.scheduler_address).close()
        assert f"no worker has joined the scheduler yet, and the job waits for one: dask worker {empty.scheduler_address}" in caplog.text


def test_workers_are_found_while_dask_s_client_forgets_them(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every two seconds a client asks for its scheduler's state without workers, and keeps that where `scheduler_info` looks."""
    import distributed

    monkeypatch.setattr(distributed.Client, "scheduler_info", lambda *_, **__: {"workers": {}})
    with distributed.LocalCluster(n_workers=2, threads_per_worker=3, processes=False, protocol="tcp", dashboard_address=None) as two:
        opened = open_cluster(two.scheduler_address)
        assert (opened.n_workers, opened.n_threads, opened.spread(2)) == (2, 3, [0, 1])
        opened.close()
    assert "no worker has joined" not in caplog.text


def test_a_scheduler_that_goes_away_is_a_cluster_error() -> None:
    from distributed.comm import CommClosedError

    with pytest.raises(ClusterError, match="the scheduler has gone away: closed"), told_if_lost():
        raise CommClosedError("closed")
