"""What the kernels use of Numba, CUDA apart: imported here alone, without the optional packages that Numba would import with it.

Numba asks SciPy for its version and serves coverage if it is at work: that is a fifth of what the import takes.
"""

from __future__ import annotations

from headrace_kernels.sparing import sparing

with sparing("scipy", "coverage"):
    import numba

from numba import carray, types
from numba.core import caching, cgutils
from numba.core.bytecode import FunctionIdentity
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags, compile_extra
from numba.core.dispatcher import _FunctionCompiler as FunctionCompiler
from numba.core.errors import NumbaError
from numba.core.registry import CPUDispatcher
from numba.core.runtime import rtsys
from numba.core.target_extension import CPU, jit_registry
from numba.extending import intrinsic, overload, register_jitable

__all__ = [
    "CPU",
    "CPUDispatcher",
    "Compiler",
    "Flags",
    "FunctionCompiler",
    "FunctionIdentity",
    "JITCodeLibrary",
    "NumbaError",
    "caching",
    "carray",
    "cgutils",
    "compile_extra",
    "intrinsic",
    "jit_registry",
    "numba",
    "overload",
    "register_jitable",
    "rtsys",
    "types",
]
