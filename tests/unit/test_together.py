"""Boosted trees trained by several members at once, here threads: the trees of one process with all rows, and clear errors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import xgboost

from headrace.errors import ClusterError, JobError, MemoryBudgetError
from headrace.jobs import training
from headrace.jobs.tasks import Counted, Prepared
from headrace.ledger import Ledger
from headrace.local_cluster import LocalCluster
from headrace.models import ModelSettings, fit_model
from headrace.models.together import Member, end_meetings, fit_together, open_meeting, starting_score

FEATURES = ("a", "b", "c")
ROWS = 4_000


def rows() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(3)
    matrix = draw.normal(size=(ROWS, 3)).astype(np.float32)
    matrix[:, 1] = np.round(matrix[:, 1], 1)
    score = matrix[:, 0] + matrix[:, 1] ** 2 + draw.normal(size=ROWS)
    matrix[draw.random((ROWS, 3)) < 0.05] = np.nan
    return matrix, score


MATRIX, SCORE = rows()


def trained(settings: ModelSettings, target: np.ndarray, owner: np.ndarray, device: str = "cpu", quantile_rows: int = ROWS) -> list[Any]:
    """Train with as many members as there are owners of rows; return the model of each."""
    complete = settings.resolved(target)
    score = starting_score(complete, target)
    size = int(owner.max()) + 1
    meeting = open_meeting(size, "127.0.0.1") if size > 1 else {}

    def member(rank: int) -> Any:
        mine = owner == rank
        block = (MATRIX[mine], target[mine])
        return fit_together(complete, FEATURES, [block], MATRIX[:quantile_rows], score, 1, device, Member(rank, size, meeting))

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(member, range(size)))


CASES: list[tuple[dict[str, Any], np.ndarray]] = [
    ({"max_depth": 4}, SCORE > 1),
    ({"booster": "dart", "rate_drop": 0.2, "colsample_bytree": 0.7}, SCORE > 1),
    ({"scale_pos_weight": 3.0, "monotone_constraints": {"a": 1}, "interaction_constraints": [["a", "b"], ["c"]]}, SCORE > 1),
    ({"objective": "multi:softprob", "max_leaves": 9, "grow_policy": "lossguide"}, np.digitize(SCORE, [0, 1])),
    ({"max_bin": 16, "num_parallel_tree": 2}, SCORE),
    ({"base_score": 0.25}, SCORE),
    ({"objective": "reg:gamma"}, np.exp(SCORE / 4)),
    ({"objective": "count:poisson"}, np.floor(np.abs(SCORE))),
]


@pytest.mark.parametrize(("params", "target"), CASES, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_members_find_the_trees_of_one_process_that_has_all_rows(params: dict[str, Any], target: np.ndarray) -> None:
    settings = ModelSettings("xgboost", params=params, rounds=6, seed=5)
    alone = fit_model(settings, FEATURES, [(MATRIX, target)], 1)
    found = {
        model.trees
        for owner in (np.zeros(ROWS, int), np.arange(ROWS) % 2, (np.arange(ROWS) > 3_500) + (np.arange(ROWS) > 3_600))
        for model in trained(settings, target, owner)
    }
    assert len(found) == 1
    (content,) = found
    assert dump(content) == dump(alone.trees)


def dump(content: bytes) -> list[str]:
    return xgboost.Booster(model_file=bytearray(content)).get_dump(dump_format="json")


def test_a_sample_for_quantiles_gives_other_trees_that_are_as_good() -> None:
    settings, target = ModelSettings("xgboost", params={"max_depth": 4}, rounds=20), SCORE > 1
    whole, sampled = (trained(settings, target, np.arange(ROWS) % 2, quantile_rows=n)[0] for n in (ROWS, 500))
    assert sampled.trees != whole.trees
    errors = [np.mean((model.predict(MATRIX) - target) ** 2) for model in (whole, sampled)]
    assert errors[1] == pytest.approx(errors[0], rel=0.05)


def test_what_xgboost_refuses_is_found_before_anybody_waits() -> None:
    settings = ModelSettings("xgboost", params={"objective": "reg:gamma", "base_score": -1}).resolved(SCORE)
    with pytest.raises(JobError, match=r"xgboost refuses: ") as caught:
        starting_score(settings, SCORE)
    assert caught.value.key == "model.params"


def test_a_member_that_ends_is_noticed_by_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    train = xgboost.train

    def end_early(params: dict[str, Any], data: Any, num_boost_round: int) -> Any:
        if len(data.get_label()) < ROWS / 2:
            raise KeyboardInterrupt
        return train(params, data, num_boost_round)

    settings, target = ModelSettings("xgboost", rounds=50), SCORE > 1
    complete = settings.resolved(target)
    score, meeting = starting_score(complete, target), open_meeting(2, "127.0.0.1")
    monkeypatch.setattr(xgboost, "train", end_early)

    def member(rank: int) -> Any:
        mine = slice(0, 1_000) if rank else slice(1_000, ROWS)
        return fit_together(complete, FEATURES, [(MATRIX[mine], target[mine])], MATRIX, score, 1, "cpu", Member(rank, 2, meeting))

    with ThreadPoolExecutor(2) as pool:
        left, ended = pool.submit(member, 0), pool.submit(member, 1)
        with pytest.raises(ClusterError, match="worker 1 of 2 lost the others while all trained together"):
            left.result(timeout=60)
        with pytest.raises(KeyboardInterrupt):
            ended.result(timeout=60)


def test_a_member_that_waits_for_one_who_never_comes_is_let_go() -> None:
    meeting = open_meeting(2, "127.0.0.1")

    def wait() -> None:
        with Member(0, 2, meeting).joined():
            pass

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        end_meetings()
        with pytest.raises(ClusterError, match="worker 1 of 2 lost the others"):
            waiting.result(timeout=60)


SHARED = (
    "[10:20:30] /__w/xgboost/xgboost/src/collective/comm.cu:87: Check failed: n_uniques == root.World() (1 vs. 2) : "
    "Multiple processes within communication group running on same CUDA device is not supported. GPU-1a2b\n"
)


def test_members_that_share_a_gpu_have_not_lost_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise xgboost.core.XGBoostError(SHARED)

    monkeypatch.setattr(xgboost, "train", refuse)
    settings = ModelSettings("xgboost").resolved(SCORE > 1)
    meeting = open_meeting(2, "127.0.0.1")

    def member(rank: int) -> Any:
        return fit_together(settings, FEATURES, [(MATRIX, SCORE > 1)], MATRIX, "0.5", 1, "cpu", Member(rank, 2, meeting))

    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(member, rank) for rank in (0, 1)]:
            with pytest.raises(JobError, match="workers share a GPU") as caught:
                one.result(timeout=60)
            assert caught.value.key == "run.training"


def test_members_that_wait_for_one_that_could_not_begin_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MemoryBudgetError("the GPU has no room to train: out of memory")

    monkeypatch.setattr(training, "_trained", fail)
    cluster, told = LocalCluster(1), []
    monkeypatch.setattr(cluster, "everywhere", told.append)
    training_rows, none = np.ones(ROWS, np.bool_), np.zeros(ROWS, np.bool_)
    part = Prepared(MATRIX, (SCORE > 1).astype(np.float64), training_rows, none, ()), Counted(Ledger(), {}, {})
    with pytest.raises(MemoryBudgetError, match="no room to train"):
        training.train_on_all(cluster, ModelSettings("xgboost"), FEATURES, "cpu", training.Target("late", ()), [part])
    assert told == [training.end_meetings]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ModelSettings("dbscan"),
            r"dbscan trains on one worker\n  kinds that all workers can train: xgboost, logistic_regression, linear_regression, kmeans, pca, ",
        ),
        (ModelSettings("xgboost", params={"objective": "reg:absoluteerror"}), "no worker has all of a leaf's rows\n  write one_worker"),
    ],
)
def test_what_all_workers_cannot_train_is_refused(settings: ModelSettings, message: str) -> None:
    with pytest.raises(JobError, match=message) as caught:
        settings.check_together()
    assert caught.value.key == "run.training"
