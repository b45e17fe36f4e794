"""The clusters of Dask: workers of our own on this machine, or those of a scheduler somebody else started."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import groupby
from typing import Any
from urllib.parse import urlparse

from headrace.errors import ClusterError

# How often it is looked whether workers that others wait for are there.
_LOOK_S = 1.0
_MORE_MEMORY = "most often memory ran out: give run.memory more, or use fewer workers"


class DaskCluster:
    """The workers of a Dask client: our own local processes, or a scheduler somebody else started."""

    one_process = False

    def __init__(self, name: str, client: Any, owned: Any = None) -> None:
        self.name = name
        self.one_machine = owned is not None
        self._client = client
        self._owned = owned
        self._subjects: dict[str, int] = {}  # of tasks at work, by their key
        self._workers: dict[int, tuple[str, ...]] = {}  # who did the last task about a subject
        self._places: list[str] = []  # workers' addresses
        self._shared: set[str] = set()  # keys of what `share` gave
        threads = client.nthreads()  # `scheduler_info` has a memory of its own, which every two seconds knows of no worker
        self.n_workers = max(len(threads), 1)
        given = min(threads.values(), default=1)
        self.n_threads = max((os.cpu_count() or 1) // self.n_workers, 1) if self.one_machine else given

    def share(self, value: Any) -> Any:
        try:
            (handle,) = self._client.scatter([value], broadcast=True, hash=False)  # of a tuple it would share each item by itself
        except Exception as error:
            if type(error) is not Exception:  # which is how Dask tells what a worker said
                raise
            raise ClusterError(
                f"a worker cannot take what all share: {error}",
                hint="workers need the packages of this process, and modules of your own that the steps are from: install them there",
            ) from error
        self._shared.add(handle.key)
        return handle

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._submit(function, args)

    def _submit(self, function: Callable[..., Any], args: Sequence[Any], **where: Any) -> Any:
        """Start a task; its handle keeps all shared values behind it, which no worker could make again if it had to do the task again."""
        handle = self._client.submit(function, *args, pure=False, **where)
        before = [(arg,) if arg.key in self._shared else arg.needs for arg in args if isinstance(arg, type(handle))]
        handle.needs = tuple({shared.key: shared for needs in before for shared in needs}.values())
        return handle

    def submit_about(self, subject: int, function: Callable[..., Any], *args: Any) -> Any:
        workers = self._workers.get(subject)
        handle = self._submit(function, args, workers=workers, allow_other_workers=workers is not None)
        self._subjects[handle.key] = subject
        return handle

    def spread(self, n_subjects: int) -> list[int]:
        self._places = sorted(self._client.nthreads())
        if not self._places:
            raise ClusterError("no worker is left", hint=_MORE_MEMORY)
        n_places = len(self._places)
        # The last subject may be a short one: who gets one more than others has it.
        homes = [(subject * n_places + n_places - 1) // n_subjects for subject in range(n_subjects)]
        for subject, home in enumerate(homes):
            self._workers.setdefault(subject, (self._places[home],))
        return homes

    def neighbours(self, handles: Sequence[Any]) -> list[list[Any]]:
        done = [handle for handle in handles if handle.key not in self._subjects]
        holders = self._client.who_has(done) if done else {}

        def place(handle: Any) -> str:
            subject = self._subjects.get(handle.key)
            return min((holders.get(handle.key) if subject is None else self._workers.get(subject)) or ("",))

        return [list(run) for _, run in groupby(handles, place)]

    def submit_beside(self, result: Any, function: Callable[..., Any], *args: Any) -> Any:
        holders = self._client.who_has([result]).get(result.key)
        return self._submit(function, args, workers=holders or None, allow_other_workers=bool(holders))

    def submit_at(self, place: int, function: Callable[..., Any], *args: Any) -> Any:
        return self._submit(function, args, workers=[self._places[place]])

    def together(self) -> AbstractContextManager[Any]:
        import distributed

        client = self._client
        lock: AbstractContextManager[Any] = distributed.Lock("headrace-together", scheduler_rpc=client.scheduler, loop=client.loop)
        return lock

    def wait(self, handles: Sequence[Any], done: Callable[[], None] | None = None) -> None:
        from distributed import as_completed

        for future in as_completed(list(handles)):
            if future.status == "error":
                error = _readable(future.exception())  # before it is cancelled: then it has none
                self._client.cancel(list(handles))
                raise error
            if future.status != "finished":
                raise ClusterError(
                    f"a task was {future.status}", hint="its workers are gone, the scheduler was restarted, or somebody cancelled it"
                )
            if done:
                done()
        about = [handle for handle in handles if handle.key in self._subjects]
        for key, workers in self._client.who_has(about).items() if about else ():
            self._workers[self._subjects.pop(key)] = tuple(workers)

    def wait_at(self, places: Sequence[int], handles: Sequence[Any]) -> None:
        import distributed

        workers, left = {self._places[place] for place in places}, list(handles)
        while left and not any(handle.status == "error" for handle in handles):
            if not workers <= set(self._client.nthreads()):
                self._client.cancel(list(handles))
                raise ClusterError("a worker is gone", hint=_MORE_MEMORY)
            with suppress(TimeoutError):
                left = list(distributed.wait(left, timeout=_LOOK_S, return_when="FIRST_COMPLETED").not_done)
        self.wait(handles)

    def gather(self, handles: Sequence[Any]) -> list[Any]:
        self.wait(handles)
        # Workers of our own can be reached from here. By way of the scheduler, which is in this process, all would be copied twice more.
        results: list[Any] = self._client.gather(list(handles), direct=self.one_machine)
        return results

    def everywhere(self, function: Callable[..., Any], *args: Any) -> None:
        for told in self._client.run(function, *args, on_error="return").values():
            if isinstance(told, Exception) and not isinstance(told, OSError):  # of a worker that is gone nothing is left
                raise told

    def close(self) -> None:
        self._client.close()
        if self._owned is not None:
            self._owned.close()


def own_host() -> str:
    """Return the address under which the other workers reach this task's machine."""
    import distributed

    return str(urlparse(distributed.get_worker().address).hostname)


def _readable(error: BaseException) -> BaseException:
    if type(error).__name__ == "KilledWorker":
        return ClusterError(f"workers died again and again at one task: {error}", hint=_MORE_MEMORY)
    return error
