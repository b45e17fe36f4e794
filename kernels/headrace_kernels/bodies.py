"""Compile a function once for all that call it: a body for compiled callers, an entry for Python.

Numba by itself optimises each function together with all that it calls and makes machine code of it, wrappers included, before the caller
comes and does the same again with a copy: a function five calls deep goes through LLVM five times. Here a body is what lowering made of
one function and no more. An entry is a wrapper with all the bodies that it reaches; only entries are optimised and become machine code.
That takes half the time, and the machine code is as fast.
"""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import llvmlite.binding as llvm

from headrace_kernels.numba_names import (
    CPU,
    Compiler,
    CPUDispatcher,
    Flags,
    FunctionCompiler,
    FunctionIdentity,
    JITCodeLibrary,
    compile_extra,
    jit_registry,
)

_log = logging.getLogger(__name__)


class Body(JITCodeLibrary):  # type: ignore[misc]
    """One function as it was lowered."""

    def finalize(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == llvm.Linkage.external:
                function.linkage = "linkonce_odr"  # of several copies that meet, one stays
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """Return the function with all that it calls, for one that Numba compiles in its own way."""
        whole = self._final_module.clone()
        _link(whole, self)
        return whole


class Entry(JITCodeLibrary):  # type: ignore[misc]
    """What Python calls: a wrapper around a body, optimised with all that it reaches."""

    def finalize(self) -> None:
        _link(self._final_module, self)
        self._optimize_final_module()
        self._optimize_final_module()  # loops of what was put into them vectorise only now: decayed sums take 2.3 ns a row, not 6.5
        self._final_module.verify()
        self._finalize_final_module()

    def serialize_using_object_code(self) -> tuple[str, str, bytes]:
        """Return what `LoadedEntry` takes. Numba would add bitcode for callers; they take the body."""
        return self.name, "object", self._get_compiled_object()


class LoadedEntry(JITCodeLibrary):  # type: ignore[misc]
    """An entry's machine code from a file."""

    @classmethod
    def _unserialize(cls, codegen: Any, state: tuple[str, str, bytes]) -> LoadedEntry:
        name, _, machine_code = state
        library = cls(codegen, name)
        library.enable_object_caching()
        library._set_compiled_object(machine_code)
        library._finalize_final_module()
        return library

    def get_pointer_to_function(self, name: str) -> int:
        return int(self._codegen._engine.get_function_address(name))


def _link(module: Any, library: Any) -> None:
    for other in reversed(list(_reached(library, set()))):  # callers first: what nothing calls yet is not taken
        module.link_in(other._final_module if isinstance(other, Body) else other._get_module_for_linking(), preserve=True)


def _reached(library: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the libraries that one reaches, each after those that it calls. What is not a body holds all that it calls."""
    for other in library._linking_libraries:
        if id(other) not in seen:
            seen.add(id(other))
            if isinstance(other, Body):
                yield from _reached(other, seen)
            yield other


class _BodyCompiler(FunctionCompiler):  # type: ignore[misc]
    """Infer types and lower."""

    def _compile_core(self, args: Any, return_type: Any) -> Any:
        flags = Flags()
        self.targetdescr.options.parse_as_flags(flags, self.targetoptions)
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        typing, target = self.targetdescr.typing_context, self.targetdescr.target_context
        body = Body(target.codegen(), self.py_func.__qualname__)
        result = compile_extra(typing, target, self.py_func, args, return_type, flags, self.locals, body)
        result = result._replace(entry_point=object())  # callers find it by this
        target.insert_user_function(result.entry_point, result.fndesc, [body])
        return result


class _BodyDispatcher(CPUDispatcher):  # type: ignore[misc]
    """A function as compiled functions call it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._compiler = _BodyCompiler(self.py_func, self.targetdescr, self.targetoptions, self.locals, Compiler)

    def add_overload(self, result: Any) -> None:
        self.overloads[tuple(result.signature.args)] = result


class _EntryCompiler(FunctionCompiler):  # type: ignore[misc]
    """Wrap a body, and make machine code of it and all that it reaches."""

    @cached_property
    def bodies(self) -> _BodyDispatcher:
        return _BodyDispatcher(self.py_func, self.locals, self.targetoptions)

    def _compile_core(self, args: Any, return_type: Any) -> Any:
        _log.info("compiling %s", self.py_func.__qualname__)
        # A symbol's name ends in how many functions the process had compiled: closures of one source that two processes compiled may be
        # namesakes, and of two namesakes that a third loads one would be called for both.
        FunctionIdentity._unique_ids = itertools.count(secrets.randbits(60))
        with _overloads_as_bodies():
            self.bodies.compile(tuple(args))
        body = self.bodies.overloads[tuple(args)]
        target = self.targetdescr.target_context
        library = Entry(target.codegen(), self.py_func.__qualname__)
        library.enable_object_caching()
        library.add_linking_library(body.library)
        target.create_cpython_wrapper(library, body.fndesc, body.environment, body.call_helper, release_gil=True)
        call = target.get_executable(library, body.fndesc, body.environment)
        return body._replace(library=library, entry_point=call, metadata={})


class Dispatcher(CPUDispatcher):  # type: ignore[misc]
    """A function as Python calls it. What compiled functions ask of it, its bodies answer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._compiler = _EntryCompiler(self.py_func, self.targetdescr, self.targetoptions, self.locals, Compiler)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        return self._compiler.bodies.get_call_template(args, kws)

    def get_overload(self, sig: Any) -> Any:
        return self._compiler.bodies.get_overload(sig)

    @property
    def is_compiling(self) -> Any:
        return self._compiler.bodies.is_compiling


@contextmanager
def _overloads_as_bodies() -> Iterator[None]:
    """Let what stands for functions of Python and NumPy be bodies, too; whoever compiles holds Numba's lock."""
    usual = jit_registry.pop(CPU)
    jit_registry[CPU] = lambda **options: lambda function: _BodyDispatcher(function, targetoptions={"boundscheck": None, **options})
    try:
        yield
    finally:
        del jit_registry[CPU]
        jit_registry[CPU] = usual
