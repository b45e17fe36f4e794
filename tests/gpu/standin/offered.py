"""Hold a class of the stand-in to the real one: a keyword or a public name that the snapshot of signatures lacks is an error."""

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


def offered(package: str, name: str) -> Callable[[Class], Class]:
    """Let a class take the keywords and show the names of the real class `name`, and no others.

    A name that the real class has and the stand-in lacks is an error as well: NotImplementedError says that the stand-in must grow.
    """
    real = _snapshot(package)["classes"][name]

    def hold(cls: Class) -> Class:
        for member in [member for member in vars(cls) if not member.startswith("_")]:
            if member not in real["members"]:
                raise AttributeError(f"the real {name} of {package} has no {member!r}")
            if callable(vars(cls)[member]) and isinstance(real["members"][member], dict):
                setattr(cls, member, _checked(vars(cls)[member], real["members"][member], f"{name}.{member}"))
        cls.__init__ = _checked(cls.__init__, real["init"], name)  # type: ignore[misc]
        cls.__getattr__ = functools.partialmethod(_refuse, real["members"], name)  # type: ignore[attr-defined]
        return cls

    return hold


def parameters(signature: str) -> tuple[list[str], set[str], bool]:
    """Return the positional names of a snapshot's signature, all its names, and whether it takes any keyword.

    >>> parameters("(X, y=, *, kind=, **kwargs)")[0], sorted(parameters("(X, y=, *, kind=, **kwargs)")[1])
    (['X', 'y'], ['X', 'kind', 'y'])
    """
    words = [word for word in re.split(r",\s*", signature.strip("()")) if word]
    star = next((place for place, word in enumerate(words) if word.startswith("*")), len(words))
    plain = [word.rstrip("=") for word in words if not word.startswith("*")]
    return plain[:star], set(plain), any(word.startswith("**") for word in words)


@cache
def _snapshot(package: str) -> dict[str, Any]:
    return json.loads((API / f"{package}.json").read_text(encoding="utf-8"))


def _checked(function: Callable[..., Any], real: dict[str, Any], name: str) -> Callable[..., Any]:
    positional, known, _ = parameters(real["signature"])
    known |= set(real.get("keywords", ()))

    @functools.wraps(function)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) > len(positional):
            raise TypeError(f"{name}() takes {len(positional)} positional arguments, {len(args)} given")
        wrong = sorted(set(kwargs) - known)
        if wrong:
            raise TypeError(f"{name}() got an unexpected keyword argument {wrong[0]!r}")
        return function(self, *args, **kwargs)

    return call


def _refuse(self: Any, members: dict[str, Any], name: str, asked: str) -> Any:
    if asked in members:
        raise NotImplementedError(f"the stand-in for {name} lacks {asked!r}, which the real one has")
    raise AttributeError(f"{name!r} has no attribute {asked!r}")
