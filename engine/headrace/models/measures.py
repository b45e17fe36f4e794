"""How well a model without a target describes rows: there is nothing that happened to compare it with.

Source of the silhouette: P. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", 1987; of
trustworthiness: J. Venna, S. Kaski, "Neighborhood preservation in nonlinear projection methods", ICANN 2001.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.errors import JobError, nearest
from headrace.models.clusters import NOISE
from headrace.models.decomposition import Decomposition
from headrace.models.places import Placed

# The silhouette compares each row with each: of so many rows it is good to two digits and takes a tenth of a second.
SAMPLE_ROWS = 2_000
_NEIGHBORS = 5

_NAMES = {
    "kmeans": ("inertia", "silhouette"),
    "dbscan": ("noise", "silhouette"),
    "hdbscan": ("noise", "silhouette"),
    "pca": ("explained_variance_ratio",),
    "truncated_svd": ("explained_variance_ratio",),
    "umap": ("trustworthiness",),
}


def check_measures(kind: str, names: Sequence[str]) -> None:
    """Raise JobError (``evaluate[i]``, with the nearest right name) for the first name that is no measure of the kind."""
    known = _NAMES[kind]
    for position, name in enumerate(names):
        if name not in known:
            near, hint = nearest(name, known), f"Metrics: {', '.join(known)}"
            message = f"no metric {name!r} of a {kind} model"
            raise JobError(message, key=f"evaluate[{position}]", hint=f"nearest: {near!r}. {hint}" if near else hint)


def measure(model: Any, predicted: np.ndarray, sample: np.ndarray, names: Sequence[str] | None = None) -> dict[str, float | None]:
    """Measure a model on rows.

    Parameters
    ----------
    model : Model
        One without a target.
    predicted : array ``[n]`` or ``[n, components]``
        The predictions of all rows.
    sample : float32 ``[m, k]``
        Some of these rows, on the host.
    names : sequence of str, optional
        By default all of the kind. ``inertia``: the sum of squared distances to the centres. ``noise``: the share of rows in no
        cluster. ``silhouette``: of the sample, how much nearer a row is to its own cluster than to the next, from -1 to 1, noise left
        out. ``explained_variance_ratio``: the share of the sample's variance that the components keep. ``trustworthiness``: how far the
        five rows nearest in place are among the nearest of the sample, from 0 to 1.

    Returns
    -------
    dict
        Metric to value; None where the rows do not define it, as a silhouette of one cluster.
    """
    names = _NAMES[model.kind] if names is None else names
    check_measures(model.kind, names)
    found: dict[str, float | None] = {}
    for name in names:
        if not len(predicted):
            found[name] = None
        elif name == "inertia":
            found[name] = float((predicted["prediction_distance"].astype(np.float64) ** 2).sum())
        elif name == "noise":
            found[name] = float(np.mean(predicted["prediction"] == NOISE))
        elif name == "trustworthiness":
            found[name] = _trustworthiness(model, sample)
        else:
            found[name] = _silhouette(model, sample) if name == "silhouette" else model.explained(sample)
    return found


def outline(model: Any, predicted: np.ndarray) -> dict[str, Any]:
    """Return what a report draws: ``clusters`` and their rows, or ``components`` and their shares of the training rows' variance; of other places nothing."""
    if isinstance(model, Decomposition):
        return {"components": {"labels": list(model.columns), "shares": model.explained_variance_ratio.tolist()}}
    if isinstance(model, Placed):
        return {}
    labels, rows = np.unique(predicted["prediction"], return_counts=True)
    return {"clusters": {"labels": labels.tolist(), "rows": rows.tolist()}}


def _silhouette(model: Any, sample: np.ndarray) -> float | None:
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    labels = model.predict(sample)["prediction"] if len(sample) else np.zeros(0, np.int32)
    inside = labels != NOISE
    n_clusters = len(np.unique(labels[inside]))
    if not 1 < n_clusters < inside.sum():
        return None
    with threadpool_limits(limits=1):
        return float(silhouette_score(sample[inside].astype(np.float64), labels[inside]))


def _trustworthiness(model: Any, sample: np.ndarray) -> float | None:
    from sklearn.manifold import trustworthiness
    from threadpoolctl import threadpool_limits

    if len(sample) <= 2 * _NEIGHBORS:
        return None
    with threadpool_limits(limits=1):
        return float(trustworthiness(sample.astype(np.float64), model.predict(sample), n_neighbors=_NEIGHBORS))
