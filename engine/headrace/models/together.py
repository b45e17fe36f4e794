"""Boosted trees trained by several processes at once, each with the rows that it has: they exchange sums of gradients, never rows.

Two things are settled before they begin, for all of them alike: where features may be split, by quantiles of at most `QUANTILE_ROWS`
rows, and the score that boosting starts from. Then trees do not depend on which process has which rows, nor on how many there are; what
is left is the order of sums in float64, as with threads. Up to so many training rows they are the trees that one process finds.

Only sampling rows (`subsample`) depends on who has which: each process draws among its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from headrace.errors import ClusterError, JobError
from headrace.models.boosted import library_params, on_device, quantised, refusals, trained
from headrace.models.device import room_to_train
from headrace.models.matrix import Block
from headrace.models.settings import ModelSettings
from headrace.models.trees import BoostedTrees
from headrace.models.xgboost_library import xgboost

# Parameters of trees over the real features, which the start has none of.
_OF_FEATURES = ("interaction_constraints", "monotone_constraints", "num_parallel_tree")
# Where members of a training meet, or are still connected, in this process.
_meetings: set[xgboost.RabitTracker] = set()


@dataclass(frozen=True)
class Member:
    """One of the processes that train together: its rank, how many they are, and where they meet. By default it is alone."""

    rank: int = 0
    size: int = 1
    meeting: Mapping[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Be connected to the others; their loss, at any point inside, is a ClusterError."""
        if self.size == 1:
            yield
            return
        context = xgboost.collective.CommunicatorContext(**self.meeting, dmlc_task_id=f"{self.rank:08d}")
        try:
            with contextlib.ExitStack() as connected:
                with contextlib.redirect_stdout(io.StringIO()):  # it prints its rank, where a run may print JSON
                    connected.enter_context(context)
                yield
        except xgboost.core.XGBoostError as error:
            if "running on same CUDA" in str(error):
                hint = "run.cluster: cuda has a worker for each GPU; or let one_worker train"
                raise JobError("workers share a GPU, and train together only with one each", key="run.training", hint=hint) from error
            if "collective" not in str(error):
                raise
            message = f"worker {self.rank + 1} of {self.size} lost the others while all trained together"
            raise ClusterError(message, hint="one of them ended: most often it ran out of memory") from error


def open_meeting(size: int, host: str) -> dict[str, Any]:
    """Wait, in a thread of this process, for so many members to connect, and return what they need to find it.

    Parameters
    ----------
    size : int
        The members of one training.
    host : str
        This machine's address for the others. Nothing else of it is listened on here; each member listens on a port of all its
        machine's addresses.
    """
    tracker = xgboost.RabitTracker(size, host, sortby="task")
    tracker.start()
    _meetings.add(tracker)
    threading.Thread(target=_hold, args=(tracker,), name="training-meeting", daemon=True).start()
    return dict(tracker.worker_args())


def _hold(tracker: xgboost.RabitTracker) -> None:
    with contextlib.suppress(xgboost.core.XGBoostError):  # the members have an error of their own
        tracker.wait_for()
    _meetings.discard(tracker)


def end_meetings() -> None:
    """End the meetings of this process: a member that waits there for one that was lost gets a ClusterError, where it would wait for ever."""
    for tracker in list(_meetings):
        with contextlib.suppress(xgboost.core.XGBoostError):
            tracker.free()


def starting_score(settings: ModelSettings, target: np.ndarray) -> str:
    """Return the score that XGBoost would start from if it had all rows itself, for parameters that give none.

    It is learnt by a tree without features. That also finds out what XGBoost refuses of the parameters before anybody waits for others.
    """
    known = {name: value for name, value in settings.params.items() if name not in _OF_FEATURES}
    params = library_params(replace(settings, params=known), (), 1)
    nothing, label = np.zeros((len(target), 1), np.float32), target.astype(np.float32)
    with refusals():
        bare = xgboost.QuantileDMatrix(nothing, label=label, nthread=1, max_bin=params.get("max_bin"))
        booster = xgboost.train({**params, "max_depth": 1}, bare, num_boost_round=1)
    return str(json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"])


def fit_together(
    settings: ModelSettings,
    features: tuple[str, ...],
    blocks: Sequence[Block],
    quantile_rows: np.ndarray,
    score: str,
    threads: int,
    device: str,
    member: Member,
) -> BoostedTrees:
    """Train on the rows of all members; each ends with the same model.

    Parameters
    ----------
    settings, features, threads, device
        As `headrace.models.fit_model` has them; resolved, and the same for all members.
    blocks : sequence of (matrix, target)
        This member's rows, checked: at least one.
    quantile_rows : float32 ``[m, k]``
        Rows that decide where features may be split; the same for all members.
    score : str
        What boosting starts from, see `starting_score`; the same for all members.
    member : Member
        Who this is among them.

    Raises
    ------
    ClusterError
        Another member was lost.
    JobError
        A parameter's value that XGBoost refuses; members that share a GPU.
    MemoryBudgetError
        The GPU has no room to train.
    """
    params = on_device({"base_score": score, **library_params(settings, features, threads)}, device)
    shape = {"nthread": threads, "max_bin": params.get("max_bin")}
    with refusals(), room_to_train(device):
        # made before the members join: their sketches would be merged, and wait for each other
        cuts = quantised([(quantile_rows, np.zeros(len(quantile_rows)))], device, **shape)
        matrix = quantised(blocks, device, ref=cuts, **shape)
        with member.joined():
            booster = xgboost.train(params, matrix, num_boost_round=settings.rounds)
    return trained(settings, features, booster, threads)
