"""A user's own code by its name, ``my_package.my_module:MyOp``: imported for a job, only looked up for a bundle.

A job is code that its user trusts, so what it names is imported. A bundle may come from anywhere: a name in it is compared
with what the caller passes and what is installed under the entry point group `headrace.ops`, and never imported.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from headrace.errors import BundleError, JobError, unknown_name

GROUP = "headrace.ops"

Find = Callable[[str], Any]


def code_name(thing: Any) -> str:
    """Return the name by which a class or function can be imported.

    >>> code_name(JobError)
    'headrace.errors:JobError'
    """
    return f"{thing.__module__}:{thing.__qualname__}"


def findable(thing: Any) -> Any:
    """Return code that other processes and bundles find by its name; raise ValueError if they could not.

    >>> findable(code_name) is code_name
    True
    """
    module = sys.modules.get(getattr(thing, "__module__", ""))
    if getattr(module, getattr(thing, "__qualname__", ""), None) is not thing:
        raise ValueError("it must be defined at the top of a module: workers and bundles find it by its name")
    return thing


def imported(name: str) -> Any:
    """Import a class or function by its name; raise JobError if there is no such module, or no such name in it.

    >>> imported("headrace.errors:JobError").__name__
    'JobError'
    """
    module_name, mark, inside = name.partition(":")
    if not mark or not inside.isidentifier():
        raise JobError(f"{name!r} is not of the form my_package.my_module:name")
    try:
        module = import_module(module_name)
    except ImportError as error:
        hint = "it must be installed, or its folder be in PYTHONPATH, here and on the workers"
        raise JobError(f"{name!r} cannot be imported: {error}", hint=hint) from error
    except Exception as error:  # the module's own fault
        raise JobError(f"{name!r} cannot be imported: {type(error).__name__}: {error}", hint=f"mend {module_name}") from error
    if not hasattr(module, inside):
        message, hint = unknown_name("name", inside, (known for known in vars(module) if not known.startswith("_")))
        raise JobError(f"{module_name}: {message}", hint=hint)
    return getattr(module, inside)


def failure(error: Exception) -> str:
    """Return what went wrong in a user's code, and the line of it.

    >>> try:
    ...     {}["km"]
    ... except KeyError as error:
    ...     failure(error).partition(" in ")[0]
    "KeyError: 'km'"
    """
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} in {last.filename}:{last.lineno}"


def among(given: Iterable[Any]) -> Find:
    """Return what finds code by name among `given` and the installed entry points, and imports nothing else.

    >>> among([JobError])("headrace.errors:JobError").__name__
    'JobError'
    """
    known = {code_name(thing): thing for thing in given}

    def find(name: str) -> Any:
        if name in known:
            return known[name]
        installed = next((point for point in entry_points(group=GROUP) if point.value == name), None)
        if installed is not None:
            return installed.load()
        short = name.partition(":")[2] or name
        raise BundleError(
            f"needs {name}, and a bundle's names are not imported",
            hint=f"pass it: headrace.load(path, ops=[{short}]); or install a package that offers it under the entry point group {GROUP}",
        )

    return find
