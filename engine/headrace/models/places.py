"""What all kinds share that lay rows out in a few columns: a row's prediction is its place, a column for each of its numbers."""

from __future__ import annotations

import numpy as np

from headrace.models.trained import Trained


class Placed(Trained):
    """A model whose predictions are float32 ``[n, components]``; `columns` names the components."""

    def as_columns(self, predicted: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.ascontiguousarray(predicted[:, index]) for index, name in enumerate(self.columns)}
