"""Splitting at the bytes of a class: the parts that a regular expression finds."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace_kernels.splitting import Parts, split_texts


def split(texts: list[str], separators: str) -> Parts | None:
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([3, *(len(text) for text in encoded)])  # as of a slice
    is_separator = np.array([chr(byte) in separators for byte in range(128)])
    return split_texts(offsets, np.frombuffer(b"---" + b"".join(encoded), np.uint8), is_separator)


@given(st.lists(st.text("ab ,.\n\0", max_size=12), max_size=5))
def test_parts_are_those_of_a_regular_expression(texts: list[str]) -> None:
    found = split(texts, " ,.\n\0")
    assert found is not None
    parts = [found.data[start:end].tobytes().decode() for start, end in zip(found.offsets, found.offsets[1:], strict=False)]
    lists = [parts[start:end] for start, end in zip(found.starts, found.starts[1:], strict=False)]
    assert lists == [re.split("[ ,.\n\0]+", text) for text in texts]


def test_what_is_not_ascii_is_left_to_others() -> None:
    assert split(["a b", "ä b"], " ") is None
