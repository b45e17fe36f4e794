"""Stand-ins in processes that a test starts, by whatever command: Python imports `sitecustomize` before all else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.gpu.driver import pretend

ROOT = Path(__file__).parents[3]
START = """
import warnings

import numpy as np
import pytest
from tests.gpu import where  # puts the stand-ins in the place of the real packages
from tests.gpu.standin.boosted import let_xgboost_take_device_arrays

warnings.simplefilter("ignore")  # a device says nothing of overflow, plain Python does
np.seterr(all="ignore")
let_xgboost_take_device_arrays(pytest.MonkeyPatch())
"""


def prepare_children(patch: pytest.MonkeyPatch, folder: Path, devices: int = 1) -> None:
    """Let processes started from here on find the stand-ins, the simulator and so many devices; this one finds the devices alone."""
    pretend(patch, folder / "driver", devices)
    (folder / "sitecustomize.py").write_text(START)
    paths = [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
    for name, value in {"PYTHONPATH": os.pathsep.join(paths), "HEADRACE_STANDIN": "1", "NUMBA_ENABLE_CUDASIM": "1"}.items():
        patch.setenv(name, value)
