"""Boosted trees by XGBoost: one worker, histograms, blocks of fixed size.

Source: T. Chen, C. Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016. Contributions: S. Lundberg et al.,
"From local explanations to global understanding with explainable AI for trees", Nature Machine Intelligence 2, 2020
(exact); A. Saabas, "Interpreting random forests", 2014 (approximate).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# XGBoost's threads wait for each other again and again. By default they burn their cores meanwhile: on a machine that is busy
# with other work, training the flights took 45 s and more, and 9 s with this. OpenMP reads it when it is loaded, so it stands
# here, where every process that trains comes by: those of an external scheduler too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import xgboost

from headrace.errors import BundleError, JobError, unknown_name
from headrace.models.device import check_build, is_on_device, to_device, to_host
from headrace.models.matrix import Block, check_matrix, reblock
from headrace.models.settings import ModelSettings, Trained
from headrace.models.store import FILE_NAME, read_bytes, read_settings, write_settings

_TREES = "model.ubj"
_DEFAULT_OBJECTIVE = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}


@dataclass(frozen=True)
class BoostedTrees(Trained):
    """A trained XGBoost model; see `headrace.models.Model`."""

    settings: ModelSettings
    features: tuple[str, ...]
    booster: xgboost.Booster

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        check_matrix(matrix, self.features)
        if not len(matrix):
            return np.empty((0, self.settings.n_classes) if self.settings.n_classes else (0,), dtype=np.float32)
        # In place: without the copy and the quantisation that a DMatrix makes of it.
        if is_on_device(matrix):
            self.booster.set_param({"device": "cuda"})
            on_device: np.ndarray = to_host(self.booster.inplace_predict(to_device(matrix, np.float32)))
            self.booster.set_param({"device": "cpu"})
            return on_device
        predicted: np.ndarray = self.booster.inplace_predict(np.ascontiguousarray(matrix, dtype=np.float32))
        return predicted

    def contributions(self, matrix: np.ndarray, approximate: bool = False) -> np.ndarray:
        """Return what each feature adds to the raw margin (the log odds of a binary model); last, the bias.

        Parameters
        ----------
        matrix : float32 ``[n, k]``
            The rows.
        approximate : bool
            False: Shapley values by TreeSHAP, exact and slow: 1.6 ms a row of 100 trees of depth 8 on 2 cores.
            True: the change of the node's mean at each split of the row's path: 4 us a row. Both sum to the margin;
            the approximate way favours splits deep in the tree, and its first feature often is another one.

        Returns
        -------
        array
            float32 ``[n, k + 1]``, multiclass ``[n, classes, k + 1]``.
        """
        check_matrix(matrix, self.features)
        width = len(self.features) + 1
        if not len(matrix):
            return np.empty((0, self.settings.n_classes, width) if self.settings.n_classes else (0, width), dtype=np.float32)
        rows = xgboost.DMatrix(np.ascontiguousarray(to_host(matrix), dtype=np.float32))
        added: np.ndarray = self.booster.predict(rows, pred_contribs=True, approx_contribs=approximate)
        return added

    def save(self, folder: Path) -> None:
        trees = bytes(self.booster.save_raw("ubj"))
        write_settings(folder, self.settings, self.features, {"trees": {"nbytes": len(trees), "sha256": _digest(trees)}})
        (folder / _TREES).write_bytes(trees)


class FixedBlocks(xgboost.DataIter):
    """Hands over blocks of a fixed number of rows, as often as XGBoost asks (four times on a CPU).

    XGBoost 3.2 on a CPU gives the same model for any cut; GPUs merge their quantile sketches block by block, and no
    version promises either. So the cut is always the same.
    """

    def __init__(self, blocks: Sequence[Block], device: str = "cpu") -> None:
        self._source = blocks
        self._device = device
        self._left: Iterator[Block] = iter(())
        super().__init__()

    def reset(self) -> None:
        self._left = reblock(self._source)

    def next(self, input_data: Callable[..., Any]) -> bool:
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
    params = _library_params(settings, features, threads)
    if device == "gpu":
        check_build(xgboost)
        params["device"] = "cuda"
    try:
        quantised = xgboost.QuantileDMatrix(FixedBlocks(blocks, device), nthread=threads, max_bin=params.get("max_bin"))
        booster = xgboost.train(params, quantised, num_boost_round=settings.rounds)
        booster.set_param({"device": "cpu"})  # where it predicts is decided by where the rows are
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise JobError(f"xgboost refuses: {_first_line(error)}", key="model.params", hint="look at the parameters' values") from error
    return BoostedTrees(settings, features, booster)


def load(folder: Path, threads: int | None) -> BoostedTrees:
    """Read back what `BoostedTrees.save` wrote."""
    settings, content = read_settings(folder)
    path = folder / _TREES
    trees = read_bytes(path)
    # XGBoost trusts the lengths in the file: 100 bytes of a cut one made it take all of the machine's memory.
    if content.get("trees") != {"nbytes": len(trees), "sha256": _digest(trees)}:
        raise BundleError(f"not the {len(trees)} bytes that were saved with {FILE_NAME}", file=str(path), hint="copy the bundle again")
    try:
        booster = xgboost.Booster(model_file=bytearray(trees))
    except xgboost.core.XGBoostError as error:
        raise BundleError(f"no XGBoost model: {_first_line(error)}", file=str(path)) from error
    features = tuple(content["features"])
    if booster.num_features() != len(features):
        raise BundleError(f"trees over {booster.num_features()} features, but {len(features)} names", file=str(path))
    if threads is not None:
        booster.set_param({"nthread": threads})
    return BoostedTrees(settings, features, booster)


def _library_params(settings: ModelSettings, features: tuple[str, ...], threads: int) -> dict[str, Any]:
    params = {"objective": _DEFAULT_OBJECTIVE[str(settings.task)], **settings.params}
    if "monotone_constraints" in params:
        params["monotone_constraints"] = _monotone(params["monotone_constraints"], features)
    if "interaction_constraints" in params:
        groups = [[_position(name, features, "interaction_constraints") for name in group] for group in params["interaction_constraints"]]
        params["interaction_constraints"] = json.dumps(groups)
    if settings.n_classes:
        params["num_class"] = settings.n_classes
    return {**params, "tree_method": "hist", "seed": settings.seed, "nthread": threads}


def _monotone(constraints: object, features: tuple[str, ...]) -> str:
    """Return ``{name: 1 or -1}`` as XGBoost's list by position."""
    if not isinstance(constraints, Mapping):
        message = "monotone_constraints name each feature"
        raise JobError(message, key="model.params.monotone_constraints", hint="as in {age: 1, distance: -1}")
    signs = [0] * len(features)
    for name, sign in constraints.items():
        signs[_position(name, features, "monotone_constraints")] = sign
    return "(" + ",".join(str(sign) for sign in signs) + ")"


def _position(name: object, features: tuple[str, ...], param: str) -> int:
    if name not in features:
        message, hint = unknown_name("feature", str(name), features)
        raise JobError(message, key=f"model.params.{param}", hint=hint)
    return features.index(str(name))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _first_line(error: Exception) -> str:
    """Return XGBoost's message without its time stamp, source line and stack trace."""
    line = str(error).partition("\n")[0]
    return line.partition(": ")[2] if line.startswith("[") else line
