"""What every trained model says of itself by its settings; a kind with other predictions, or none of these, says so itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import JobError
from headrace.models.settings import KINDS, ModelSettings

if TYPE_CHECKING:
    import numpy as np


class Trained:
    """The part of `headrace.models.Model` that follows from the settings."""

    settings: ModelSettings
    features: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.settings.kind

    @property
    def task(self) -> str:
        return str(self.settings.task)

    @property
    def columns(self) -> dict[str, str]:
        """The columns that a row's prediction fills in a table, each with its type: ``float32`` or ``int32``."""
        return {"prediction": "float32", **{f"prediction_{index}": "float32" for index in range(self.settings.n_classes)}}

    def as_columns(self, predicted: np.ndarray) -> dict[str, np.ndarray]:
        """Return what `predict` returned as those columns: of classes the likeliest, and one column each."""
        if not self.settings.n_classes:
            return {"prediction": predicted}
        each = {f"prediction_{index}": predicted[:, index] for index in range(self.settings.n_classes)}
        return {"prediction": predicted.argmax(axis=1).astype("float32"), **each}

    def contributions(self, matrix: np.ndarray, approximate: bool = False) -> np.ndarray:
        """Refuse: this kind's prediction is no sum over features."""
        able = ", ".join(name for name, kind in KINDS.items() if kind.explains)
        raise JobError(f"a model of kind {self.kind!r} has no contributions", key="model.kind", hint=f"kinds that have them: {able}")
