"""Doctor: what this machine offers, what is missing, and what to install, line by line."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from headrace.gpus import Gpu, all_gpus, ask_driver, find_gpus
from headrace.plan import human_bytes

CORE = (
    "pyarrow",
    "numba",
    "numpy",
    "dask",
    "distributed",
    "narwhals",
    "sqlglot",
    "zlib-ng",
    "pydantic",
    "PyYAML",
    "rich",
    "jinja2",
    "fsspec",
    "matplotlib",
)

_GPU_PACKAGES = {"cudf": "cudf-cu12", "cuml": "cuml-cu12", "dask-cuda": "dask-cuda", "cupy": "cupy-cuda12x"}
_INSTALL_GPU = "pip install 'headrace[gpu]'"
# CUDA 12 and RAPIDS 26.10 ask for these at least.
_LEAST_DRIVER, _LEAST_CAPABILITY = (525, 60), (7, 0)


def examine() -> list[dict[str, str]]:
    """Return findings: what was looked at, its state (ok, missing, error), what was found, and the remedy."""
    findings = [_finding("python", "ok", platform.python_version()), _finding("headrace", "ok", version("headrace"))]
    findings.append(_finding("machine", "ok", _machine()))
    findings += [_package(name) for name in CORE]
    findings.append(_optional("xgboost", ("xgboost-cpu", "xgboost"), "xgboost"))
    findings.append(_optional("scikit-learn", ("scikit-learn",), "sklearn"))
    findings.append(_kernels())
    return findings + _gpu_findings()


def _finding(what: str, state: str, found: str, remedy: str = "") -> dict[str, str]:
    return {"what": what, "state": state, "found": found, "remedy": remedy}


def _package(name: str) -> dict[str, str]:
    """Look for a package that headrace itself needs."""
    found = _installed((name,))
    return _finding(name, "ok", found) if found else _finding(name, "error", "not installed", "pip install --force-reinstall headrace")


def _optional(what: str, names: tuple[str, ...], module: str) -> dict[str, str]:
    """Look for a package of the extra `cpu`, and load it: one that is installed may still lack a system library."""
    found = _installed(names)
    if not found:
        return _finding(what, "missing", "not installed: models need it", "pip install 'headrace[cpu]'")
    try:
        import_module(module)
    except Exception as error:  # noqa: BLE001  (whatever goes wrong is what the user must be told)
        return _finding(what, "error", f"{found} does not load: {_first_line(error)}", "pip install --force-reinstall 'headrace[cpu]'")
    return _finding(what, "ok", found)


def _gpu_findings() -> list[dict[str, str]]:
    """Look for the driver, each device, the packages of the extra `gpu`, and whether a kernel runs on a device."""
    gpus = find_gpus()
    findings = [_driver(all_gpus()), *[_device(gpu) for gpu in gpus]]
    if not gpus:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = "none that this process may use" if hidden is None else f"CUDA_VISIBLE_DEVICES={hidden} leaves none"
        findings.append(_finding("gpu", "missing", f"{why}: jobs run on the CPU"))
    findings += [_gpu_package(name, distribution, load=bool(gpus)) for name, distribution in _GPU_PACKAGES.items()]
    if gpus:
        findings.append(_cuda_kernels())
    if len(gpus) > 1:
        findings.append(_peer_access())
    return findings


def _driver(gpus: Sequence[Gpu]) -> dict[str, str]:
    if not gpus:
        remedy = f"install NVIDIA's driver {'.'.join(map(str, _LEAST_DRIVER))} or later; in a container: docker run --gpus all"
        return _finding("driver", "missing", "nvidia-smi is not there, or reaches no driver and no device", remedy)
    # "CUDA UMD Version" since driver 610
    cuda = re.search(r"CUDA (?:UMD )?Version\s*:\s*([\d.]+)", ask_driver() or "")
    shown = f"{gpus[0].driver}, CUDA up to {cuda[1] if cuda else 'an unknown version'}"
    if tuple(int(part) for part in re.findall(r"\d+", gpus[0].driver)[:2]) < _LEAST_DRIVER:
        return _finding("driver", "error", f"{shown}: too old for CUDA 12", "update NVIDIA's driver")
    return _finding("driver", "ok", shown)


def _device(gpu: Gpu) -> dict[str, str]:
    shown = f"{gpu.name}, {human_bytes(gpu.memory)} memory, compute capability {gpu.capability[0]}.{gpu.capability[1]}"
    if gpu.capability < _LEAST_CAPABILITY:
        return _finding(f"gpu {gpu.index}", "error", f"{shown}: too old for cuDF", "CUDA_VISIBLE_DEVICES can leave it out")
    return _finding(f"gpu {gpu.index}", "ok", shown)


def _gpu_package(what: str, distribution: str, *, load: bool) -> dict[str, str]:
    """Look for a package of the extra `gpu`; load it where there is a device, which alone shows that it fits the driver."""
    found = _installed((distribution,))
    if not found:
        return _finding(what, "missing", "not installed: needed on a GPU", _INSTALL_GPU)
    if load:
        try:
            import_module(what.replace("-", "_"))
        except Exception as error:  # noqa: BLE001  (whatever goes wrong is what the user must be told)
            return _finding(what, "error", f"{found} does not load: {_first_line(error)}", f"{_INSTALL_GPU} in a fresh environment")
    return _finding(what, "ok", found)


def _cuda_kernels() -> dict[str, str]:
    """Run a kernel on the first device."""
    import numpy as np

    from headrace_kernels import get_kernel

    try:
        from headrace_kernels.cuda import CudaKernel

        places = [np.array([degrees]) for degrees in (40.64, -73.78, 51.47, -0.46)]
        (km,) = CudaKernel(get_kernel("haversine_km")).launch(places)
        found = f"compiled and run on the device: JFK to LHR is {km.copy_to_host()[0]:,.0f} km"
    except Exception as error:  # noqa: BLE001  (whatever goes wrong is what the user must be told)
        return _finding("gpu kernels", "error", _first_line(error), f"{_INSTALL_GPU}; it brings numba-cuda and CUDA's compilers")
    return _finding("gpu kernels", "ok", found)


def _peer_access() -> dict[str, str]:
    """Say between how many pairs of devices data can go without the host's memory."""
    rows = [line.split() for line in (ask_driver("topo", "-p2p", "r") or "").splitlines()]
    pairs = [cell for row in rows if "X" in row and row[0].startswith("GPU") for cell in row[1:] if cell != "X"]
    state = "ok" if pairs and set(pairs) == {"OK"} else "missing"
    remedy = "" if state == "ok" else "nothing to do: data between the others goes through the host's memory"
    return _finding("peer access", state, f"{pairs.count('OK')} of {len(pairs)} directions", remedy)


def _installed(names: tuple[str, ...]) -> str:
    """Return the version of the first of some packages that is installed, empty if none is."""
    for name in names:
        try:
            return version(name) if len(names) == 1 else f"{version(name)} ({name})"
        except PackageNotFoundError:
            continue
    return ""


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no message'])[0]}"


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {human_bytes(memory)} memory"


def _kernels() -> dict[str, str]:
    """Run a kernel for real: Numba may be there and yet not work (a CPU it does not know, a cache it cannot write)."""
    import pyarrow as pa

    from headrace.backends import CPU, open_backend

    try:
        (km,) = open_backend(CPU).launch("haversine_km", [pa.array([value]) for value in (40.64, -73.78, 51.47, -0.46)], {})
    except Exception as error:  # noqa: BLE001  (whatever goes wrong is what the user must be told)
        return _finding("kernels", "error", _first_line(error), "reinstall numba, or set NUMBA_CACHE_DIR to a folder you may write")
    return _finding("kernels", "ok", f"compiled and run: JFK to LHR is {km[0].as_py():,.0f} km")
