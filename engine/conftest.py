"""The GPU backend is imported where CuPy is: on a GPU, or on the stand-ins of `tests/gpu/where.py`."""

from importlib.util import find_spec
from pathlib import Path

import pytest

BACKEND = Path(__file__).parent / "headrace" / "backends" / "cudf"
collect_ignore = [] if find_spec("cupy") else [str(BACKEND)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Its examples need a GPU too."""
    for item in items:
        if BACKEND in item.path.parents:
            item.add_marker(pytest.mark.gpu)
