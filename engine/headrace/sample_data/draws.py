"""Seeded draws that the generators share: streams, bounded Zipf ranks, distinct hexadecimal strings, columns with nulls."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]

# The two hexadecimal digits of each byte, as one 16-bit unit: eight digits are four look-ups.
_HEX_PAIRS = np.frombuffer(bytes(range(256)).hex().encode(), dtype=np.uint16)


def stream(seed: int, group: int) -> np.random.Generator:
    """Return the random stream of one row group, independent of every other group's.

    >>> bool(stream(7, 0).integers(100) == stream(7, 0).integers(100))
    True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, group])))


def zipf_ranks(random: np.random.Generator, n: int, cardinality: int, exponent: float) -> Integers:
    """Draw `n` ranks from 0 to `cardinality` - 1, rank r about as often as 1 / (r + 1) ** exponent.

    The inverse of the continuous distribution is cut to whole numbers: one power a value instead of a search in a table of
    a million, and it holds for exponents below 1, which NumPy's own Zipf refuses.

    Source: W. Hormann, G. Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions",
    ACM TOMACS 6(3), 1996: the hat function, without the rejection that makes the smallest ranks exact.

    >>> ranks = zipf_ranks(stream(7, 0), 10_000, 1_000, 1.1)
    >>> int(ranks.min()), bool(ranks.max() < 1_000), bool((ranks == 0).mean() > 5 * (ranks == 9).mean())
    (0, True, True)
    """
    uniform = random.random(n)
    power = 1.0 - exponent
    if abs(power) < 1e-9:
        drawn = np.exp(uniform * np.log(cardinality + 1.0))
    else:
        drawn = (1.0 + uniform * ((cardinality + 1.0) ** power - 1.0)) ** (1.0 / power)
    # Rounding may carry the last value to cardinality + 1.
    ranks: Integers = np.minimum(drawn.astype(np.int64) - 1, cardinality - 1)
    return ranks


def mix32(values: Words, salt: int) -> Words:
    """Return 32-bit words spread over their whole range; different inputs stay different for one salt.

    Source: the finaliser of MurmurHash3_x86_32 (A. Appleby, public domain), a bijection.

    >>> len(np.unique(mix32(np.arange(1_000, dtype=np.uint32), 3)))
    1000
    """
    mixed = values ^ np.uint32((salt * 0x9E3779B9) & 0xFFFFFFFF)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def hex_strings(words: Words) -> pa.StringArray:
    """Return each row of 32-bit words as a string of 8 lower-case hexadecimal digits a word.

    Parameters
    ----------
    words : array of uint32, shape (n,) or (n, words a string)
        The digits, most significant first.

    Examples
    --------
    >>> hex_strings(np.array([255, 0xDEADBEEF], np.uint32)).to_pylist()
    ['000000ff', 'deadbeef']
    >>> hex_strings(np.array([[1, 2, 3, 4]], np.uint32)).to_pylist()
    ['00000001000000020000000300000004']
    """
    n = len(words)
    width = 8 * (words.size // max(n, 1))
    digits = _HEX_PAIRS[words.astype(">u4").view(np.uint8)]
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(digits)))


def dictionary_column(ranks: Integers, cardinality: int, salt: int, is_null: Mask) -> pa.DictionaryArray:
    """Return ranks as 8-digit strings, each distinct one once, in a dictionary that holds only what occurs."""
    occurs = np.zeros(cardinality, dtype=np.bool_)
    occurs[ranks[~is_null]] = True
    present = np.flatnonzero(occurs)
    index_of = np.zeros(cardinality, dtype=np.int32)
    index_of[present] = np.arange(len(present), dtype=np.int32)
    words = mix32(present.astype(np.uint32), salt)
    return pa.DictionaryArray.from_arrays(pa.array(index_of[ranks], mask=is_null), hex_strings(words))


def null_mask(random: np.random.Generator, n: int, share: float) -> Mask:
    """Return which of `n` rows are null, each with probability `share`."""
    return random.random(n) < share
