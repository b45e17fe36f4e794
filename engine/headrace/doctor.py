"""Doctor: what this machine offers, what is missing, and what to install, line by line."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from headrace.plan import human_bytes

CORE = ("pyarrow", "numba", "numpy", "dask", "distributed", "narwhals", "sqlglot", "pydantic", "matplotlib")


def examine() -> list[dict[str, str]]:
    """Return findings: what was looked at, its state (ok, missing, error), what was found, and the remedy."""
    findings = [_finding("python", "ok", platform.python_version()), _finding("headrace", "ok", version("headrace"))]
    findings.append(_finding("machine", "ok", _machine()))
    findings += [_package(name, "reinstall headrace: pip install --force-reinstall headrace") for name in CORE]
    findings.append(_any_package("xgboost", ("xgboost-cpu", "xgboost"), "pip install 'headrace[cpu]'"))
    findings.append(_package("scikit-learn", "pip install 'headrace[cpu]'"))
    findings.append(_kernels())
    findings.append(_finding("gpu", "missing", "this version of headrace runs on the CPU", "device: auto and device: cpu both do"))
    return findings


def _finding(what: str, state: str, found: str, remedy: str = "") -> dict[str, str]:
    return {"what": what, "state": state, "found": found, "remedy": remedy}


def _package(name: str, remedy: str) -> dict[str, str]:
    return _any_package(name, (name,), remedy)


def _any_package(what: str, names: tuple[str, ...], remedy: str) -> dict[str, str]:
    for name in names:
        try:
            return _finding(what, "ok", f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return _finding(what, "missing", "not installed", remedy)


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {human_bytes(memory)} memory"


def _kernels() -> dict[str, str]:
    """Run a kernel for real: Numba may be there and yet not work (a CPU it does not know, a cache it cannot write)."""
    import pyarrow as pa

    from headrace.backends.arrow.backend import ArrowBackend

    try:
        (km,) = ArrowBackend().launch("haversine_km", [pa.array([value]) for value in (40.64, -73.78, 51.47, -0.46)], {})
    except Exception as error:  # noqa: BLE001  (whatever goes wrong is what the user must be told)
        return _finding("kernels", "error", f"{type(error).__name__}: {error}", "reinstall numba, or set NUMBA_CACHE_DIR to a folder you may write")
    return _finding("kernels", "ok", f"compiled and run: JFK to LHR is {km[0].as_py():,.0f} km")
