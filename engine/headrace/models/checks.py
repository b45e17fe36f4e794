"""Checks of single parameters' values, made before any data is read."""

from __future__ import annotations

import math
from collections.abc import Callable

from headrace.errors import JobError, unknown_name

Check = Callable[[str, object], None]


def whole(least: int) -> Check:
    """Return a check for a whole number of `least` or more.

    >>> whole(1)("model.params.n_clusters", 3)
    """

    def check(key: str, value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise JobError(f"a whole number of {least} or more is needed, not {value!r}", key=key)

    return check


def number(*, above: float = -math.inf, least: float = -math.inf, most: float = math.inf) -> Check:
    """Return a check for a finite number above `above`, not below `least` and not above `most`.

    >>> number(above=0, most=1)("model.params.subsample", 3)
    Traceback (most recent call last):
    headrace.errors.JobError: model.params.subsample: a number above 0 and at most 1 is needed, not 3
    """
    bounds = [f"above {above:g}"] * (above > -math.inf) + [f"of {least:g} or more"] * (least > -math.inf)
    wanted = " ".join(["a number", " and ".join([*bounds, *[f"at most {most:g}"] * (most < math.inf)])]).rstrip()

    def check(key: str, value: object) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not above < value or not least <= value <= most:  # type: ignore[operator]
            raise JobError(f"{wanted} is needed, not {value!r}", key=key)

    return check


def one_of(*names: str) -> Check:
    """Return a check for one of a few names."""

    def check(key: str, value: object) -> None:
        if value not in names:
            message, hint = unknown_name(key.rpartition(".")[2], str(value), names)
            raise JobError(message, key=key, hint=hint)

    return check


def count_or_share(least: int, *names: str) -> Check:
    """Return a check for a whole number of `least` or more, for a share, a float above 0 and at most 1, or for one of a few names.

    >>> count_or_share(1, "sqrt")("model.params.max_features", 0.5)
    """

    def check(key: str, value: object) -> None:
        is_share = isinstance(value, float) and 0 < value <= 1
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= least
        if isinstance(value, str) and names:
            one_of(*names)(key, value)
        elif not (is_share or is_count):
            wanted = f"a whole number of {least} or more, or a share above 0 and at most 1.0"
            raise JobError(f"{wanted}, is needed, not {value!r}", key=key, hint=f"or one of {', '.join(names)}" if names else None)

    return check


def truth(key: str, value: object) -> None:
    """Check for true or false."""
    if not isinstance(value, bool):
        raise JobError(f"true or false is needed, not {value!r}", key=key)


def flag(key: str, value: object) -> None:
    """Check for true or false, or 1 or 0 for them."""
    if value not in (0, 1):
        raise JobError(f"true or false is needed, not {value!r}", key=key)


def number_or_list(key: str, value: object) -> None:
    """Check for a number, or a list of some.

    >>> number_or_list("model.params.base_score", [0.3, 0.7])
    """
    for one in value if isinstance(value, list) and value else [value]:
        number()(key, one)


def signs(key: str, value: object) -> None:
    """Check for features with 1, 0 or -1 each.

    >>> signs("model.params.monotone_constraints", {"age": 1})
    """
    if not isinstance(value, dict) or not all(sign in (-1, 0, 1) for sign in value.values()):
        raise JobError(f"features with 1 or -1 each are needed, not {value!r}", key=key, hint="as in {age: 1, distance: -1}")


def groups(key: str, value: object) -> None:
    """Check for lists of features.

    >>> groups("model.params.interaction_constraints", [["age", "distance"]])
    """
    if not isinstance(value, list) or not all(isinstance(group, list) for group in value):
        raise JobError(f"lists of features are needed, not {value!r}", key=key, hint="as in [[age, distance], [hour]]")


def class_weights(key: str, value: object) -> None:
    """Check for ``balanced``, or a number for some classes (which JSON has as texts).

    >>> class_weights("model.params.class_weight", {1: 2.5})
    """
    if value == "balanced":
        return
    if not isinstance(value, dict) or not all(str(label).isdecimal() for label in value):
        raise JobError(f"balanced, or classes with a weight each, are needed, not {value!r}", key=key)
    for label, weight in value.items():
        number(above=0)(f"{key}.{label}", weight)
