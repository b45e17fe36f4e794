"""XGBoost itself, imported where it is needed: 1.1-1.5 s, because it brings scikit-learn and pandas along."""

from __future__ import annotations

import os

# XGBoost's threads wait for each other again and again. By default they burn their cores meanwhile: on a machine that is busy
# with other work, training the flights took 45 s and more, and 9 s with this. OpenMP reads it when it is loaded, so it stands
# here, where every process that trains comes by: those of an external scheduler too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import xgboost

__all__ = ["xgboost"]
