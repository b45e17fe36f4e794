"""UMAP: rows laid out so that neighbours stay neighbours; trained by umap-learn or cuML, kept as the training rows and their places.

Source: L. McInnes, J. Healy, J. Melville, "UMAP: Uniform Manifold Approximation and Projection for dimension reduction", 2018,
arXiv:1802.03426. The place of a row that was not trained on: E. Weiszfeld, "Sur le point pour lequel la somme des distances de n points
donnés est minimum", Tohoku Mathematical Journal 43, 1937.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from headrace.errors import BundleError, JobError, MissingLibraryError
from headrace.models.device import gpu_library, joined_on_device, to_device, to_host
from headrace.models.matrix import Block, check_matrix, joined
from headrace.models.places import Placed
from headrace.models.rows import read_rows, write_rows
from headrace.models.search import Search
from headrace.models.settings import DEFAULT_COMPONENTS, ModelSettings
from headrace.models.store import FILE_NAME, read_settings, write_settings

_DEFAULT_NEIGHBORS = 15
# The bandwidth of a row's neighbours lies between these multiples of their mean distance, and is halved this often: to 12 digits.
_LEAST, _MOST, _HALVINGS = 1e-3, 1e3, 44
# How often a place is bettered, and what counts as no distance between places, which lie in tens.
_STEPS, _NO_DISTANCE = 30, 1e-3
# Rows whose neighbours' places are held at a time: with 15 of two numbers they stay in the second-level cache.
_CHUNK_ROWS = 4_096
# umap-learn calls Numba's parallel loops, which two threads of a process must not do at once.
_training = Lock()


@dataclass(frozen=True, eq=False)
class Umap(Placed):
    """Training rows and the place of each; see `headrace.models.Model`.

    Parameters
    ----------
    rows : float32 ``[m, k]``
        The training rows, in their order.
    places : float64 ``[m, components]``
        Where training laid each of them.
    """

    settings: ModelSettings
    features: tuple[str, ...]
    rows: np.ndarray
    places: np.ndarray
    threads: int = 1

    @property
    def columns(self) -> dict[str, str]:
        return {f"umap_{index + 1}": "float32" for index in range(self.places.shape[1])}

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Return float32 ``[n, components]``: where the weighted distances to the places of the `n_neighbors` nearest training rows are least.

        Weighted as UMAP weights neighbours: with ``exp(-(d - nearest) / s)``, s such that the weights add up to ``log2(n_neighbors)``. A row
        that equals a training row has the place of that one. umap-learn's and cuML's `transform` instead move a row by random steps, which
        depend on the rows beside it; the libraries' and this place are equally good, see ``docs/models.md``.
        """
        check_matrix(matrix, self.features, missing=False)
        placed = np.empty((len(matrix), self.places.shape[1]), np.float32)
        for part, found, distance in self.search.nearest_by_parts(matrix, _neighbors(self.settings)):
            for start in range(0, len(found), _CHUNK_ROWS):
                chunk = slice(start, start + _CHUNK_ROWS)
                placed[part][chunk] = _between(self.places[found[chunk]], _weights(np.sqrt(distance[chunk])))
        return placed

    @cached_property
    def search(self) -> Search:
        return Search(self.rows, "euclidean", self.threads)

    def save(self, folder: Path) -> None:
        places = {f"place_{index}": column for index, column in enumerate(self.places.T)}
        write_settings(folder, self.settings, self.features, write_rows(folder, self.rows, **places))


def fit(settings: ModelSettings, features: tuple[str, ...], blocks: Sequence[Block], threads: int, device: str = "cpu") -> Umap:
    """Train on all rows; `settings` are resolved, the blocks checked. Both libraries are given each row's exact neighbours."""
    for matrix, _ in blocks:
        check_matrix(matrix, features, missing=False)
    whole, _ = joined_on_device(list(blocks), np.float32) if device == "gpu" else joined(blocks, np.float32)
    rows = np.ascontiguousarray(to_host(whole), np.float32)
    n_neighbors = _neighbors(settings)
    if n_neighbors >= len(rows):
        message = f"{n_neighbors} neighbours, the row itself counted, among {len(rows)} training rows"
        raise JobError(message, key="model.params.n_neighbors", hint="ask for fewer")
    n_components = settings.params.get("n_components", DEFAULT_COMPONENTS)
    if n_components > len(rows) - 2:  # the places to begin with are eigenvectors, one of which says nothing, and the iteration misses one
        message = f"{n_components} components of {len(rows)} training rows"
        raise JobError(message, key="model.params.n_components", hint="ask for fewer")
    found, distance = Search(rows, "euclidean", threads).nearest(whole, n_neighbors)
    known = (_itself_first(found), np.sqrt(distance).astype(np.float32))
    params = {**settings.params, "n_neighbors": n_neighbors, "n_components": n_components, "random_state": settings.seed % 2**32}
    try:
        places = _on_device(whole, known, params) if device == "gpu" else _on_host(rows, known, params)
    except (ValueError, TypeError) as error:
        message = f"{'cuML' if device == 'gpu' else 'umap-learn'} refuses: {str(error).partition(chr(10))[0]}"
        raise JobError(message, key="model.params", hint="look at the parameters' values") from error
    return Umap(settings, features, rows, np.asarray(to_host(places), np.float64), threads)


def load(folder: Path, threads: int | None) -> Umap:
    """Read back what `Umap.save` wrote."""
    settings, content = read_settings(folder)
    features = tuple(content["features"])
    names = [f"place_{index}" for index in range(settings.params.get("n_components", DEFAULT_COMPONENTS))]
    rows, places = read_rows(folder, content, len(features), *names)
    if _neighbors(settings) >= len(rows):
        raise BundleError("training rows that do not fit the settings", file=str(folder / FILE_NAME))
    return Umap(settings, features, rows, np.column_stack(places), threads or os.cpu_count() or 1)


def _neighbors(settings: ModelSettings) -> int:
    return int(settings.params.get("n_neighbors", _DEFAULT_NEIGHBORS))


def _itself_first(found: np.ndarray) -> np.ndarray:
    """Return training rows' neighbours with the row itself before those that equal it, as cuML asks for it.

    >>> _itself_first(np.array([[0, 1], [0, 1], [0, 1]])).tolist()  # of three equal rows each finds the first two
    [[0, 1], [1, 0], [2, 1]]
    """
    own = np.arange(len(found))
    place = (found == own[:, None]).argmax(axis=1)  # 0 where it is not there: as many as were asked for equal it
    found[own, place] = found[:, 0]
    found[:, 0] = own
    return found


def _weights(distance: np.ndarray) -> np.ndarray:
    """Return the weights of neighbours, nearest first and with 1 the greatest; where some are at distance 0, the first alone counts.

    >>> _weights(np.array([[0.0, 1.0], [2.0, 2.0]])).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    weights = np.zeros(distance.shape)
    weights[:, 0] = 1
    apart = distance[:, 0] > 0
    beyond, wanted = distance[apart] - distance[apart, :1], np.log2(distance.shape[1])
    mean = np.maximum(_added(beyond.T) / distance.shape[1], np.finfo(np.float32).tiny)
    low, high = _LEAST * mean, _MOST * mean
    for _ in range(_HALVINGS):
        middle = np.sqrt(low * high)
        too_wide = _added(np.exp(-beyond / middle[:, None]).T) > wanted
        low, high = np.where(too_wide, low, middle), np.where(too_wide, middle, high)
    weights[apart] = np.exp(-beyond / high[:, None])
    return weights


def _between(places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted geometric median of each row's ``[k, components]`` places: one far place moves it little, as it would a mean.

    >>> places = np.array([[[0.0], [0.1], [9.0]]])
    >>> _between(places, np.ones((1, 3))).round(2).tolist()
    [[0.1]]
    """
    each, weight = places.transpose(1, 0, 2), weights.T[:, :, None]
    place = _added(weight * each) / _added(weight)
    for _ in range(_STEPS):
        pull = weight / np.maximum(np.sqrt(_added(((each - place) ** 2).transpose(2, 0, 1)))[:, :, None], _NO_DISTANCE)
        place = _added(pull * each) / _added(pull)
    return place


def _added(terms: np.ndarray) -> np.ndarray:
    """Add up in order: NumPy's own sum would group by how many they are, and a row's bits depend on the rows beside it."""
    total = np.zeros(terms.shape[1:])
    for term in terms:
        total += term
    return total


def _on_host(rows: np.ndarray, known: tuple[np.ndarray, np.ndarray], params: dict[str, Any]) -> np.ndarray:
    """Train with one thread: what several find differs with their number."""
    try:
        from umap import UMAP
    except ImportError as error:
        message = f"a model of kind 'umap' needs the library {error.name!r}"
        raise MissingLibraryError(message, key="model.kind", hint="pip install 'headrace[umap]'") from error
    from threadpoolctl import threadpool_limits

    with _training, threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it could not place new rows: we do
        estimator = UMAP(metric="euclidean", n_jobs=1, precomputed_knn=known, force_approximation_algorithm=True, **params)
        return np.asarray(estimator.fit(rows).embedding_)


def _on_device(whole: Any, known: tuple[np.ndarray, np.ndarray], params: dict[str, Any]) -> Any:
    found, distance = known
    on_device = to_device(found, np.int64), to_device(distance, np.float32)
    return gpu_library("cuml.manifold").UMAP(metric="euclidean", precomputed_knn=on_device, **params).fit(whole).embedding_
