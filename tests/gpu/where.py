"""Where tests of the GPU path run: on the stand-ins of cuDF and CuPy if HEADRACE_STANDIN is set, else on a real GPU, which they are marked for.

The stand-ins take the place of the real packages for as long as the process lives: it is one of its own (`tests/gpu/test_parity.py`).
"""

from __future__ import annotations

import os

import pytest

ON_STANDIN = os.environ.get("HEADRACE_STANDIN") == "1"
MARKS = [pytest.mark.gpu]

if ON_STANDIN:
    from tests.gpu.standin.simulator import prepare
    from tests.gpu.standin.use import install

    install()
    prepare()
