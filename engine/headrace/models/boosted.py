"""Boosted trees by XGBoost: histograms, blocks of fixed size; one process has all rows (`together` is the other way).

Source: T. Chen, C. Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

import numpy as np

from headrace.errors import JobError
from headrace.models.device import check_build, no_room, to_device
from headrace.models.matrix import Block, reblock
from headrace.models.settings import ModelSettings
from headrace.models.trees import BoostedTrees, load
from headrace.models.xgboost_library import xgboost
from headrace.waits import in_own_thread

__all__ = ["FixedBlocks", "fit", "load", "quantised"]

_DEFAULT_OBJECTIVE = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}

# How XGBoost says that a device has no memory left: of its own allocations, and of those of the libraries that it calls.
_OUT_OF_MEMORY = ("Memory allocation error on worker", "cudaErrorMemoryAllocation")


class FixedBlocks(xgboost.DataIter):
    """Hands over blocks of a fixed number of rows, as often as XGBoost asks (four times on a CPU).

    XGBoost 3.2 on a CPU gives the same model for any cut; GPUs merge their quantile sketches block by block, and no
    version promises either. So the cut is always the same.
    """

    def __init__(self, blocks: Sequence[Block], device: str = "cpu") -> None:
        self._source = blocks
        self._device = device
        self._left: Iterator[Block] = iter(())
        self._stopped = False
        super().__init__()

    def stop(self) -> None:
        """Let XGBoost end with an error when it asks for the next block."""
        self._stopped = True

    def reset(self) -> None:
        self._left = reblock(self._source)

    def next(self, input_data: Callable[..., Any]) -> bool:
        if self._stopped:
            raise CancelledError
        for matrix, target in self._left:
            label = target.astype(np.float32)
            if self._device == "gpu":
                matrix, label = to_device(matrix, np.float32), to_device(label, np.float32)
            input_data(data=matrix, label=label)
            return True
        return False


def fit(settings: ModelSettings, features: tuple[str, ...], blocks: Sequence[Block], threads: int, device: str = "cpu") -> BoostedTrees:
    """Train on blocks; `settings` are resolved, the blocks checked.

    On a GPU the same blocks go into quantiles on the device; the trees are other ones than a CPU's, since sums are taken in another order.

    The bytes of the model do not depend on where the blocks were cut, since they are cut again, and have never been
    seen to depend on `threads`: gradients are summed in float64 and splits kept in float32, so another order of
    summation would have to meet a rounding edge (0 of 400 models differed between 1, 2 and 5 threads, with targets
    over many decades, duplicated features and sampled rows among them).
    """
    params = on_device(library_params(settings, features, threads), device)
    with refusals():
        matrix = quantised(blocks, device, nthread=threads, max_bin=params.get("max_bin"))
        booster = xgboost.train(params, matrix, num_boost_round=settings.rounds)
    return trained(settings, features, booster, threads)


def quantised(blocks: Sequence[Block], device: str, **settings: Any) -> Any:
    """Return XGBoost's matrix of blocks, made by a thread of its own, to which no interruption comes.

    XGBoost's C code calls Python for each block. An interruption that is raised there is lost, and with it what the call should have
    returned: XGBoost 3.2 went on with memory that was not its own, and ended the process.
    """
    source = FixedBlocks(blocks, device)
    return in_own_thread(lambda: xgboost.QuantileDMatrix(source, **settings), source.stop)


def trained(settings: ModelSettings, features: tuple[str, ...], booster: Any, threads: int) -> BoostedTrees:
    """Return the model of a trained booster; where it predicts is decided by where the rows are, not by where it was trained."""
    booster.set_param({"device": "cpu"})
    return BoostedTrees(settings, features, bytes(booster.save_raw("ubj")), threads)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what XGBoost refuses inside into a JobError, and a GPU's want of memory into a MemoryBudgetError."""
    try:
        yield
    except (xgboost.core.XGBoostError, ValueError) as error:
        if any(told in str(error) for told in _OUT_OF_MEMORY):
            raise no_room(_first_line(error)) from error
        raise JobError(f"xgboost refuses: {_first_line(error)}", key="model.params", hint="look at the parameters' values") from error


def on_device(params: dict[str, Any], device: str) -> dict[str, Any]:
    """Return parameters that train on a device; raise MissingLibraryError if the XGBoost that is installed cannot."""
    if device != "gpu":
        return params
    check_build(xgboost)
    return {**params, "device": "cuda"}


def library_params(settings: ModelSettings, features: tuple[str, ...], threads: int) -> dict[str, Any]:
    """Return what XGBoost is told: the job's parameters, features by their position, and what other keys of the job decide."""
    settings.check_features(features)
    params = {"objective": _DEFAULT_OBJECTIVE[str(settings.task)], **settings.params}
    if "monotone_constraints" in params:
        signs = [str(params["monotone_constraints"].get(name, 0)) for name in features]
        params["monotone_constraints"] = f"({','.join(signs)})"
    if "interaction_constraints" in params:
        params["interaction_constraints"] = json.dumps(
            [[features.index(name) for name in group] for group in params["interaction_constraints"]]
        )
    if settings.n_classes:
        params["num_class"] = settings.n_classes
    return {**params, "tree_method": "hist", "seed": settings.seed, "nthread": threads}


def _first_line(error: Exception) -> str:
    """Return XGBoost's message without its time stamp, source line and stack trace."""
    line = str(error).partition("\n")[0]
    return line.partition(": ")[2] if line.startswith("[") else line
