"""Compile every CUDA kernel for sm_80 and sm_90 without a GPU, assemble it, and compare what it takes with what is recorded.

`python -m tests.gpu.kernel_resources` fails where a kernel takes more than tests/gpu/kernels.json says; with `--record` it writes that
file anew. It needs numba-cuda and nvidia-cuda-nvcc-cu12 (the extra `ptx`), no driver and no device.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from types import SimpleNamespace

RECORD = Path(__file__).with_name("kernels.json")
CAPABILITIES = ((8, 0), (9, 0))
COMPILERS = ("numba", "numba-cuda", "nvidia-cuda-nvcc-cu12")
MUST_NOT_GROW = ("registers", "stack_bytes", "spill_bytes", "shared_bytes")

# What goes through the double-precision pipe. A division or a root is an estimate and some eight multiply-adds, the rest is one slot each.
_FP64 = re.compile(r"\b(?:(?P<slow>div|sqrt|rcp)|fma|add|sub|mul|min|max|setp|cvt)\.(?:\w+\.)*f64\b")
_SLOW_SLOTS = 10

Resources = dict[str, int]


def missing_compilers() -> list[str]:
    """Return the distributions that are not installed."""
    return [name for name in COMPILERS if not _is_installed(name)]


def compile_all() -> dict[str, dict[str, Resources]]:
    """Return what each kernel takes on each architecture: ``{kernel: {"sm_80": {"registers": 38, ...}}}``."""
    from numba.cuda import dispatcher

    from headrace_kernels.cuda_catalogue import cuda_forms

    found: dict[str, dict[str, Resources]] = {form.name: {} for form in cuda_forms()}
    for capability in CAPABILITIES:
        # Numba asks the current device which one it compiles functions for; without a device, name one.
        dispatcher.get_current_device = lambda capability=capability: SimpleNamespace(compute_capability=capability)
        for form in cuda_forms():
            ptx = form.compile(capability)
            resources = {**_assembled(ptx, capability), "fp64_slots_a_row": _fp64_slots(ptx, form.stores or len(form.writes))}
            found[form.name][f"sm_{capability[0]}{capability[1]}"] = resources
    return found


def growth(recorded: Mapping[str, Mapping[str, Resources]], found: Mapping[str, Mapping[str, Resources]]) -> Iterator[str]:
    """Yield a line for each kernel that is not recorded, is recorded but gone, takes more than is recorded, or spills."""
    for name in sorted(recorded.keys() - found.keys()):
        yield f"{name}: recorded, but there is no such kernel"
    for name, architectures in found.items():
        for architecture, resources in architectures.items():
            if resources["spill_bytes"]:
                yield f"{name} on {architecture}: {resources['spill_bytes']} bytes spilled"
            before = recorded.get(name, {}).get(architecture)
            if before is None:
                yield f"{name} on {architecture}: not recorded"
                continue
            for what in MUST_NOT_GROW:
                if resources[what] > before[what]:
                    yield f"{name} on {architecture}: {what} {before[what]} -> {resources[what]}"


def read_record() -> dict[str, dict[str, Resources]]:
    """Return what tests/gpu/kernels.json says of each kernel."""
    return json.loads(RECORD.read_text(encoding="utf-8"))["kernels"]


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _assembled(ptx: str, capability: tuple[int, int]) -> Resources:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx, encoding="utf-8")
        command = [_ptxas(), f"-arch=sm_{capability[0]}{capability[1]}", "-v", source, "-o", Path(folder) / "kernel.cubin"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"ptxas refuses the code:\n{done.stderr}")
    report = done.stderr
    return {
        "registers": _number(r"Used (\d+) registers", report),
        "stack_bytes": _number(r"(\d+) bytes stack frame", report),
        "spill_bytes": _number(r"(\d+) bytes spill stores", report) + _number(r"(\d+) bytes spill loads", report),
        "shared_bytes": _number(r"(\d+) bytes smem", report),
    }


def _fp64_slots(ptx: str, n_stores: int) -> int:
    """Return the double-precision slots of one row: the compiler may have unrolled a loop, and each copy of the row has its stores."""
    slots = sum(_SLOW_SLOTS if match["slow"] else 1 for match in _FP64.finditer(ptx))
    return round(slots * n_stores / ptx.count("st.global."))


def _number(pattern: str, report: str) -> int:
    return sum(int(found) for found in re.findall(pattern, report))


def _ptxas() -> Path:
    files = distribution("nvidia-cuda-nvcc-cu12").files or []
    (found,) = [file for file in files if file.name == "ptxas"]
    return Path(str(found.locate()))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.kernel_resources", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="write tests/gpu/kernels.json anew")
    record = parser.parse_args().record
    if missing := missing_compilers():
        raise SystemExit(f"not installed: {', '.join(missing)}\n  make gpu-ptx installs them, or: pip install 'headrace[ptx]'")
    found = compile_all()
    if record:
        content = {"compilers": {name: version(name) for name in COMPILERS}, "kernels": found}
        RECORD.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(f"{RECORD.name}: {len(found)} kernels")
        return
    grown = list(growth(read_record(), found))
    print(*grown, sep="\n") if grown else print(f"{len(found)} kernels compiled for sm_80 and sm_90: none takes more than recorded")
    sys.exit(1 if grown else 0)


if __name__ == "__main__":
    main()
