"""Hold the stand-in to the real packages: a keyword or a public name that the snapshot of signatures lacks is an error.

What the real one has and the stand-in lacks is an error as well: NotImplementedError says that the stand-in must grow.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

API = Path(__file__).parents[1] / "api"
Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=Callable[..., Any])


def offered(package: str, name: str) -> Callable[[Class], Class]:
    """Let a class take the keywords and show the names of the real class `name`, and no others."""
    real = _snapshot(package)["classes"][name]

    def hold(cls: Class) -> Class:
        for member in [member for member in vars(cls) if not member.startswith("_")]:
            if member not in real["members"]:
                raise AttributeError(f"the real {name} of {package} has no {member!r}")
            if isinstance(real["members"][member], dict):
                _hold_member(cls, member, real["members"][member], f"{name}.{member}")
        if "init" in real:
            cls.__init__ = _checked(cls.__init__, real["init"], name, method=True)  # type: ignore[misc]
        cls.__getattr__ = functools.partialmethod(_refuse, real["members"], name)  # type: ignore[attr-defined]
        return cls

    return hold


def offered_function(package: str, name: str = "") -> Callable[[Function], Function]:
    """Let a function take the keywords of the real one of its name, or of another name, and no others."""

    def hold(function: Function) -> Function:
        real = _snapshot(package)["functions"][name or function.__name__]
        return _checked(function, real, function.__name__, method=False)  # type: ignore[return-value]

    return hold


def refuse_names(package: str) -> Callable[[str], Any]:
    """Return a module's ``__getattr__``: for a name that the real package lacks, and for one that the stand-in lacks."""
    return functools.partial(_refuse, None, dict.fromkeys(_snapshot(package)["names"]), package)


def has_name(package: str, name: str) -> bool:
    """Say whether the real package shows a name."""
    return name in _snapshot(package)["names"]


def parameters(signature: str) -> tuple[list[str], set[str], bool]:
    """Return the positional names of a snapshot's signature, all its names, and whether it takes any keyword.

    >>> parameters("(X, y=, *, kind=, **kwargs)")[0], sorted(parameters("(X, y=, *, kind=, **kwargs)")[1])
    (['X', 'y'], ['X', 'kind', 'y'])
    """
    words = [word for word in re.split(r",\s*", signature.strip("()")) if word]
    star = next((place for place, word in enumerate(words) if word.startswith("*")), len(words))
    plain = [word.rstrip("=") for word in words if not word.startswith("*")]
    return plain[:star], set(plain), any(word.startswith("**") for word in words)


def check_arguments(name: str, real: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse more positional arguments, and other keywords, than the real signature takes."""
    positional, known, _ = parameters(real["signature"])
    known = known | set(real.get("keywords", ()))
    if len(args) > len(positional) and not re.search(r"(?<!\*)\*\w", real["signature"]):
        raise TypeError(f"{name}() takes {len(positional)} positional arguments, {len(args)} given")
    wrong = sorted(set(kwargs) - known)
    if wrong:
        raise TypeError(f"{name}() got an unexpected keyword argument {wrong[0]!r}")


@cache
def _snapshot(package: str) -> dict[str, Any]:
    return json.loads((API / f"{package}.json").read_text(encoding="utf-8"))


def _hold_member(cls: type, member: str, real: dict[str, Any], name: str) -> None:
    found = vars(cls)[member]
    if isinstance(found, classmethod):
        setattr(cls, member, classmethod(_checked(found.__func__, real, name, method=True)))
    elif callable(found):
        setattr(cls, member, _checked(found, real, name, method=True))


def _checked(function: Callable[..., Any], real: dict[str, Any], name: str, *, method: bool) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        check_arguments(name, real, args[1:] if method else args, kwargs)
        return function(*args, **kwargs)

    return call


def _refuse(self: Any, members: dict[str, Any], name: str, asked: str) -> Any:
    shown = getattr(type(self), asked, None)
    if isinstance(shown, property) and shown.fget is not None:
        return shown.fget(self)  # it raised AttributeError itself: once more, so that its own message is seen
    if asked in members:
        raise NotImplementedError(f"the stand-in for {name} lacks {asked!r}, which the real one has")
    raise AttributeError(f"{name!r} has no attribute {asked!r}")
