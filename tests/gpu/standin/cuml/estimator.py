"""What the stand-in's estimators share: device arrays in, device arrays out, scikit-learn between."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np


def host(array: Any) -> np.ndarray:
    """Return what a device array holds; as the real package, take nothing else that this project hands over."""
    if not hasattr(array, "__cuda_array_interface__"):
        raise TypeError(f"{type(array).__name__} is not on the device")
    return cupy.asnumpy(array)


class Estimator:
    """An estimator whose learnt attributes are those of scikit-learn's, on the device; the real ones refuse fewer rows or features than they say."""

    _learnt: tuple[str, ...] = ()
    _least_rows = _least_features = 1

    def _make(self) -> Any:
        raise NotImplementedError

    def _fit(self, X: Any, y: Any = None) -> Any:
        for what, n, least in (("sample", X.shape[0], self._least_rows), ("feature", X.shape[1], self._least_features)):
            if n < least:
                raise ValueError(f"Found array with {n} {what}(s) (shape={X.shape}) while a minimum of {least} is required.")
        self._model = self._make().fit(host(X), None if y is None else host(y))
        for name in self._learnt:
            setattr(self, name, cupy.asarray(getattr(self._model, name)))
        return self
