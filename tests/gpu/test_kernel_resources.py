"""What the CUDA kernels take is recorded, complete and does not grow; the compiler itself runs where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gpu.kernel_resources import CAPABILITIES, growth, missing_compilers, read_record

from headrace_kernels.cuda_catalogue import cuda_forms

ROOT = Path(__file__).parents[2]
SMALL = {"registers": 20, "stack_bytes": 0, "spill_bytes": 0, "shared_bytes": 0}


def test_every_kernel_is_recorded_for_each_architecture() -> None:
    architectures = [f"sm_{major}{minor}" for major, minor in CAPABILITIES]
    assert {name: list(found) for name, found in read_record().items()} == {form.name: architectures for form in cuda_forms()}


def test_no_kernel_spills_or_needs_a_stack() -> None:
    spilled = {(resources["spill_bytes"], resources["stack_bytes"]) for found in read_record().values() for resources in found.values()}
    assert spilled == {(0, 0)}


@pytest.mark.parametrize(
    ("recorded", "found", "lines"),
    [
        ({"a": SMALL}, {"a": SMALL}, []),
        ({"a": SMALL}, {"a": {**SMALL, "registers": 19}}, []),
        ({"a": SMALL}, {"a": {**SMALL, "registers": 21}}, ["a on sm_80: registers 20 -> 21"]),
        ({"a": SMALL}, {"a": {**SMALL, "stack_bytes": 8}}, ["a on sm_80: stack_bytes 0 -> 8"]),
        ({}, {"a": SMALL}, ["a on sm_80: not recorded"]),
        ({"a": SMALL, "b": SMALL}, {"a": SMALL}, ["b: recorded, but there is no such kernel"]),
        ({"a": {**SMALL, "spill_bytes": 8}}, {"a": {**SMALL, "spill_bytes": 8}}, ["a on sm_80: 8 bytes spilled"]),
    ],
)
def test_growth_is_named(recorded: dict[str, dict[str, int]], found: dict[str, dict[str, int]], lines: list[str]) -> None:
    on_one = [{name: {"sm_80": resources} for name, resources in entries.items()} for entries in (recorded, found)]
    assert list(growth(*on_one)) == lines


@pytest.mark.skipif(bool(missing_compilers()), reason=f"not installed: {', '.join(missing_compilers())}; make gpu-ptx runs this")
def test_no_kernel_takes_more_than_recorded() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    command = [sys.executable, "-m", "tests.gpu.kernel_resources"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
