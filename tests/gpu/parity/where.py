"""Where these tests run: on the stand-ins of cuDF and CuPy if HEADRACE_STANDIN is set, else on a real GPU, which they are marked for."""

from __future__ import annotations

import os

import pytest

ON_STANDIN = os.environ.get("HEADRACE_STANDIN") == "1"
MARKS = [] if ON_STANDIN else [pytest.mark.gpu]
