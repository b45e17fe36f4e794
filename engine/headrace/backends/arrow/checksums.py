"""CRC-32, the checksum of pages, as a function in C that kernels call without Python's lock."""

from __future__ import annotations

import ctypes

from zlib_ng import zlib_ng

from headrace_kernels.addresses import CHECKSUM


def _function() -> ctypes._CFunctionType:
    """Return zlib-ng's own function; where its library does not show it, one that asks Python's module."""
    try:
        return CHECKSUM(("zng_crc32_z", ctypes.CDLL(zlib_ng.__file__)))
    except (OSError, AttributeError):
        return CHECKSUM(lambda so_far, address, n_bytes: zlib_ng.crc32(ctypes.string_at(address, n_bytes), so_far))


_crc32 = _function()
CRC32 = ctypes.cast(_crc32, ctypes.c_void_p).value or 0
"""Its address."""
