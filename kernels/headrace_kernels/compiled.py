"""Compile with Numba, and keep the machine code between processes, closures included.

Numba's own ``cache=True`` has gaps that matter here: a closure over a compiled function is never found again (its key holds a random
id), a change in another file that a function calls is not noticed, two processes that compile at once may read each other's half-written
entry, and a damaged one ends every process that looks at it. The cache here keys machine code by a fingerprint of all source that a
function reaches, names files by that key, and compiles again what their checksum does not bear out. It is kept where Numba keeps its own: ``NUMBA_CACHE_DIR``, else ``__pycache__``, else the user's cache directory.

A constant that is an argument of a compiled function is written ``np.int64(4)``: of each bare ``4`` Numba makes a type, and compiles for it.

No function here is ever compiled with ``parallel=True``; all release the GIL, and threads are the caller's.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import secrets
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from headrace_kernels import bodies
from headrace_kernels.numba_names import CPUDispatcher, caching, numba, rtsys

Function = TypeVar("Function", bound=Callable[..., Any])
_DIGEST_NBYTES = 32
_PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, np.dtype, range, slice, numba.types.Type)


def jit(function: Function, *, exact_order: bool = True, inline: bool = False) -> Function:
    """Compile a function in nopython mode, without the GIL, kept between processes if its fingerprint can be taken.

    Parameters
    ----------
    function : callable
        A plain function or a closure over compiled functions and constants.
    exact_order : bool
        False lets LLVM reorder floating-point sums. Only for sums whose every partial result is exact.
    inline : bool
        True makes LLVM put it into each compiled caller, whatever its size; what Python calls of it is then not kept.

    Returns
    -------
    callable
        A dispatcher of Numba's; its ``py_func`` is the function.

    Examples
    --------
    >>> @jit
    ... def twice(x):
    ...     return x + x
    >>> twice(21)
    42
    """
    # "numpy": a division by zero gives inf or nan as in NumPy; Python's error would be a branch in every loop
    fastmath = False if exact_order else {"reassoc"}
    options = {"nopython": True, "boundscheck": None, "nogil": True, "error_model": "numpy", "fastmath": fastmath, "forceinline": inline}
    if numba.config.DISABLE_JIT:
        return function
    dispatcher = bodies.Dispatcher(function, targetoptions=options)
    if not inline:
        dispatcher._cache = _FingerprintCache(function, exact_order=exact_order)
    return cast(Function, dispatcher)


def fingerprint(function: Callable[..., Any]) -> str | None:
    """Return a digest of the source of `function` and of all that it calls; None if it reaches something that has no stable one.

    >>> fingerprint(lambda x: x + 1) == fingerprint(lambda x: x + 2)
    False
    """
    digest = hashlib.sha256(f"{numba.__version__} {_file_digest(bodies.__file__)}".encode())
    try:
        for piece in _pieces(function, set()):
            digest.update(piece.encode() + b"\0")
    except _NoStableDigestError:
        return None
    return digest.hexdigest()


class _NoStableDigestError(Exception):
    """A function reaches an object whose content is unknown."""


def _pieces(value: object, seen: set[int]) -> Iterator[str]:
    if isinstance(value, (CPUDispatcher, functools._lru_cache_wrapper)):
        value = value.__wrapped__
    if isinstance(value, types.FunctionType):
        if id(value) not in seen:
            seen.add(id(value))
            yield _file_digest(value.__code__.co_filename)
            yield from _code_pieces(value.__code__)
            reached = [cell.cell_contents for cell in value.__closure__ or ()]
            reached += [value.__globals__[name] for name in _names(value.__code__) if name in value.__globals__]
            for other in [*reached, *(value.__defaults__ or ())]:
                yield from _pieces(other, seen)
    elif isinstance(value, tuple):
        for item in value:
            yield from _pieces(item, seen)
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}{hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    elif isinstance(value, _PLAIN):
        yield repr(value)
    elif isinstance(value, types.ModuleType):  # whatever of it is called: its file
        yield value.__name__ + _file_digest(getattr(value, "__file__", None) or "")
    elif isinstance(value, (types.BuiltinFunctionType, type, np.ufunc)):
        yield getattr(value, "__name__", "")
    else:
        raise _NoStableDigestError


def _code_pieces(code: types.CodeType) -> Iterator[str]:
    yield f"{code.co_name} {code.co_code.hex()} {code.co_names}"
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code_pieces(constant)
        else:
            yield repr(constant)


def _names(code: types.CodeType) -> list[str]:
    inner = [name for constant in code.co_consts if isinstance(constant, types.CodeType) for name in _names(constant)]
    return [*code.co_names, *inner]


@functools.cache
def _file_digest(path: str) -> str:
    """Digest a source file; the bytes reach what bytecode does not show: overloads and intrinsics beside the function."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:  # typed at a prompt
        return ""


class _CodeFiles:
    """Machine code in files that are named by what it was compiled of; a damaged one is as none."""

    def __init__(self, folder: str, name: str) -> None:
        self._folder, self._name = Path(folder), name

    def load(self, key: object) -> object:
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        digest, data = content[:_DIGEST_NBYTES], content[_DIGEST_NBYTES:]
        return pickle.loads(data) if hashlib.sha256(data).digest() == digest else None  # noqa: S301  (as Numba does; trusted as .pyc files are)

    def save(self, key: object, data: object) -> None:
        path, content = self._path(key), caching.dumps(data)
        # Two processes may compile the same at once, on two machines if they share the folder.
        new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        try:
            new.write_bytes(hashlib.sha256(content).digest() + content)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    def _path(self, key: object) -> Path:
        return self._folder / f"{self._name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.nbc"


class _FingerprintCache(caching.FunctionCache):  # type: ignore[misc]
    """Find compiled code by the fingerprint of its source.

    That is taken at the first call: at its definition, what stands further down in its module is not there yet.
    """

    def __init__(self, function: Callable[..., Any], *, exact_order: bool) -> None:
        self._py_func, self._exact_order = function, exact_order
        self._name, self._cache_path = repr(function), None  # what Numba shows of it
        self.enable()

    @functools.cached_property
    def _mark(self) -> str | None:
        mark = fingerprint(self._py_func)
        if mark is None:
            return None
        mark = mark if self._exact_order else mark[::-1]
        try:
            super().__init__(self._py_func)
        except RuntimeError:  # no directory can be written, or the function has no file: compile each time
            return None
        self._cache_file = _CodeFiles(self.cache_path, self._py_func.__name__.strip("<>"))
        return mark

    def load_overload(self, sig: object, target_context: Any) -> object:
        if not self._enabled or self._mark is None:
            return None
        # Numba first declares all that a compiler may meet (0.1 s). Compiled code needs its run time only.
        rtsys.initialize(target_context)
        codegen = target_context.codegen()
        codegen._library_class = bodies.LoadedEntry  # whoever compiles waits for the lock that the caller holds
        try:
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)
        finally:
            del codegen._library_class

    def save_overload(self, sig: object, data: object) -> None:
        if self._enabled and self._mark is not None:
            with suppress(OSError):  # a full disk: the next process compiles again
                super().save_overload(sig, data)

    def _index_key(self, sig: object, codegen: Any) -> tuple[object, ...]:
        return (sig, codegen.magic_tuple(), self._mark)
