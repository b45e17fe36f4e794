"""Every CUDA kernel in Numba's simulator, which runs it as Python threads, equals its CPU form; nearly every line of them is run."""

from __future__ import annotations

import subprocess
import sys

import pytest
from coverage import Coverage
from tests.gpu.device_code import PACKAGE, device_lines
from tests.kernels.cuda_parity import CASES, parity

LAUNCHERS = ("cuda.py", "cuda_codes.py", "cuda_dense.py", "cuda_rolling.py")  # all of their lines count, those on the host too
LEAST_COVERED = 95.0  # percent of lines

Done = dict[str, "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Coverage]:
    """The checks of each kind, and the lines that they ran."""
    data = tmp_path_factory.mktemp("lines") / "data"
    python = (sys.executable, "-m", "coverage", "run", "--append", f"--data-file={data}", f"--source={PACKAGE}")
    done = {kind: parity(kind, names, python, NUMBA_ENABLE_CUDASIM="1") for kind, names in CASES.items()}
    lines = Coverage(data_file=data)
    lines.load()
    return done, lines


@pytest.mark.parametrize("kind", CASES)
def test_the_simulator_equals_the_cpu(kind: str, simulated: tuple[Done, Coverage]) -> None:
    done = simulated[0][kind]
    assert (done.stdout.split(), done.returncode) == (list(CASES[kind]), 0), done.stderr


def test_nearly_every_line_of_the_cuda_kernels_is_run(simulated: tuple[Done, Coverage]) -> None:
    on_device, n_lines, missed = device_lines(), 0, []
    for name in sorted({*on_device, *LAUNCHERS}):
        _, statements, _, missing, _ = simulated[1].analysis2(str(PACKAGE / name))
        counted = set(statements) if name in LAUNCHERS else on_device[name].intersection(statements)
        n_lines += len(counted)
        missed += [f"{name}:{line}" for line in sorted(counted.intersection(missing))]
    assert n_lines > 300
    assert 100 * (1 - len(missed) / n_lines) >= LEAST_COVERED, missed


def test_the_lines_that_count_are_those_of_kernels_and_of_what_they_call() -> None:
    found = device_lines()
    source = {name: (PACKAGE / name).read_text(encoding="utf-8").splitlines() for name in found}
    shown = {name: {source[name][line - 1].strip() for line in lines} for name, lines in found.items()}
    assert "cuda.atomic.add(counts, code, 1)" in shown["cuda_codes.py"]  # a kernel
    assert "cos2 = cos_degrees(lat2)" in shown["geo.py"]  # a scalar function that one is made of
    assert "total = fma(state[0], left, value)" in shown["segments.py"]  # a scan
    assert not any("over_chunks" in line for lines in shown.values() for line in lines)  # the CPU's threads
