"""Training on a cluster: on one worker, which gets the rows of all partitions, or on all workers, each with the rows it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.cluster import Cluster, own_host
from headrace.errors import ClusterError
from headrace.jobs.tasks import Counted, Prepared, sample_rows
from headrace.models import Model, ModelSettings, fit_model, fit_sums
from headrace.models.device import to_host
from headrace.models.matrix import Block, check_blocks, check_matrix
from headrace.models.settings import QUANTILE_ROWS, SUMS

if TYPE_CHECKING:
    from headrace.models.sums import Sums

# A training whose workers lost one of them begins again on those that are left, so often.
_MOST_ATTEMPTS = 3

Part = tuple[Prepared, Counted]


def train_on_one(settings: ModelSettings, features: tuple[str, ...], threads: int, device: str, *parts: Part) -> Model:
    """Train on the training rows of all partitions, in their order, where they lie: a task."""
    return fit_model(settings, features, [_training_rows(part) for part in parts], threads, device)


def train_on_all(
    cluster: Cluster, settings: ModelSettings, features: tuple[str, ...], device: str, handles: Sequence[Any]
) -> tuple[Model, int]:
    """Train on every worker at once, each with the training rows of its partitions; return the model and how many workers they were.

    Targets meet on one worker, and the rows that decide where features may be split; all others stay.
    """
    targets = [cluster.submit(training_target, features, handle) for handle in handles]
    complete = cluster.submit(resolved, settings, *targets)
    if settings.together == SUMS:
        return _summed(cluster, complete, features, handles)
    agreed = cluster.submit(agree, complete, *targets)
    counts = cluster.gather([cluster.submit(len, target) for target in targets])
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
            except ClusterError:
                if attempt == _MOST_ATTEMPTS:
                    raise
    raise AssertionError


def _summed(cluster: Cluster, complete: Any, features: tuple[str, ...], handles: Sequence[Any]) -> tuple[Model, int]:
    """Train by sums over each partition's rows, made where these are; nobody waits for others, so lost workers are no matter here."""
    cluster.wait([complete])
    parts = [cluster.submit(sums_of, complete, features, handle) for handle in handles]
    model: Model = cluster.gather([cluster.submit(train_by_sums, complete, features, *parts)])[0]
    return model, len(set(cluster.spread(len(handles))))


def _trained(cluster: Cluster, what: tuple[Any, ...], agreed: Any, shared: Any, members: dict[int, list[Any]]) -> Model:
    if len(members) == 1:
        (mine,) = members.values()
        found = [cluster.submit(train_member, what, 0, 1, None, agreed, shared, *mine)]
    else:
        meeting = cluster.submit(open_meeting, len(members))
        places = enumerate(sorted(members))
        found = [
            cluster.submit_at(place, train_member, what, rank, len(members), meeting, agreed, shared, *members[place])
            for rank, place in places
        ]
    model: Model = cluster.gather(found)[0]
    return model


def training_target(features: tuple[str, ...], part: Part) -> npt.NDArray[Any]:
    """Return the targets of a partition's training rows, on the host, after a look at the rows: a task."""
    matrix, target = _training_rows(part)
    check_blocks([(matrix, target)], features)
    return to_host(target)


def resolved(settings: ModelSettings, *targets: npt.NDArray[Any]) -> ModelSettings:
    """Return the settings with what all targets decide: a task."""
    return settings.resolved(np.concatenate(targets))


def agree(settings: ModelSettings, *targets: npt.NDArray[Any]) -> tuple[ModelSettings, str]:
    """Return what all members must agree on that is learnt of all targets: a task."""
    from headrace.models.together import starting_score

    return settings, starting_score(settings, np.concatenate(targets))


def sums_of(settings: ModelSettings, features: tuple[str, ...], part: Part) -> Sums:
    """Return what a model by sums learns of a partition: a task."""
    from headrace.models.sums import Sums

    matrix, target = _training_rows(part)
    check_matrix(matrix, features, missing=False)
    return Sums.of(matrix, target) if settings.has_target else Sums.of(matrix)


def train_by_sums(settings: ModelSettings, features: tuple[str, ...], *parts: Sums) -> Model:
    """Return the model of all partitions: a task."""
    return fit_sums(settings, features, reduce(lambda left, right: left.merged(right), parts))


def open_meeting(size: int) -> dict[str, Any]:
    """Let members meet at the worker of this task, and return what they need to find it: a task."""
    from headrace.models import together

    return together.open_meeting(size, own_host())


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
    return prepared.matrix[prepared.training], prepared.target[prepared.training]
