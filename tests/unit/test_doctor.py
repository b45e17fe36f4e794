"""What `headrace doctor` says of a machine."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest

from headrace import doctor


def finding(what: str) -> dict[str, str]:
    (found,) = [one for one in doctor.examine() if one["what"] == what]
    return found


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Let some packages look as if they were not installed."""

    def found(name: str) -> str:
        if name in missing:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", found)


def test_this_machine_is_sound() -> None:
    states = {one["what"]: one["state"] for one in doctor.examine()}
    of_a_gpu = {name for name in states if name in ("driver", "cudf", "cuml", "dask-cuda", "cupy") or name.startswith(("gpu", "peer"))}
    assert {state for name, state in states.items() if name not in of_a_gpu} == {"ok"}
    assert {"driver", "cudf", "cuml", "dask-cuda", "cupy"} < of_a_gpu


def test_versions_are_those_installed() -> None:
    assert finding("pyarrow")["found"] == version("pyarrow")
    assert finding("headrace")["found"] == version("headrace")


def test_a_kernel_is_really_run() -> None:
    assert finding("kernels")["found"].endswith("JFK to LHR is 5,540 km")


def test_every_core_dependency_is_looked_at() -> None:
    from importlib.metadata import requires

    needed = {line.split(">")[0].lower() for line in requires("headrace") or () if "extra ==" not in line}
    assert needed - {name.lower() for name in doctor.CORE} == {"cryptography", "typer"}


def test_a_missing_core_package_is_an_error_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "numba")
    assert finding("numba") == {
        "what": "numba",
        "state": "error",
        "found": "not installed",
        "remedy": "pip install --force-reinstall headrace",
    }


def test_a_missing_model_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "xgboost-cpu", "xgboost")
    found = finding("xgboost")
    assert found["state"] == "missing"
    assert found["remedy"] == "pip install 'headrace[cpu]'"


def test_a_model_library_that_does_not_load_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> Any:
        raise OSError(f"{name}: libgomp.so.1: cannot open shared object file\nmore lines")

    monkeypatch.setattr(doctor, "import_module", load)
    found = finding("xgboost")
    assert found["state"] == "error"
    assert found["found"].endswith("does not load: OSError: xgboost: libgomp.so.1: cannot open shared object file")


def test_a_kernel_that_fails_is_an_error_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.backends.arrow.backend import ArrowBackend

    def launch(self: ArrowBackend, *_: Any) -> Any:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(ArrowBackend, "launch", launch)
    found = finding("kernels")
    assert found["state"] == "error"
    assert "no locator available" in found["found"]
    assert "NUMBA_CACHE_DIR" in found["remedy"]
