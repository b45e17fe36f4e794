"""Training on a cluster: on one worker, which gets the rows of all partitions, or on all workers, each with the rows it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.cluster import Cluster, merge_neighbours
from headrace.dask_cluster import own_host
from headrace.errors import ClusterError
from headrace.jobs.tasks import Counted, Prepared, sample_rows
from headrace.models import Model, ModelSettings, fit_by_sums, fit_model
from headrace.models.device import to_host
from headrace.models.matrix import Block, check_blocks, check_matrix
from headrace.models.rounds import Found, Question, merged
from headrace.models.settings import QUANTILE_ROWS, SUMS

# A training whose workers lost one of them begins again on those that are left, so often.
_MOST_ATTEMPTS = 3

Part = tuple[Prepared, Counted]


@dataclass(frozen=True)
class Target:
    """What a model is to find: the name of the column, and what its predictions will be measured by."""

    name: str
    metrics: tuple[str, ...]


def train_on_one(settings: ModelSettings, features: tuple[str, ...], threads: int, device: str, target: Target, *parts: Part) -> Model:
    """Train on the training rows of all partitions, in their order, where they lie: a task."""
    return fit_model(settings, features, [_training_rows(part) for part in parts], threads, device, target.name, target.metrics)


def train_on_all(
    cluster: Cluster, settings: ModelSettings, features: tuple[str, ...], device: str, target: Target, handles: Sequence[Any]
) -> tuple[Model, int]:
    """Train on every worker at once, each with the training rows of its partitions; return the model and how many workers they were.

    Targets meet on one worker, and the rows that decide where features may be split; all others stay.
    """
    targets = [cluster.submit(training_target, features, handle) for handle in handles]
    complete = cluster.submit(resolved, settings, target, *targets)
    counts = cluster.gather([cluster.submit(len, target) for target in targets])
    if settings.together == SUMS:
        cluster.wait([complete])
        cluster.wait([cluster.submit(check_complete, features, handle) for handle in handles])
        rows = _RowsOfAll(cluster, counts, handles)
        return fit_by_sums(cluster.gather([complete])[0], features, rows), len(set(cluster.spread(len(handles))))
    agreed = cluster.submit(agree, complete, *targets)
    cluster.wait([agreed])
    shared = cluster.share(sample_rows(cluster, QUANTILE_ROWS, "training", counts, handles))
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        members: dict[int, list[Any]] = defaultdict(list)
        for home, count, handle in zip(cluster.spread(len(handles)), counts, handles, strict=True):
            if count:
                members[home].append(handle)
        with cluster.together():
            try:
                return _trained(cluster, (features, cluster.n_threads, device), agreed, shared, members), len(members)
            except Exception as error:
                cluster.everywhere(end_meetings)  # a worker has one thread: none may go on waiting for who is lost, or could not begin
                if attempt == _MOST_ATTEMPTS or not isinstance(error, ClusterError):
                    raise
    raise AssertionError


@dataclass(frozen=True)
class _RowsOfAll:
    """The training rows of all partitions, asked where they lie; nobody waits for others, so lost workers are no matter here."""

    cluster: Cluster
    counts: Sequence[int]
    handles: Sequence[Any]

    @property
    def n_rows(self) -> int:
        return sum(self.counts)

    def ask(self, question: Question[Found]) -> Found:
        answers = [self.cluster.submit(answer, question, handle) for handle in self.handles]
        self.cluster.wait(answers)
        found: Found = merged(self.cluster.gather(merge_neighbours(self.cluster, merge_answers, None, answers)))
        return found

    def sample(self, n_rows: int) -> npt.NDArray[np.float32]:
        return sample_rows(self.cluster, n_rows, "training", self.counts, self.handles)


def _trained(cluster: Cluster, what: tuple[Any, ...], agreed: Any, shared: Any, members: dict[int, list[Any]]) -> Model:
    if len(members) == 1:
        (mine,) = members.values()
        first = cluster.submit(train_member, what, 0, 1, None, agreed, shared, *mine)
    else:
        meeting = cluster.submit(open_meeting, len(members))
        places = sorted(members)
        found = [
            cluster.submit_at(place, train_member, what, rank, len(members), meeting, agreed, shared, *members[place])
            for rank, place in enumerate(places)
        ]
        cluster.wait_at(places, found)
        first = found[0]
    model: Model = cluster.gather([first])[0]
    return model


def training_target(features: tuple[str, ...], part: Part) -> npt.NDArray[Any]:
    """Return the targets of a partition's training rows, on the host, after a look at the rows: a task."""
    matrix, target = _training_rows(part)
    check_blocks([(matrix, target)], features)
    return to_host(target)


def resolved(settings: ModelSettings, target: Target, *targets: npt.NDArray[Any]) -> ModelSettings:
    """Return the settings with what all targets decide: a task."""
    return settings.resolved(np.concatenate(targets), target.name, target.metrics)


def agree(settings: ModelSettings, *targets: npt.NDArray[Any]) -> tuple[ModelSettings, str]:
    """Return what all members must agree on that is learnt of all targets: a task."""
    from headrace.models.together import starting_score

    return settings, starting_score(settings, np.concatenate(targets))


def check_complete(features: tuple[str, ...], part: Part) -> None:
    """Refuse missing values among a partition's training rows: a task."""
    check_matrix(_training_rows(part)[0], features, missing=False)


def answer(question: Question[Found], part: Part) -> Found:
    """Answer a question for a partition's training rows: a task."""
    return question.of(*_training_rows(part))


def merge_answers(_: None, *answers: Any) -> Any:
    """Return what the rows of all answers say: a task."""
    return merged(answers)


def open_meeting(size: int) -> dict[str, Any]:
    """Let members meet at the worker of this task, and return what they need to find it: a task."""
    from headrace.models import together

    return together.open_meeting(size, own_host())


def end_meetings() -> None:
    """End the meetings of a process that lost its members."""
    from headrace.models import together

    together.end_meetings()


def train_member(
    what: tuple[tuple[str, ...], int, str],
    rank: int,
    size: int,
    meeting: dict[str, Any] | None,
    agreed: tuple[ModelSettings, str],
    quantile_rows: npt.NDArray[np.float32],
    *parts: Part,
) -> Model | None:
    """Train with the other members on this one's partitions; the first returns the model, which all have: a task."""
    from headrace.models.together import Member, fit_together

    (features, threads, device), (settings, score) = what, agreed
    blocks = [_training_rows(part) for part in parts]
    model = fit_together(settings, features, blocks, quantile_rows, score, threads, device, Member(rank, size, meeting or {}))
    return model if rank == 0 else None


def _training_rows(part: Part) -> Block:
    prepared, _ = part
    if prepared.training.all():
        return prepared.matrix, prepared.target
    return prepared.matrix[prepared.training], prepared.target[prepared.training]
