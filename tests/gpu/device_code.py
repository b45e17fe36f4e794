"""Which lines of `headrace_kernels` a GPU runs: the bodies of all CUDA kernels, and whatever those call."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from headrace_kernels import cuda, cuda_catalogue

PACKAGE = Path(cuda.__file__).parent


def bodies() -> list[Callable[..., None]]:
    """Return the body of every kernel of the catalogue: what would be compiled for a device."""
    found: list[Callable[..., None]] = []
    with pytest.MonkeyPatch.context() as patch:
        for module in (cuda, cuda_catalogue):
            patch.setattr(module, "ptx_of", lambda body, *_: found.append(body))
        for form in cuda_catalogue.cuda_forms():
            form.compile((8, 0))
    return found


def device_lines() -> dict[str, set[int]]:
    """Return the lines of all functions that a device runs, by file; their headings and docstrings are none."""
    lines: dict[str, set[int]] = {}
    seen: set[FunctionType] = set()  # not their code: that of functions made in one place is equal
    waiting = [function for body in bodies() for function in _functions(body)]
    while waiting:
        function = waiting.pop()
        code = function.__code__
        if function in seen or Path(code.co_filename).parent != PACKAGE:
            continue
        seen.add(function)
        lines.setdefault(Path(code.co_filename).name, set()).update(_lines(code))
        waiting += [called for value in _values(function) for called in _functions(value)]
    return lines


def _lines(code: CodeType) -> Iterator[int]:
    own = {line for _, _, line in code.co_lines() if line is not None and line > code.co_firstlineno}
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return iter(own.union(*(set(_lines(one)) for one in inner)))


def _values(function: FunctionType) -> Iterator[Any]:
    """Yield what a function reaches: variables of those around it, and globals by their names."""
    yield from (cell.cell_contents for cell in function.__closure__ or ())
    for instruction in dis.get_instructions(function):
        if instruction.opname == "LOAD_GLOBAL":
            yield function.__globals__.get(instruction.argval)


def _functions(value: Any) -> list[FunctionType]:
    function = getattr(value, "py_func", value)
    return [function] if isinstance(function, FunctionType) else []
