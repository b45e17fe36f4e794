"""The CUDA kernels compiled to assembly, where CUDA's compiler is there. `tests/gpu/test_kernels.py` runs them in Numba's simulator."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from headrace_kernels.cuda_catalogue import cuda_forms


@pytest.fixture
def without_a_device(monkeypatch):
    """CUDA's compiler is there; Numba asks the current device which one it compiles functions for, so name one."""
    from numba import cuda
    from numba.cuda import dispatcher

    if not _has_compiler():
        pytest.skip("CUDA's compiler library (libNVVM) is not installed")
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=(8, 0)))
    return cuda


def _has_compiler():
    from numba.cuda.cudadrv import nvvm

    try:
        return nvvm.NVVM() is not None
    except Exception:
        return False


@pytest.mark.parametrize("capability", [(8, 0), (9, 0)], ids=str)
@pytest.mark.parametrize("form", cuda_forms(), ids=lambda form: form.name)
def test_every_kernel_compiles_for_a_device_without_one(form, capability, without_a_device):
    code = form.compile(capability)
    assert f".target sm_{capability[0]}{capability[1]}" in code
    assert ".visible .entry" in code


BOTH_TARGETS = """
from types import SimpleNamespace
import numpy as np
from numba.cuda import dispatcher
from headrace_kernels import Column
from headrace_kernels.angles import sin_degrees
from headrace_kernels.cuda import on_device
from headrace_kernels.kernel import kernel
dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=(8, 0))
zeros = [Column(np.zeros(3))]
kernel(output="same")(lambda x: sin_degrees(x)).launch(zeros)
on_device(kernel(output="same")(lambda x: sin_degrees(x))).ptx([np.dtype(np.float64)])
(out,) = kernel(output="same")(lambda x: sin_degrees(x) + 1).launch(zeros)
print(*out.values)
"""


def test_one_process_may_compile_for_the_cpu_again_after_a_device(without_a_device, tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", BOTH_TARGETS], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["1.0"] * 3, done.stderr
