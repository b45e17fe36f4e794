"""The versions of installed packages, for records that say what took part."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def installed_versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the versions of those of some distributions that are installed, by name.

    >>> installed_versions(["numpy", "no-such-package"]).keys()
    dict_keys(['numpy'])
    """
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
