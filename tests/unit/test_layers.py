"""The layers: imports go down or sideways, never up and never round; each outside library has its one place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from tests.importing import imports_of

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "engine" / "headrace"
KERNELS = ROOT / "kernels" / "headrace_kernels"
SCRIPTS = ENGINE / "bench" / "peers"  # no modules: nothing imports them, and what they use is what they are there to compare

# From the ground up. A name stands for a module or for a package with all that is in it.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("headrace_kernels",),
    (
        "errors",
        "setting_errors",
        "ledger",
        "schema",
        "keys",
        "rare",
        "runs",
        "pool",
        "counts",
        "states",
        "packing",
        "group_stats",
        "order",
        "table",
        "as_of",
        "sha256sums",
        "new_folder",
        "scratch",
        "yaml_text",
        "gpus",
        "versions",
        "startup",
        "json_text",
        "decimals",
        "waits",
    ),
    ("listing", "footer", "dataset", "expressions", "backends", "frames"),
    ("ops",),
    (
        "cache",
        "fallbacks",
        "steps",
        "split",
        "partitions",
        "bad_rows",
        "side_tables",
        "fitted",
        "profile",
        "models",
        "histogram",
        "metrics",
        "report",
        "sample_data",
    ),
    (
        "plan",
        "rates",
        "cluster",
        "local_cluster",
        "dask_cluster",
        "forks",
        "spool",
        "worker_setup",
        "workers",
        "dealing",
        "exchange",
        "observed",
        "execution",
    ),
    ("opened", "pipeline", "profiling"),
    ("jobs", "worker_imports"),
    ("bench",),
    ("__init__", "cli", "cli_bench", "commands", "terminal", "doctor"),
    ("__main__",),
)

GPU_PACKAGES = ("cudf", "cuml", "cupy", "rmm", "dask_cudf", "dask_cuda", "pynvml", "numba_cuda")

CUDA_MODULES = tuple(f"headrace_kernels.{name}" for name in ("cuda", "cuda_catalogue", "cuda_codes", "cuda_dense", "cuda_rolling"))

# Outside package -> where alone it may be imported.
PLACES: dict[str, tuple[str, ...]] = {
    "dask": ("cluster", "execution"),
    "distributed": ("cluster", "dask_cluster", "execution"),
    "numba": ("headrace_kernels.numba_names", *CUDA_MODULES),
    "llvmlite": ("headrace_kernels",),
    "xgboost": ("models",),
    "sklearn": ("models", "metrics"),
    "pandas": (),
    "polars": (),
    "narwhals": ("frames",),
    "sqlglot": ("expressions",),
    "matplotlib": ("report",),
    "jinja2": ("report",),
    "typer": ("cli", "cli_bench", "commands"),
    "pickle": ("headrace_kernels.compiled",),  # as Numba keeps machine code; nothing that a user saves or loads
    **dict.fromkeys(GPU_PACKAGES, ("backends.cudf",)),
    "cuml": ("models",),
    "cupy": ("backends.cudf", "models"),
    "dask_cuda": ("cluster",),
}


@cache
def _modules() -> Mapping[str, Path]:
    """Every module by its dotted name; a package stands under its own name."""
    found = {}
    for package in (ENGINE, KERNELS):
        for path in sorted(set(package.rglob("*.py")) - set(SCRIPTS.glob("*.py"))):
            parts = path.relative_to(package.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imported(module: str) -> frozenset[str]:
    return imports_of(_modules()[module])


def _own(name: str) -> str | None:
    """Return the module of ours that an imported name lies in, None for other people's."""
    while name and name not in _modules():
        name = name.rpartition(".")[0]
    return name or None


def _place(module: str) -> str:
    """Return a module's name within `headrace`, as LAYERS and PLACES write it."""
    return "__init__" if module == "headrace" else module.removeprefix("headrace.")


def _layer(module: str) -> int:
    place = _place(module)
    return next((level for level, names in enumerate(LAYERS) if any(_is_in(place, name) for name in names)), 0)


def _is_in(place: str, name: str) -> bool:
    return place == name or place.startswith(name + ".")


def test_every_module_has_a_layer() -> None:
    homeless = [module for module in _modules() if not any(_is_in(_place(module), name) for names in LAYERS for name in names)]
    assert not homeless, "give each a place in LAYERS"


def test_every_layer_names_modules_that_exist() -> None:
    known = [_place(module) for module in _modules()]
    assert [name for names in LAYERS for name in names if not any(_is_in(place, name) for place in known)] == []


@pytest.mark.parametrize("module", sorted(_modules()))
def test_imports_go_down_or_sideways(module: str) -> None:
    upward = {own for name in _imported(module) if (own := _own(name)) and _layer(own) > _layer(module)}
    assert upward == set()


def test_imports_make_no_cycle() -> None:
    graph = {module: {own for name in _imported(module) if (own := _own(name)) and own != module} for module in _modules()}
    assert _cycle(graph) is None


def _cycle(graph: Mapping[str, set[str]]) -> list[str] | None:
    """Return the modules of one cycle, or None: what can be taken away leaf by leaf has none."""
    left = dict(graph)
    while leaves := [module for module, targets in left.items() if not targets & left.keys()]:
        for leaf in leaves:
            del left[leaf]
    if not left:
        return None
    path = [min(left)]
    while path.count(path[-1]) < 2:
        path.append(min(left[path[-1]] & left.keys()))
    return path[path.index(path[-1]) :]


def test_the_cycle_finder_finds_cycles() -> None:
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize("package", sorted(PLACES))
def test_outside_packages_stay_in_their_places(package: str) -> None:
    users = {_place(module) for module in _modules() if any(_is_in(name, package) for name in _imported(module))}
    strangers = {user for user in users if not any(_is_in(user, place) for place in PLACES[package])}
    assert strangers == set()


def test_kernels_need_numba_and_numpy_only() -> None:
    outside = {name.split(".")[0] for module in _modules() if _is_in(module, "headrace_kernels") for name in _imported(module)}
    assert outside - sys.stdlib_module_names - {"headrace_kernels"} <= {"numba", "llvmlite", "numpy"}


def test_importing_headrace_is_light() -> None:
    heavy = [
        "dask",
        "distributed",
        "xgboost",
        "sklearn",
        "pandas",
        "pyarrow",
        "numba",
        "numpy",
        "matplotlib",
        "sqlglot",
        "pydantic",
        "fsspec",
    ]
    code = f"import sys, headrace; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_every_public_name_of_headrace_is_there() -> None:
    import headrace

    assert all(getattr(headrace, name) is not None for name in headrace.__all__)
    assert set(headrace.__all__) <= set(dir(headrace))
