"""Doctor: what this machine offers, what is missing, and what to install, line by line."""

from __future__ import annotations

import os
import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from headrace.plan import human_bytes

CORE = (
    "pyarrow",
    "numba",
    "numpy",
    "dask",
    "distributed",
    "narwhals",
    "sqlglot",
    "pydantic",
    "PyYAML",
    "rich",
    "jinja2",
    "fsspec",
    "matplotlib",
)


def examine() -> list[dict[str, str]]:
    """Return findings: what was looked at, its state (ok, missing, error), what was found, and the remedy."""
    findings = [_finding("python", "ok", platform.python_version()), _finding("headrace", "ok", version("headrace"))]
    findings.append(_finding("machine", "ok", _machine()))
    findings += [_package(name) for name in CORE]
    findings.append(_optional("xgboost", ("xgboost-cpu", "xgboost"), "xgboost"))
    findings.append(_optional("scikit-learn", ("scikit-learn",), "sklearn"))
    findings.append(_kernels())
    findings.append(_finding("gpu", "missing", "not used: this version of headrace runs on the CPU"))
    return findings


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

    from headrace.backends.arrow.backend import ArrowBackend

    try:
        (km,) = ArrowBackend().launch("haversine_km", [pa.array([value]) for value in (40.64, -73.78, 51.47, -0.46)], {})
    except Exception as error:  # noqa: BLE001  (whatever goes wrong is what the user must be told)
        return _finding("kernels", "error", _first_line(error), "reinstall numba, or set NUMBA_CACHE_DIR to a folder you may write")
    return _finding("kernels", "ok", f"compiled and run: JFK to LHR is {km[0].as_py():,.0f} km")
