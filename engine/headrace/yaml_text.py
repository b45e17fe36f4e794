"""YAML as people mean it: `on` is a name and not true, 1e-3 is a number, dates stay text; keys know their lines."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from headrace.errors import JobError, JobErrors
from headrace.setting_errors import shown

# A job of 10,000 columns has some 50,000 values. A few lines of aliases to aliases can stand for more than any memory holds.
MOST_VALUES = 1_000_000
MOST_LEVELS = 200


class Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2."""


class FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same by libyaml, where PyYAML has it: six times as fast, and its errors show no text."""


class Dumper(yaml.SafeDumper):
    """SafeDumper that knows the same scalars, so that what it writes reads back."""


def _resolvers(cls: Any) -> None:
    cls.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag.rsplit(":", 1)[1] in ("null", "merge")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    cls.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
    number = re.compile(
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    )
    cls.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789."))
    # Neither 12:30 nor 010 is what YAML 1.1 takes it for: a number in base 60, and 8.
    whole = re.compile(r"^(?:[-+]?[0-9]+(?:_[0-9]+)*|0x[0-9a-fA-F]+|0o[0-7]+)$")
    cls.add_implicit_resolver("tag:yaml.org,2002:int", whole, list("-+0123456789"))


def _whole_number(loader: Any, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


def _checked(construct: Any) -> Any:
    """Return a constructor whose errors know their line: of `!!int seven`, or of more digits than Python takes."""

    def checked(loader: Any, node: yaml.ScalarNode) -> Any:
        try:
            return construct(loader, node)
        except (ValueError, KeyError, AttributeError):
            kind = node.tag.rsplit(":", 1)[1]
            raise yaml.constructor.ConstructorError(None, None, f"{shown(node.value)} is no {kind}", node.start_mark) from None

    return checked


def _text(dumper: Dumper, text: str) -> yaml.ScalarNode:
    """Quote what PyYAML takes for line breaks in plain and single-quoted text, and then loses."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if re.search("[\x85\u2028\u2029]", text) else None)


_resolvers(Dumper)
for _loader in (Loader, FastLoader):
    _resolvers(_loader)
    _loader.add_constructor("tag:yaml.org,2002:int", _checked(_whole_number))
    for _kind in ("bool", "float", "timestamp"):
        _loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _checked(getattr(yaml.SafeLoader, f"construct_yaml_{_kind}")))
Dumper.add_representer(str, _text)


def load(text: str, file: str | None = None) -> tuple[Any, dict[str, int]]:
    r"""Return the value of a YAML text, and the 1-based line of every key path in it.

    >>> load("a:\n  on: [x, 1e-3]\n")
    ({'a': {'on': ['x', 0.001]}}, {'': 1, 'a': 1, 'a.on': 2, 'a.on[0]': 2, 'a.on[1]': 2})

    Raises
    ------
    JobError
        If it is no YAML, or a key stands twice; with its line.
    """
    try:
        with suppress(yaml.YAMLError):
            return _load(FastLoader, text, file)
        return _load(Loader, text, file)
    except RecursionError:
        raise _too_deep(file) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else None
        snippet = mark.get_snippet(indent=0) if mark else None
        raise JobError(
            f"is no YAML: {error.problem}", file=file, line=line, hint=snippet if snippet and snippet.strip(" ^\n") else None
        ) from None
    except yaml.YAMLError as error:
        raise JobError(f"is no YAML: {error}", file=file) from None


def _load(kind: Any, text: str, file: str | None) -> tuple[Any, dict[str, int]]:
    loader = kind(text)
    root = loader.get_single_node()
    lines: dict[str, int] = {}
    errors: list[JobError] = []
    if root is not None:
        _walk(root, "", root.start_mark.line + 1, lines, errors, file, MOST_LEVELS)
    if errors:
        raise JobErrors(errors)
    return (loader.construct_document(root) if root is not None else None), lines


def dump(value: Any) -> str:
    """Return a value as YAML text that `load` reads back to the same."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def read(path: str | Path) -> tuple[Any, dict[str, int]]:
    """Return the value and the lines of a YAML file; raise JobError if it cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise JobError(f"cannot be read: {reason}", file=str(path)) from error
    return load(text, str(path))


def _walk(node: yaml.Node, path: str, line: int, lines: dict[str, int], errors: list[JobError], file: str | None, levels: int) -> None:
    if not levels:
        raise _too_deep(file, line)
    lines[path] = line
    if len(lines) > MOST_VALUES:
        raise JobError(f"stands for more than {MOST_VALUES:,} values", file=file, line=line, hint="write less of it by aliases")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = f"{path}.{key.value}" if path else str(key.value)
            if below in lines:
                errors.append(JobError("stands twice", file=file, line=key.start_mark.line + 1, key=below))
            _walk(value, below, key.start_mark.line + 1, lines, errors, file, levels - 1)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, f"{path}[{index}]", item.start_mark.line + 1, lines, errors, file, levels - 1)


def _too_deep(file: str | None, line: int | None = None) -> JobError:
    return JobError("is nested too deeply, or holds itself by an alias", file=file, line=line)


def line_of(key: str | None, lines: dict[str, int]) -> int | None:
    """Return the line of a key path, or of the nearest one above it that is in the file.

    >>> line_of("a.on.columns[3]", {"": 1, "a": 1, "a.on": 2})
    2
    """
    while key:
        if key in lines:
            return lines[key]
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return None
