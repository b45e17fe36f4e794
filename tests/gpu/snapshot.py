"""Write the signatures of the installed RAPIDS packages to tests/gpu/api/*.json: what the stand-in may offer, and no more.

`make gpu-api` runs this in a throw-away environment. The packages import without a GPU, and their signatures can be read.

A signature is written as ``(x, y=, *args, **kwargs)``: ``=`` marks a parameter with a default. Where a function takes
``**kwargs`` its signature cannot refuse a wrong keyword; for those the keywords that the source reads are listed: those
it takes out of ``kwargs``, and those of the functions it hands ``kwargs`` on to.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

API = Path(__file__).parent / "api"

CUDF_CLASSES = {
    "DataFrame": "cudf",
    "Series": "cudf",
    "Index": "cudf",
    "MultiIndex": "cudf",
    "StringMethods": "cudf.core.accessors.string",
    "ListMethods": "cudf.core.accessors.lists",
    "CategoricalAccessor": "cudf.core.accessors.categorical",
    "DatetimeProperties": "cudf.core.series",
    "TimedeltaProperties": "cudf.core.series",
    "GroupBy": "cudf.core.groupby.groupby",
    "DataFrameGroupBy": "cudf.core.groupby.groupby",
    "SeriesGroupBy": "cudf.core.groupby.groupby",
}
CUML_MODULES = (
    "cuml",
    "cuml.cluster",
    "cuml.decomposition",
    "cuml.ensemble",
    "cuml.explainer",
    "cuml.linear_model",
    "cuml.manifold",
    "cuml.neighbors",
    "cuml.dask.cluster",
    "cuml.dask.decomposition",
    "cuml.dask.ensemble",
    "cuml.dask.linear_model",
    "cuml.dask.manifold",
    "cuml.dask.neighbors",
)
RMM_NAMES = ("reinitialize", "is_initialized", "mr.get_current_device_resource", "mr.set_current_device_resource")


def write_snapshots() -> None:
    """Read every package and write its file."""
    API.mkdir(exist_ok=True)
    for package, describe in (("cudf", _cudf), ("cuml", _cuml), ("dask_cuda", _dask_cuda), ("cupy", _cupy), ("rmm", _rmm)):
        module = import_module(package)
        found = {"package": package, "version": module.__version__, **describe()}
        path = API / f"{package}.json"
        path.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")
        print(f"{path.name}: {package} {module.__version__}, {path.stat().st_size / 1024:.0f} KiB")


def _cudf() -> dict[str, Any]:
    cudf = import_module("cudf")
    functions = {name: _callable(getattr(cudf, name)) for name in _public(cudf) if inspect.isroutine(getattr(cudf, name))}
    classes = {name: _class(getattr(import_module(module), name)) for name, module in CUDF_CLASSES.items()}
    return {"names": _public(cudf), "functions": functions, "classes": classes}


def _cuml() -> dict[str, Any]:
    classes = {}
    for path in CUML_MODULES:
        module = import_module(path)
        for name in _public(module):
            found = getattr(module, name)
            if inspect.isclass(found) and found.__module__.startswith("cuml") and hasattr(found, "fit"):
                classes[f"{path}.{name}"] = _class(found)
    for name, described in classes.items():
        # The estimators of many GPUs hand their keywords to the one of a single GPU.
        alone = classes.get(name.replace("cuml.dask.", "cuml."))
        if name.startswith("cuml.dask.") and alone and "**kwargs" in described["init"]["signature"]:
            described["init"]["keywords"] = sorted({*described["init"].get("keywords", ()), *_names(alone["init"])})
    return {"names": _public(import_module("cuml")), "classes": classes}


def _dask_cuda() -> dict[str, Any]:
    cluster = import_module("dask_cuda").LocalCUDACluster
    described = _class(cluster)
    # What it does not know it hands to its parents: LocalCluster, and SpecCluster above it.
    parents = [parent for parent in cluster.__mro__[1:] if "__init__" in vars(parent) and parent is not object]
    handed_on = {name for parent in parents for name in _names(_callable(parent.__init__))}
    described["init"]["keywords"] = sorted({*described["init"].get("keywords", ()), *handed_on})
    return {"names": _public(import_module("dask_cuda")), "classes": {"LocalCUDACluster": described}}


def _cupy() -> dict[str, Any]:
    cupy = import_module("cupy")
    members = {name: "attribute" for name in dir(cupy.ndarray) if not name.startswith("_")}
    return {"names": _public(cupy), "classes": {"ndarray": {"members": members}}}


def _rmm() -> dict[str, Any]:
    rmm = import_module("rmm")
    functions = {name: _callable(attrgetter(name)(rmm)) for name in RMM_NAMES}
    resources = {name: _class(found) for name, found in vars(rmm.mr).items() if inspect.isclass(found) and name[0] != "_"}
    return {"names": _public(rmm), "functions": functions, "classes": {f"mr.{name}": found for name, found in resources.items()}}


def _public(module: Any) -> list[str]:
    names = {*getattr(module, "__all__", ()), *(name for name in dir(module) if not name.startswith("_"))}
    return sorted(name for name in names if hasattr(module, name))


def _class(kind: type) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name in sorted(dir(kind)):
        if name.startswith("_"):
            continue
        found = inspect.getattr_static(kind, name)
        bound = getattr(kind, name, found)
        routine = inspect.isroutine(bound) or isinstance(found, classmethod | staticmethod)
        members[name] = _callable(bound, bound_to_class=isinstance(found, classmethod | staticmethod)) if routine else "attribute"
    return {"init": _callable(kind.__init__), "members": members}


def _callable(function: Callable[..., Any], *, bound_to_class: bool = True) -> dict[str, Any]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # compiled without a signature
        return {"signature": "(*args, **kwargs)"}
    if (parameters and parameters[0].name in ("self", "cls")) or (not bound_to_class and parameters):
        parameters = parameters[1:]
    described: dict[str, Any] = {"signature": _text(parameters)}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        keywords = set(_read_keywords(function))
        if keywords:
            described["keywords"] = sorted(keywords)
    return described


def _text(parameters: list[inspect.Parameter]) -> str:
    words: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not any(word.startswith("*") for word in words):
            words.append("*")
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        words.append(f"{prefix}{parameter.name}{'' if parameter.default is parameter.empty else '='}")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            words = [word for word in words if word != "/"] + ["/"]
    return f"({', '.join(words)})"


def _names(described: Mapping[str, Any]) -> list[str]:
    words = described["signature"].strip("()").split(", ")
    return [word.rstrip("=") for word in words if word and word[0] not in "*/"] + list(described.get("keywords", ()))


def _read_keywords(function: Callable[..., Any], depth: int = 2) -> Iterator[str]:
    """Yield the keywords that the source of a function takes out of its ``**kwargs``, or hands on to functions it can name."""
    plain = inspect.unwrap(function)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(plain)))
    except (OSError, TypeError, SyntaxError):
        return
    names = {node.args.kwarg.arg for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.args.kwarg}
    for node in ast.walk(tree):
        yield from _taken_out(node, names)
        if isinstance(node, ast.Call) and depth and any(k.arg is None and _is(k.value, names) for k in node.keywords):
            called = _resolved(node.func, getattr(plain, "__globals__", {}))
            if called is not None:
                yield from _names(_callable(called)) if depth == 1 else [*_names(_callable(called)), *_read_keywords(called, depth - 1)]


def _taken_out(node: ast.AST, names: set[str]) -> Iterator[str]:
    found: ast.AST | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop", "setdefault"):
        found = node.args[0] if _is(node.func.value, names) and node.args else None
    elif isinstance(node, ast.Subscript) and _is(node.value, names):
        found = node.slice
    elif isinstance(node, ast.Compare) and len(node.comparators) == 1 and _is(node.comparators[0], names):
        found = node.left
    if isinstance(found, ast.Constant) and isinstance(found.value, str):
        yield found.value


def _is(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _resolved(node: ast.AST, names: Mapping[str, Any]) -> Callable[..., Any] | None:
    """Return the function that a dotted name of a module stands for, if it can be told."""
    if isinstance(node, ast.Name):
        found = names.get(node.id)
    elif isinstance(node, ast.Attribute):
        above = _resolved(node.value, names)
        found = getattr(above, node.attr, None)
    else:
        return None
    return found if callable(found) or inspect.ismodule(found) else None


if __name__ == "__main__":
    sys.exit(write_snapshots())
