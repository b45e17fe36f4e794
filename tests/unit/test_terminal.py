"""What a person is told while a command works."""

from __future__ import annotations

import re
from typing import Any

import pytest

from headrace.terminal import make_progress
from headrace_kernels.compiled import jit


def _compiled_each_time(function: Any) -> Any:
    compiled: Any = jit(function)
    compiled._cache.disable()
    return compiled


def test_a_run_that_compiles_kernels_says_so_and_another_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    one, other = _compiled_each_time(lambda x: x + 1), _compiled_each_time(lambda x: x + 2)
    for _ in range(2):
        with make_progress() as progress:
            progress.start("fit", 1)
            assert (one(1), other(1)) == (2, 3)
    seen = re.sub(r"in \d+\.\d s", "in T s", capsys.readouterr().err).splitlines()
    first = ["fit: 1 task", "kernels: compiling, once for this machine; later runs find them", "fit: done in T s", "kernels: 2 compiled"]
    assert seen == [*first, "fit: 1 task", "fit: done in T s"]
    _compiled_each_time(lambda x: x + 3)(1)
    assert capsys.readouterr().err == ""
