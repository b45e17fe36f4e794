"""How functions are compiled for each other and for Python, and what Numba's own dispatchers make of them."""

from __future__ import annotations

import platform
import re

import numba
import numpy as np
import pytest
from numba.core import event
from numba.core.caching import NullCache

from headrace_kernels import bodies, segments
from headrace_kernels.compiled import fingerprint, jit
from headrace_kernels.segments import decayed_sum


@jit
def doubled(x):
    return x + x


@jit
def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


@numba.njit
def of_numba(values):
    return np.zeros(len(values)) + doubled(values)


@jit
def over_numba(values):
    return of_numba(values).sum() + doubled(1.0)


def test_a_function_of_numba_calls_ours_and_ours_calls_it():
    values = np.array([1.0, 2.0])
    assert over_numba(values) == 8.0
    assert of_numba(values).tolist() == [2.0, 4.0]
    assert of_numba(np.array([1, 2])).tolist() == [2.0, 4.0]


def test_a_function_calls_itself():
    assert factorial(5) == 120


def test_a_function_of_many_callers_is_lowered_once_and_is_machine_code_in_each():
    inner = jit(lambda x: x * 3.0)
    first, second = jit(lambda x: inner(x) + 1.0), jit(lambda x: inner(x) - 1.0)
    for function in (first, second):
        function._cache.disable()  # an earlier run of this test compiled them
    with event.install_recorder("numba:compile") as compiled:
        assert (first(2.0), second(2.0)) == (7.0, 5.0)
    started = [happened.data["dispatcher"].py_func for _, happened in compiled.buffer if happened.is_start]
    assert started.count(inner.py_func) == 1
    (entry,) = (result.library for result in first.overloads.values())
    assert isinstance(entry, bodies.Entry)
    assert not inner.overloads  # Python did not call it


def test_an_exception_of_a_called_function_arrives():
    @jit
    def refused(x):
        if x < 0:
            raise ValueError("below zero")
        return x

    with pytest.raises(ValueError, match="below zero"):
        jit(lambda x: refused(x) + 1)(-1)


def test_a_mistake_in_a_called_function_names_its_line():
    @jit
    def wrong(x):
        return x + "text"

    with pytest.raises(numba.TypingError, match=re.escape('return x + "text"')):
        jit(lambda x: wrong(x))(1)


def test_code_that_was_kept_by_another_way_of_compiling_is_not_found(monkeypatch):
    before = fingerprint(doubled.py_func)
    monkeypatch.setattr(bodies, "__file__", __file__)
    assert fingerprint(doubled.py_func) != before


@pytest.mark.skipif(platform.machine() != "x86_64", reason="looks for this processor's names of instructions")
def test_loops_over_functions_of_functions_vectorise() -> None:
    scan = segments._scan_of(decayed_sum)
    scan._cache = NullCache()  # what is loaded has no assembly
    values, starts = np.ones(4), np.array([0, 4])
    for array in (values, starts):
        array.setflags(write=False)
    scan((values, values), (1.0,), np.ones(1, np.bool_), False, starts, np.empty(4), 0, 1)
    (compiled,) = scan.overloads.values()
    assert len(re.findall(r"\b(?:vfmadd\w+|v?mul|v?add)pd\b", compiled.library.get_asm_str())) > 12  # the exponential's terms
