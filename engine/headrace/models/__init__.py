"""Models that take matrices: trained, asked, explained, saved and read back through one small interface.

Importing this package imports neither xgboost nor scikit-learn: each kind's module is imported when it is used.

Examples
--------
>>> import numpy as np
>>> matrix = np.arange(8, dtype=np.float32).reshape(8, 1)
>>> target = np.array([0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0])
>>> model = fit_model(ModelSettings("linear_regression"), ("x",), [(matrix, target)], threads=1)
>>> model.task, [round(float(value), 4) for value in model.predict(matrix[1:4])]
('regression', [2.0, 4.0, 6.0])
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from headrace.errors import MissingLibraryError
from headrace.models.settings import KINDS, TASKS, ModelSettings, resolve_task

if TYPE_CHECKING:
    import numpy as np

    from headrace.models.matrix import Block
    from headrace.models.rounds import TrainingRows

__all__ = ["KINDS", "TASKS", "Model", "ModelSettings", "fit_by_sums", "fit_model", "load_model", "preload", "resolve_task"]


class Model(Protocol):
    """A trained model.

    ``settings`` are complete (task and number of classes known); ``features`` name the matrix's columns in order.
    """

    @property
    def settings(self) -> ModelSettings: ...

    @property
    def features(self) -> tuple[str, ...]: ...

    @property
    def kind(self) -> str: ...

    @property
    def task(self) -> str: ...

    @property
    def columns(self) -> dict[str, str]:
        """The columns that predictions fill in a table, each with its type: ``float32`` or ``int32``."""
        ...

    def as_columns(self, predicted: np.ndarray) -> dict[str, np.ndarray]:
        """Return what `predict` returned as those columns."""
        ...

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Return float32 ``[n]`` (binary: probability of class 1; regression: value) or ``[n, classes]`` of probabilities.

        Of a decomposition ``[n, components]``; of clusters a structured array of ``prediction`` (the cluster's number, int32; -1 is
        noise) and ``prediction_distance`` (to its centre or nearest core row, float32).
        """
        ...

    def contributions(self, matrix: np.ndarray, approximate: bool = False) -> np.ndarray:
        """Return float32 ``[n, k + 1]``, or ``[n, classes, k + 1]``: what each feature adds to the raw margin; last, the bias.

        Of a random forest it is the value or probability itself: it has no margin. Kinds without contributions (`Kind.explains`)
        raise JobError.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write ``model.json`` (and ``model.ubj`` or ``trees.arrow`` of trees, ``rows.arrow`` of kinds that keep rows) into `folder`."""
        ...


class _Kind(Protocol):
    """What each kind's module offers."""

    def fit(
        self, settings: ModelSettings, features: tuple[str, ...], blocks: Sequence[Block], threads: int, device: str = "cpu"
    ) -> Model: ...

    def load(self, folder: Path, threads: int | None) -> Model: ...


def fit_model(
    settings: ModelSettings,
    features: tuple[str, ...],
    blocks: Sequence[Block],
    threads: int,
    device: str = "cpu",
    target_name: str = "",
    metrics: Sequence[str] = (),
) -> Model:
    """Train a model on rows given in blocks.

    Parameters
    ----------
    settings : ModelSettings
        What to train. A task of None is decided by the target, see `resolve_task`.
    features : tuple of str
        The names of the matrix's ``k`` columns.
    blocks : sequence of (matrix, target)
        float32 ``[n, k]`` in C order, and numbers or truth values ``[n]`` (which a kind without a target does not look at). Only the order of the rows matters,
        not where the blocks are cut: the same rows in other blocks give the same bytes.
    threads : int
        Threads to train with. The model does not depend on it.
    device : {"cpu", "gpu"}
        Where to train. On a GPU XGBoost takes its quantiles from device memory and cuML trains the others; matrices that lie there
        (CuPy's, or anything with ``__cuda_array_interface__``) are not copied. The model predicts on either, wherever it was trained.
    target_name : str, optional
        What errors call the target.
    metrics : sequence of str, optional
        What predictions will be measured by.

    Nulls and NaN
    -------------
    NaN in a matrix is a missing value: xgboost learns where to send it, the other kinds refuse it. Infinities are
    refused. The target must be finite.

    Raises
    ------
    DataError
        No rows, a target that is null, infinite or of one class only, a feature that the kind cannot take.
    JobError
        A parameter's value that the library refuses, or a metric that the target's task does not have.
    MissingLibraryError
        The kind's library, or the one for a GPU, is not installed.
    MemoryBudgetError
        The GPU has no room to train.
    """
    from headrace.models.device import room_to_train, to_host
    from headrace.models.matrix import check_blocks, joined_target

    with room_to_train(device):
        check_blocks(blocks, features)
        complete = settings.resolved(to_host(joined_target(blocks)), target_name, metrics)
        return _implementation(settings.kind).fit(complete, features, blocks, threads, device)


def fit_by_sums(settings: ModelSettings, features: tuple[str, ...], rows: TrainingRows) -> Model:
    """Train a kind that all workers can train by sums (`settings.together`).

    Parameters
    ----------
    settings : ModelSettings
        Resolved.
    features : tuple of str
        The names of the matrix's columns.
    rows : TrainingRows
        Where to ask about them; without NaN and infinities.

    Raises
    ------
    JobError
        More components than features or rows, or more clusters than rows.

    Examples
    --------
    >>> import numpy as np
    >>> from headrace.models.rounds import RowsHere
    >>> matrix, target = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32), np.array([0, 0, 1, 1])
    >>> settings = ModelSettings("logistic_regression", params={"C": 100.0}).resolved(target)
    >>> model = fit_by_sums(settings, ("x",), RowsHere([(matrix, target)]))
    >>> [round(float(probability), 2) for probability in model.predict(matrix)]
    [0.0, 0.06, 0.94, 1.0]
    """
    from headrace.models import decomposition, kmeans, linear, logistic

    trainers = {"kmeans": kmeans, "linear_regression": linear, "logistic_regression": logistic}
    model: Model = trainers.get(settings.kind, decomposition).fit_by_sums(settings, features, rows)
    return model


def load_model(folder: Path, threads: int | None = None) -> Model:
    """Read back a model that `Model.save` wrote.

    Parameters
    ----------
    folder : Path
        Where ``model.json`` lies.
    threads : int, optional
        Threads that `predict` and `contributions` use; all cores by default. Results do not depend on it.

    Raises
    ------
    BundleError
        A file is missing, is no model, or is of a newer format.
    """
    from headrace.models.store import read_settings

    settings, _ = read_settings(folder)
    if settings.kind == "xgboost":
        from headrace.models import trees  # reads them without XGBoost

        return trees.load(folder, threads)
    return _implementation(settings.kind).load(folder, threads)


def preload(kind: str) -> threading.Thread:
    """Start importing what `kind` needs in the background, and return the thread.

    xgboost takes 1.1-1.5 s to import (scikit-learn and pandas come with it); beside the first pass over the data,
    which runs outside the interpreter's lock, all but 0.2 s of that is hidden (2 cores). A library that is missing
    is reported by `fit_model`, not here.
    """
    thread = threading.Thread(target=_import_quietly, args=(kind,), name=f"import-{kind}", daemon=True)
    thread.start()
    return thread


def _import_quietly(kind: str) -> None:
    try:
        _implementation(kind)
    except Exception:  # noqa: BLE001
        return  # the job's own call of the same function tells the user


def _implementation(kind: str) -> _Kind:
    try:
        if kind == "xgboost":
            from headrace.models import boosted

            return boosted
        if kind == "random_forest":
            from headrace.models import forest

            return forest
        if kind == "nearest_neighbors":
            from headrace.models import neighbors

            return neighbors
        if kind == "kmeans":
            from headrace.models import kmeans

            return kmeans
        if kind == "dbscan":
            from headrace.models import dbscan

            return dbscan
        if kind == "hdbscan":
            from headrace.models import hdbscan

            return hdbscan
        if kind in ("pca", "truncated_svd"):
            from headrace.models import decomposition

            return decomposition
        if kind == "umap":
            from headrace.models import umap

            return umap
        from headrace.models import linear

        return linear
    except ImportError as error:
        message = f"a model of kind {kind!r} needs the library {error.name!r}"
        raise MissingLibraryError(message, key="model.kind", hint="pip install 'headrace[cpu]'") from error
