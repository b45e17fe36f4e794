"""Kernels in Numba's simulator take the stand-in's arrays; in a process of its own, because the simulator is chosen when Numba is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import threading, warnings
import numpy as np
from headrace_kernels import Column, get_kernel
from headrace_kernels.cuda import on_device
from tests.gpu.standin import simulator
from tests.gpu.standin.memory import TRANSFERS
from tests.gpu.standin.use import standins

warnings.simplefilter("ignore")  # plain Python warns where integers wrap
simulator.prepare()
simulator.prepare()
hash64 = get_kernel("hash64")
values = np.arange(40)
expected = hash64.launch([Column(values)])[0].values.tolist()
with standins():
    import cupy

    array = cupy.asarray(values)
    TRANSFERS.clear()
    found = []
    launch = lambda: found.append(cupy.asarray(on_device(hash64).launch([array])[0]))
    threads = [threading.Thread(target=launch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert TRANSFERS.n_to_device == TRANSFERS.n_to_host == 0, TRANSFERS
    assert [made.get().tolist() for made in found] == [expected] * 4
    on_device(hash64).launch([values])
    assert TRANSFERS.n_to_device == 1, TRANSFERS
print("right")
"""


OF_FEW_ROWS = """
import warnings
import numpy as np
from headrace_kernels import cuda
from tests.gpu.standin import simulator
from tests.kernels.cuda_parity import CASES, CHECKS

simulator.prepare()
np.seterr(all="ignore")
warnings.filterwarnings("error", "Grid size")
for kind, names in CASES.items():
    CHECKS[kind](names[0])
try:
    cuda.compiled(cuda.hash_string)[1, 1]
except Warning as warning:
    print(warning)
"""


def test_kernels_take_arrays_of_the_stand_in_without_a_copy_from_many_threads() -> None:
    done = run(PROGRAM)
    assert done.stdout == "right\n", done.stderr


def test_no_launch_of_few_rows_warns_and_other_peoples_do() -> None:
    done = run(OF_FEW_ROWS)
    assert done.stdout == "Grid size 1 will likely result in GPU under-utilization due to low occupancy.\n", done.stderr


def run(program: str) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT), *sys.path]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False, timeout=120)
